/* controller/daemon/relay.h -- dating by our own clock what another host saw.
 *
 * No clock is compared with another host's (I4). The other side says how old something was
 * when it spoke, but how long its frame then was on its way nobody can say. So it also says
 * for how long it had our last ping by then: whatever it says was said after that ping was
 * sent, and when that was we know by our own clock. An agent pings us, and says for how
 * long it had our last answer; what another controller passes on for it is dated there, and
 * then here.
 *
 * Pure:    no clock.
 */
#ifndef RF_DAEMON_RELAY_H
#define RF_DAEMON_RELAY_H

#include <stdbool.h>

#include "controller/base/time.h"

/* At the earliest, when something was seen that was `age_ms` old when the other side spoke,
 * `held_ms` after it got our ping of `asked`. Never later than the truth, and never 0. */
struct mono relay_taken(struct mono asked, uint64_t held_ms, uint64_t age_ms);

/* Our last answers to the pings of one stream, by their number. */
enum { RELAY_ANSWERS = 16 };
struct relay_answered {
    uint64_t seq; /* 0: none */
    struct mono at;
};

/* `now` was read before the answer is sent. A ping that comes twice is dated by its first
 * answer: what is said to be as old as an answer may be as old as that one. */
void relay_answer(struct relay_answered of[RELAY_ANSWERS], uint64_t seq, struct mono now);
/* False: there was none of that number, or it was too long ago. */
bool relay_answered_at(const struct relay_answered of[RELAY_ANSWERS], uint64_t seq,
                       struct mono *ret_at);

#endif
