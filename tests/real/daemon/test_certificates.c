/* Certificates that change under three running controllers, by SIGHUP, while a primary
 * renews its lease through them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/net/pki.h"
#include "tests/real/daemon/stage.h"

static void pki_dir(const struct stage *s, char dir[CLUSTER_PATH])
{
    snprintf(dir, CLUSTER_PATH, "%.120s/pki", s->c.dir);
}

static void renew(const struct stage *s, enum identity_role role, const char *name)
{
    const struct pki_renewal what = {role, name, 80, false};
    char dir[CLUSTER_PATH], old[PKI_SERIAL_SIZE];
    struct err err = {0};

    pki_dir(s, dir);
    if (pki_renew(dir, &what, old, &err) != 0)
        fail_msg("%s", err.text);
}

/* A sample of a controller's metrics; -1: there is none. */
static double sample(struct stage *s, int node, const char *name)
{
    char wanted[128];
    long status;
    char *text = cluster_get_tcp(&s->c, s->c.metrics[node], "/metrics", &status);
    const char *found;
    double value = -1;

    snprintf(wanted, sizeof wanted, "\n%s ", name);
    found = text != NULL ? strstr(text, wanted) : NULL;
    if (found != NULL)
        value = strtod(found + strlen(wanted), NULL);
    free(text);
    return value;
}

struct awaited {
    struct stage *s;
    int node;
    const char *name;
    double least;
};

static bool has_come(void *owner)
{
    const struct awaited *w = owner;

    return sample(w->s, w->node, w->name) >= w->least;
}

static void await(struct stage *s, int node, const char *name, double least)
{
    struct awaited w = {s, node, name, least};

    cluster_until(&s->c, has_come, &w, 10000, name);
}

#define TAKEN "ringfence_tls_reloads_total{result=\"taken\"}"

/* One after the other; each has taken what is there before the next is told. */
static void reload_all(struct stage *s, double count)
{
    for (int i = 0; i < NODES; i++) {
        kill(s->c.pids[i], SIGHUP);
        await(s, i, TAKEN, count);
    }
}

static bool west_is_out(void *owner)
{
    const struct stage *s = owner;

    for (int i = 0; i < NODES; i++)
        if (s->west.links[i].welcomed)
            return false;
    return true;
}

/* How many streams the controllers have lost so far, as their logs say. */
static unsigned streams_lost(struct stage *s)
{
    static char text[1 << 20];
    unsigned n = 0;

    for (int i = 0; i < NODES; i++) {
        cluster_log(&s->c, i, text, sizeof text);
        for (const char *at = text; (at = strstr(at, "no longer reaches this one")); at++)
            n++;
    }
    return n;
}

/* New certificates for all three: no stream is lost, nothing is fenced, and the gate of the
 * primary does not close. */
static void renewed_certificates_are_not_felt(void **state)
{
    struct stage *s = *state;
    unsigned before = streams_lost(s);

    for (int i = 0; i < NODES; i++)
        renew(s, IDENTITY_CONTROLLER, node_names[i]);
    reload_all(s, 1);
    cluster_turn_ms(&s->c, 3000); /* longer than open streams are judged again */
    assert_true(fake_agent_is_open(&s->east));
    assert_int_equal(s->east.fence_orders, 0);
    assert_int_equal(streams_lost(s), before);
}

/* A revoked agent is parted with by every controller that has the list, and does not come
 * back; the other one's lease goes on. */
static void a_revoked_agent_is_shut_out(void **state)
{
    struct stage *s = *state;
    char dir[CLUSTER_PATH];
    unsigned n = 0;
    struct err err = {0};

    pki_dir(s, dir);
    assert_int_equal(pki_revoke(dir, "pg-west", false, &n, &err), 0);
    reload_all(s, 1);
    cluster_until(&s->c, west_is_out, s, 10000, "the revoked agent's end");
    for (int i = 0; i < NODES; i++)
        await(s, i, "ringfence_tls_refused_total{reason=\"revoked\"}", 2); /* and again */
    assert_true(west_is_out(s));
    assert_true(fake_agent_is_open(&s->east));
    assert_int_equal(s->east.fence_orders, 0);
}

/* What does not fit together is not taken, is said by the doctor, and harms nobody; mended,
 * it is taken. */
static void an_unsound_set_is_said_and_harmless(void **state)
{
    struct stage *s = *state;
    char dir[CLUSTER_PATH], key[CLUSTER_PATH + 40], away[CLUSTER_PATH + 40], text[4000];
    long status;
    json_t *doctor;
    char *said;

    pki_dir(s, dir);
    snprintf(key, sizeof key, "%s/controller-west.key", dir);
    snprintf(away, sizeof away, "%s/away", dir);
    assert_int_equal(rename(key, away), 0);
    kill(s->c.pids[WEST], SIGHUP);
    await(s, WEST, "ringfence_tls_files_refused", 1);
    doctor = cluster_call(&s->c, WEST, "GET", "/api/v1/doctor", NULL, &status);
    said = json_dumps(doctor, JSON_COMPACT);
    assert_non_null(strstr(said, "certificate-files"));
    assert_non_null(strstr(said, "controller-west.key"));
    free(said);
    json_decref(doctor);
    cluster_log(&s->c, WEST, text, sizeof text);
    assert_non_null(strstr(text, "what was there before stays in use"));
    assert_int_equal(rename(away, key), 0);
    kill(s->c.pids[WEST], SIGHUP);
    await(s, WEST, TAKEN, 1);
    assert_true(sample(s, WEST, "ringfence_tls_files_refused") == 0);
    assert_true(fake_agent_is_open(&s->east));
}

static void refresh_agents(struct stage *s)
{
    struct tls *all[] = {s->east.tls, s->west.tls};
    struct err err = {0};
    bool taken;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (tls_refresh(all[i], true, &taken, &err) != 0)
            fail_msg("%s", err.text);
}

/* Another CA under a running pair, in three steps, each brought to one after the other: the
 * lease is held all the while, and nothing is fenced. */
static void another_ca_is_not_felt(void **state)
{
    struct stage *s = *state;
    char dir[CLUSTER_PATH];
    struct err err = {0};

    pki_dir(s, dir);
    assert_int_equal(pki_ca_prepare(dir, 85, &err), 0);
    refresh_agents(s);
    reload_all(s, 1);
    assert_int_equal(pki_ca_use(dir, &err), 0);
    for (int i = 0; i < NODES; i++)
        renew(s, IDENTITY_CONTROLLER, node_names[i]);
    renew(s, IDENTITY_AGENT, "pg-east");
    renew(s, IDENTITY_AGENT, "pg-west");
    refresh_agents(s);
    reload_all(s, 2);
    assert_int_equal(pki_ca_finish(dir, &err), 0);
    for (int i = 0; i < NODES; i++) {
        kill(s->c.pids[i], SIGHUP);
        await(s, i, TAKEN, 3);
        cluster_turn_ms(&s->c, 3000);
        assert_true(fake_agent_is_open(&s->east));
    }
    refresh_agents(s);
    cluster_turn_ms(&s->c, 3000);
    assert_true(fake_agent_is_open(&s->east));
    assert_int_equal(s->east.fence_orders, 0);
    assert_true(cluster_wait_leader(&s->c) >= 0);
}

int main(void)
{
#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
    const struct CMUnitTest tests[] = {
        ON_STAGE(renewed_certificates_are_not_felt),
        ON_STAGE(a_revoked_agent_is_shut_out),
        ON_STAGE(an_unsound_set_is_said_and_harmless),
        ON_STAGE(another_ca_is_not_felt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
