/* Requests to others' servers, real ones: what is sent and got, and how each failure is
 * told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>
#include <uv.h>

#include "controller/outbound/outbound.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/outbound/servers.h"

static uv_loop_t loop;
static char dir[64], ca[96], url[128];
static struct server web, webs, mail, mails;

static struct {
    bool told, good;
    long status;
    char body[512];
    struct err why;
} answer;

static void on_done(void *owner, long status, const struct buf *body, const struct err *why)
{
    (void)owner;
    answer.told = true;
    answer.good = why == NULL;
    answer.status = status;
    if (why != NULL)
        answer.why = *why;
    snprintf(answer.body, sizeof answer.body, "%.*s", (int)body->len,
             body->data != NULL ? (const char *)body->data : "");
}

static void request(struct outbound_ask *what, const char *scheme, const struct server *s,
                    const char *path)
{
    struct outbound *o = NULL;
    struct err err = {0};

    memset(&answer, 0, sizeof answer);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u%s", scheme, s->port, path);
    what->url = url;
    if (what->timeout_ms == 0)
        what->timeout_ms = 20000;
    what->answer_max = 100;
    if (outbound_start(&o, &loop, what, on_done, NULL, &err) != 0)
        fail_msg("%s", err.text);
    while (!answer.told)
        uv_run(&loop, UV_RUN_ONCE);
    print_message("%s: %s\n", url, answer.good ? answer.body : answer.why.text);
}

static void what_is_there_is_got(void **state)
{
    struct outbound_ask plain = {0}, verified = {.ca = ca};

    (void)state;
    request(&plain, "http", &web, "/small");
    assert_true(answer.good);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "hello");
    request(&verified, "https", &webs, "/small");
    assert_true(answer.good);
    assert_string_equal(answer.body, "hello");
    request(&plain, "http", &web, "/none");
    assert_true(answer.good);
    assert_int_equal(answer.status, 404);
    request(&plain, "http", &web, "/elsewhere"); /* not followed */
    assert_int_equal(answer.status, 302);
}

static void each_failure_is_told(void **state)
{
    struct outbound_ask ask = {.ca = ca}, strange = {0}, slow = {.timeout_ms = 300};
    struct server nobody = {.port = 1};

    (void)state;
    request(&strange, "https", &webs, "/small"); /* a CA that the host does not know */
    assert_false(answer.good);
    assert_non_null(strstr(answer.why.text, "certificate"));
    request(&ask, "http", &web, "/large");
    assert_int_equal(answer.why.code, ERR_FULL);
    assert_non_null(strstr(answer.why.text, "longer than 100 bytes"));
    request(&slow, "http", &web, "/hang");
    assert_int_equal(answer.why.code, ERR_TIMEOUT);
    request(&ask, "http", &nobody, "/");
    assert_int_equal(answer.why.code, ERR_IO);
    request(&ask, "https", &web, "/small"); /* no TLS there */
    assert_int_equal(answer.why.code, ERR_IO);
}

static void hooks_are_posted_with_their_token(void **state)
{
    struct outbound_ask ask = {.ca = ca,
                               .secret = "geheim",
                               .type = "application/json",
                               .body = "{\"a\":1}",
                               .len = 7};

    (void)state;
    request(&ask, "https", &webs, "/hook");
    assert_int_equal(answer.status, 200);
    assert_string_equal(server_wrote(dir, "posts"),
                        "{\"path\": \"/hook\", \"type\": \"application/json\", \"token\": "
                        "\"Bearer geheim\", \"body\": \"{\\\"a\\\":1}\"}\n");
}

static const char letter[] = "Subject: hi\r\n\r\n.one\r\ntwo\r\n";

static void mail_is_delivered(void **state)
{
    struct outbound_ask ask = {.plain = true,
                               .from = "rf@example.org",
                               .to = {"a@example.org", "b@example.org"},
                               .to_count = 2,
                               .body = letter,
                               .len = sizeof letter - 1};
    const char *wrote;

    (void)state;
    request(&ask, "smtp", &mail, "");
    assert_true(answer.good);
    wrote = server_wrote(dir, "mails");
    assert_non_null(strstr(wrote, "\"to\": [\"a@example.org\", \"b@example.org\"]"));
    assert_non_null(strstr(wrote, "\"lines\": [\"Subject: hi\", \"\", \".one\", \"two\"]"));
    ask.to[1] = "nobody@example.org";
    request(&ask, "smtp", &mail, "");
    assert_false(answer.good);

    /* With TLS and a password; neither is sent where there is no TLS. */
    ask = (struct outbound_ask){.ca = ca,
                                .user = "ringfence",
                                .secret = "geheim",
                                .from = "rf@example.org",
                                .to = {"c@example.org"},
                                .to_count = 1,
                                .body = letter,
                                .len = sizeof letter - 1};
    request(&ask, "smtp", &mails, "");
    assert_true(answer.good);
    wrote = server_wrote(dir, "mails");
    assert_non_null(strstr(wrote, "\"tls\": true, \"user\": \"ringfence\""));
    ask.secret = "falsch";
    request(&ask, "smtp", &mails, "");
    assert_false(answer.good);
    assert_null(strstr(answer.why.text, "falsch"));
    request(&ask, "smtp", &mail, "");
    assert_false(answer.good);
}

/* One that hangs is ended at once, and tells nobody. */
static void what_is_cancelled_says_nothing(void **state)
{
    struct outbound_ask ask = {.timeout_ms = 60000, .answer_max = 100};
    struct outbound *o = NULL;
    struct err err = {0};
    uint64_t from;

    (void)state;
    memset(&answer, 0, sizeof answer);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/hang", web.port);
    ask.url = url;
    assert_int_equal(outbound_start(&o, &loop, &ask, on_done, NULL, &err), 0);
    from = uv_hrtime();
    outbound_cancel(o);
    assert_true(uv_hrtime() - from < 5000000000);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(answer.told);
}

static void other_urls_are_refused(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://x/", "https://", "x",
                                       "https:///x",         "smtp://x"};
    struct outbound_ask ask = {.timeout_ms = 1000, .answer_max = 100};
    struct outbound *o = NULL;
    struct err err = {0};

    (void)state;
    for (unsigned i = 0; i < sizeof urls / sizeof *urls; i++) {
        ask.url = urls[i];
        assert_int_equal(outbound_start(&o, &loop, &ask, on_done, NULL, &err), ERR_INVAL);
    }
    ask.from = "a@example.org";
    ask.url = "https://example.org/";
    assert_int_equal(outbound_start(&o, &loop, &ask, on_done, NULL, &err), ERR_INVAL);
}

static int start(void **state)
{
    char large[300];

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/rf-outbound-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    server_write(dir, "small", "hello");
    server_write(dir, "large", large);
    server_write(dir, "elsewhere.status", "302");
    uv_loop_init(&loop);
    webs = server_start("webs", dir, 0);
    web = server_start("web", dir, 0);
    mail = server_start("mail", dir, 0);
    mails = server_start("mails", dir, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    server_stop(&web);
    server_stop(&webs);
    server_stop(&mail);
    server_stop(&mails);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    tree_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_got),
        cmocka_unit_test(each_failure_is_told),
        cmocka_unit_test(hooks_are_posted_with_their_token),
        cmocka_unit_test(mail_is_delivered),
        cmocka_unit_test(what_is_cancelled_says_nothing),
        cmocka_unit_test(other_urls_are_refused),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
