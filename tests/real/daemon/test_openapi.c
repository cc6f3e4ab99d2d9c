/* The document of the API and a real cluster say the same: tests/openapi/ask.js asks for
 * every path and every error that controller/http/openapi.json has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/real/daemon/stage.h"

enum { SKIPPED = 77, PATIENCE_MS = 200000 };

static int skip;

/* Fake agents live on the test's loop: it turns while node asks. */
static int ask(struct stage *s, int node, const char *phase)
{
    char socket[CLUSTER_PATH + 32], seen[CLUSTER_PATH + 32];
    int pid, status = 0;

    snprintf(socket, sizeof socket, "%s/%s.sock", s->c.dir, node_names[node]);
    snprintf(seen, sizeof seen, "%s/seen.json", s->c.dir);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(OPENAPI_RUN, OPENAPI_RUN, OPENAPI_MODULES, "ask", socket, seen, phase, NULL);
        _exit(127);
    }
    for (unsigned ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms += 20) {
        assert_true(ms < PATIENCE_MS);
        cluster_turn_ms(&s->c, 20);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void the_document_and_the_server_agree(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c), asked = (leader + 1) % NODES, status;

    /* At a follower, so that what is passed on is asked for as well. */
    status = ask(s, asked, "whole");
    if (status == SKIPPED) {
        skip = SKIPPED;
        return;
    }
    assert_int_equal(status, 0);
    for (int node = 0; node < NODES; node++)
        if (node != asked)
            cluster_kill(&s->c, node);
    s->east.silent = s->west.silent = true;
    cluster_turn_ms(&s->c, 3000);
    assert_int_equal(ask(s, asked, "alone"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_document_and_the_server_agree, stage_setup,
                                        stage_teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    return failed != 0 ? failed : skip;
}
