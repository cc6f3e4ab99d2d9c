/* tests/fuzz/replay.c -- a target without libFuzzer: plays every file of the folders that
 * are named, so that what was found once is looked at in each test run, with any compiler.
 *
 *     replay_NAME FOLDER|FILE ...
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

enum { PATH_MAX_HERE = 1024, INPUT_MAX = 8 << 20 };

static unsigned played;

static void play_file(const char *path)
{
    /* Of exactly the input's size, so that a read past its end is seen. */
    FILE *f = fopen(path, "rb");
    struct stat at;
    uint8_t *data;
    size_t len;

    if (f == NULL || fstat(fileno(f), &at) != 0 || at.st_size > INPUT_MAX) {
        fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
        exit(2);
    }
    data = malloc((size_t)at.st_size + (at.st_size == 0));
    len = data != NULL ? fread(data, 1, (size_t)at.st_size, f) : 0;
    fclose(f);
    if (data == NULL || len != (size_t)at.st_size) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(2);
    }
    fprintf(stderr, "%s\n", path); /* the last one named is the one that failed */
    (void)LLVMFuzzerTestOneInput(data, len);
    free(data);
    played++;
}

static void play(const char *path)
{
    char inner[PATH_MAX_HERE];
    struct dirent *e;
    DIR *dir = opendir(path);

    if (dir == NULL) {
        if (errno == ENOTDIR)
            play_file(path);
        return; /* a target without regressions has no folder of them */
    }
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        play_file(inner);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        play(argv[i]);
    printf("%u inputs\n", played);
    return played > 0 ? 0 : 1; /* no corpus is no test */
}
