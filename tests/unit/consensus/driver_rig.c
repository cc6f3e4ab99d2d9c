#include "tests/unit/consensus/driver_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a dying child says on stderr is not news. */
int outcome_of(history *h, unsigned without_filter, const void *arg)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        _exit(h(without_filter, arg) ? WELL : WRONG);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : DIED;
}

static const struct voter voters[] = {{1, "a"}, {2, "b"}, {3, "c"}};

struct driver_config rig_config(uint64_t id, unsigned without_filter)
{
    return (struct driver_config){.id = id,
                                  .cluster = "rig",
                                  .incarnation = 1,
                                  .voters = voters,
                                  .n_voters = 3,
                                  .election_ms = 300,
                                  .heartbeat_ms = 50,
                                  .trailing = 10,
                                  .seed = 1,
                                  .without_filter = without_filter};
}

void rig_open(struct rig *r, const struct driver_config *c, uint64_t term,
              const uint64_t *terms, size_t n)
{
    static const uint8_t nothing[8];
    struct consensus_entry entries[8] = {{.term = 1, .kind = ENTRY_VOTERS}};
    struct driver_state state = {
        .term = term, .first_index = 1, .entries = entries, .n_entries = n + 1};
    struct buf voters_entry = {0};

    *r = (struct rig){.now = 1000};
    if (driver_bootstrap_entry(c, &voters_entry, &r->err) != 0)
        abort();
    entries[0].data = voters_entry.data;
    entries[0].len = voters_entry.len;
    for (size_t i = 0; i < n; i++)
        entries[i + 1] = (struct consensus_entry){terms[i], ENTRY_BARRIER, nothing, 8};
    if (driver_new(&r->d, c, &r->err) != 0 ||
        driver_start(r->d, r->now, &state, &r->o, &r->err) != 0)
        abort();
    buf_free(&voters_entry);
}

void rig_close(struct rig *r)
{
    driver_free(r->d);
    orders_free(&r->o);
}

void rig_receive(struct rig *r, struct consensus_msg m)
{
    m.cluster = driver_cluster_digest(r->d);
    if (driver_receive(r->d, r->now, &m, &r->o, &r->err) != 0)
        abort();
}

const struct order *rig_find(const struct rig *r, enum order_kind kind)
{
    for (size_t i = 0; i < r->o.n; i++)
        if (r->o.list[i].kind == kind)
            return &r->o.list[i];
    return NULL;
}

void rig_persisted(struct rig *r, uint64_t seq)
{
    if (driver_persisted(r->d, r->now, seq, &r->o, &r->err) != 0)
        abort();
}

uint64_t rig_append(struct rig *r, uint64_t from, uint64_t term,
                    struct cmsg_append_entries a)
{
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES, .from = from, .to = 1};
    const struct order *o;

    m.term = term;
    m.append_entries = a;
    rig_receive(r, m);
    o = rig_find(r, ORDER_STORE_ENTRIES);
    return o != NULL ? o->store_entries.seq : 0;
}
