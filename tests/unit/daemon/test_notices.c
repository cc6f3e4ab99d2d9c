/* People are told: what is a notice to whom, what it says, and that it arrives, at real
 * servers, whatever they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/daemon/notice.h"
#include "controller/daemon/notices.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/outbound/servers.h"

enum { ROWS_MAX = 8 };

/* A controller's state and trail. */
static struct {
    struct state state;
    bool leads;
    struct audit_row rows[ROWS_MAX];
    size_t count;
    int status;
} c;

static uv_loop_t loop;
static uv_timer_t turn;
static char dir[64];
static struct server web, mails;
static struct settings_notify list[2];
static struct notices *notices;
static struct api_notice facts[2];

static void on_facts(void *owner, struct api_facts *ret)
{
    (void)owner;
    ret->cluster = "demo";
    ret->state = &c.state;
    ret->leads = c.leads;
    ret->store.audit_seq = c.count;
    ret->controller_count = 1;
    ret->controllers[0].id = 1;
    snprintf(ret->controllers[0].name, NAME_SIZE, "east");
}

static int on_query(void *owner, const struct audit_query *q, store_audit_reply *reply,
                    void *ctx, struct err *err)
{
    size_t from = q->newest ? 0 : q->after_seq;

    (void)owner;
    (void)err;
    reply(ctx, c.rows + from, c.count - from, c.status);
    return 0;
}

static const struct api_backend backend = {.facts = on_facts, .query_log = on_query};

static struct audit_row *add_row(const char *kind, const char *text)
{
    struct audit_row *r = &c.rows[c.count++];

    memset(r, 0, sizeof *r);
    r->seq = c.count;
    r->index = 100 + c.count;
    r->wall_ms = wall_now_ms();
    r->leader_id = 1;
    snprintf(r->kind, sizeof r->kind, "%s", kind);
    snprintf(r->group, sizeof r->group, "orders");
    snprintf(r->text, sizeof r->text, "%s", text);
    return r;
}

static struct proposal *add_proposal(uint64_t index, uint8_t inform, bool glass)
{
    struct proposal *p = &c.state.proposals[c.state.proposal_count++];

    *p = (struct proposal){.id = index, .inform = inform, .break_glass = glass};
    return p;
}

static int clear(void **state)
{
    (void)state;
    memset(&c, 0, sizeof c);
    c.leads = true;
    memset(list, 0, sizeof list);
    server_write(dir, "posts", "");
    server_write(dir, "mails", "");
    server_write(dir, "hook.status", "204");
    return 0;
}

/* ---- what it is -----------------------------------------------------------------------
 */

static void notices_are_of_proposals_that_somebody_is_to_hear_of(void **state)
{
    struct audit_row *r = add_row("propose", "failover pg-west, epoch 3: because");

    (void)state;
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_NONE); /* not remembered */
    add_proposal(r->index, 0, false);
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_NONE);
    c.state.proposals[0].inform = ROLE_APPROVER;
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_INFORM);
    assert_int_equal(notice_of(&c.state, r, ROLE_APPROVER | ROLE_ADMIN), NOTICE_INFORM);
    assert_int_equal(notice_of(&c.state, r, ROLE_OPERATOR), NOTICE_NONE);
    c.state.proposals[0].break_glass = true;
    assert_int_equal(notice_of(&c.state, r, ROLE_OPERATOR), NOTICE_BREAK_GLASS);
    snprintf(r->kind, sizeof r->kind, "approve");
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_NONE);
    r = add_row("propose", "refused (wrong-phase): propose: BREAK GLASS: because");
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_NONE);
    r = add_row("propose", "BREAK GLASS: failover, epoch 3: because"); /* forgotten */
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_BREAK_GLASS);
    r = add_row("propose", "failover, epoch 3: BREAK GLASS: because"); /* a mere reason */
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_NONE);
}

/* Whatever a reason has in it, the mail is seven bits wide, has short lines, and no head
 * that its author wrote. */
static void a_mail_is_well_formed(void **state)
{
    struct audit_row *r = add_row("propose", "x");
    struct notice n = {.kind = NOTICE_BREAK_GLASS, .cluster = "demo", .row = r};
    struct buf out = {0};
    struct err err;
    size_t column = 0;
    char *text;

    (void)state;
    n.entry =
        "{\"text\":\"W\\u00e4hrend =\\r\\nBcc: evil@example.org\\n"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "bbbbbbbbbbbbbbbbbbbb\",\"actor\":\"adam\",\"time\":\"now\"}";
    snprintf(list[0].from, sizeof list[0].from, "rf@example.org");
    snprintf(list[0].to[0], sizeof list[0].to[0], "a@example.org");
    snprintf(list[0].to[1], sizeof list[0].to[1], "b@example.org");
    list[0].to_count = 2;
    assert_int_equal(notice_mail(&n, &list[0], 1795000000000, &out, &err), 0);
    assert_int_equal(buf_append(&out, "", 1, &err), 0);
    text = (char *)out.data;
    for (const char *at = text; *at != '\0'; at++) {
        assert_true(*at == '\r' || *at == '\n' || (*at >= ' ' && *at <= '~'));
        assert_true((*at == '\n') == (at > text && at[-1] == '\r'));
        column = *at == '\n' ? 0 : column + 1;
        assert_true(column <= 78);
    }
    assert_non_null(strstr(text, "From: rf@example.org\r\nTo: a@example.org,\r\n "
                                 "b@example.org\r\nSubject: [ringfence demo] BREAK GLASS: "
                                 "group orders\r\nDate: Wed, 18 Nov 2026 "));
    assert_non_null(strstr(text, "W=C3=A4hrend =3D=0D\r\nBcc: evil"));
    assert_true(strstr(text, "Bcc:") > strstr(text, "\r\n\r\n"));
    assert_non_null(strstr(text, "\r\nMessage-ID: <demo.101@ringfence>\r\n"));
    buf_free(&out);
}

/* ---- that it arrives ------------------------------------------------------------------
 */

static void on_turn(uv_timer_t *timer) { (void)timer; }

static void begin(unsigned count)
{
    const struct notices_spec spec = {&loop, &backend, list, count};
    struct err err = {0};

    assert_int_equal(notices_open(&notices, &spec, &err), 0);
}

static int end(void **state)
{
    (void)state;
    notices_close(notices);
    notices = NULL;
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}

/* Twenty seconds are for a host that is busy. */
static void until(unsigned receiver, uint64_t sent, uint64_t failures)
{
    const uint64_t last = uv_hrtime() + 20000000000ull;

    do {
        uv_run(&loop, UV_RUN_ONCE);
        assert_true(notices_facts(notices, facts, 2) > receiver);
    } while ((facts[receiver].sent < sent || facts[receiver].failures < failures) &&
             uv_hrtime() < last);
    print_message("%s: %u sent, %u failures: %s\n", facts[receiver].name,
                  (unsigned)facts[receiver].sent, (unsigned)facts[receiver].failures,
                  facts[receiver].problem);
    assert_true(facts[receiver].sent >= sent);
    assert_true(facts[receiver].failures >= failures);
}

static void hook_at(unsigned i)
{
    snprintf(list[i].name, NAME_SIZE, "hook");
    snprintf(list[i].url, sizeof list[i].url, "http://127.0.0.1:%u/hook", web.port);
    list[i].plain = true;
}

static void mail_at(unsigned i)
{
    snprintf(list[i].name, NAME_SIZE, "mail");
    snprintf(list[i].url, sizeof list[i].url, "smtp://127.0.0.1:%u", mails.port);
    snprintf(list[i].ca, sizeof list[i].ca, "%s/ca.pem", dir);
    snprintf(list[i].user, sizeof list[i].user, "ringfence");
    snprintf(list[i].secret_file, sizeof list[i].secret_file, "%s/secret", dir);
    snprintf(list[i].from, sizeof list[i].from, "rf@example.org");
    snprintf(list[i].to[0], sizeof list[i].to[0], "ops@example.org");
    list[i].to_count = 1;
}

static void break_glass(void)
{
    struct audit_row *r =
        add_row("propose", "BREAK GLASS: failover, epoch 3, forecast loss 0 bytes: fire");

    add_proposal(r->index, ROLES_ALL, true);
}

/* By mail with TLS and a password, and by a hook; once each, and what is no notice is
 * passed over. */
static void everybody_is_told_once(void **state)
{
    const char *wrote;

    (void)state;
    hook_at(0);
    mail_at(1);
    list[1].roles = ROLE_APPROVER; /* of break-glass everybody hears */
    add_row("pause", "paused");
    break_glass();
    add_row("resume", "on");
    begin(2);
    until(0, 1, 0);
    until(1, 1, 0);
    wrote = server_wrote(dir, "posts");
    assert_non_null(strstr(wrote, "\\\"event\\\":\\\"break-glass\\\",\\\"id\\\":"
                                  "\\\"demo/102\\\""));
    assert_non_null(strstr(wrote, "\\\"leader\\\":\\\"east\\\""));
    wrote = server_wrote(dir, "mails");
    assert_non_null(strstr(wrote, "\"to\": [\"ops@example.org\"], \"tls\": true"));
    assert_non_null(strstr(wrote, "BREAK GLASS: failover, epoch 3, forecast loss"));
    break_glass();
    until(0, 2, 0);
    until(1, 2, 0);
    for (unsigned i = 0; i < 100; i++)
        uv_run(&loop, UV_RUN_ONCE);
    notices_facts(notices, facts, 2);
    assert_int_equal(facts[0].sent, 2);
    assert_int_equal(facts[1].sent, 2);
}

/* The loudest alarm there is: whoever is in the file hears of it, whatever his roles. What
 * was refused was none. */
static void a_false_proof_is_told_everybody(void **state)
{
    static const char alarm[] = "ALARM: the proof of pg-east by power at index 7 does not "
                                "hold: its host answers";
    struct audit_row *r = add_row("false-proof", alarm);
    const char *wrote;

    (void)state;
    assert_int_equal(notice_of(&c.state, r, 0), NOTICE_FALSE_PROOF);
    assert_int_equal(notice_of(&c.state, r, ROLE_VIEWER), NOTICE_FALSE_PROOF);
    hook_at(0);
    list[0].roles = ROLE_APPROVER;
    mail_at(1);
    add_row("false-proof", "refused (stale-epoch): was noted to be wrong already");
    assert_int_equal(notice_of(&c.state, &c.rows[1], 0), NOTICE_NONE);
    add_row("acknowledge", "alarms are acknowledged: the BMC was wired to another host");
    assert_int_equal(notice_of(&c.state, &c.rows[2], 0), NOTICE_NONE);
    begin(2);
    until(0, 1, 0);
    until(1, 1, 0);
    wrote = server_wrote(dir, "posts");
    assert_non_null(strstr(wrote, "\\\"event\\\":\\\"false-proof\\\",\\\"id\\\":"
                                  "\\\"demo/101\\\""));
    wrote = server_wrote(dir, "mails");
    assert_non_null(strstr(wrote, "[ringfence demo] ALARM, a proof did not hold: group "
                                  "orders"));
    assert_non_null(strstr(wrote, "ALARM: the proof of pg-east by power"));
    assert_non_null(strstr(wrote, "ringfence acknowledge"));
}

/* A receiver that is down, or refuses, is asked again, and the next notice waits behind. */
static void it_is_tried_again(void **state)
{
    const char *wrote, *first;

    (void)state;
    hook_at(0);
    server_write(dir, "hook.status", "500");
    break_glass();
    break_glass();
    begin(1);
    until(0, 0, 1);
    assert_non_null(strstr(facts[0].problem, "the answer is 500"));
    assert_true(facts[0].waits);
    server_write(dir, "hook.status", "204");
    until(0, 2, 1);
    assert_string_equal(facts[0].problem, "");
    wrote = server_wrote(dir, "posts");
    first = strstr(wrote, "demo/101");
    assert_non_null(first);
    assert_non_null(strstr(first, "demo/102"));
}

/* Only who leads tells; who leads anew tells what he has not told. */
static void the_leader_tells(void **state)
{
    (void)state;
    hook_at(0);
    c.leads = false;
    break_glass();
    begin(1);
    for (unsigned i = 0; i < 100; i++)
        uv_run(&loop, UV_RUN_ONCE);
    assert_string_equal(server_wrote(dir, "posts"), "");
    c.leads = true;
    until(0, 1, 0);
}

/* What is over by an hour is told nobody any more; nor does a secret go where others can
 * read its file. */
static void there_is_a_bound(void **state)
{
    (void)state;
    hook_at(0);
    break_glass();
    c.rows[0].wall_ms -= NOTICES_AGE_MS + 1000;
    begin(1);
    for (unsigned i = 0; i < 100; i++)
        uv_run(&loop, UV_RUN_ONCE);
    assert_string_equal(server_wrote(dir, "posts"), "");
    snprintf(list[0].secret_file, sizeof list[0].secret_file, "%s/open-secret", dir);
    break_glass();
    until(0, 0, 1);
    assert_non_null(strstr(facts[0].problem, "open-secret"));
    assert_string_equal(server_wrote(dir, "posts"), "");
}

static int start(void **state)
{
    char path[100];

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/rf-notices-XXXXXX");
    assert_non_null(mkdtemp(dir));
    server_write(dir, "secret", "geheim\n");
    snprintf(path, sizeof path, "%s/secret", dir);
    assert_int_equal(chmod(path, 0600), 0);
    server_write(dir, "open-secret", "geheim\n");
    snprintf(path, sizeof path, "%s/open-secret", dir);
    assert_int_equal(chmod(path, 0644), 0);
    uv_loop_init(&loop);
    uv_timer_init(&loop, &turn);
    uv_timer_start(&turn, on_turn, 20, 20);
    uv_unref((uv_handle_t *)&turn);
    web = server_start("web", dir, 0);
    mails = server_start("mails", dir, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    server_stop(&web);
    server_stop(&mails);
    uv_close((uv_handle_t *)&turn, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    tree_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(notices_are_of_proposals_that_somebody_is_to_hear_of, clear),
        cmocka_unit_test_setup(a_mail_is_well_formed, clear),
        cmocka_unit_test_setup_teardown(a_false_proof_is_told_everybody, clear, end),
        cmocka_unit_test_setup_teardown(everybody_is_told_once, clear, end),
        cmocka_unit_test_setup_teardown(it_is_tried_again, clear, end),
        cmocka_unit_test_setup_teardown(the_leader_tells, clear, end),
        cmocka_unit_test_setup_teardown(there_is_a_bound, clear, end),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
