#include "tests/unit/outbound/servers.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

struct server server_start(const char *kind, const char *dir, uint16_t port)
{
    struct server s = {0};
    char wanted[16], line[64] = "";
    int out[2];
    FILE *says;

    snprintf(wanted, sizeof wanted, "%u", port);
    assert_int_equal(pipe(out), 0);
    s.pid = fork();
    assert_true(s.pid >= 0);
    if (s.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* of a test that died */
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(out[0]);
        (void)close(out[1]);
        execlp("python3", "python3", SERVERS, kind, dir, wanted, (char *)NULL);
        _exit(127);
    }
    (void)close(out[1]);
    says = fdopen(out[0], "r");
    assert_non_null(says);
    assert_non_null(fgets(line, sizeof line, says));
    (void)fclose(says);
    s.port = (uint16_t)atoi(line);
    assert_true(s.port != 0);
    return s;
}

void server_stop(struct server *s)
{
    int status;

    if (s->pid == 0)
        return;
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, &status, 0);
    s->pid = 0;
}

const char *server_wrote(const char *dir, const char *name)
{
    static char text[1 << 16];
    char path[300];
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "r");
    if (f != NULL) {
        n = fread(text, 1, sizeof text - 1, f);
        (void)fclose(f);
    }
    text[n] = '\0';
    return text;
}

void server_write(const char *dir, const char *name, const char *text)
{
    char path[300], fresh[320];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    f = fopen(fresh, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(fresh, path), 0);
}
