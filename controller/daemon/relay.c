#include "controller/daemon/relay.h"

/* Beyond this a duration is nonsense, and a position so old is of no use. */
enum { LONGEST_MS = 1000 * 1000 * 1000 };

/* Both durations were counted on the other clock: at most 5 % wrong, as ours
 * (LEASE_RHO_MAX_PPM), so (1 + rho) / (1 - rho) < 9/8. What makes it younger is shortened
 * by that, what makes it older is lengthened; each by its rounding as well. */
struct mono relay_taken(struct mono asked, uint64_t held_ms, uint64_t age_ms)
{
    uint64_t age = age_ms < LONGEST_MS ? age_ms + age_ms / 8 + 1 : 2ull * LONGEST_MS;
    uint64_t held = held_ms < LONGEST_MS ? held_ms : 0;
    uint64_t from;

    held -= held / 8 + (held % 8 != 0);
    from = asked.ns + held * NS_PER_MS;
    return age < from / NS_PER_MS ? (struct mono){from - age * NS_PER_MS}
                                  : (struct mono){1};
}

void relay_answer(struct relay_answered of[RELAY_ANSWERS], uint64_t seq, struct mono now)
{
    struct relay_answered *a = &of[seq % RELAY_ANSWERS];

    if (a->seq != seq)
        *a = (struct relay_answered){seq, now};
}

bool relay_answered_at(const struct relay_answered of[RELAY_ANSWERS], uint64_t seq,
                       struct mono *ret_at)
{
    const struct relay_answered *a = &of[seq % RELAY_ANSWERS];

    if (seq == 0 || a->seq != seq)
        return false;
    *ret_at = a->at;
    return true;
}
