#include "tests/real/daemon/people.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "controller/net/pki.h"

struct command {
    uv_work_t work;
    char line[2000];
    char *text;
    int status;
    bool done;
};

static void do_run(uv_work_t *work)
{
    struct command *c = work->data;
    FILE *pipe = popen(c->line, "re");
    size_t n;

    if (pipe == NULL)
        return;
    n = fread(c->text, 1, PEOPLE_TEXT - 1, pipe);
    c->text[n] = '\0';
    c->status = pclose(pipe);
}

static void on_run(uv_work_t *work, int status)
{
    struct command *c = work->data;

    (void)status;
    c->done = true;
}

static bool has_run(void *owner)
{
    const struct command *c = owner;

    return c->done;
}

int people_run(struct stage *s, char text[PEOPLE_TEXT], const char *format, ...)
{
    struct command c = {.text = text, .status = -1};
    char words[1800];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(c.line, sizeof c.line, "cd %.120s && { %s; } 2>&1", s->c.dir, words);
    text[0] = '\0';
    c.work.data = &c;
    assert_int_equal(uv_queue_work(&s->c.loop, &c.work, do_run, on_run), 0);
    cluster_until(&s->c, has_run, &c, 60000, words);
    return WIFEXITED(c.status) ? WEXITSTATUS(c.status) : -1;
}

void people_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* By hand, with a CA that signs whatever it is given. */
static void craft(struct stage *s, const char *stem, const char *san, int days)
{
    static char text[PEOPLE_TEXT];
    int status = people_run(
        s, text,
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x "
        "-keyout pki/%s.key -out pki/x.csr %s%s && openssl x509 -req -in pki/x.csr "
        "-CA pki/ca.crt -CAkey pki/ca.key -copy_extensions copy -days %d -out pki/%s.crt",
        stem, san[0] != '\0' ? "-addext subjectAltName=URI:" : "", san, days, stem);

    if (status != 0)
        fail_msg("%s", text);
}

static void issue_all(struct stage *s)
{
    char dir[CLUSTER_PATH], other[CLUSTER_PATH];
    struct err err = {0};
    unsigned n = 0;

    snprintf(dir, sizeof dir, "%.120s/pki", s->c.dir);
    snprintf(other, sizeof other, "%.120s/pki2", s->c.dir);
    assert_int_equal(pki_issue(dir, IDENTITY_USER, "alice", 30, &err), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_USER, "bob", 30, &err), 0);
    assert_int_equal(pki_init(other, "lab", 30, &err), 0);
    assert_int_equal(pki_issue(other, IDENTITY_USER, "alice", 30, &err), 0);
    craft(s, "other-cluster", "ringfence://other/user/alice", 5);
    craft(s, "expired", "ringfence://lab/user/alice", -1);
    craft(s, "operator", "ringfence://lab/operator/alice", 5);
    craft(s, "nameless", "", 5);
    assert_int_equal(pki_revoke(dir, "user/bob", false, &n, &err), 0);
    for (int i = 0; i < NODES; i++)
        kill(s->c.pids[i], SIGHUP);
}

static bool bob_is_out(void *owner)
{
    struct stage *s = owner;
    static char text[PEOPLE_TEXT];

    for (int i = 0; i < NODES; i++) {
        people_run(s, text,
                   "curl -sS -k -m 5 --cert pki/user-bob.crt --key pki/user-bob.key "
                   "https://127.0.0.1:%u/api/v1/version",
                   s->c.apis[i]);
        if (strstr(text, "alert certificate revoked") == NULL)
            return false;
    }
    return true;
}

/* Her certificate says who she is, and this what she may. */
static void add_alice(struct stage *s)
{
    static const char alice[] = "{\"name\": \"alice\", \"roles\": [\"viewer\"]}";
    long status = 0;

    json_decref(cluster_call(&s->c, cluster_wait_leader(&s->c), "POST", "/api/v1/users",
                             alice, &status));
    assert_int_equal(status, 200);
}

void people_issue(struct stage *s)
{
    issue_all(s);
    add_alice(s);
    cluster_until(&s->c, bob_is_out, s, 10000, "the list that names bob");
}

int people_setup(void **state)
{
    if (stage_setup(state) != 0)
        return -1;
    people_issue(*state);
    return 0;
}

int people_teardown(void **state) { return stage_teardown(state); }

void people_harm_nobody(struct stage *s)
{
    assert_true(fake_agent_is_open(&s->east));
    assert_int_equal(s->east.fence_orders, 0);
    for (int i = 0; i < NODES; i++)
        assert_true(cluster_leader_seen_by(&s->c, i) >= 0);
    print_message("leases: %u granted, the slowest answer after %u us\n", s->east.grants,
                  (unsigned)s->east.slowest_answer_us);
}
