/* Leases of the nftables driver: written where nobody looks, then turned to.
 *
 * The kernel counts a timeout from when it carries the transaction out, which may be long
 * after we read the clock: frozen in between, the lease would last longer by that. So each
 * lease is written into the sets of the turn that is not in force; the clock is read again;
 * and only if that was in time a second transaction, with no time in it, turns the port to
 * it. Wherever we are held up, or for good, no packet passes after the deadline: before the
 * turn the last lease counts down, after it the new one has been counting already.
 */
#include <inttypes.h>

#include "controller/base/clock.h"
#include "fencing/gate/gate_nft.h"

enum {
    MARGIN_MS = 20, /* off the end of a lease: the call itself, and the kernel's tick */
    TICK_MS = 8,    /* of it, for the latter; a call that took what is left was in time */
    ATTEMPTS = 3,   /* with four times the margin each: a busy host gets shorter leases */
};

unsigned nft_other_turn(const struct gate_port *p) { return (p->turn + 1) % NFT_TURNS; }

static bool is_forever(struct boot deadline) { return deadline.ns >= GATE_FOREVER.ns; }

void nft_say_each(struct nft_gate *n, const char *verb, const char *set,
                  const struct gate_port *p)
{
    for (size_t i = 0; gate_port_at(p, i) != 0; i++)
        nft_say(&n->text, "%s element inet %s %s { %u }\n", verb, n->table, set,
                gate_port_at(p, i));
}

/* `add` before `delete`: it is there in any case then. */
void nft_say_gone(struct nft_gate *n, const char *set, const struct gate_port *p)
{
    nft_say_each(n, "add", set, p);
    nft_say_each(n, "delete", set, p);
}

static void say_gone_of_turn(struct nft_gate *n, unsigned turn, const struct gate_port *p)
{
    nft_say_gone(n, turn == 0 ? "open_0" : "open_1", p);
    nft_say_gone(n, turn == 0 ? "repl_0" : "repl_1", p);
}

void nft_say_closed(struct nft_gate *n, const struct gate_port *p)
{
    for (unsigned turn = 0; turn < NFT_TURNS; turn++) {
        nft_say_gone(n, turn == 0 ? "now_0" : "now_1", p);
        say_gone_of_turn(n, turn, p);
    }
    nft_say_gone(n, "standby", p);
    nft_say(&n->text, "flush chain inet %s wall_%u\n", n->table, p->port);
}

int nft_close(struct gate *gate, struct gate_port *p, struct err *err)
{
    int r;

    gate->nft->text.len = 0;
    nft_say_closed(gate->nft, p);
    r = nft_gate_commit(gate->nft, err);
    if (r == 0) {
        p->nft.mode = GATE_CLOSED;
        p->nft.deadline = (struct boot){0};
    }
    return r;
}

int nft_commit_lease(struct nft_gate *n, struct err *err)
{
    uint32_t before = 0, after = 0;
    const bool known =
        n->known && nft_run_generation(&before, NULL) == 0 && before == n->generation;
    const int r = nft_gate_commit(n, err);

    if (r == 0 && known && nft_run_generation(&after, NULL) == 0 && after == before + 1) {
        n->generation = after;
        n->known = true;
    }
    return r;
}

/* --- a lease that is not in force yet ---------------------------------------------------
 */

const char *nft_lease_set(enum gate_mode mode, unsigned turn)
{
    if (mode == GATE_OPEN)
        return turn == 0 ? "open_0" : "open_1";
    return turn == 0 ? "repl_0" : "repl_1";
}

/* A lease that is to be written, `margin_ms` shorter than it is. */
struct wanted {
    enum gate_mode mode;
    struct boot deadline;
    uint64_t margin_ms;
};

static int say_lease(struct nft_gate *n, const struct gate_port *p, const struct wanted *w,
                     struct boot now, struct err *err)
{
    const uint64_t left =
        w->deadline.ns > now.ns ? (w->deadline.ns - now.ns) / NS_PER_MS : 0;
    const char *set = nft_lease_set(w->mode, nft_other_turn(p));

    say_gone_of_turn(n, nft_other_turn(p), p);
    if (is_forever(w->deadline)) {
        nft_say_each(n, "add", set, p);
        return 0;
    }
    if (left <= w->margin_ms)
        return err_set(err, ERR_TIMEOUT, "%" PRIu64 " ms are left of the lease", left);
    for (size_t i = 0; gate_port_at(p, i) != 0; i++)
        nft_say(&n->text, "add element inet %s %s { %u timeout %" PRIu64 "ms }\n", n->table,
                set, gate_port_at(p, i), left - w->margin_ms);
    return 0;
}

static int prepare_once(struct gate *gate, const struct gate_port *p,
                        const struct wanted *w, bool *ret_late, struct err *err)
{
    const struct boot before = boot_now();
    int r;

    gate->nft->text.len = 0;
    r = say_lease(gate->nft, p, w, before, err);
    if (r == 0)
        r = nft_commit_lease(gate->nft, err);
    *ret_late = !is_forever(w->deadline) &&
                boot_now().ns - before.ns > (w->margin_ms - TICK_MS) * NS_PER_MS;
    return r;
}

int nft_prepare(struct gate *gate, const struct gate_port *p, enum gate_mode mode,
                struct boot deadline, struct err *err)
{
    struct wanted w = {mode, deadline, MARGIN_MS};
    bool late = true;
    int r = 0;

    for (int i = 0; i < ATTEMPTS && r == 0 && late; i++, w.margin_ms *= 4)
        r = prepare_once(gate, p, &w, &late, err);
    if (r == 0 && late)
        return err_set(err, ERR_TIMEOUT, "nftables takes longer than %" PRIu64 " ms",
                       w.margin_ms / 4 - TICK_MS);
    return r;
}

/* --- turning to it ----------------------------------------------------------------------
 */

/* By wall clock, to the second: timeouts stand still while the host is suspended. */
static void say_wall(struct nft_gate *n, uint16_t port, struct boot deadline)
{
    const struct boot now = boot_now();
    const uint64_t left = deadline.ns > now.ns ? (deadline.ns - now.ns) / NS_PER_MS : 0;

    nft_say(&n->text, "flush chain inet %s wall_%u\n", n->table, port);
    if (!is_forever(deadline))
        nft_say(&n->text, "add rule inet %s wall_%u meta time >= %" PRIu64 " drop\n",
                n->table, port, (wall_now_ms() + left) / 1000 + 1);
}

void nft_say_turn(struct nft_gate *n, const struct gate_port *p, struct boot deadline)
{
    say_wall(n, p->port, deadline);
    nft_say_gone(n, p->turn == 0 ? "now_0" : "now_1", p);
    nft_say_each(n, "add", nft_other_turn(p) == 0 ? "now_0" : "now_1", p);
    nft_say_gone(n, "standby", p);
    if (is_forever(deadline))
        nft_say_each(n, "add", "standby", p);
}

/* To renew, the lease in force must still be there: where it has expired `delete` fails,
 * and with it the transaction, and what is closed stays closed. With an `add` in front of
 * it, it would be opened again silently. */
static int turn_to(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
                   enum gate_arm_how how, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r;

    n->text.len = 0;
    if (how == GATE_RENEW)
        nft_say_each(n, "delete", nft_lease_set(p->nft.mode, p->turn), p);
    else
        say_gone_of_turn(n, p->turn, p);
    nft_say_turn(n, p, lease->deadline);
    r = nft_commit_lease(n, err);
    if (r == ERR_NOTFOUND && how == GATE_RENEW)
        return err_set(err, ERR_CLOSED, "expired meanwhile; only a fresh lease opens it");
    if (r != 0)
        return r;
    p->turn = nft_other_turn(p);
    p->nft.mode = lease->mode;
    p->nft.deadline = lease->deadline;
    return 0;
}

int nft_arm(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
            enum gate_arm_how how, struct err *err)
{
    int r = nft_prepare(gate, p, lease->mode, lease->deadline, err);

    if (r == 0)
        r = turn_to(gate, p, lease, how, err);
    if (r == ERR_NOTFOUND)
        r = err_set(err, ERR_UNPROVEN, "table inet %s, or a set of it, was taken away",
                    gate->nft->table);
    if (r != 0 && r != ERR_CLOSED && nft_close(gate, p, NULL) != 0)
        return err_wrap(err, "could not be closed either");
    return r;
}
