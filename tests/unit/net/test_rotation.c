/* New files under a running node: what is taken, what is not, and whom it parts. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controller/net/stream_private.h"
#include "controller/net/tls_report.h"
#include "controller/net/tls_watch.h"
#include "tests/unit/net/craft.h"

enum { HOUR = 3600, DAY = 86400 };

#define WEST "URI:ringfence://prod/controller/west"

static struct bench b;

static struct tls_report report_of(struct tls *tls)
{
    struct tls_report r;

    tls_report(tls, &r);
    return r;
}

/* East listens with a list, and west dials with it. */
static int set_up(void **state)
{
    (void)state;
    bench_open(&b, NULL);
    bench_listen_as(&b, bench_tls_with(b.dir, "east", "crl.pem"));
    tls_free(b.west);
    b.west = bench_tls_with(b.dir, "west", "crl.pem");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bench_close(&b);
    return 0;
}

static void refresh(struct tls *tls)
{
    bool taken = false;
    struct err err = {0};

    if (tls_refresh(tls, false, &taken, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(taken);
}

static void renew(enum identity_role role, const char *name, uint32_t days, char *old)
{
    const struct pki_renewal what = {role, name, days, false};
    struct err err = {0};

    if (pki_renew(b.dir, &what, old, &err) != 0)
        fail_msg("%s", err.text);
}

static void revoke_name(const char *what, bool superseded)
{
    unsigned n = 0;
    struct err err = {0};

    if (pki_revoke(b.dir, what, superseded, &n, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(n > 0);
}

static void on_over(uv_timer_t *timer) { ++*(unsigned *)timer->data; }

static void on_gone(uv_handle_t *handle) { ++*(unsigned *)handle->data; }

/* The loop goes on for so long. */
static void let_pass(uint32_t ms)
{
    unsigned over = 0;
    uv_timer_t timer;

    uv_timer_init(&b.loop, &timer);
    timer.data = &over;
    uv_update_time(&b.loop);
    uv_timer_start(&timer, on_over, ms, 0);
    bench_until(&b, &over, 1);
    uv_close((uv_handle_t *)&timer, on_gone);
    bench_until(&b, &over, 2);
}

/* From the one that was accepted as the n-th to the side that dialed it. */
static void still_speaks(unsigned n, struct side *side)
{
    unsigned frames = side->frames;
    struct err err;

    assert_non_null(b.accepted[n].stream);
    assert_int_equal(stream_send(b.accepted[n].stream, "?", 1, &err), 0);
    bench_until(&b, &side->frames, frames + 1);
}

/* The open connection goes on; the next one shows the new certificate. */
static void a_renewed_certificate_is_taken(void **state)
{
    struct side first = {0}, second = {0};
    char old[PKI_SERIAL_SIZE];
    struct tls_report before = report_of(b.west), after;

    (void)state;
    bench_connect(&b, &first);
    assert_int_equal(report_of(b.east).peer_count, 1);
    assert_int_equal(report_of(b.east).peers[0].expires_s, before.cert_s);
    renew(IDENTITY_CONTROLLER, "west", 50, old);
    refresh(b.west);
    after = report_of(b.west);
    assert_int_equal(after.generation, before.generation + 1);
    assert_int_equal(after.taken, 1);
    assert_true(after.cert_s > before.cert_s);
    bench_connect(&b, &second);
    assert_int_equal(report_of(b.east).peers[0].expires_s, after.cert_s);
    let_pass(STREAM_RECHECK_MS + 500);
    still_speaks(0, &first);
    assert_int_equal(second.closed, 0);
    side_free(&first);
    side_free(&second);
}

/* Nothing has changed: nothing is read, unless it is forced. */
static void unchanged_files_are_not_read(void **state)
{
    bool taken = true;
    struct err err;

    (void)state;
    assert_int_equal(tls_refresh(b.west, false, &taken, &err), 0);
    assert_false(taken);
    assert_int_equal(tls_refresh(b.west, true, &taken, &err), 0);
    assert_true(taken);
}

static void break_key(void)
{
    craft_copy(b.dir, "controller-east.key", "controller-west.key");
}
static void break_cert(void) { craft_write(b.dir, "controller-west.crt", "-----BEGIN"); }
static void break_ca(void) { craft_write(b.dir, "ca.crt", "x"); }
static void break_crl(void) { craft_write(b.dir, "crl.pem", ""); }

static void cut_crl(void)
{
    char path[BENCH_PATH + 80];
    struct stat st;

    craft_crl(b.dir, &(struct craft_list){"cut.pem", "ca", -60, HOUR, NULL});
    craft_crl(b.dir, &(struct craft_list){"cut.pem", "ca", -60, HOUR, NULL});
    craft_copy(b.dir, "cut.pem", "crl.pem");
    snprintf(path, sizeof path, "%s/crl.pem", b.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size * 3 / 4), 0);
}

static void remove_key(void)
{
    char path[BENCH_PATH + 80];

    snprintf(path, sizeof path, "%s/controller-west.key", b.dir);
    assert_int_equal(unlink(path), 0);
}

static void craft_into_place(const struct craft *c)
{
    char crt[80], key[80];

    craft_cert(b.dir, c);
    snprintf(crt, sizeof crt, "%s.crt", c->stem);
    snprintf(key, sizeof key, "%s.key", c->stem);
    craft_copy(b.dir, crt, "controller-west.crt");
    craft_copy(b.dir, key, "controller-west.key");
}

static void expire(void)
{
    craft_into_place(&(struct craft){"late", "ca", WEST, -2 * HOUR, -60, false, NULL});
}

static void postpone(void)
{
    craft_into_place(&(struct craft){"early", "ca", WEST, HOUR, 2 * HOUR, false, NULL});
}

static void be_another(void)
{
    craft_copy(b.dir, "controller-east.crt", "controller-west.crt");
    craft_copy(b.dir, "controller-east.key", "controller-west.key");
}

static void change_cluster(void)
{
    craft_into_place(&(struct craft){"test", "ca", "URI:ringfence://test/controller/west",
                                     -HOUR, HOUR, false, NULL});
}

static void change_ca(void)
{
    craft_cert(b.dir, &(struct craft){"other", NULL, NULL, -HOUR, HOUR, true, NULL});
    craft_copy(b.dir, "other.crt", "ca.crt");
}

/* Of the CA's name, and not by its key. */
static void forge_crl(void)
{
    const struct craft_list list = {"forged.pem", "ca", -60, HOUR, NULL};

    craft_copy(b.dir, "controller-east.key", "ca.key");
    craft_crl(b.dir, &list);
    craft_copy(b.dir, "forged.pem", "crl.pem");
}

/* Of a set that is not whole and sound nothing is taken: the old one goes on, for new
 * connections too, and the error says which file and why. */
static void an_unsound_set_is_not_taken(void **state)
{
    static const struct {
        const char *name;
        void (*spoil)(void);
        int code;
        const char *file, *says;
    } table[] =
        {
            {"half of it is there yet", break_key, ERR_INVAL, "controller-west.key",
             "does not belong to the certificate"},
            {"no certificate", break_cert, ERR_INVAL, "controller-west.crt",
             "holds no certificate in PEM"},
            {"no CA", break_ca, ERR_INVAL, "ca.crt", "holds no CA certificate in PEM"},
            {"no list", break_crl, ERR_INVAL, "crl.pem", "holds no list"},
            {"half a list", cut_crl, ERR_INVAL, "crl.pem", "or half of one"},
            {"a file is missing", remove_key, ERR_NOTFOUND, "controller-west.key",
             "No such file"},
            {"expired", expire, ERR_INVAL, "controller-west.crt", "has expired"},
            {"not yet valid", postpone, ERR_INVAL, "controller-west.crt", "not yet valid"},
            {"another node's", be_another, ERR_PEER, "controller-west.crt",
             "this node is controller west"},
            {"another cluster's", change_cluster, ERR_PEER, "controller-west.crt",
             "of cluster test"},
            {"another CA alone", change_ca, ERR_INVAL, "controller-west.crt",
             "is not good under the CA"},
            {"a forged list", forge_crl, ERR_INVAL, "crl.pem",
             "that the CA of its name has not signed"},
        },
      *row;

    EACH (row, table) {
        struct side west = {0};
        struct tls_report r;
        bool taken = false;
        struct err err = {0};

        print_message("%s\n", row->name);
        row->spoil();
        assert_int_equal(tls_refresh(b.west, false, &taken, &err), row->code);
        print_message("    %s\n", err.text);
        assert_false(taken);
        assert_non_null(strstr(err.text, row->file));
        assert_non_null(strstr(err.text, row->says));
        r = report_of(b.west);
        assert_string_equal(r.trouble, err.text);
        assert_int_equal(r.generation, 1);
        assert_int_equal(r.failed, 1);
        bench_connect(&b, &west);
        /* It is tried again without a change of the files, too: what is not valid yet may
         * be in a minute. */
        assert_int_equal(tls_refresh(b.west, false, &taken, &err), row->code);
        side_free(&west);
        tear_down(state);
        set_up(state);
    }
}

/* The numbers of lists grow: an old copy that is put back is not taken, whoever signed it.
 */
static void an_older_list_is_not_taken(void **state)
{
    bool taken;
    struct err err;

    (void)state;
    craft_copy(b.dir, "crl.pem", "before.pem");
    revoke_name("west", false);
    refresh(b.east);
    craft_copy(b.dir, "crl.pem", "after.pem");
    craft_copy(b.dir, "before.pem", "crl.pem");
    assert_int_equal(tls_refresh(b.east, false, &taken, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "an older list than the one that is in use"));
    assert_int_equal(report_of(b.east).listed, 1);
    craft_copy(b.dir, "after.pem", "crl.pem");
    refresh(b.east);
}

/* What is mended is taken, and the trouble is over. */
static void a_mended_set_is_taken(void **state)
{
    bool taken;
    struct err err;

    (void)state;
    craft_copy(b.dir, "controller-west.key", "keep");
    break_key();
    assert_int_equal(tls_refresh(b.west, false, &taken, &err), ERR_INVAL);
    craft_copy(b.dir, "keep", "controller-west.key");
    refresh(b.west);
    assert_string_equal(report_of(b.west).trouble, "");
}

/* Of two open connections the one whose peer is revoked is closed, soon, and by who has got
 * the list; the other one is not. */
static void a_revoked_peer_is_parted_with(void **state)
{
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct side west = {0}, agent = {0}, again = {0};
    uint64_t since;

    (void)state;
    bench_connect(&b, &west);
    bench_dial(&b, &agent, b.agent, &east);
    bench_until(&b, &agent.opened, 1);
    bench_until(&b, &b.n_accepted, 2);
    revoke_name("west", false);
    refresh(b.east);
    assert_int_equal(report_of(b.east).listed, 1);
    since = uv_hrtime();
    bench_until(&b, &b.accepted[0].closed, 1);
    assert_true((uv_hrtime() - since) / 1000000 < 2 * STREAM_RECHECK_MS);
    print_message("%s\n", b.accepted[0].why.text);
    assert_int_equal(b.accepted[0].why.code, ERR_PEER);
    assert_non_null(strstr(b.accepted[0].why.text, "controller west of cluster prod"));
    assert_non_null(strstr(b.accepted[0].why.text, "certificate revoked"));
    assert_int_equal(report_of(b.east).refused[TLS_REFUSED_REVOKED], 1);
    bench_until(&b, &west.closed, 1);
    bench_dial(&b, &again, b.west, &east);
    bench_until(&b, &again.closed, 1);
    assert_int_equal(again.opened, 0);
    let_pass(STREAM_RECHECK_MS);
    assert_int_equal(agent.closed, 0);
    still_speaks(1, &agent);
    side_free(&agent);
}

/* A calendar parts nobody: an open connection outlives its certificate, through new files,
 * too; the next handshake does not. */
static void an_expired_peer_goes_on_until_it_connects_anew(void **state)
{
    const struct craft brief = {"brief", "ca", WEST, -HOUR, 2, false, NULL};
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct identity self = bench_id(IDENTITY_CONTROLLER, "west");
    struct side west = {0}, again = {0};
    struct err err = {0};
    bool taken;

    (void)state;
    craft_cert(b.dir, &brief);
    tls_free(b.west);
    b.west = bench_tls(b.dir, "brief", &self);
    bench_connect(&b, &west);
    while (time(NULL) <= report_of(b.west).cert_s)
        let_pass(200);
    assert_int_equal(pki_renew_crl(b.dir, 10, &err), 0);
    refresh(b.east);
    assert_int_equal(tls_refresh(b.west, true, &taken, &err), 0); /* no worse than it is */
    let_pass(STREAM_RECHECK_MS + 500);
    assert_int_equal(west.closed, 0);
    still_speaks(0, &west);
    bench_dial(&b, &again, b.west, &east);
    bench_until(&b, &again.closed, 1);
    assert_int_equal(again.opened, 0);
    assert_int_equal(report_of(b.east).refused[TLS_REFUSED_EXPIRED], 1);
    side_free(&west);
}

/* A list past its date refuses whom it names, and nobody else. */
static void an_old_list_is_enforced_and_stops_nobody(void **state)
{
    const struct craft_list list = {"old.pem", "ca", -2 * HOUR, -HOUR, "controller-west"};
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct side west = {0}, agent = {0};
    struct tls_told told[TLS_TELL_MAX];
    struct tls_report r;
    unsigned n;

    (void)state;
    craft_crl(b.dir, &list);
    craft_copy(b.dir, "old.pem", "crl.pem");
    refresh(b.east);
    bench_dial(&b, &agent, b.agent, &east);
    bench_until(&b, &agent.opened, 1);
    bench_dial(&b, &west, b.west, &east);
    bench_until(&b, &west.closed, 1);
    assert_int_equal(west.opened, 0);
    r = report_of(b.east);
    assert_int_equal(r.refused[TLS_REFUSED_REVOKED], 1);
    n = tls_report_tell(&r, time(NULL), told);
    assert_int_equal(n, 3); /* and both certificates end in ten days */
    assert_string_equal(told[1].check, "revocation");
    assert_int_equal(told[1].level, TLS_WARN);
    assert_non_null(strstr(told[1].text, "still enforced"));
    side_free(&agent);
}

/* Whoever revokes a node tells that node, too: it enforces the list on others, and says
 * what it is itself. */
static void a_revoked_node_still_learns_of_others(void **state)
{
    struct tls_told told[TLS_TELL_MAX];
    struct tls_report r;

    (void)state;
    revoke_name("controller/west", false);
    revoke_name("agent/pg-east", false);
    refresh(b.west);
    r = report_of(b.west);
    assert_true(r.revoked);
    assert_int_equal(r.listed, 2);
    assert_true(tls_report_tell(&r, time(NULL), told) >= 1);
    assert_int_equal(told[0].level, TLS_FAIL);
    assert_non_null(strstr(told[0].text, "REVOKED"));
}

/* ---- another CA ------------------------------------------------------------------------
 */

static void connects(void)
{
    struct side west = {0};

    bench_connect(&b, &west);
    side_free(&west);
    bench_until(&b, &b.accepted[b.n_accepted - 1].closed, 1);
}

static void both(struct tls *first, struct tls *second)
{
    refresh(first);
    connects();
    refresh(second);
    connects();
}

/* Three steps, and at each moment of each one of them a new connection is made: the nodes
 * get what is new one after the other, in either order. One that was open from the
 * beginning is closed when its CA is forgotten, and not before. */
static void a_ca_is_replaced_without_an_outage(void **state)
{
    struct side open = {0};
    char old[PKI_SERIAL_SIZE];
    struct err err = {0};

    (void)state;
    bench_connect(&b, &open);
    assert_int_equal(pki_ca_finish(b.dir, &err), ERR_CONFLICT);
    assert_int_equal(pki_ca_use(b.dir, &err), ERR_CONFLICT);
    assert_int_equal(pki_ca_prepare(b.dir, 200, &err), 0);
    both(b.east, b.west);
    assert_int_equal(pki_ca_prepare(b.dir, 200, &err), ERR_CONFLICT);
    assert_int_equal(pki_ca_finish(b.dir, &err), ERR_CONFLICT);
    assert_int_equal(pki_ca_use(b.dir, &err), 0);
    assert_int_equal(pki_ca_use(b.dir, &err), ERR_CONFLICT);
    connects();
    renew(IDENTITY_CONTROLLER, "west", 50, old);
    refresh(b.west);
    connects();
    renew(IDENTITY_CONTROLLER, "east", 50, old);
    assert_int_equal(pki_ca_finish(b.dir, &err), ERR_CONFLICT);
    print_message("%s\n", err.text);
    assert_non_null(strstr(err.text, "agent pg-east still has a certificate of the CA"));
    refresh(b.east);
    connects();
    renew(IDENTITY_AGENT, "pg-east", 50, old);
    let_pass(STREAM_RECHECK_MS + 500);
    assert_int_equal(open.closed, 0);
    assert_int_equal(pki_ca_finish(b.dir, &err), 0);
    both(b.west, b.east);
    bench_until(&b, &open.closed, 1);
    connects();
}

/* A list that has only one of two CAs leaves the other one's nodes alone, and is said. */
static void a_ca_without_a_list_revokes_nobody(void **state)
{
    char old[PKI_SERIAL_SIZE];
    struct err err = {0};

    (void)state;
    craft_copy(b.dir, "crl.pem", "one.pem");
    assert_int_equal(pki_ca_prepare(b.dir, 200, &err), 0);
    assert_int_equal(pki_ca_use(b.dir, &err), 0);
    renew(IDENTITY_CONTROLLER, "west", 50, old);
    craft_copy(b.dir, "one.pem", "crl.pem");
    refresh(b.east);
    assert_true(report_of(b.east).uncovered);
    refresh(b.west);
    connects();
}

/* ---- the watch -------------------------------------------------------------------------
 */

static void until_generation(uint64_t wanted)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;

    while (report_of(b.west).generation < wanted) {
        assert_true(uv_hrtime() < until);
        let_pass(10);
    }
}

/* By itself, and when it is told to; what is wrong stays out, and comes in when mended. */
static void a_watch_takes_new_files(void **state)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    char old[PKI_SERIAL_SIZE];
    struct tls_watch *w = NULL;
    struct err err;

    (void)state;
    assert_int_equal(tls_watch_open(&w, &b.loop, b.west, 20, &err), 0);
    renew(IDENTITY_CONTROLLER, "west", 20, old);
    until_generation(2);
    craft_copy(b.dir, "controller-west.key", "keep");
    break_key();
    while (report_of(b.west).trouble[0] == '\0') {
        assert_true(uv_hrtime() < until);
        let_pass(10);
    }
    craft_copy(b.dir, "keep", "controller-west.key");
    until_generation(3);
    tls_watch_now(w);
    until_generation(4);
    tls_watch_now(w); /* closed with work under way */
    tls_watch_close(w);
    connects();
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(a_renewed_certificate_is_taken),
        WITH(unchanged_files_are_not_read),
        WITH(an_unsound_set_is_not_taken),
        WITH(an_older_list_is_not_taken),
        WITH(a_mended_set_is_taken),
        WITH(a_revoked_peer_is_parted_with),
        WITH(an_expired_peer_goes_on_until_it_connects_anew),
        WITH(an_old_list_is_enforced_and_stops_nobody),
        WITH(a_revoked_node_still_learns_of_others),
        WITH(a_ca_is_replaced_without_an_outage),
        WITH(a_ca_without_a_list_revokes_nobody),
        WITH(a_watch_takes_new_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
