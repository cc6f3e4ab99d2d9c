/* What agents say to a leader, and what then is decided and told: any frames, from the
 * agents of a group in mid-life. Nothing here may trip an assertion, and whatever is
 * proposed on the strength of it passes apply()'s dry run by construction (I2, I10). */
#include <string.h>

#include "controller/core/decide.h"
#include "controller/daemon/messages.h"
#include "controller/daemon/reports.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scene.h"

static struct state s;
static struct observations seen;
static struct actions actions;
static struct explanation why;

static void hear(const char *agent, const Rf__Frame *f, struct mono now)
{
    static struct entry e;
    struct apply_result r;
    struct err err = {0};

    switch ((int)f->body_case) {
    case RF__FRAME__BODY_AGENT_HELLO:
        memset(&e, 0, sizeof e);
        e.kind = ENTRY_ENROL;
        if (reports_read_hello(f->agent_hello, &e.enrol, &err) == 0)
            apply_dry(&s, &e, &actions.scratch, &r);
        break;
    case RF__FRAME__BODY_AGENT_REPORT:
        (void)reports_take(&s, &seen, agent, f->agent_report, now);
        break;
    case RF__FRAME__BODY_STEP_REPORT:
        (void)reports_take_outcome(&s, &seen, agent, f->step_report);
        break;
    case RF__FRAME__BODY_FENCE_PROOF:
        (void)reports_take_proof(&s, &seen, agent, f->fence_proof);
        break;
    default:
        break;
    }
}

static void decide_and_tell(struct mono now)
{
    decide(&s, &seen, now, &actions);
    for (uint8_t g = 0; g < s.group_count; g++) {
        explain(&s, &seen, g, now, &why);
        CLAIM(why.verdict[0] != '\0', "no verdict on group %u", g);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, data + size};
    struct mono now = {1000ull * NS_PER_MS};

    scene_make(&s);
    observations_init(&seen, 3);
    observe_leading(&seen, true, now);
    observe_restored(&seen, &s, now);
    for (unsigned i = 0; i < s.agent_count; i++)
        seen.agents[i].connected = true;
    while (bytes_left(&b)) {
        const char *agent = scene_agents[bytes_pick(&b, SCENE_AGENTS)];
        AUTO(frame_free) Rf__Frame *f = NULL;
        const uint8_t *part;
        size_t len = bytes_part(&b, &part);
        struct err err = {0};

        if (frame_decode(part, len, &f, &err) == 0 &&
            frame_allowed(f, FRAME_AGENT_TO_CONTROLLER))
            hear(agent, f, now);
        now.ns += 100 * NS_PER_MS;
    }
    decide_and_tell(now);
    return 0;
}
