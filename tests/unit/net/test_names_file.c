/* What a names file is good for: the next life. */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/net/names_bench.h"

/* Until the file has these words. */
static void until_kept(struct world *w, const char *words)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    char text[1024] = "";

    while (strstr(text, words) == NULL) {
        FILE *f = fopen(w->file, "r");
        size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;

        text[n] = 0;
        if (f != NULL)
            fclose(f);
        assert_true(uv_hrtime() < until);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
}

/* The next life knows what this one knew, without a resolver. */
static void the_next_life_knows(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, true);
    know(&w, "east.test", "10.0.0.1 fd00::2");
    until_kept(&w, " 10.0.0.1 fd00::2\n");
    close_names(&w);
    resolver_hangs();
    open_names(&w, true);
    assert_int_equal(ask(&w, &a, "east.test", &err), 0);
    assert_int_equal(a.got.count, 2);
    resolver_until_asked(2); /* and whether it is still so is asked at once */
    end(&w);
}

/* A file that is damaged is as good as none: it says so, and is written anew. */
static void a_damaged_file_is_not_used(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;
    FILE *f;

    (void)state;
    begin(&w, false);
    close_names(&w);
    f = fopen(w.file, "w");
    assert_non_null(f);
    fputs("ringfence-names 1\neast.test 1 10.0.0.1\nwest", f);
    fclose(f);
    open_names(&w, true);
    assert_int_equal(lines("nothing of it is used"), 1);
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    until_kept(&w, " 127.0.0.1\n");
    end(&w);
}

/* Where it cannot be written one goes on without, and says so once. */
static void a_file_that_cannot_be_written_is_told_once(void **state)
{
    struct world w;

    (void)state;
    begin(&w, false);
    close_names(&w);
    snprintf(w.file, sizeof w.file, "%s/no/names", w.dir);
    open_names(&w, true);
    know(&w, "east.test", "10.0.0.1");
    until_logged(&w, "known for this life only", 1);
    know(&w, "west.test", "10.0.0.2");
    for (unsigned i = 0; i < 100; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(lines("known for this life only"), 1);
    end(&w);
}

static unsigned threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;

    assert_non_null(dir);
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir))
        n += d->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* On a disk that hangs one thread waits, whatever is learned meanwhile. */
static void a_disk_that_hangs_holds_one_thread(void **state)
{
    static const char *const hosts[] = {"a.test", "b.test", "c.test", "d.test"};
    struct world w;
    char fifo[BENCH_PATH + 32];
    uint64_t until;
    unsigned before;
    int fd;

    (void)state;
    begin(&w, true);
    snprintf(fifo, sizeof fifo, "%s.new", w.file);
    assert_int_equal(mkfifo(fifo, 0600), 0); /* to open it waits for a reader */
    before = threads();
    for (unsigned i = 0; i < sizeof hosts / sizeof *hosts; i++)
        know(&w, hosts[i], "10.0.0.1");
    /* The lookups' threads end when they are next given a core. Then one is left: a
       second writer would wait at the pipe beside it. */
    until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    while (threads() > before + 1 && uv_hrtime() < until)
        sched_yield();
    assert_int_equal(threads(), before + 1);
    fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    until_logged(&w, "known for this life only", 1); /* a pipe cannot be synced */
    close_names(&w);
    while (threads() > before) /* the next one has begun, and ends as well */
        sched_yield();
    close(fd);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_life_knows),
        cmocka_unit_test(a_damaged_file_is_not_used),
        cmocka_unit_test(a_disk_that_hangs_holds_one_thread),
        cmocka_unit_test(a_file_that_cannot_be_written_is_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
