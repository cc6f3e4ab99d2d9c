/* Whom a fault strikes, and until when: for the coverage of rules by kinds of fault. */
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"

/* What failed meanwhile is tried again so much later, and rows fire then. */
enum { TAIL_MS = 8000 };

static bool lives_on(uint8_t group, uint8_t host)
{
    return pgs[group].hosts[0] == host || pgs[group].hosts[1] == host;
}

/* Controllers serve every group. */
static bool node_serves(uint8_t group, uint8_t node)
{
    return node < CTLS || lives_on(group, (uint8_t)(node - CTLS));
}

/* A link between controllers is every group's, any other one that of the hosts it has. */
static bool link_serves(uint8_t group, const struct fault *f)
{
    return node_serves(group, f->a % sim.nodes) && node_serves(group, f->b % sim.nodes);
}

static bool is_over_at_once(enum fault_kind kind)
{
    switch ((int)kind) {
    case FAULT_LEADER_MOVED:
    case FAULT_WALL_JUMP:
    case FAULT_CRASH:
    case FAULT_ROGUE:
    case FAULT_PROVIDER:
    case FAULT_SWITCHOVER:
    case FAULT_FAILOVER:
    case FAULT_ABORT:
    case FAULT_POLICY:
    case FAULT_DAMAGED:
    case FAULT_HAND_START:
        return true;
    default:
        return false;
    }
}

static bool strikes(const struct fault *f, uint8_t group)
{
    uint8_t host = pgs[f->group].hosts[f->a % 2];

    switch ((int)f->kind) {
    case FAULT_LINK_CUT:
    case FAULT_LINK_ONE_WAY:
    case FAULT_LINK_SLOW:
        return link_serves(group, f);
    case FAULT_REGION_CUT:
    case FAULT_REGION_ONE_WAY:
    case FAULT_REGION_LOST:
    case FAULT_CTL_KILLED:
    case FAULT_CTL_STOPPED:
    case FAULT_CTL_IN_HAND:
    case FAULT_QUORUM_LOST:
    case FAULT_LEADER_MOVED:
    case FAULT_CTL_REPLACED:
    case FAULT_FORMAT:
    case FAULT_NEWER:
    case FAULT_FORGED_ENTRIES:
    case FAULT_CTL_ALONE:
    case FAULT_CTL_AWAY:
    case FAULT_REGION_AWAY:
        return true;
    case FAULT_UPGRADE:
    case FAULT_DISK_SLOW:
    case FAULT_DISK_STALLED:
    case FAULT_DISK_FAILING:
    case FAULT_DISK_FULL:
        return f->b % 2 == 0 || lives_on(group, host);
    case FAULT_ECHO:
        return f->b % 3 != 0 || lives_on(group, host);
    case FAULT_WALL_JUMP:
        return node_serves(group, f->a % sim.nodes);
    case FAULT_CRASH:
    case FAULT_HUNG:
    case FAULT_ROGUE:
    case FAULT_SWITCHOVER:
    case FAULT_FAILOVER:
    case FAULT_ABORT:
    case FAULT_PAUSE:
    case FAULT_DETACH:
    case FAULT_POLICY:
    case FAULT_DAMAGED:
        return f->group == group;
    default: /* of a host, or a play around one */
        return lives_on(group, host);
    }
}

uint64_t faults_of_late(uint8_t group)
{
    uint64_t tail = (plan.longest_ttl_ms + (uint64_t)TAIL_MS) * NS_PER_MS, set = 0;

    for (unsigned i = 0; i < plan.count; i++) {
        const struct fault *f = &plan.of[i];
        uint64_t lasts = is_over_at_once(f->kind) ? 0 : f->lasts;
        uint64_t end = f->began + lasts < sim.heal_at ? f->began + lasts : sim.heal_at;

        if (f->began != 0 && sim.now < end + tail && strikes(f, group))
            set |= UINT64_C(1) << f->kind;
    }
    return set;
}
