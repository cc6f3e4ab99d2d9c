#include "tests/unit/agent/keeper_world.h"

#include <string.h>

#include "tests/unit/agent/cmocka_env.h"

const struct incarnation me = {{1}}, other = {{2}};

struct boot ms(uint64_t n) { return (struct boot){n * NS_PER_MS}; }

void run(struct world *w)
{
    struct keeper_effect e;

    w->count = 0;
    while (keeper_next(&w->k, w->now, &e) || keeper_next_trial(&w->k, w->now, &e)) {
        struct err err = {0};

        assert_true(w->count < LOG_MAX);
        w->seen[w->count++] = e;
        if (e.kind == KEEPER_SYNC) {
            keeper_synced(&w->k, !w->disk_fails, w->now);
            continue;
        }
        if ((e.kind == KEEPER_ARM || e.kind == KEEPER_ADOPT) && w->gate_code != 0)
            (void)err_set(&err, w->gate_code, "as the test wants it");
        keeper_done(&w->k, &e, &err, w->now);
    }
}

const struct keeper_effect *find(const struct world *w, enum keeper_effect_kind kind)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->seen[i].kind == kind)
            return &w->seen[i];
    return NULL;
}

struct keeper_assignment primary(uint64_t epoch)
{
    return (struct keeper_assignment){.group = "orders",
                                      .index = 10 * epoch,
                                      .epoch = epoch,
                                      .role = ROLE_PRIMARY,
                                      .port = 5432,
                                      .rho_ppm = 10000};
}

void assign(struct world *w, struct keeper_assignment a)
{
    uint8_t slot;
    struct err err;

    assert_int_equal(keeper_assign(&w->k, &me, &a, &slot, &err), 0);
    assert_int_equal(slot, 0);
}

void start(struct world *w)
{
    static const struct epoch_table empty;

    *w = (struct world){.now = ms(1000000)};
    keeper_core_init(&w->k, &me, &empty);
    keeper_clock(&w->k, true, 0);
}

struct keeper_ack answer(const struct world *w, uint64_t epoch, bool open)
{
    const struct keeper_renewal *r = &w->k.sent[w->k.seq % KEEPER_SENT_MAX];
    struct keeper_ack ack = {.seq = r->seq, .sent = r->sent, .incarnation = me, .count = 1};

    ack.items[0] = (struct keeper_verdict){.group = "orders",
                                           .epoch = epoch,
                                           .kind = KIND_WRITE,
                                           .granted = true,
                                           .open = open,
                                           .terms = {TTL_MS, 10000}};
    return ack;
}

void serve(struct world *w, enum keeper_server_state state, uint64_t ready_epoch)
{
    keeper_server(&w->k, 0,
                  &(struct keeper_server){.state = state,
                                          .ready_epoch = ready_epoch,
                                          .looked = w->k.slots[0].a.index});
}

void start_open(struct world *w)
{
    struct keeper_ack ack;

    start(w);
    assign(w, primary(3));
    serve(w, KEEPER_SERVER_PRIMARY, 3);
    run(w);
    ack = answer(w, 3, true);
    assert_int_equal(keeper_ack(&w->k, &ack, w->now), 1);
    run(w);
    assert_int_equal(w->k.slots[0].gate.mode, GATE_OPEN);
}
