/* The cluster that tests/refusals plays against: three real controllers that know users,
 * second factors and JWTs, two pretended agents with a steady group `orders`, and
 * certificates of all kinds of people (tests/real/daemon/people.h).
 *
 *   refusals_hall PLAYER [ARGUMENT...]
 *
 * The player runs in the cluster's directory, where hall.json says which ports there are.
 * On descriptor 3 it says what is to be done, a line each, and reads a line behind it from
 * 4 when that was done:
 *   silence AGENT, wake AGENT          renews and reports nothing, whatever comes; again
 *   kill CONTROLLER, start CONTROLLER
 * Ends with the player's exit status; 70 where there was no cluster to play against. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/real/daemon/people.h"

enum { NO_CLUSTER = 70, ORDERS = 3, ANSWERS = 4, WHOLE_MS = 20000 };

static char **player;
static int ended = NO_CLUSTER;

/* ---- the cluster --------------------------------------------------------------------- */

static void make_secrets(struct stage *s)
{
    static char text[PEOPLE_TEXT];

    if (people_run(s, text,
                   "umask 077; openssl rand -hex 32 > secrets.key && mkdir jwt && "
                   "python3 " MAKE_JWT " jwt now") != 0)
        fail_msg("%s", text);
}

static void configure(struct stage *s)
{
    char path[CLUSTER_PATH], more[600];

    snprintf(
        more, sizeof more,
        "secrets_key: %s/secrets.key\noidc: {issuer: \"https://id.example\", audience: "
        "ringfence, keys: %s/jwt/jwks.json}\n",
        s->c.dir, s->c.dir);
    for (int i = 0; i < NODES; i++) {
        cluster_config(&s->c, i, path);
        cluster_write_config(&s->c, i, path, more);
    }
}

static void describe(const struct stage *s)
{
    char path[CLUSTER_PATH + 16];
    FILE *f;

    snprintf(path, sizeof path, "%s/hall.json", s->c.dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "{\"controllers\": {");
    for (int i = 0; i < NODES; i++)
        fprintf(f, "%s\"%s\": {\"api\": %u, \"nodes\": %u}", i > 0 ? ", " : "",
                node_names[i], s->c.apis[i], s->c.ports[i]);
    fprintf(f, "}}\n");
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);

    stage_open(s);
    make_secrets(s);
    configure(s);
    stage_start(s, "required");
    cluster_until(&s->c, stage_is_whole, s, WHOLE_MS, "the standby in the sync set");
    people_issue(s);
    describe(s);
    *state = s;
    return 0;
}

/* ---- what the player wants ----------------------------------------------------------- */

static void with_agent(struct stage *s, const char *name, bool silent)
{
    struct fake_agent *a = strcmp(name, s->east.name) == 0 ? &s->east : &s->west;

    assert_string_equal(name, a->name);
    a->silent = silent;
}

static int node_of(const char *name)
{
    for (int i = 0; i < NODES; i++)
        if (strcmp(name, node_names[i]) == 0)
            return i;
    fail_msg("%s is no controller", name);
    return -1;
}

static void carry_out(struct stage *s, const char *line)
{
    char verb[16], name[NAME_SIZE];

    if (sscanf(line, "%15s %23s", verb, name) != 2)
        fail_msg("the player says \"%s\"", line);
    if (strcmp(verb, "silence") == 0)
        with_agent(s, name, true);
    else if (strcmp(verb, "wake") == 0)
        with_agent(s, name, false);
    else if (strcmp(verb, "kill") == 0)
        cluster_kill(&s->c, node_of(name));
    else if (strcmp(verb, "start") == 0)
        cluster_start(&s->c, node_of(name), false);
    else
        fail_msg("the player says \"%s\"", line);
}

static void serve(struct stage *s, int orders, int answers)
{
    struct pollfd p = {.fd = orders, .events = POLLIN};
    char line[80] = "";
    ssize_t n = 0;

    if (poll(&p, 1, 0) == 1)
        n = read(orders, line, sizeof line - 1);
    if (n <= 0)
        return;
    line[n] = '\0';
    carry_out(s, line);
    assert_int_equal(write(answers, "ok\n", 3), 3);
}

static _Noreturn void become_player(const struct stage *s, int orders, int answers)
{
    /* Above the two: what is put there must not be what is still needed. */
    int from = fcntl(orders, F_DUPFD, 10), to = fcntl(answers, F_DUPFD, 10);

    if (from < 0 || to < 0 || chdir(s->c.dir) != 0 || dup2(from, ORDERS) < 0 ||
        dup2(to, ANSWERS) < 0)
        _exit(NO_CLUSTER);
    close(from);
    close(to);
    execvp(player[0], player);
    _exit(NO_CLUSTER);
}

static void the_table_is_played(void **state)
{
    struct stage *s = *state;
    int orders[2], answers[2], pid, status = 0;

    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become_player(s, orders[1], answers[0]);
    close(orders[1]);
    close(answers[0]);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        serve(s, orders[0], answers[1]);
        cluster_turn_ms(&s->c, 10);
    }
    close(orders[0]);
    close(answers[1]);
    ended = WIFEXITED(status) ? WEXITSTATUS(status) : NO_CLUSTER;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_table_is_played, setup, people_teardown),
    };

    if (argc < 2) {
        fprintf(stderr, "refusals_hall PLAYER [ARGUMENT...]\n");
        return NO_CLUSTER;
    }
    player = argv + 1;
    return cmocka_run_group_tests(tests, NULL, NULL) != 0 ? NO_CLUSTER : ended;
}
