/* The API over the network, as real programs find it: who is let in, who is not, and what
 * each is told. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/real/daemon/people.h"

#define ALICE "--cert pki/user-alice.crt --key pki/user-alice.key"
#define PAUSE "-X POST -H 'Content-Type: application/json' -d '{}'"

static char text[PEOPLE_TEXT];

#define EXPECT(wanted, ...)                                                                \
    do {                                                                                   \
        int ended = people_run(s, text, __VA_ARGS__);                                      \
                                                                                           \
        if (ended != (wanted))                                                             \
            fail_msg("%d and not %d: %s", ended, wanted, text);                            \
    } while (0)

struct row {
    const char *what, *arguments, *path;
    long status; /* 0: no answer at all, but */
    const char *says;
};

static void curl(struct stage *s, int node, const struct row *r)
{
    char code[16];

    people_run(s, text,
               "curl -sS -k -m 8 -w '\\n=%%{http_code}=' %s 'https://127.0.0.1:%u%s'",
               r->arguments, s->c.apis[node], r->path);
    snprintf(code, sizeof code, "=%03ld=", r->status);
    print_message("%-34s %s %.110s\n", r->what, code, text);
    people_says(text, code);
    people_says(text, r->says);
}

/* Each row at the leader and at a follower. */
static void who_is_let_in(void **state)
{
    static const struct row table[] = {
        {"alice looks", ALICE, "/api/v1/status", 200, "\"groups\":[{\"name\":\"orders\""},
        {"alice asks why", ALICE, "/api/v1/groups/orders/why", 200, "verdict"},
        {"alice reads the log", ALICE, "/api/v1/log?limit=5", 200, "\"seq\":"},
        {"no certificate", "", "/api/v1/status", 401, "not-authenticated"},
        {"no certificate, a change", PAUSE, "/api/v1/groups/orders/pause", 401,
         "not-authenticated"},
        {"a token that nobody issued", "-H 'Authorization: Bearer abc'", "/api/v1/status",
         401, "not-authenticated"},
        {"a password", "-u alice:secret", "/api/v1/status", 400, "bad-request"},
        {"alice pauses", ALICE " " PAUSE, "/api/v1/groups/orders/pause", 403, "wrong-role"},
        {"alice moves a region", ALICE " " PAUSE, "/api/v1/groups/orders/failover", 403,
         "wrong-role"},
        {"alice removes", ALICE " -X DELETE", "/api/v1/groups/orders", 403, "wrong-role"},
        {"alice climbs", ALICE " --path-as-is", "/api/v1/../../etc/passwd", 404,
         "not-found"},
        {"a controller's certificate",
         "--cert pki/controller-west.crt --key pki/controller-west.key", "/api/v1/status",
         403, "is of controller west"},
        {"an agent's certificate",
         "--cert pki/agent-pg-east.crt --key pki/agent-pg-east.key", "/api/v1/status", 403,
         "is of agent pg-east"},
        {"another cluster's", "--cert pki/other-cluster.crt --key pki/other-cluster.key",
         "/api/v1/status", 403, "of cluster other, and this is cluster lab"},
        {"a role that is none", "--cert pki/operator.crt --key pki/operator.key",
         "/api/v1/status", 403, "wrong-certificate"},
        {"a certificate without a name", "--cert pki/nameless.crt --key pki/nameless.key",
         "/api/v1/status", 403, "no SAN URI"},
        {"another CA", "--cert pki2/user-alice.crt --key pki2/user-alice.key",
         "/api/v1/status", 0, "alert unknown ca"},
        {"expired", "--cert pki/expired.crt --key pki/expired.key", "/api/v1/status", 0,
         "alert certificate expired"},
        {"revoked", "--cert pki/user-bob.crt --key pki/user-bob.key", "/api/v1/status", 0,
         "alert certificate revoked"},
        {"TLS 1.2", ALICE " --tls-max 1.2", "/api/v1/status", 0, "alert protocol version"},
        {"a long header", ALICE " -H \"X-Long: $(head -c 60000 /dev/zero | tr '\\0' a)\"",
         "/api/v1/status", 431, ""},
        {"a long token",
         "-H \"Authorization: Bearer $(head -c 9000 /dev/zero | tr '\\0' a)\"",
         "/api/v1/status", 431, "too-large"},
        {"a long body", "-X POST --data-binary @body " ALICE, "/api/v1/groups", 413,
         "too-large"},
    };
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);

    people_run(s, text, "head -c 3000000 /dev/zero > body");
    for (int k = 0; k < 2; k++) {
        print_message("-- at %s\n", k == 0 ? "the leader" : "a follower");
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            curl(s, (leader + k) % NODES, &table[i]);
    }
    people_harm_nobody(s);
}

/* Who tried, from where and by what is in the trail, whichever controller he asked. */
static void the_trail_names_who_asked(void **state)
{
    static const struct row pause = {"alice pauses", ALICE " " PAUSE,
                                     "/api/v1/groups/orders/pause", 403, "wrong-role"};
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);

    curl(s, (leader + 1) % NODES, &pause);
    people_run(s, text, RINGFENCE " --socket %s.sock log -n 20 orders", node_names[leader]);
    people_says(text, "[alice (certificate) from 127.0.0.1:");
    people_says(text, "REFUSED (wrong-role): pause");
}

/* Neither in the clear, nor in anything but TLS 1.3. */
static void nothing_but_tls_13(void **state)
{
    struct stage *s = *state;

    people_run(s, text, "curl -sS -m 5 http://127.0.0.1:%u/api/v1/status", s->c.apis[EAST]);
    people_says(text, "curl: (52)");
    for (const char *const *v = (const char *const[]){"-tls1", "-tls1_1", "-tls1_2", NULL};
         *v != NULL; v++) {
        people_run(s, text, "openssl s_client -connect 127.0.0.1:%u %s < /dev/null",
                   s->c.apis[EAST], *v);
        people_says(text, "Cipher is (NONE)");
    }
    people_run(
        s, text,
        "openssl s_client -connect 127.0.0.1:%u -tls1_3 -CAfile pki/ca.crt < /dev/null",
        s->c.apis[EAST]);
    people_says(text, "Verify return code: 0 (ok)");
    people_says(text, "TLSv1.3");
    people_says(text, "Requested Signature Algorithms");
    people_harm_nobody(s);
}

/* A user's certificate is nothing to the port of the nodes. */
static void a_user_is_no_node(void **state)
{
    struct stage *s = *state;

    people_run(
        s, text,
        "(printf '\\0\\0\\0\\4RF\\1\\0'; sleep 1) | openssl s_client -connect "
        "127.0.0.1:%u -quiet -cert pki/user-alice.crt -key pki/user-alice.key | tr '\\0' .",
        s->c.ports[EAST]);
    people_says(text, "a user's certificate opens the API for people");
}

static void send_garbage(uint16_t port, unsigned seed, const void *head, size_t len)
{
    static unsigned char bytes[100000];
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    for (size_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(seed >> 24);
    }
    memcpy(bytes, head, len);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    (void)!send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void garbage_harms_nobody(void **state)
{
    static const struct row looks = {"alice looks", ALICE, "/api/v1/version", 200, "east"};
    struct stage *s = *state;

    for (unsigned i = 0; i < 200; i++) {
        send_garbage(s->c.apis[EAST], i, "\x16\x03\x01\xff\xff", i % 2 == 0 ? 5 : 0);
        cluster_turn_ms(&s->c, 1);
    }
    curl(s, EAST, &looks);
    people_harm_nobody(s);
}

#define CLI(url, who)                                                                      \
    RINGFENCE " --url https://127.0.0.1:%u " url " --ca pki/ca.crt " who " "

/* The program: the next controller where one is gone, nobody who only looks like one. */
static void the_program_goes_over_the_network(void **state)
{
    struct stage *s = *state;
    const unsigned east = s->c.apis[EAST], west = s->c.apis[WEST];

    EXPECT(0, CLI("", ALICE) "status", east);
    people_says(text, "orders");
    EXPECT(1, CLI("", ALICE) "pause orders", east);
    people_says(text, "wrong-role");
    EXPECT(0, CLI("--url https://127.0.0.1:%u", ALICE) "status", 1U, west);
    EXPECT(3, CLI("", ALICE) "status", 1U);
    people_says(text, "connect to https://127.0.0.1:1: ");
    EXPECT(1, CLI("", "--cert pki/user-bob.crt --key pki/user-bob.key") "pause orders",
           east);
    people_says(text, "does not accept our certificate");
    people_says(text, "certificate revoked");
    EXPECT(1, RINGFENCE " --url https://127.0.0.1:%u --ca pki2/ca.crt " ALICE " status",
           east);
    people_says(text, "its certificate is not accepted under --ca");
}

/* An agent that takes a controller's address reads nobody's request. */
static void an_agent_is_no_controller(void **state)
{
    struct stage *s = *state;

    EXPECT(1,
           "openssl s_server -accept 127.0.0.1:0 -cert pki/agent-pg-east.crt -key "
           "pki/agent-pg-east.key -tls1_3 -www > served & server=$!; until grep -q ACCEPT "
           "served; do :; done; port=$(sed -n 's/^ACCEPT .*://p' served); " RINGFENCE
           " --url https://127.0.0.1:$port --ca pki/ca.crt " ALICE
           " status; code=$?; kill $server; exit $code");
    people_says(text, "no controller: it shows the certificate of agent pg-east");
}

/* What `login` keeps works, and is nobody else's. */
static void a_profile_is_kept(void **state)
{
    struct stage *s = *state;

    EXPECT(0, "export XDG_CONFIG_HOME=$PWD/config; " CLI("", ALICE) "login --profile lab",
           (unsigned)s->c.apis[WEST]);
    people_says(text, "controller west answers");
    EXPECT(0, "export XDG_CONFIG_HOME=$PWD/config; stat -c %%a "
              "config/ringfence/lab.json; cd /; " RINGFENCE " --profile lab status");
    people_says(text, "600\n");
    people_says(text, "orders");
}

/* New files are taken by the door too, and whom they do not know any more is thrown out in
 * the middle of what he follows. */
static void a_revoked_user_is_thrown_out(void **state)
{
    struct stage *s = *state;
    int status = people_run(s, text,
                            "curl -sS -k -N -m 20 " ALICE
                            " 'https://127.0.0.1:%u/api/v1/status?follow=1' > followed & "
                            "curl=$!; until grep -q orders followed; do :; done; " RINGFENCE
                            " pki revoke --dir pki user/alice; kill -HUP %d; wait $curl",
                            s->c.apis[EAST], s->c.pids[EAST]);

    print_message("%s", text);
    assert_int_not_equal(status, 0);
    assert_int_not_equal(status, 28); /* curl's own time is not over */
}

#define EACH_ALONE(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, people_setup, people_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(who_is_let_in),
        EACH_ALONE(the_trail_names_who_asked),
        EACH_ALONE(nothing_but_tls_13),
        EACH_ALONE(a_user_is_no_node),
        EACH_ALONE(garbage_harms_nobody),
        EACH_ALONE(the_program_goes_over_the_network),
        EACH_ALONE(an_agent_is_no_controller),
        EACH_ALONE(a_profile_is_kept),
        EACH_ALONE(a_revoked_user_is_thrown_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
