#include "fencing/agent/privileges.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/capability.h>
#include <unistd.h>

#include "controller/base/auto.h"

/* CAP_SYS_ADMIN: bpf(2) gives a descriptor of a program or a map by its number, which is
 * how a gate is found again that is neither pinned nor anybody's (design section 4), to
 * nobody else. CAP_SYS_PTRACE: which directory a postmaster of another user works in, for
 * the guard. CAP_KILL: what a worker has left behind may run as the server's user. The last
 * two: real-time priority and memory that stays, where the unit's limits do not allow them.
 */
static const cap_value_t of_agent[] = {CAP_NET_ADMIN,  CAP_BPF,  CAP_SYS_ADMIN,
                                       CAP_SYS_PTRACE, CAP_KILL, CAP_SYS_NICE,
                                       CAP_IPC_LOCK};

/* To become the server's user, to give him directories and files, to see and end his
 * processes. No packet, no program of the kernel's, no mount is among it. */
static const cap_value_t of_worker[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
                                        CAP_FSETID, CAP_SETGID,       CAP_SETUID,
                                        CAP_KILL,   CAP_SYS_PTRACE};

static void free_caps(cap_t *caps)
{
    if (*caps != NULL)
        (void)cap_free(*caps);
}

static bool is_in(const cap_value_t *list, int n, cap_value_t one)
{
    for (int i = 0; i < n; i++)
        if (list[i] == one)
            return true;
    return false;
}

/* Of those that it has: a container may have been given fewer. */
static int keep(const cap_value_t *list, int n, struct err *err)
{
    AUTO(free_caps) cap_t had = cap_get_proc();
    AUTO(free_caps) cap_t kept = cap_init();

    if (had == NULL || kept == NULL)
        return err_set(err, ERR_NOMEM, "capabilities");
    for (int i = 0; i < n; i++) {
        cap_flag_value_t has = CAP_CLEAR;

        if (cap_get_flag(had, list[i], CAP_PERMITTED, &has) != 0 || has == CAP_CLEAR)
            continue;
        if (cap_set_flag(kept, CAP_PERMITTED, 1, &list[i], CAP_SET) != 0 ||
            cap_set_flag(kept, CAP_EFFECTIVE, 1, &list[i], CAP_SET) != 0)
            return err_set(err, ERR_REFUSED, "capabilities: %s", strerror(errno));
    }
    if (cap_set_proc(kept) != 0)
        return err_set(err, ERR_REFUSED, "capabilities cannot be dropped: %s",
                       strerror(errno));
    return 0;
}

static int bound(const cap_value_t *list, int n, struct err *err)
{
    for (cap_value_t one = 0; one < cap_max_bits(); one++) {
        if (is_in(list, n, one) || cap_get_bound(one) != 1)
            continue;
        if (cap_drop_bound(one) != 0)
            return err_set(err, ERR_REFUSED,
                           "capability %d cannot be taken out of the bounding set: %s",
                           (int)one, strerror(errno));
    }
    return 0;
}

int privileges_of_agent(struct err *err)
{
    return geteuid() != 0 ? 0 : keep(of_agent, ARRAY_LEN(of_agent), err);
}

int privileges_of_worker(struct err *err)
{
    if (geteuid() != 0)
        return 0;
    if (bound(of_worker, ARRAY_LEN(of_worker), err) != 0) /* takes CAP_SETPCAP: first */
        return err->code;
    return keep(of_worker, ARRAY_LEN(of_worker), err);
}
