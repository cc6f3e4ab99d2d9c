#include "controller/base/punctual.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "controller/base/log.h"

enum { PRIORITY = 10 }; /* above everything ordinary, below what drives hardware */

void punctual_begin(const char *who, bool threads_too)
{
    struct sched_param param = {.sched_priority = PRIORITY};
    int policy = threads_too ? SCHED_RR : SCHED_RR | SCHED_RESET_ON_FORK;

    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
        log_warn("memory of %s cannot be locked (%s): under pressure it may be late for a "
                 "deadline; its systemd unit allows it (LimitMEMLOCK)",
                 who, strerror(errno));
    if (sched_setscheduler(0, policy, &param) != 0)
        log_warn("no real-time priority for %s (%s): on a busy host it may be late for a "
                 "deadline; its systemd unit allows it (LimitRTPRIO)",
                 who, strerror(errno));
}
