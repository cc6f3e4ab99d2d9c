/* The keeper among a log that moves on, a network that loses, delays, repeats and forges,
 * a disk that fails, a gate that refuses, and restarts at any moment: whatever happens, no
 * packet passes that the log does not allow. `test_agent_keeper_random SEED` repeats one.
 */
#include "tests/unit/agent/cmocka_env.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/agent/random_world.h"

enum {
    SEEDS = 3000,
    STEPS = 400,
    TTL_MS = 1000,
    PORT = 5432,
};

static uint64_t rnd(struct world *w, uint64_t n)
{
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return w->rng % n;
}

#define CLAIM(w, c)                                                                        \
    do {                                                                                   \
        if (!(c)) {                                                                        \
            print_error("repeat with: test_agent_keeper_random %" PRIu64 "\n", (w)->seed); \
            fail_msg("%s", #c);                                                            \
        }                                                                                  \
    } while (0)

static struct mail *new_mail(struct world *w)
{
    struct mail *m = &w->mail[rnd(w, MAIL_MAX)]; /* what was there is lost */

    memset(m, 0, sizeof *m);
    return m;
}

/* ---- the log and its leader ------------------------------------------------------------
 */

static bool proof_stands(const struct log *l) { return l->proven > l->last_grant; }

static enum keeper_role role(const struct log *l)
{
    if (l->detached)
        return ROLE_DETACHED;
    if (l->epoch == 0 || l->forming)
        return ROLE_NONE;
    return l->active ? ROLE_PRIMARY : ROLE_STANDBY;
}

static void say_assignment(struct world *w)
{
    struct mail *m = new_mail(w);
    const struct log *l = &w->log;

    m->kind = MAIL_ASSIGN;
    m->to = w->me;
    m->a = (struct keeper_assignment){
        .group = "orders",
        .index = l->index,
        .epoch = l->epoch,
        .fence_index = l->fence_index,
        .role = role(l),
        .port = PORT,
        .rho_ppm = 10000,
        .ttl_ms = TTL_MS,
        .opened = l->opened,
        .adopt = l->adopt && !l->opened && (l->forming || l->active) && !l->detached,
        .standby_reads = l->standby_reads,
        /* As controller/daemon does: never of the active one, nor of a holder. */
        .proof_wanted = !l->detached && !proof_stands(l) && !l->active &&
                        (l->last_grant == 0 || w->grant_count == 0 ||
                         w->grants[w->grant_count - 1].epoch != l->epoch),
    };
}

/* What is adopted is opened behind a grant of its epoch (apply_opened()). */
static bool may_open(const struct world *w)
{
    const struct log *l = &w->log;

    if (l->adopt &&
        (w->grant_count == 0 || w->grants[w->grant_count - 1].epoch != l->epoch))
        return false;
    return l->epoch != 0 && l->fence_index == 0 && !l->forming && !l->detached;
}

static void move_log(struct world *w)
{
    struct log *l = &w->log;

    l->index++;
    switch (rnd(w, 8)) {
    case 0: /* fence_begin */
        if (l->epoch != 0 && l->fence_index == 0 && !l->detached && !l->forming)
            l->fence_index = l->index;
        break;
    case 1: /* activate: behind a proof of this instance, or of this instance itself */
        if (l->detached || (!l->forming && l->epoch != 0 && l->fence_index == 0))
            break;
        l->active = rnd(w, 2) == 0 || (l->forming && l->adopt);
        if (!l->active && !proof_stands(l) && l->epoch != 0)
            l->active = true;
        l->epoch++;
        l->fence_index = 0;
        l->opened = l->forming = false;
        break;
    case 2:
    case 3:
        l->opened = l->opened || may_open(w);
        l->adopt = l->adopt && !l->opened;
        break;
    case 4:
        l->standby_reads = rnd(w, 2) == 0;
        /* The file is corrected: another one is declared active. */
        if (l->forming && rnd(w, 4) == 0)
            l->adopt = !l->adopt;
        break;
    case 5:
        if (l->detached || rnd(w, 8) == 0) {
            l->detached = !l->detached;
            l->forming = !l->detached;
            l->adopt = l->forming && rnd(w, 2) == 0;
            l->proven = 0;
            l->active = false;
            l->fence_index = 0;
            l->opened = false;
            l->epoch++;
        }
        break;
    default:
        break;
    }
    say_assignment(w);
}

static bool grantable(const struct log *l, const struct keeper_renew_item *i)
{
    if (l->detached || l->forming || l->fence_index != 0 || i->epoch != l->epoch ||
        l->epoch == 0)
        return false;
    return i->kind == KIND_WRITE ? l->active : !l->active && l->standby_reads && l->opened;
}

/* The renewal reaches the leader at once, or never; the answer any time later. */
static void hear_renewal(struct world *w, const struct keeper_renewal *r)
{
    struct mail *m;
    struct keeper_verdict *v;

    if (rnd(w, 4) == 0)
        return;
    w->log.index++;
    m = new_mail(w);
    m->kind = MAIL_ACK;
    m->ack = (struct keeper_ack){.seq = r->seq, .sent = r->sent, .incarnation = w->me};
    m->ack.count = 1;
    v = &m->ack.items[0];
    memcpy(v->group, "orders", 7);
    v->epoch = r->items[0].epoch;
    v->kind = r->items[0].kind;
    v->terms = (struct lease_terms){TTL_MS, 10000};
    v->open = w->log.opened;
    v->granted = grantable(&w->log, &r->items[0]);
    if (!v->granted)
        return;
    w->log.last_grant = w->log.index;
    CLAIM(w, w->grant_count < GRANTS_MAX);
    w->grants[w->grant_count++] = (struct grant){
        w->log.index, v->epoch, lease_holder_deadline(r->sent, v->terms), v->open, v->kind};
    /* From here on it can be counted out: whatever passes must be over by then (I3). */
    CLAIM(w, w->gate.mode != GATE_OPEN ||
                 w->gate.deadline.ns <= w->grants[w->grant_count - 1].deadline.ns);
}

static void hear_proof(struct world *w, const struct mail *m)
{
    struct log *l = &w->log;
    bool fits = m->installed ? !l->active && !l->detached &&
                                   !(w->grant_count != 0 &&
                                     w->grants[w->grant_count - 1].epoch == l->epoch &&
                                     l->last_grant > l->proven)
                             : l->fence_index != 0 && m->epoch == l->epoch;

    if (!fits)
        return;
    l->proven = ++l->index;
    say_assignment(w);
    /* I2: from here on the log counts on it: nothing granted before may pass any more. */
    CLAIM(w, w->gate.mode == GATE_CLOSED || w->gate.deadline.ns <= w->now.ns ||
                 w->gate.mode == GATE_REPLICATION);
}

/* ---- the kernel ------------------------------------------------------------------------
 */

/* Open since its adoption, without a gap. */
static bool stays_adopted(const struct world *w, uint64_t epoch)
{
    return w->adopted == epoch && w->gate.epoch == epoch && w->gate.mode == GATE_OPEN &&
           w->gate.deadline.ns > w->now.ns;
}

static void check_arm(struct world *w, const struct keeper_effect *e)
{
    const struct gate_lease *l = &e->lease;
    const struct grant *by = NULL;

    CLAIM(w, w->disk.of[0].highest >= l->epoch);                       /* I6 */
    CLAIM(w, w->disk.of[0].fenced < l->epoch && w->frozen < l->epoch); /* I3 */
    if (l->deadline.ns == GATE_FOREVER.ns) {
        CLAIM(w, l->mode == GATE_REPLICATION);
        return;
    }
    for (unsigned i = 0; i < w->grant_count; i++)
        if (w->grants[i].epoch == l->epoch &&
            (w->grants[i].deadline.ns == l->deadline.ns ||
             (w->adopted == l->epoch && w->grants[i].deadline.ns > l->deadline.ns)))
            by = &w->grants[i];
    CLAIM(w, by != NULL); /* send time + TTL of a renewal that was granted in this epoch */
    if (by == NULL)
        return;
    if (l->mode == GATE_OPEN && by->kind == KIND_WRITE) {
        CLAIM(w, w->server.ready_epoch == l->epoch || stays_adopted(w, l->epoch));
        CLAIM(w, w->server.state == KEEPER_SERVER_PRIMARY && !w->server.barred);
    }
    if (l->mode == GATE_OPEN && by->kind == KIND_READ)
        CLAIM(w, w->server.state == KEEPER_SERVER_STANDBY);
    /* I2: what the log counts as proven stays shut: the grant is later than the proof. */
    if (w->log.proven != 0 && l->mode == GATE_OPEN)
        CLAIM(w, by->index > w->log.proven || !proof_stands(&w->log));
}

static int kernel_arm(struct world *w, const struct keeper_effect *e)
{
    check_arm(w, e);
    if (rnd(w, 20) == 0)
        return ERR_IO;
    if (e->lease.deadline.ns <= w->now.ns)
        return ERR_TIMEOUT;
    if (e->how == GATE_RENEW &&
        (w->gate.mode == GATE_CLOSED || w->gate.deadline.ns <= w->now.ns))
        return ERR_CLOSED;
    w->gate =
        (struct gate_state){e->lease.epoch, e->lease.mode, e->lease.deadline, false, false};
    return 0;
}

/* A port that is not gated yet: open, before any lease of the epoch. */
static int kernel_adopt(struct world *w, const struct keeper_effect *e)
{
    const struct keeper_assignment *a = &w->k.slots[0].a;
    const struct gate_lease *l = &e->lease;

    CLAIM(w, a->adopt && a->role == ROLE_PRIMARY && a->fence_index == 0);
    CLAIM(w, w->disk.of[0].highest >= l->epoch && w->disk.of[0].fenced < l->epoch);
    CLAIM(w, w->k.want.of[0].tried);
    CLAIM(w, w->server.state == KEEPER_SERVER_PRIMARY && !w->server.barred);
    CLAIM(w, l->deadline.ns <= w->now.ns + (uint64_t)TTL_MS * NS_PER_MS);
    if (w->managed || rnd(w, 20) == 0)
        return w->managed ? ERR_CONFLICT : ERR_IO;
    w->managed = true;
    w->adopted = l->epoch;
    w->adoptions++;
    w->gate = (struct gate_state){l->epoch, l->mode, l->deadline, false, true};
    return 0;
}

/* While the group forms, a port that no record names is closed only over a server that was
 * looked at since, and does not serve as a primary. */
static void check_first_gate(struct world *w)
{
    const struct keeper_slot *s = &w->k.slots[0];

    if (s->a.role != ROLE_NONE || w->k.want.of[0].port != 0)
        return;
    CLAIM(w, w->server.looked >= s->formed);
    CLAIM(w, w->server.state == KEEPER_SERVER_DOWN ||
                 w->server.state == KEEPER_SERVER_STANDBY);
    w->formings++;
}

static int kernel(struct world *w, struct keeper_effect *e)
{
    CLAIM(w, e->port == PORT || (e->kind == KEEPER_TRY && e->port == 0));
    if (e->kind == KEEPER_ARM)
        return kernel_arm(w, e);
    if (e->kind == KEEPER_ADOPT)
        return kernel_adopt(w, e);
    if (rnd(w, 20) == 0)
        return ERR_IO;
    if (e->kind == KEEPER_MANAGE && !w->managed) {
        check_first_gate(w);
        w->managed = true;
        w->gate = (struct gate_state){0};
    }
    e->found = w->gate;
    if (e->kind == KEEPER_UNMANAGE) {
        CLAIM(w, w->k.slots[0].a.role == ROLE_DETACHED);
        w->managed = false;
        w->frozen = 0;
        w->gate = (struct gate_state){0};
    }
    if (e->kind == KEEPER_TRY && !w->managed)
        CLAIM(w, w->k.slots[0].a.adopt && e->port == 0);
    if (e->kind == KEEPER_CLOSE || e->kind == KEEPER_FENCE) {
        CLAIM(w, w->gate.epoch <= e->epoch);
        w->gate.mode = GATE_CLOSED;
        w->gate.deadline.ns = 0;
    }
    if (e->kind == KEEPER_FENCE) {
        CLAIM(w, w->disk.of[0].fenced >= e->epoch); /* the mark first */
        w->gate.epoch = w->frozen = e->epoch;
        w->gate.fenced = true;
    }
    return 0;
}

/* ---- the shell -------------------------------------------------------------------------
 */

static void send_proof(struct world *w, const struct keeper_effect *e)
{
    struct mail *m = new_mail(w);

    CLAIM(w, w->managed);
    CLAIM(w, w->gate.mode == GATE_CLOSED || w->gate.deadline.ns <= w->now.ns);
    if (!e->installed) {
        CLAIM(w, w->disk.of[0].fenced >= e->epoch);
        CLAIM(w, w->frozen >= e->epoch);
        CLAIM(w, e->fence_index != 0);
    } else {
        CLAIM(w, w->k.want.of[0].tried);
    }
    m->kind = MAIL_PROOF;
    m->epoch = e->epoch;
    m->installed = e->installed;
}

static void run(struct world *w, unsigned limit)
{
    struct keeper_effect e;

    while (limit-- > 0 &&
           (keeper_next(&w->k, w->now, &e) || keeper_next_trial(&w->k, w->now, &e))) {
        struct err err = {0};

        if (e.kind == KEEPER_SYNC) {
            w->writing = *e.table;
            w->syncing = true;
            continue;
        }
        if (e.kind == KEEPER_RENEW) {
            CLAIM(w, w->disk.of[0].highest == e.renewal.items[0].epoch);
            CLAIM(w, w->managed);
            hear_renewal(w, &e.renewal);
            continue;
        }
        if (e.kind == KEEPER_PROOF) {
            send_proof(w, &e);
            continue;
        }
        err.code = kernel(w, &e);
        keeper_done(&w->k, &e, &err, w->now);
    }
}

static void finish_sync(struct world *w)
{
    bool ok = rnd(w, 4) != 0;

    if (!w->syncing)
        return;
    w->syncing = false;
    if (ok || rnd(w, 2) == 0) /* said to have failed, and yet on the disk: possible */
        w->disk = w->writing;
    keeper_synced(&w->k, ok, w->now);
}

static void restart(struct world *w)
{
    if (w->syncing && rnd(w, 2) == 0)
        w->disk = w->writing;
    w->syncing = false;
    keeper_core_init(&w->k, &w->me, &w->disk);
    keeper_clock(&w->k, true, 0);
    if (w->managed &&
        !keeper_gate_found(&w->k, &(struct keeper_found){.port = PORT, .gate = w->gate})) {
        w->gate.mode = GATE_CLOSED; /* as keeper.c does with a port that is on no record */
        w->gate.deadline.ns = 0;
        keeper_gate_stray(&w->k, &(struct keeper_found){.port = PORT, .gate = w->gate});
    }
    w->server.looked = 0;
    if (w->disk.count > 0)
        keeper_server(&w->k, 0, &w->server);
    /* A synced mark: closing and freezing comes before anything else. */
    if (w->managed && w->disk.count > 0 && w->disk.of[0].fenced != 0 &&
        w->disk.of[0].port == PORT && w->gate.epoch <= w->disk.of[0].fenced &&
        !w->gate.fenced) {
        struct keeper_effect e;

        CLAIM(w, keeper_next(&w->k, w->now, &e));
        CLAIM(w, e.kind == KEEPER_FENCE);
    }
}

static void change_server(struct world *w)
{
    uint64_t epoch = w->k.want.count > 0 ? w->k.slots[0].a.epoch : 0;

    w->server = (struct keeper_server){
        .state = (enum keeper_server_state)rnd(w, 5),
        .ready_epoch = rnd(w, 3) != 0 ? epoch : epoch - (epoch > 0),
        .barred = rnd(w, 8) == 0,
        /* A look that was under way when the group was let go says nothing. */
        .looked = w->k.want.count > 0 && rnd(w, 4) != 0 ? w->k.slots[0].a.index : 0,
    };
    if (w->k.want.count > 0)
        keeper_server(&w->k, 0, &w->server);
}

static void forge(struct world *w, struct mail *m)
{
    if (m->kind == MAIL_ACK) {
        m->ack.seq += rnd(w, 2);
        m->ack.sent.ns += rnd(w, 3) * 777;
        m->ack.incarnation.bytes[0] =
            (uint8_t)(m->ack.incarnation.bytes[0] + rnd(w, 2) + 1);
        m->ack.items[0].granted = true;
    } else if (m->kind == MAIL_ASSIGN || m->kind == MAIL_FENCE) {
        m->to.bytes[0]++;
        m->order.to.bytes[0]++;
        m->a.epoch += 5;
    }
}

static void deliver(struct world *w)
{
    struct mail *m = &w->mail[rnd(w, MAIL_MAX)], copy = *m;
    uint8_t slot;

    if (rnd(w, 3) != 0)
        m->kind = MAIL_NONE; /* else it will come again */
    if (copy.kind != MAIL_PROOF && rnd(w, 10) == 0)
        forge(w, &copy);
    if (copy.kind == MAIL_ACK)
        (void)keeper_ack(&w->k, &copy.ack, w->now);
    else if (copy.kind == MAIL_ASSIGN)
        (void)(keeper_assign(&w->k, &copy.to, &copy.a, &slot, NULL) == 0);
    else if (copy.kind == MAIL_FENCE)
        (void)(keeper_fence_order(&w->k, &copy.order, NULL) == 0);
    else if (copy.kind == MAIL_PROOF)
        hear_proof(w, &copy);
}

static void order_fence(struct world *w)
{
    struct mail *m;

    if (w->log.fence_index == 0)
        return;
    m = new_mail(w);
    m->kind = MAIL_FENCE;
    m->order = (struct keeper_fence_order){.to = w->me,
                                           .group = "orders",
                                           .epoch = w->log.epoch,
                                           .fence_index = w->log.fence_index};
}

/* What must hold between any two events, whatever led there. */
static void check_world(struct world *w)
{
    bool passes =
        w->managed && w->gate.mode != GATE_CLOSED && w->gate.deadline.ns > w->now.ns;

    if (w->frozen != 0 && passes)
        CLAIM(w, w->gate.epoch > w->frozen);
    if (passes && w->gate.mode == GATE_OPEN)
        CLAIM(w, w->gate.deadline.ns - w->now.ns <= (uint64_t)TTL_MS * NS_PER_MS);
}

static void step(struct world *w)
{
    w->now.ns += rnd(w, 30) * NS_PER_MS * (rnd(w, 20) == 0 ? 50 : 1);
    switch (rnd(w, 12)) {
    case 0:
        move_log(w);
        break;
    case 1:
        say_assignment(w);
        break;
    case 2:
        order_fence(w);
        break;
    case 3:
        change_server(w);
        break;
    case 4:
        if (rnd(w, 6) == 0)
            restart(w);
        break;
    case 5:
    case 6:
        finish_sync(w);
        break;
    case 7:
    case 8:
        keeper_tick(&w->k);
        break;
    default:
        deliver(w);
    }
    run(w, rnd(w, 5) == 0 ? (unsigned)rnd(w, 3) : 100);
    check_world(w);
}

struct totals {
    uint64_t grants, fences, opens, adoptions, formings;
};

static void one_life(uint64_t seed, struct totals *t)
{
    static struct world w;

    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.rng = seed * 0x9e3779b97f4a7c15ull + 1;
    w.now.ns = 1000 * NS_PER_MS;
    w.me.bytes[0] = 1;
    w.log = (struct log){.index = 1, .forming = true, .adopt = seed % 2 == 0};
    keeper_core_init(&w.k, &w.me, &w.disk);
    keeper_clock(&w.k, true, 0);
    for (int i = 0; i < STEPS; i++) {
        step(&w);
        t->opens += w.gate.mode == GATE_OPEN;
    }
    t->grants += w.grant_count;
    t->fences += w.frozen != 0;
    t->adoptions += w.adoptions;
    t->formings += w.formings;
}

static uint64_t only_seed;

static void nothing_passes_that_the_log_does_not_allow(void **state)
{
    struct totals t = {0};

    (void)state;
    if (only_seed != 0) {
        one_life(only_seed, &t);
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_life(seed, &t);
    print_message("%d %d\n", (int)t.adoptions, (int)t.formings);
    /* A world in which nothing is ever granted would prove nothing. */
    assert_true(t.grants > SEEDS);
    assert_true(t.opens > SEEDS);
    assert_true(t.fences > (uint64_t)SEEDS / 20);
    assert_true(t.adoptions > (uint64_t)SEEDS / 30);
    assert_true(t.formings > (uint64_t)SEEDS / 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_passes_that_the_log_does_not_allow),
    };

    if (argc > 1)
        only_seed = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
