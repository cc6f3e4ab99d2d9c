#include "fencing/guard/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* CAP_SYS_ADMIN: bpf(2) gives a map by its number to nobody else. CAP_SYS_PTRACE: which
 * directory a process of another user works in, and what it runs. */
static const unsigned kept[] = {CAP_NET_ADMIN, CAP_BPF,        CAP_SYS_ADMIN, CAP_KILL,
                                CAP_SYS_NICE,  CAP_SYS_PTRACE, CAP_IPC_LOCK};

enum { WORD_BITS = 32 };

static bool is_kept(unsigned one)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (kept[i] == one)
            return true;
    return false;
}

bool guard_drop_privileges(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

    /* The kernel may know more of them than this was built with; it says where they end. */
    for (unsigned one = 0; prctl(PR_CAPBSET_READ, one, 0, 0, 0) >= 0; one++)
        if (!is_kept(one) && prctl(PR_CAPBSET_READ, one, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, one, 0, 0, 0) != 0)
            return false;
    if (syscall(SYS_capget, &head, sets) != 0)
        return false;
    for (unsigned word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
        uint32_t mask = 0;

        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            if (kept[i] / WORD_BITS == word)
                mask |= 1u << kept[i] % WORD_BITS;
        sets[word].permitted &= mask;
        sets[word].effective = sets[word].permitted;
        sets[word].inheritable = 0;
    }
    return syscall(SYS_capset, &head, sets) == 0;
}
