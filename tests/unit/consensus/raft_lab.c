#include "tests/unit/consensus/raft_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"

static const char *const names[NODES] = {"east", "west", "witness"};

struct lab lab;

/* ---- the application ----------------------------------------------------------------- */

static void on_send(void *owner, uint64_t to, const uint8_t *data, size_t len)
{
    struct app *a = owner;
    struct packet *p = malloc(sizeof *p + len);

    assert_non_null(p);
    *p = (struct packet){NULL, a->position, (unsigned)to - 1, len};
    memcpy(p->data, data, len);
    *lab.tail = p;
    lab.tail = &p->next;
}

static int on_apply(void *owner, const struct order_apply *e, struct err *err)
{
    struct app *a = owner;
    struct audit_row row = {.index = e->index,
                            .term = e->term,
                            .kind = "command",
                            .group = "orders",
                            .rule = "none"};

    if (a->refuse)
        return err_set(err, ERR_CORRUPT, "this application refuses");
    assert_int_equal(e->index, a->applied + 1);
    a->applied = e->index;
    if (e->kind != ENTRY_COMMAND)
        return 0;
    a->commands++;
    for (size_t i = 0; i < e->len; i++)
        a->hash = (a->hash ^ e->body[i]) * UINT64_C(1099511628211);
    assert_in_range(e->leader_id, 1, NODES);
    assert_true(e->wall_ms > 0);
    snprintf(row.text, sizeof row.text, "%.*s", (int)e->len, (const char *)e->body);
    return raftnode_audit(a->node, &row, 1, err);
}

static int on_save(void *owner, struct buf *out, struct err *err)
{
    struct app *a = owner;

    return buf_append(out, &a->hash, sizeof a->hash, err);
}

static int on_restore(void *owner, const struct order_restore *s, struct err *err)
{
    struct app *a = owner;

    (void)err;
    assert_int_equal(s->len, sizeof a->hash);
    memcpy(&a->hash, s->body, sizeof a->hash);
    a->applied = s->index;
    a->restores++;
    return 0;
}

static void on_role(void *owner, const struct driver_status *st)
{
    struct app *a = owner;

    a->role = st->role;
    a->authoritative = st->authoritative;
}

static void on_fatal(void *owner, const struct err *err)
{
    struct app *a = owner;

    assert_int_equal(a->fatal, 0);
    a->fatal = err->code;
    snprintf(a->fatal_text, sizeof a->fatal_text, "%s", err->text);
}

/* Hellos are not cut: they are said over every new stream. */
static void on_kin(void *owner)
{
    struct app *a = owner;
    struct kin_hello h;
    struct err err;

    raftnode_hello(a->node, &h);
    for (unsigned i = 0; i < NODES; i++)
        if (i != a->position && lab.app[i].node != NULL)
            a->refused_by += raftnode_heard(lab.app[i].node, names[a->position], &h,
                                            &err) == ERR_CONFLICT;
}

/* ---- the laboratory ------------------------------------------------------------------ */

void lab_dir(unsigned i, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/%s", lab.dir, names[i]);
}

int lab_open_as(unsigned i, bool bootstrap, uint64_t incarnation, struct err *err)
{
    static const struct voter voters[NODES] = {{1, "east"}, {2, "west"}, {3, "witness"}};
    int status;
    struct app *a = &lab.app[i];
    char dir[128];
    struct raftnode_config c = {.driver = {.id = i + 1,
                                           .cluster = "test",
                                           .incarnation = incarnation,
                                           .voters = voters,
                                           .n_voters = NODES,
                                           .election_ms = 150,
                                           .heartbeat_ms = 30,
                                           .trailing = 20},
                                .node = voters[i].name,
                                .dir = dir,
                                .allow_bootstrap = bootstrap,
                                .snapshot_every = lab.snapshot_every};
    struct raftnode_callbacks callbacks = {.send = on_send,
                                           .apply = on_apply,
                                           .save = on_save,
                                           .restore = on_restore,
                                           .on_role = on_role,
                                           .on_fatal = on_fatal,
                                           .on_kin = on_kin,
                                           .owner = a};

    lab_dir(i, dir, sizeof dir);
    *a = (struct app){.position = i, .hash = 17};
    status = raftnode_open(&a->node, &lab.loop, &c, &callbacks, err);
    for (unsigned k = 0; status == 0 && k < NODES; k++)
        if (lab.app[k].node != NULL)
            on_kin(&lab.app[k]);
    return status;
}

void lab_open(unsigned i, bool bootstrap)
{
    struct err err = {0};

    if (lab_open_as(i, bootstrap, 1, &err) != 0)
        fail_msg("open node %u: %s", i + 1, err.text);
}

void lab_close(unsigned i)
{
    raftnode_close(lab.app[i].node);
    lab.app[i].node = NULL;
}

static void deliver(struct packet *p)
{
    struct app *to = &lab.app[p->to];
    struct err err = {0};
    int status;

    if (to->node == NULL || to->cut || lab.app[p->from].cut)
        return;
    status = raftnode_receive(to->node, p->from + 1, p->data, p->len, &err);
    if (status != 0 && status != ERR_CLOSED)
        fail_msg("node %u receives: %s", p->to + 1, err.text);
}

static void on_pump(uv_idle_t *idle)
{
    (void)idle;
    while (lab.head != NULL) {
        struct packet *p = lab.head;

        lab.head = p->next;
        if (lab.head == NULL)
            lab.tail = &lab.head;
        deliver(p);
        free(p);
    }
}

void lab_wait_for(claim *holds, const char *what)
{
    struct mono start = mono_now();

    while (!holds()) {
        uv_run(&lab.loop, UV_RUN_NOWAIT);
        if (mono_since_ms(start, mono_now()) > WAIT_MS)
            fail_msg("not within %d ms: %s", WAIT_MS, what);
    }
}

int lab_leader(void)
{
    for (int i = 0; i < NODES; i++)
        if (lab.app[i].node != NULL && !lab.app[i].cut && lab.app[i].authoritative)
            return i;
    return -1;
}

bool lab_has_leader(void) { return lab_leader() >= 0; }

bool lab_all_equal(void)
{
    struct app *first = NULL;

    for (int i = 0; i < NODES; i++) {
        if (lab.app[i].node == NULL)
            continue;
        if (first == NULL)
            first = &lab.app[i];
        if (lab.app[i].applied != first->applied || lab.app[i].hash != first->hash)
            return false;
    }
    return true;
}

int lab_setup(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    lab.tail = &lab.head;
    lab.snapshot_every = 1000000;
    tree_make(lab.dir, "/tmp");
    uv_loop_init(&lab.loop);
    uv_idle_init(&lab.loop, &lab.pump);
    uv_idle_start(&lab.pump, on_pump);
    return 0;
}

int lab_teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NODES; i++)
        lab_close(i);
    uv_close((uv_handle_t *)&lab.pump, NULL);
    uv_run(&lab.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&lab.loop), 0);
    while (lab.head != NULL) {
        struct packet *p = lab.head;

        lab.head = p->next;
        free(p);
    }
    tree_remove(lab.dir);
    return 0;
}

void lab_open_all(bool bootstrap)
{
    for (unsigned i = 0; i < NODES; i++)
        lab_open(i, bootstrap);
    lab_wait_for(lab_has_leader, "a leader with its own entry applied");
}

/* ---- submitting ---------------------------------------------------------------------- */

struct outcome outcome;

static void on_done(void *owner, int status, uint64_t index)
{
    struct outcome *o = owner;

    o->done++;
    o->ok += status == 0;
    o->last_status = status;
    o->last_index = index;
}

void lab_submit(int to, const char *text)
{
    struct err err = {0};

    if (raftnode_submit(lab.app[to].node, (const uint8_t *)text, strlen(text), on_done,
                        &outcome, &err) != 0)
        fail_msg("submit: %s", err.text);
}

unsigned wanted;

bool lab_all_done(void) { return outcome.done == wanted; }

void lab_submit_many(unsigned n)
{
    outcome = (struct outcome){0};
    wanted = n;
    for (unsigned i = 0; i < n; i++) {
        char text[32];

        snprintf(text, sizeof text, "command %u", i);
        lab_submit(lab_leader(), text);
    }
    lab_wait_for(lab_all_done, "outcomes of all submissions");
    assert_int_equal(outcome.ok, n);
}
