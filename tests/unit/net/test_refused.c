/* Who is refused, by a real handshake, and what both sides say of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "controller/net/tls_report.h"
#include "tests/unit/net/craft.h"

enum { HOUR = 3600 };

#define WEST "URI:ringfence://prod/controller/west"
#define EAST "URI:ringfence://prod/controller/east"

/* A second CA whose files are named like the first one's, in a directory below. */
static void craft_all(const struct bench *b)
{
    const struct craft all[] = {
        {"expired", "ca", WEST, -2 * HOUR, -60, false, NULL},
        {"tomorrow", "ca", WEST, HOUR, 2 * HOUR, false, NULL},
        {"of-itself", NULL, WEST, -HOUR, HOUR, false, NULL},
        {"of-itself-as-ca", NULL, WEST, -HOUR, HOUR, true, NULL},
        {"stranger", NULL, NULL, -HOUR, HOUR, true, NULL},
        {"of-stranger", "stranger", WEST, -HOUR, HOUR, false, "stranger"},
        {"of-a-node", "controller-west", WEST, -HOUR, HOUR, false, "controller-west"},
        {"test", "ca", "URI:ringfence://test/controller/west", -HOUR, HOUR, false, NULL},
        {"operator", "ca", "URI:ringfence://prod/operator/west", -HOUR, HOUR, false, NULL},
        {"user", "ca", "URI:ringfence://prod/user/west", -HOUR, HOUR, false, NULL},
        {"nameless", "ca", NULL, -HOUR, HOUR, false, NULL},
        {"east-user", "ca", "URI:ringfence://prod/user/east", -HOUR, HOUR, false, NULL},
        {"two", "ca", EAST "," WEST, -HOUR, HOUR, false, NULL},
        {"revoked", "ca", WEST, -HOUR, HOUR, false, NULL},
        {"east-expired", "ca", EAST, -2 * HOUR, -60, false, NULL},
        {"east-of-stranger", "stranger", EAST, -HOUR, HOUR, false, "stranger"},
        {"east-of-test", "ca", "URI:ringfence://test/controller/east", -HOUR, HOUR, false,
         NULL},
        {"east-agent", "ca", "URI:ringfence://prod/agent/east", -HOUR, HOUR, false, NULL},
        {"east-revoked", "ca", EAST, -HOUR, HOUR, false, NULL},
    };
    const struct craft *c;
    const struct craft_list lists[] = {
        {"crl.pem", "ca", -60, HOUR, "revoked"},
        {"crl-of-east.pem", "ca", -60, HOUR, "east-revoked"},
    };

    EACH (c, all)
        craft_cert(b->dir, c);
    craft_write(b->dir, "crl.pem", "");
    for (size_t i = 0; i < 2; i++)
        craft_crl(b->dir, &lists[i]);
}

/* East listens, and knows who is revoked. */
static void open_bench(struct bench *b)
{
    bench_open(b, NULL);
    craft_all(b);
    bench_listen_as(b, bench_tls_with(b->dir, "east", "crl.pem"));
}

static uint64_t refusals(struct tls *tls, enum tls_refusal why)
{
    struct tls_report r;

    tls_report(tls, &r);
    return r.refused[why];
}

/* What the client is told beside our log: the alert, if TLS has one for it. */
static void read_alert(struct raw_tls *t, struct bench *b, char *text, size_t size)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    char junk[512];
    int n;

    ERR_clear_error();
    while ((n = SSL_read(t->ssl, junk, sizeof junk)) > 0 ||
           SSL_get_error(t->ssl, n) == SSL_ERROR_WANT_READ) {
        assert_true(uv_hrtime() < until);
        bench_turn(b);
    }
    snprintf(text, size, "%s", ERR_reason_error_string(ERR_peek_error()));
}

/* Whoever connects: every one is refused, with a reason that is counted, a sentence for the
 * log, and an alert for the other side's. */
static void a_listener_refuses(void **state)
{
    static const struct {
        const char *stem;
        int version, code;
        enum tls_refusal why;
        const char *says, *alert; /* alert NULL: what it reads is a refusal in words */
    } table[] =
        {
            {"expired", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_EXPIRED,
             "(controller west of cluster prod, serial ", "certificate expired"},
            {"tomorrow", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_NOT_YET_VALID,
             "not yet valid (look at the clocks", "bad certificate"},
            {"of-itself", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_UNTRUSTED, "self-signed",
             "unknown ca"},
            {"of-itself-as-ca", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_UNTRUSTED,
             "self-signed", "unknown ca"},
            {"of-stranger", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_UNTRUSTED, "self-signed",
             "unknown ca"},
            {"of-a-node", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_UNTRUSTED, "CA certificate",
             "unknown ca"},
            {"revoked", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_REVOKED,
             "certificate revoked (it is on the list of its CA", "certificate revoked"},
            {"test", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_CLUSTER,
             "is of cluster test, this is cluster prod", NULL},
            {"operator", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_IDENTITY,
             "is not ringfence://", NULL},
            {"nameless", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_IDENTITY, "no SAN URI",
             NULL},
            {"user", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_NODE,
             "a user's certificate opens the API for people", NULL},
            {"two", TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_IDENTITY, "more than one", NULL},
            {NULL, TLS1_3_VERSION, ERR_PEER, TLS_REFUSED_NONE, "showed no certificate",
             "certificate required"},
            {"controller-west", TLS1_2_VERSION, ERR_BADMSG, TLS_REFUSED_PROTOCOL,
             "does not offer TLS 1.3", "protocol version"},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct bench b;
        struct raw_tls t;
        char alert[128];

        open_bench(&b);
        if (raw_tls_open(&t, &b, row->stem, row->version))
            read_alert(&t, &b, alert, sizeof alert);
        else
            snprintf(alert, sizeof alert, "%s", ERR_reason_error_string(ERR_peek_error()));
        raw_until_ended(&b, t.fd);
        raw_tls_close(&t);
        bench_until(&b, &b.n_rejected, 1);
        print_message("%s\n    %s\n", b.rejected.text, alert);
        assert_int_equal(b.rejected.code, row->code);
        assert_non_null(strstr(b.rejected.text, row->says));
        assert_int_equal(refusals(b.east, row->why), 1);
        assert_int_equal(b.n_accepted, 0);
        if (row->alert != NULL)
            assert_non_null(strstr(alert, row->alert));
        bench_close(&b);
    }
}

/* ---- the other way round ---------------------------------------------------------------
 */

/* A server by OpenSSL's own hand: shows `stem` to who connects. */
struct raw_server {
    struct raw_tls t;
    int listener;
};

static uint16_t serve(struct raw_server *s, const char *dir, const char *stem)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    char path[BENCH_PATH + 80];

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&sa, &len), 0);
    s->t.ctx = SSL_CTX_new(TLS_server_method());
    snprintf(path, sizeof path, "%s/%s.crt", dir, stem);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(s->t.ctx, path), 1);
    snprintf(path, sizeof path, "%s/%s.key", dir, stem);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(s->t.ctx, path, SSL_FILETYPE_PEM), 1);
    /* It wants a certificate and takes any: it is the dialing side that judges. */
    SSL_CTX_set_verify(s->t.ctx, SSL_VERIFY_NONE, NULL);
    s->t.fd = -1;
    s->t.ssl = NULL;
    return ntohs(sa.sin_port);
}

/* One step of its handshake, if there is anything to do. */
static void serve_turn(struct raw_server *s)
{
    if (s->t.fd < 0) {
        s->t.fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s->t.fd < 0)
            return;
        s->t.ssl = SSL_new(s->t.ctx);
        SSL_set_fd(s->t.ssl, s->t.fd);
    }
    (void)SSL_accept(s->t.ssl);
    ERR_clear_error();
}

static void serve_end(struct raw_server *s)
{
    close(s->listener);
    raw_tls_close(&s->t);
}

/* West looks for controller east, and finds somebody else: it never opens. */
static void a_dialer_refuses(void **state)
{
    static const struct {
        const char *stem;
        enum tls_refusal why;
        const char *says;
    } table[] =
        {
            {"controller-west", TLS_REFUSED_NODE, "found controller west"},
            {"agent-pg-east", TLS_REFUSED_NODE, "found agent pg-east"},
            {"east-agent", TLS_REFUSED_NODE, "found agent east"},
            {"east-of-test", TLS_REFUSED_CLUSTER, "is of cluster test"},
            {"two", TLS_REFUSED_IDENTITY, "more than one"},
            {"east-expired", TLS_REFUSED_EXPIRED, "certificate has expired"},
            {"east-of-stranger", TLS_REFUSED_UNTRUSTED, "self-signed"},
            {"east-revoked", TLS_REFUSED_REVOKED, "certificate revoked"},
            {"east-user", TLS_REFUSED_NODE, "a user's certificate opens the API"},
        },
      *row;

    (void)state;
    EACH (row, table) {
        const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
        struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
        struct side west = {0};
        struct raw_server s;
        struct bench b;
        struct tls *tls;

        open_bench(&b);
        tls = bench_tls_with(b.dir, "west", "crl-of-east.pem");
        b.at.port = serve(&s, b.dir, row->stem);
        bench_dial(&b, &west, tls, &east);
        while (west.closed == 0) {
            assert_true(uv_hrtime() < until);
            bench_turn(&b);
            serve_turn(&s);
            if (s.t.fd >= 0 && raw_is_ended(s.t.fd))
                shutdown(s.t.fd, SHUT_RDWR);
        }
        print_message("%s\n", west.why.text);
        assert_int_equal(west.opened, 0);
        assert_int_equal(west.why.code, ERR_PEER);
        assert_non_null(strstr(west.why.text, row->says));
        assert_int_equal(refusals(tls, row->why), 1);
        serve_end(&s);
        tls_free(tls);
        bench_close(&b);
    }
}

/* Both logs name the reason when the peer is one of ours and revoked: ours by the list, its
 * own by the alert. */
static void both_sides_say_revoked(void **state)
{
    const struct craft_list list = {"crl-west.pem", "ca", -60, HOUR, "controller-west"};
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct side west = {0};
    struct bench b;

    (void)state;
    bench_open(&b, NULL);
    craft_crl(b.dir, &list);
    bench_listen_as(&b, bench_tls_with(b.dir, "east", "crl-west.pem"));
    bench_dial(&b, &west, b.west, &east);
    bench_until(&b, &west.closed, 1);
    bench_until(&b, &b.n_rejected, 1);
    print_message("%s\n%s\n", b.rejected.text, west.why.text);
    assert_non_null(strstr(b.rejected.text, "(controller west of cluster prod, serial "));
    assert_non_null(strstr(b.rejected.text, "certificate revoked"));
    assert_int_equal(west.why.code, ERR_PEER);
    assert_non_null(strstr(west.why.text, "certificate revoked"));
    assert_int_equal(refusals(b.west, TLS_REFUSED_BY_PEER), 1);
    bench_close(&b);
}

/* ---- a CA of two levels ---------------------------------------------------------------
 */

static struct tls *under_root(const struct bench *b, const char *crl)
{
    char ca[BENCH_PATH + 80], cert[BENCH_PATH + 80], key[BENCH_PATH + 80],
        list[BENCH_PATH + 80];
    const struct tls_files files = {ca, cert, key, list};
    struct identity self = bench_id(IDENTITY_CONTROLLER, "east");
    struct tls *tls = NULL;
    struct err err = {0};

    snprintf(ca, sizeof ca, "%s/root.crt", b->dir);
    snprintf(cert, sizeof cert, "%s/leaf-east.crt", b->dir);
    snprintf(key, sizeof key, "%s/leaf-east.key", b->dir);
    snprintf(list, sizeof list, "%s/%s", b->dir, crl);
    if (tls_new(&tls, &files, &self, &err) != 0)
        fail_msg("%s", err.text);
    return tls;
}

/* Two intermediate CAs under one root: revoked, one of them takes its leaves with it, and
 * not those of the other. A list of the intermediate itself, which no file of ours trusts,
 * counts, too; one that it has not signed does not, and lets nobody in. */
static void a_revoked_intermediate_takes_its_leaves_along(void **state)
{
    static const struct {
        const char *crl, *stem;
        enum tls_refusal why; /* TLS_REFUSAL_MAX: it is let in */
    } table[] =
        {
            {"none.pem", "leaf-west", TLS_REFUSAL_MAX},
            {"mid.pem", "leaf-west", TLS_REFUSED_REVOKED},
            {"leaf.pem", "leaf-west", TLS_REFUSED_REVOKED},
            {"forged.pem", "leaf-west", TLS_REFUSED_CERTIFICATE},
        },
      *row;
    const struct craft all[] = {
        {"root", NULL, NULL, -HOUR, HOUR, true, NULL},
        {"mid", "root", NULL, -HOUR, HOUR, true, NULL},
        {"mid-east", "root", NULL, -HOUR, HOUR, true, NULL},
        {"leaf-west", "mid", WEST, -HOUR, HOUR, false, "mid"},
        {"leaf-east", "mid-east", EAST, -HOUR, HOUR, false, "mid-east"},
    };
    const struct craft_list lists[] = {
        {"none.pem", "root", -60, HOUR, NULL},
        {"mid.pem", "root", -60, HOUR, "mid"},
        {"leaf.pem", "root", -60, HOUR, NULL},
        {"leaf.pem", "mid", -60, HOUR, "leaf-west"},
        {"forged.pem", "root", -60, HOUR, NULL},
    };
    /* Of the intermediate's name, and by another key. */
    const struct craft forger = {"mid", NULL, NULL, -HOUR, HOUR, true, NULL};
    const struct craft_list forged = {"forged.pem", "mid", -60, HOUR, NULL};

    (void)state;
    EACH (row, table) {
        struct bench b;
        struct raw_tls t;
        const struct craft *c;
        const struct craft_list *l;

        print_message("%s: %s\n", row->crl, row->stem);
        bench_open(&b, NULL);
        EACH (c, all)
            craft_cert(b.dir, c);
        EACH (l, lists)
            craft_crl(b.dir, l);
        craft_cert(b.dir, &forger);
        craft_crl(b.dir, &forged);
        bench_listen_as(&b, under_root(&b, row->crl));
        assert_true(raw_tls_open(&t, &b, row->stem, TLS1_3_VERSION));
        raw_tls_welcome(&t);
        if (row->why == TLS_REFUSAL_MAX) {
            bench_until(&b, &b.n_accepted, 1);
        } else {
            bench_until(&b, &b.n_rejected, 1);
            print_message("    %s\n", b.rejected.text);
            assert_int_equal(refusals(b.east, row->why), 1);
            assert_int_equal(b.n_accepted, 0);
        }
        raw_tls_close(&t);
        bench_close(&b);
    }
}

/* What `openssl s_client` is told, which is what an operator has at hand. */
static void s_client_is_refused(void **state)
{
    struct bench b;
    char command[1024], all[8192];
    size_t n;
    FILE *out;

    (void)state;
    open_bench(&b);
    snprintf(command, sizeof command,
             "openssl s_client -connect 127.0.0.1:%u -cert %s/revoked.crt -key "
             "%s/revoked.key -CAfile %s/ca.crt -tls1_3 2>&1 </dev/null; echo end",
             b.at.port, b.dir, b.dir, b.dir);
    out = popen(command, "r");
    assert_non_null(out);
    bench_until(&b, &b.n_rejected, 1);
    n = fread(all, 1, sizeof all - 1, out);
    all[n] = '\0';
    pclose(out);
    assert_non_null(strstr(all, "Verification: OK")); /* of us, by it */
    assert_non_null(strstr(b.rejected.text, "certificate revoked"));
    assert_int_equal(b.n_accepted, 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_refuses),
        cmocka_unit_test(a_dialer_refuses),
        cmocka_unit_test(both_sides_say_revoked),
        cmocka_unit_test(a_revoked_intermediate_takes_its_leaves_along),
        cmocka_unit_test(s_client_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
