#include "fencing/gate/gate_rules.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "fencing/gate/gate_abi.h"

uint64_t gate_word(enum gate_mode mode, struct boot deadline)
{
    const uint64_t rounded = deadline.ns & ~GATE_WORD_MODE;

    if (mode == GATE_CLOSED || rounded == 0)
        return 0;
    return rounded | (mode == GATE_OPEN ? GATE_WORD_OPEN : GATE_WORD_REPLICATION);
}

enum gate_mode gate_word_mode(uint64_t word)
{
    if ((word & GATE_WORD_MODE) == GATE_WORD_OPEN)
        return GATE_OPEN;
    return (word & GATE_WORD_MODE) == GATE_WORD_REPLICATION ? GATE_REPLICATION
                                                            : GATE_CLOSED;
}

struct boot gate_word_deadline(uint64_t word)
{
    return (struct boot){word & ~GATE_WORD_MODE};
}

int gate_rules_lease(const struct gate_lease *lease, struct boot now, struct err *err)
{
    if (lease->epoch == 0)
        return err_set(err, ERR_INVAL, "a lease without an epoch");
    if (lease->mode != GATE_OPEN && lease->mode != GATE_REPLICATION)
        return err_set(err, ERR_INVAL, "a lease of mode %d", (int)lease->mode);
    if (lease->mode == GATE_OPEN && lease->deadline.ns >= GATE_FOREVER.ns)
        return err_set(err, ERR_INVAL, "a gate is never open without a deadline");
    if (lease->deadline.ns <= now.ns)
        return err_set(err, ERR_TIMEOUT, "the lease ended %" PRIu64 " us ago",
                       (now.ns - lease->deadline.ns) / 1000);
    return 0;
}

int gate_rules_arm(const struct gate_state *state, const struct gate_lease *lease,
                   enum gate_arm_how how, struct boot now, struct err *err)
{
    if (lease->epoch < state->epoch)
        return err_set(err, ERR_STALE,
                       "epoch %" PRIu64 " is older than the gate's %" PRIu64, lease->epoch,
                       state->epoch);
    if (lease->epoch == state->epoch && state->fenced)
        return err_set(err, ERR_STALE, "epoch %" PRIu64 " is fenced", lease->epoch);
    if (how == GATE_RENEW && (lease->epoch != state->epoch || state->mode == GATE_CLOSED ||
                              state->deadline.ns <= now.ns))
        return err_set(err, ERR_CLOSED, "closed meanwhile; only a fresh lease opens it");
    return gate_rules_lease(lease, now, err);
}

bool gate_rules_agent_name(const char *name)
{
    if (name == NULL || !isalpha((unsigned char)name[0]))
        return false;
    if (strlen(name) >= GATE_AGENT_MAX)
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL)
            return false;
    return true;
}
