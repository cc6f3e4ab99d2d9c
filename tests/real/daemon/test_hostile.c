/* What must not get in, and what must not start: each says what is wrong and what to do. */
#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "tests/real/daemon/fake_agent.h"

enum { EX_CONFIG_ = 78, TEXT = 8000 };

static int setup(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);

    cluster_open(c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    cluster_close(*state);
    free(*state);
    return 0;
}

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* ---- what must not get in --------------------------------------------------------------
 */

static void send_raw(uint16_t port, const void *data, size_t len)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    (void)!send(fd, data, len, MSG_NOSIGNAL);
    close(fd);
}

/* Any bytes will do, but the same ones each time. */
static unsigned char next_byte(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (unsigned char)(*seed >> 24);
}

/* Anybody may throw bytes at the port; the cluster goes on. */
static void garbage_on_the_port_changes_nothing(void **state)
{
    struct cluster *c = *state;
    static const unsigned char record[] = {0x16, 3, 1, 0xff, 0xff};
    static unsigned char bytes[100000];
    uint32_t seed = 4711;
    json_t *s;

    cluster_start_all(c);
    cluster_wait_leader(c);
    for (unsigned i = 0; i < 200; i++) {
        for (unsigned k = 0; k < sizeof bytes; k++)
            bytes[k] = next_byte(&seed);
        if (i % 2 == 0) /* a TLS record's header in front */
            memcpy(bytes, record, sizeof record);
        send_raw(c->ports[i % NODES], bytes, i % 3 == 0 ? 10 : sizeof bytes);
    }
    cluster_turn_ms(c, 300);
    for (int i = 0; i < NODES; i++)
        assert_true(cluster_leader_seen_by(c, i) >= 0);
    assert_true(cluster_wait_leader(c) >= 0);
    s = cluster_status(c);
    assert_int_equal(json_array_size(at(s, "controllers")), NODES);
    json_decref(s);
}

struct speaker {
    struct fake_agent a;
    int node;
};

static bool is_refused(void *owner)
{
    const struct speaker *s = owner;

    return s->a.refused > 0;
}

static bool is_welcome(void *owner)
{
    const struct speaker *s = owner;

    return s->a.links[s->node].welcomed;
}

/* An agent of ours that sends nonsense is told so and let go of. */
static void nonsense_of_an_agent_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *says;
    } table[] = {
        {"no protobuf", "rf.Frame"},
        {"a frame for controllers", "no frame for an agent"},
        {"renewal before hello", "agent_hello"},
    };
    struct cluster *c = *state;
    static struct speaker s = {.node = WEST}; /* outlives a failure */

    cluster_issue_agent(c, "pg-east");
    cluster_start_all(c);
    cluster_wait_leader(c);
    for (unsigned i = 0; i < 3; i++) {
        Rf__Frame frame = RF__FRAME__INIT;
        Rf__ControllerHello hello = RF__CONTROLLER_HELLO__INIT;
        struct err err;

        fake_agent_open(&s.a, c, "pg-east", "east", 1);
        s.a.mute = i == 2; /* no hello */
        if (i != 2)
            cluster_until(c, is_welcome, &s, 5000, "a welcome");
        else
            cluster_turn_ms(c, 300);
        if (i == 0)
            (void)!link_send(s.a.links[WEST].link, "\xff\xff\xff", 3, &err);
        frame.body_case = RF__FRAME__BODY_CONTROLLER_HELLO;
        frame.controller_hello = &hello;
        if (i == 1)
            fake_agent_send(&s.a, WEST, &frame);
        if (i == 2) {
            s.a.role = RF__ROLE__ROLE_PRIMARY;
            snprintf(s.a.group, sizeof s.a.group, "orders");
            s.a.epoch = 1;
            s.a.mute = false;
            s.a.no_hello = true;
        }
        cluster_until(c, is_refused, &s, 5000, table[i].name);
        assert_says(s.a.refusal_text, table[i].says);
        fake_agent_close(&s.a);
    }
    assert_true(cluster_leader_seen_by(c, WEST) >= 0);
}

/* The certificate is of one agent, the hello of another. */
static void a_name_that_is_not_in_the_certificate_is_refused(void **state)
{
    struct cluster *c = *state;
    static struct speaker s = {.node = EAST};

    cluster_issue_agent(c, "pg-east");
    cluster_start(c, EAST, true);
    fake_agent_open(&s.a, c, "pg-east", "east", 1);
    snprintf(s.a.name, sizeof s.a.name, "pg-west");
    cluster_until(c, is_refused, &s, 5000, "a refusal");
    assert_says(s.a.refusal_text, "its certificate is for agent pg-east");
    fake_agent_close(&s.a);
}

/* What a probe, a gate or a standby would have to look up is no address. */
static void an_address_that_is_a_name_is_refused(void **state)
{
    struct cluster *c = *state;
    static struct speaker s = {.node = EAST};

    cluster_issue_agent(c, "pg-east");
    cluster_start(c, EAST, true);
    fake_agent_open(&s.a, c, "pg-east", "east", 1);
    s.a.address = "localhost";
    cluster_until(c, is_refused, &s, 5000, "a refusal");
    assert_says(s.a.refusal_text, "its address 'localhost' is not a number");
    fake_agent_close(&s.a);
}

/* ---- what must not start ---------------------------------------------------------------
 */

static void run_as(struct cluster *c, const char *config, char *text)
{
    const char *arguments[] = {"--config", config, NULL};

    assert_int_equal(cluster_run(c, arguments, text, TEXT), EX_CONFIG_);
}

static void an_empty_directory_is_no_voter(void **state)
{
    struct cluster *c = *state;
    char config[CLUSTER_PATH], text[TEXT];

    cluster_config(c, EAST, config);
    run_as(c, config, text);
    assert_says(text, "bootstrap");
}

/* A configuration in which one word is replaced. */
static void write_changed(struct cluster *c, int node, const char *path, const char *from,
                          const char *to)
{
    char plain[CLUSTER_PATH], bytes[4000], *found;
    FILE *f;
    size_t n;

    cluster_config(c, node, plain);
    f = fopen(plain, "r");
    n = fread(bytes, 1, sizeof bytes - 1, f);
    bytes[n] = '\0';
    fclose(f);
    found = strstr(bytes, from);
    assert_non_null(found);
    f = fopen(path, "w");
    fprintf(f, "%.*s%s%s", (int)(found - bytes), bytes, to, found + strlen(from));
    fclose(f);
}

static void another_nodes_directory_is_not_touched(void **state)
{
    struct cluster *c = *state;
    char path[CLUSTER_PATH], text[TEXT], from[CLUSTER_PATH + 20], to[CLUSTER_PATH + 20];

    cluster_start_all(c);
    cluster_wait_leader(c);
    assert_int_equal(cluster_stop(c, EAST), 0);
    assert_int_equal(cluster_stop(c, WEST), 0);
    snprintf(path, sizeof path, "%.100s/wrong.yaml", c->dir);
    snprintf(from, sizeof from, "data_dir: %s/west", c->dir);
    snprintf(to, sizeof to, "data_dir: %s/east", c->dir);
    write_changed(c, WEST, path, from, to);
    run_as(c, path, text);
    assert_says(text, "east");

    /* Nothing was lost by the try. */
    cluster_start(c, EAST, false);
    cluster_start(c, WEST, false);
    assert_true(cluster_wait_leader(c) >= 0);
}

static void a_port_in_use_is_named(void **state)
{
    struct cluster *c = *state;
    char path[CLUSTER_PATH], text[TEXT], port[16];

    cluster_start_all(c);
    cluster_wait_leader(c);
    cluster_config(c, EAST, path);
    run_as(c, path, text);
    snprintf(port, sizeof port, ":%u", c->ports[EAST]);
    assert_says(text, port);
    assert_true(cluster_wait_leader(c) >= 0);
}

/* `--check` of a running controller's own file finds nothing, and disturbs nobody; of a
 * file that wants the same port for another directory it finds the port, by file, line and
 * key. */
static void check_leaves_a_running_controller_alone(void **state)
{
    struct cluster *c = *state;
    char config[CLUSTER_PATH], other[CLUSTER_PATH], text[TEXT], from[CLUSTER_PATH + 20],
        to[CLUSTER_PATH + 20];
    const char *own[] = {"--check", "--config", config, NULL},
               *wrong[] = {"--check", "--config", other, NULL};
    int leader;

    cluster_start_all(c);
    leader = cluster_wait_leader(c);
    cluster_config(c, leader, config);
    for (unsigned n = 0; n < 5; n++)
        if (cluster_run(c, own, text, sizeof text) != 0)
            fail_msg("%s", text);
    snprintf(other, sizeof other, "%.100s/wrong.yaml", c->dir);
    snprintf(from, sizeof from, "data_dir: %s/%s", c->dir, node_names[leader]);
    snprintf(to, sizeof to, "data_dir: %s/elsewhere", c->dir);
    write_changed(c, leader, other, from, to);
    assert_int_equal(cluster_run(c, wrong, text, sizeof text), EX_CONFIG_);
    assert_says(text, "wrong.yaml:");
    assert_says(text, ": listen: 127.0.0.1:");
    assert_says(text, ": metrics: 127.0.0.1:");
    assert_says(text, ": socket: ");
    assert_says(text, "is in use by ringfenced (pid ");
    assert_int_equal(cluster_leader_seen_by(c, leader), leader);
    assert_int_equal(cluster_stop(c, leader), 0);
}

static unsigned log_count(struct cluster *c, int node, const char *wanted)
{
    static char text[1 << 17];
    unsigned n = 0;

    cluster_log(c, node, text, sizeof text);
    for (const char *found = text; (found = strstr(found, wanted)) != NULL; found++)
        n++;
    return n;
}

static bool east_is_told(void *owner)
{
    return log_count(owner, EAST, "refuses this one") > 0;
}

/* What one host's file cannot show: both say which two files disagree in what, once. */
static void files_that_disagree_are_named_once(void **state)
{
    static const char why[] = "in its own file controller east is in region east, in the "
                              "file of west in region mars";
    struct cluster *c = *state;
    char path[CLUSTER_PATH];

    cluster_config(c, WEST, path);
    write_changed(c, WEST, path, "name: east, region: east", "name: east, region: mars");
    cluster_start(c, EAST, true);
    cluster_start(c, WEST, true);
    cluster_until(c, east_is_told, c, 10000, "a word about the files");
    cluster_turn_ms(c, 3000);
    assert_int_equal(log_count(c, EAST, why), 1);
    assert_int_equal(log_count(c, WEST, why), 1);
}

static void another_nodes_certificate_is_refused(void **state)
{
    struct cluster *c = *state;
    char path[CLUSTER_PATH], text[TEXT];

    snprintf(path, sizeof path, "%.100s/wrong.yaml", c->dir);
    write_changed(c, EAST, path, "controller-east.crt", "controller-west.crt");
    run_as(c, path, text);
    assert_says(text, "controller-west.crt");
    write_changed(c, EAST, path, "pki/ca.crt", "pki/nothing.crt");
    run_as(c, path, text);
    assert_says(text, "nothing.crt");
}

static bool west_tells_of_a_rogue(void *owner)
{
    char text[TEXT];

    cluster_log(owner, WEST, text, sizeof text);
    return strstr(text, "certificate of agent pg-east has hung up") != NULL;
}

static bool west_is_reached(void *owner)
{
    const struct speaker *s = owner;

    return s->a.links[WEST].link != NULL && link_is_up(s->a.links[WEST].link);
}

/* Who has only the certificate is not the agent: that one neither came nor went. */
static void a_rogue_holder_is_not_the_agent(void **state)
{
    struct cluster *c = *state;
    static struct speaker s = {.node = WEST};
    char text[TEXT];

    cluster_issue_agent(c, "pg-east");
    cluster_start_all(c);
    cluster_wait_leader(c);
    fake_agent_open(&s.a, c, "pg-east", "east", 1);
    s.a.mute = true; /* no hello */
    cluster_until(c, west_is_reached, &s, 5000, "a connection");
    fake_agent_close(&s.a);
    cluster_until(c, west_tells_of_a_rogue, c, 5000, "a word about it");
    cluster_log(c, WEST, text, sizeof text);
    assert_null(strstr(text, "agent pg-east has disconnected"));
}

/* A certificate's error has its place in the file, too. */
static void a_certificate_error_has_its_line(void **state)
{
    struct cluster *c = *state;
    char other[CLUSTER_PATH], text[TEXT];
    const char *check[] = {"--check", "--config", other, NULL},
               *start[] = {"--config", other, NULL};

    snprintf(other, sizeof other, "%.100s/wrong.yaml", c->dir);
    write_changed(c, EAST, other, "controller-east.crt", "controller-west.crt");
    assert_int_equal(cluster_run(c, check, text, sizeof text), EX_CONFIG_);
    assert_says(text, "wrong.yaml:");
    assert_says(text, ": tls.key: ");
    assert_int_equal(cluster_run(c, start, text, sizeof text), EX_CONFIG_);
    assert_says(text, ": tls.key: ");
}

/* Root could read and write everything; the unit's user could not. */
static void check_looks_for_the_units_user(void **state)
{
    struct cluster *c = *state;
    char config[CLUSTER_PATH], data[CLUSTER_PATH], key[CLUSTER_PATH];
    char pki[CLUSTER_PATH], text[TEXT];
    const char *check[] = {"--check", "--config", config, NULL},
               *nobody[] = {"--check", "--user", "nobody", "--config", config, NULL},
               *root[] = {"--check", "--user", "root", "--config", config, NULL},
               *unknown[] = {"--check", "--user", "rf-nobody", "--config", config, NULL};
    const struct passwd *pw = getpwnam("nobody");

    if (geteuid() != 0)
        skip(); /* only root has two pairs of eyes */
    assert_non_null(pw);
    cluster_config(c, EAST, config);
    snprintf(data, sizeof data, "%.100s/east", c->dir);
    snprintf(key, sizeof key, "%.100s/pki/controller-east.key", c->dir);
    snprintf(pki, sizeof pki, "%.100s/pki", c->dir);
    assert_int_equal(chmod(c->dir, 0777), 0);
    assert_int_equal(chmod(pki, 0755), 0);
    assert_true(mkdir(data, 0700) == 0 || errno == EEXIST);
    assert_int_equal(cluster_run(c, unknown, text, sizeof text), 2);
    assert_says(text, "there is no user 'rf-nobody'");
    assert_int_equal(cluster_run(c, root, text, sizeof text), 0);
    assert_says(text, "good for user root");
    assert_int_equal(cluster_run(c, nobody, text, sizeof text), EX_CONFIG_);
    assert_says(text, "cannot be written by user nobody");
    assert_int_equal(chown(data, pw->pw_uid, pw->pw_gid), 0);
    assert_int_equal(cluster_run(c, check, text, sizeof text), EX_CONFIG_);
    assert_says(text, "tls.key: the key ");
    assert_says(text, "cannot be read by user nobody: `chown root:");
    assert_int_equal(chown(key, 0, pw->pw_gid), 0);
    assert_int_equal(chmod(key, 0640), 0);
    if (cluster_run(c, check, text, sizeof text) != 0)
        fail_msg("%s", text);
    assert_says(text, "good for user nobody");
    assert_int_equal(chmod(config, 0600), 0);
    assert_int_equal(cluster_run(c, check, text, sizeof text), EX_CONFIG_);
    assert_says(text, "cannot be read by user nobody");
}

/* Words that it does not know, and those that only print. */
static void wrong_words_on_the_command_line(void **state)
{
    struct cluster *c = *state;
    const char *unknown[] = {"--frobnicate", NULL}, *version[] = {"--version", NULL},
               *man[] = {"--man", NULL}, *none[] = {"--config", "/nonexistent", NULL};
    char text[TEXT], config[CLUSTER_PATH];
    const char *check[] = {"--check", "--config", config, NULL},
               *user[] = {"--user", "nobody", "--config", config, NULL};

    assert_int_equal(cluster_run(c, unknown, text, sizeof text), 2);
    assert_says(text, "frobnicate");
    assert_int_equal(cluster_run(c, version, text, sizeof text), 0);
    assert_says(text, "ringfenced 0.");
    assert_int_equal(cluster_run(c, man, text, sizeof text), 0);
    assert_says(text, ".TH");
    assert_int_equal(cluster_run(c, none, text, sizeof text), EX_CONFIG_);
    assert_says(text, "/nonexistent");
    cluster_config(c, EAST, config);
    assert_int_equal(cluster_run(c, user, text, sizeof text), 2);
    assert_says(text, "--user belongs to --check");
    assert_int_equal(cluster_run(c, check, text, sizeof text), 0);
}

#define EACH_ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(garbage_on_the_port_changes_nothing),
        EACH_ALONE(nonsense_of_an_agent_is_refused),
        EACH_ALONE(a_name_that_is_not_in_the_certificate_is_refused),
        EACH_ALONE(an_address_that_is_a_name_is_refused),
        EACH_ALONE(an_empty_directory_is_no_voter),
        EACH_ALONE(another_nodes_directory_is_not_touched),
        EACH_ALONE(a_port_in_use_is_named),
        EACH_ALONE(check_leaves_a_running_controller_alone),
        EACH_ALONE(files_that_disagree_are_named_once),
        EACH_ALONE(another_nodes_certificate_is_refused),
        EACH_ALONE(a_certificate_error_has_its_line),
        EACH_ALONE(check_looks_for_the_units_user),
        EACH_ALONE(a_rogue_holder_is_not_the_agent),
        EACH_ALONE(wrong_words_on_the_command_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
