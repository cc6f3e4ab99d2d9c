/* fencing/methods/power.h -- a host's power, taken by a fence agent of ClusterLabs
 * (design.md section 4, level 4).
 *
 * Any of them: Debian's package `fence-agents` has some 90, for BMCs, hypervisors, clouds
 * and sockets with a switch. A host without power acknowledges nothing, whatever its agent,
 * its gate and its clock do; so a power-off that was seen is a proof, and one that was only
 * ordered is none. What counts is what `status` says afterwards.
 *
 *  - `off` is ordered, then `status` asked until it says off, all within one deadline (and
 *    TOOL_GRACE_MS, where a killed agent hangs in the kernel). How `off` ended is told to
 *    people, and proves nothing. While `status` says on, `off` is ordered again.
 *  - `status` says off by exit status 2 and the word OFF. A shell that meets an error, and
 *    a Python that does not find its script, end with 2 as well: an agent that says no
 *    word must besides do its `monitor`.
 *  - Parameters and secrets go to the agent on its standard input. Secrets are read from
 *    their files each time, and are in no argument, environment, log line or error.
 *  - An agent is killed with its process group at the deadline and at a cancel (tool.h).
 *
 * Units:   milliseconds.
 * Owner:   plain values are the caller's, and copied; a run is the loop's, from its start
 *          to its callback or to power_run_cancel().
 * Threads: the loop's; nothing blocks. Only power_devices_check() does, on a loop of its
 *          own.
 * Errors:  texts begin with "fencer NAME".
 */
#ifndef RF_METHODS_POWER_H
#define RF_METHODS_POWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/err.h"

struct uv_loop_s;
struct findings;
struct metadata;
struct power_run;

enum {
    POWER_NAME_SIZE = 24,
    POWER_AGENT_SIZE = 160,
    POWER_KEY_SIZE = 48,
    POWER_VALUE_SIZE = 256,
    POWER_OPTION_MAX = 24,
    POWER_SECRET_MAX = 4,
    POWER_DEADLINE_MIN_MS = 1000,
    POWER_DEADLINE_MAX_MS = 600000,
    POWER_DEADLINE_DEFAULT_MS = 40000,
};

struct power_pair {
    char key[POWER_KEY_SIZE];
    char value[POWER_VALUE_SIZE]; /* of a secret: the path of its file */
};

struct power_device {
    char name[POWER_NAME_SIZE];
    char agent[POWER_AGENT_SIZE]; /* "fence_ipmilan", or an absolute path */
    uint32_t deadline_ms;         /* for a whole power-off, or one status */
    uint8_t option_count, secret_count;
    struct power_pair options[POWER_OPTION_MAX];
    struct power_pair secrets[POWER_SECRET_MAX];
};

/* ---- before the disaster --------------------------------------------------------------
 */

/* What can be wrong with a device in itself: a name or value with a control character, a
 * key that stands twice, what only we may set (`action`) or what would make the answer
 * worthless (`missing_as_off`) or loud (`verbose`), a deadline out of range. `ret_key`
 * names the part: "options.ip". ERR_INVAL */
enum { POWER_PART_SIZE = POWER_KEY_SIZE + 16 };
MUST_USE int power_device_verify(const struct power_device *d,
                                 char ret_key[POWER_PART_SIZE], struct err *err);

/* Does the agent know what the device's options and secrets say, is everything there that
 * it requires, is no password a plain option, can it switch off and be asked? Pure.
 * Findings are at "PLACE.options.ip" and the like; what has a newer name is a warning. */
void power_device_match(const struct power_device *d, const struct metadata *m,
                        const char *place, struct findings *f);

/* Each device (at "PLACE[0]", ...) against its agent's own metadata, each agent asked once,
 * all of them at the same time, and a look at the files of the secrets. Blocks for a second
 * or two, POWER_METADATA_MS at most. `starting`: what may come right while the controller
 * runs (an agent that does not answer, a file that is not there) is a warning. */
enum { POWER_METADATA_MS = 10000 };
void power_devices_check(const struct power_device *devices, size_t count,
                         const char *place, bool starting, struct findings *f);

/* ---- in the disaster ------------------------------------------------------------------
 */

enum power_state { POWER_UNKNOWN, POWER_ON, POWER_OFF };

/* `why` NULL: `state` is what was seen, POWER_OFF after power_off_start(). Else `state` is
 * POWER_UNKNOWN, or POWER_ON where a power-off had no effect:
 *   ERR_TIMEOUT  not within the deadline
 *   ERR_REFUSED  the agent says no; its last words are quoted
 *   ERR_UNKNOWN  its answer is none that counts
 *   ERR_IO, ERR_NOMEM
 * The run is gone by then. */
typedef void power_done(void *owner, enum power_state state, const struct err *why);

/*   ERR_INVAL     power_device_verify() would say why
 *   ERR_NOTFOUND  the agent or a secret's file is not there
 *   ERR_REFUSED   others may read or change it, or this user may not use it
 *   ERR_NOMEM, ERR_IO */
MUST_USE int power_off_start(struct power_run **ret_run, struct uv_loop_s *loop,
                             const struct power_device *d, power_done *done, void *owner,
                             struct err *err);
/* One `status`: on or off, the device can be reached and would obey. */
MUST_USE int power_status_start(struct power_run **ret_run, struct uv_loop_s *loop,
                                const struct power_device *d, power_done *done, void *owner,
                                struct err *err);
/* The agent is killed; no callback comes after this. What it had ordered may still happen.
 * NULL is fine. */
void power_run_cancel(struct power_run *r);

#endif
