/* Requests as people and programs make them: any method, path, query and body, against a
 * group in mid-life. Each gets exactly one answer, a refusal has words in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "controller/audit/keys.h"
#include "controller/http/api.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scene.h"

static struct {
    uv_loop_t loop;
    struct api *api;
    struct state s, scratch;
    struct observations seen;
    /* By request: one that waits (a failover) is answered while others are made. */
    uint8_t answers[1 << 16];
    uint16_t request;
    unsigned proposed, status;
    struct mono now;         /* each request comes a second behind the last one */
    api_confirmed *confirms; /* reads that wait for a barrier */
    void *confirms_ctx;
} w;

/* In place of mono_now() (CMakeLists.txt): inputs come faster than reads may. */
struct mono __wrap_mono_now(void);
struct mono __wrap_mono_now(void) { return w.now; }

static void on_facts(void *owner, struct api_facts *f)
{
    (void)owner;
    f->cluster = "demo";
    f->name = "witness";
    f->data_dir = "/d";
    f->state = &w.s;
    f->seen = &w.seen;
    f->leads = true;
    f->leader_id = 3;
    f->controller_count = 3;
    for (unsigned i = 0; i < 3; i++) {
        f->controllers[i].id = i + 1;
        snprintf(f->controllers[i].name, NAME_SIZE, "%s", w.s.controllers[i].name);
        f->controllers[i].self = i == 2;
    }
}

/* What the log would say; an accepted entry is not committed, its fate stays unknown. */
static int on_propose(void *owner, const struct entry *e, api_proposed *done, void *ctx,
                      struct apply_result *ret_refused, struct err *err)
{
    (void)owner;
    (void)done;
    (void)ctx;
    w.proposed++;
    apply_dry(&w.s, e, &w.scratch, ret_refused);
    if (ret_refused->refusal != ACCEPTED)
        return err_set(err, ERR_REFUSED, "%s", ret_refused->text);
    return err_set(err, ERR_NOTLEADER, "not the leader any more");
}

static int on_confirm(void *owner, api_confirmed *done, void *ctx, struct err *err)
{
    (void)owner;
    if (w.request % 8 == 7)
        return err_set(err, ERR_NOTLEADER, "not the leader any more");
    CLAIM(w.confirms == NULL, "two barriers at once");
    w.confirms = done;
    w.confirms_ctx = ctx;
    return 0;
}

static void confirm(void)
{
    api_confirmed *done = w.confirms;

    w.confirms = NULL;
    if (done != NULL)
        done(w.confirms_ctx, 0, 1);
}

static void on_note(void *owner, const struct actor *who, const char *group,
                    const char *text)
{
    (void)owner;
    CLAIM(who->kind != ACTOR_NONE, "nobody is refused something");
    CLAIM(memchr(group, '\0', NAME_SIZE) != NULL, "a group's name without an end");
    CLAIM(text[0] != '\0', "refused without a word");
}

static void on_want(void *owner, uint8_t group, const struct failover_wish *wish)
{
    (void)owner;
    CLAIM(group < w.s.group_count, "failover of group %u", group);
    CLAIM(wish == NULL || wish->target == NO_INSTANCE || wish->target < INSTANCE_MAX,
          "to %u", wish->target);
}

static int on_forward(void *owner, const struct api_request *r, api_reply *done, void *ctx,
                      struct err *err)
{
    (void)owner;
    (void)r;
    (void)done;
    (void)ctx;
    return err_set(err, ERR_NOTLEADER, "no leader is known");
}

static int on_log(void *owner, const struct audit_query *q, store_audit_reply *reply,
                  void *ctx, struct err *err)
{
    struct audit_row row = {.seq = q->after_seq + 1, .index = 3, .kind = "pause"};

    (void)owner;
    (void)err;
    reply(ctx, &row, q->after_seq < 2 ? 1 : 0, 0);
    return 0;
}

static void on_retry(void *owner, uint8_t group)
{
    (void)owner;
    (void)group;
}

static void on_dry(void *owner, const struct entry *e, struct apply_result *ret)
{
    (void)owner;
    (void)e;
    *ret = (struct apply_result){.refusal = ACCEPTED};
}

static void on_reply(void *owner, unsigned status, const void *body, size_t len)
{
    uint8_t *answers = owner;

    if (fuzz_is_traced()) { /* tests/fuzz/seed reads them */
        printf("answer %u %zu\n", status, len);
        fwrite(body, 1, len, stdout);
        putchar('\n');
    }
    CLAIM(++*answers == 1, "%u answers to one request", *answers);
    w.status = status;
    CLAIM(status >= 200 && status < 600, "status %u", status);
    CLAIM(status < 400 || len > 0, "status %u without a word", status);
}

static const struct audit_key *on_key(void *owner)
{
    static struct audit_key *key;
    struct err err;

    (void)owner;
    if (key == NULL)
        CLAIM(audit_key_make(&key, &err) == 0, "%s", err.text);
    return key;
}

static void once(void)
{
    static const struct api_backend backend = {.facts = on_facts,
                                               .propose = on_propose,
                                               .note_refused = on_note,
                                               .confirm = on_confirm,
                                               .want_failover = on_want,
                                               .want_retry = on_retry,
                                               .dry = on_dry,
                                               .forward = on_forward,
                                               .audit_key = on_key,
                                               .query_log = on_log};
    static char socket[64];
    struct api_listen at = {.socket = socket};
    struct err err = {0};

    if (w.api != NULL)
        return;
    snprintf(socket, sizeof socket, "/tmp/rf-fuzz-%d.sock", (int)getpid());
    CLAIM(uv_loop_init(&w.loop) == 0, "no loop");
    CLAIM(api_open(&w.api, &w.loop, &at, &backend, &err) == 0, "%s", err.text);
    unlink(socket);
}

static char *text_of(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);

    CLAIM(text != NULL, "no memory");
    memcpy(text, data, len);
    for (size_t i = 0; i < len; i++) /* as libmicrohttpd gives them: no 0 inside */
        if (text[i] == '\0')
            text[i] = '?';
    text[len] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET", "POST", "DELETE", "PUT"};
    static const struct caller caller = {.kind = CALLER_SOCKET, .name = "root"};
    const uint8_t *end;
    struct api_request r;
    char *path;

    if (size < 2)
        return 0;
    once();
    scene_make(&w.s);
    observations_init(&w.seen, 3);
    observe_leading(&w.seen, true, (struct mono){NS_PER_MS});
    observe_restored(&w.seen, &w.s, (struct mono){NS_PER_MS});
    end = memchr(data + 1, '\n', size - 1);
    end = end != NULL ? end : data + size;
    path = text_of(data + 1, (size_t)(end - data - 1));
    r = (struct api_request){
        .method = methods[data[0] % 4], .path = path, .caller = &caller};
    if (end < data + size) {
        r.body = end + 1;
        r.len = (size_t)(data + size - end - 1);
    }
    w.request++;
    w.answers[w.request] = 0;
    w.now.ns += 1000 * NS_PER_MS;
    api_serve(w.api, &r, on_reply, &w.answers[w.request]);
    confirm();
    for (unsigned i = 0; i < 3 && w.answers[w.request] == 0; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    if (fuzz_is_traced())
        fprintf(stderr, "%s %s: %u, %u proposed\n", r.method, path, w.status, w.proposed);
    free(path);
    return 0;
}
