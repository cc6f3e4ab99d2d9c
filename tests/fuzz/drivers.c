#include "tests/fuzz/drivers.h"

static const struct voter voters[DRIVERS] = {{1, "a"}, {2, "b"}, {3, "c"}};

struct driver_config drivers_config(unsigned id)
{
    return (struct driver_config){.id = id,
                                  .cluster = "fuzz",
                                  .incarnation = 1,
                                  .voters = voters,
                                  .n_voters = DRIVERS,
                                  .election_ms = 300,
                                  .heartbeat_ms = 50,
                                  .trailing = 2,
                                  .seed = id};
}

uint64_t drivers_store(struct driver *d, const struct orders *o, uint64_t stored)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct order *one = &o->list[i];

        if (one->kind == ORDER_STORE_VOTE)
            stored = one->store_vote.seq;
        else if (one->kind == ORDER_STORE_ENTRIES)
            stored = one->store_entries.seq;
        else if (one->kind == ORDER_STORE_SNAPSHOT)
            stored = one->store_snapshot.seq;
        else if (one->kind == ORDER_APPLY)
            driver_applied(d, one->apply.index);
        else if (one->kind == ORDER_RESTORE)
            driver_applied(d, one->restore.index);
    }
    return stored;
}
