#include "controller/cli/group_units.h"

#include <string.h>

#include "controller/base/auto.h"

static const struct group_unit_row rows[] = {
    {"lease.ttl", "lease", "ttl_ms", UNIT_DURATION},
    {"lease.renew", "lease", "renew_ms", UNIT_DURATION},
    {"lease.rho", "lease", "rho_ppm", UNIT_SHARE},
    {"fence_deadline.agent", "fence_deadline", "agent_ms", UNIT_DURATION},
    {"fence_deadline.sync_severed", "fence_deadline", "sync_severed_ms", UNIT_DURATION},
    {"fence_deadline.power", "fence_deadline", "power_ms", UNIT_DURATION},
    {"decide.failover_after", "decide", "failover_after_ms", UNIT_DURATION},
    {"decide.hung_after", "decide", "hung_after_ms", UNIT_DURATION},
    {"decide.shrink_after", "decide", "shrink_after_ms", UNIT_DURATION},
    {"decide.promote_deadline", "decide", "promote_deadline_ms", UNIT_DURATION},
    {"decide.stop_deadline", "decide", "stop_deadline_ms", UNIT_DURATION},
    {"decide.cooldown", "decide", "cooldown_ms", UNIT_DURATION},
    {"decide.max_lag", "decide", "max_lag_bytes", UNIT_SIZE},
    {"decide.max_lag_time", "decide", "max_lag_ms", UNIT_DURATION},
    {"decide.probe", "decide", "probe_ms", UNIT_DURATION},
};

const struct group_unit_row *group_unit_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

const struct group_unit_row *group_unit_of(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].object);

        if (strncmp(path, rows[i].object, len) == 0 && path[len] == '.' &&
            strcmp(path + len + 1, rows[i].member) == 0)
            return &rows[i];
    }
    return NULL;
}

void group_unit_format(enum group_unit unit, uint64_t value, char text[UNITS_TEXT_SIZE])
{
    switch (unit) {
    case UNIT_DURATION:
        units_format_duration(value, text);
        return;
    case UNIT_SIZE:
        units_format_size(value, text);
        return;
    case UNIT_SHARE:
        units_format_share((uint32_t)value, text);
        return;
    }
}
