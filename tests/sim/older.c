#include "tests/sim/older.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "proto/entry_codec.h"
#include "proto/frame.h"
#include "tests/sim/replace.h"

enum { NEWEST = ENTRY_FORMAT_MAX + 1 };

enum older older[NODES_MAX];
uint64_t newer_until[NODES_MAX];

void older_start(void) { memset(older, 0, sizeof older); }

/* ---- what 0.0.9 had not learnt yet ------------------------------------------------------
 *
 * As that release's frames were, field by field: reports that nobody could date, nor who
 * passed them on; no word of an agent that can begin nothing, or is not let in, nor of a
 * primary that no step has verified; no timeline of a position. Zero is "not said" in
 * proto3, and is not written. */

static void older_report(Rf__AgentReport *m)
{
    m->answered_seq = m->answered_age_ms = 0;
    m->guard = RF__GUARD_STATE__GUARD_UNSAID;
    for (size_t i = 0; i < m->n_instances; i++) {
        Rf__InstanceReport *r = m->instances[i];

        r->unfit = r->unled = false;
        if (r->seen == NULL)
            continue;
        r->seen->looked_ns = 0;
        if (r->seen->denied[0] != 0) /* the empty string is nobody's to write to */
            r->seen->denied[0] = 0;
        if (r->seen->weak_commit[0] != 0)
            r->seen->weak_commit[0] = 0;
    }
}

static void older_view(Rf__PeerView *m)
{
    m->ping_seq = m->ping_sent_ns = m->ping_age_ms = 0;
    for (size_t i = 0; i < m->n_positions; i++)
        m->positions[i]->timeline = 0;
}

static void older_hello(uint32_t *format_min, uint32_t *format_max, enum older how)
{
    if (how == OLDER_FORMAT)
        return; /* it says so itself */
    *format_min = ENTRY_FORMAT_MIN - 1;
    *format_max = how == OLDER_ALONE ? ENTRY_FORMAT_MIN - 1 : NEWEST;
}

/* False: that release wrote it as we do; one that differs in the log alone writes all. */
static bool make_older(Rf__Frame *f, enum older how)
{
    if (how == OLDER_FORMAT && f->body_case != RF__FRAME__BODY_AGENT_HELLO &&
        f->body_case != RF__FRAME__BODY_CONTROLLER_HELLO)
        return false;
    switch ((int)f->body_case) {
    case RF__FRAME__BODY_AGENT_HELLO:
        older_hello(&f->agent_hello->format_min, &f->agent_hello->format_max, how);
        return true;
    case RF__FRAME__BODY_CONTROLLER_HELLO:
        older_hello(&f->controller_hello->format_min, &f->controller_hello->format_max,
                    how);
        return true;
    case RF__FRAME__BODY_AGENT_REPORT:
        older_report(f->agent_report);
        return true;
    case RF__FRAME__BODY_PEER_VIEW:
        older_view(f->peer_view);
        return true;
    case RF__FRAME__BODY_FORWARD_UP:
        f->forward_up->age_ms = f->forward_up->ping_seq = 0;
        f->forward_up->ping_sent_ns = f->forward_up->ping_age_ms = 0;
        return true;
    case RF__FRAME__BODY_FENCE_PROOF:
        f->fence_proof->server_stopped = false;
        return true;
    default:
        return false;
    }
}

/* The name of the version is as long as ours, so that it fits where that was. */
static void name_older(Rf__Frame *f)
{
    static const char name[] = "0.0.9";
    char *at = f->body_case == RF__FRAME__BODY_AGENT_HELLO ? f->agent_hello->version
               : f->body_case == RF__FRAME__BODY_CONTROLLER_HELLO
                   ? f->controller_hello->version
                   : NULL;

    if (at != NULL && strlen(at) >= sizeof name - 1)
        memcpy(at, name, sizeof name);
}

bool older_codec(uint8_t node, const uint8_t *data, size_t len, struct older_bytes *ret)
{
    AUTO(frame_free) Rf__Frame *f = NULL;
    struct buf out = {0};

    if (older[node] == OLDER_NOT || frame_decode(data, len, &f, NULL) != 0 ||
        !make_older(f, older[node]))
        return false;
    name_older(f);
    if (frame_encode(f, &out, NULL) != 0) {
        buf_free(&out);
        return false;
    }
    *ret = (struct older_bytes){out.data, out.len};
    return true;
}

/* Field 500 of a frame, a text. */
static const uint8_t newer_field[] = {0xa2, 0x1f, 5, 'n', 'e', 'w', 'e', 'r'};

bool newer_codec(uint8_t node, const uint8_t *data, size_t len, struct older_bytes *ret)
{
    if (sim.now >= newer_until[node] || !sim_chance(125))
        return false;
    ret->len = len + sizeof newer_field;
    ret->data = malloc(ret->len);
    ASSERT(ret->data != NULL);
    memcpy(ret->data, data, len);
    memcpy(ret->data + len, newer_field, sizeof newer_field);
    return true;
}

bool is_newer(const uint8_t *data, size_t len)
{
    return len > sizeof newer_field &&
           memcmp(data + len - sizeof newer_field, newer_field, sizeof newer_field) == 0;
}

/* ---- what they know of the log ----------------------------------------------------------
 */

struct format_range __wrap_entry_formats(void);
int __real_entry_encode_as(const struct entry *e, uint32_t format, struct buf *out,
                           struct err *err);
int __wrap_entry_encode_as(const struct entry *e, uint32_t format, struct buf *out,
                           struct err *err);

struct format_range __wrap_entry_formats(void)
{
    const struct proc *p = sim_self();
    bool old = p != NULL && older[p->node] == OLDER_FORMAT;

    return (struct format_range){ENTRY_FORMAT_MIN, old ? ENTRY_FORMAT_MAX : NEWEST};
}

/* Whoever was the last one is upgraded, and on record. (While one is replaced, a voter that
 * is on record no more may know the first alone.) */
static bool all_know(const struct state *s)
{
    for (unsigned i = 0; i < s->controller_count; i++)
        if (s->controllers[i].format_max < NEWEST)
            return false;
    for (unsigned i = 0; i < s->agent_count; i++)
        if (s->agents[i].format_max < NEWEST)
            return false;
    return s->controller_count == CTLS;
}

int __wrap_entry_encode_as(const struct entry *e, uint32_t format, struct buf *out,
                           struct err *err)
{
    const struct daemon *d = sim_self() != NULL ? ctl_daemon(sim_self()->node) : NULL;

    if (d != NULL && d->node != NULL && format != NEWEST && !replace_goes_on() &&
        all_know(node_state(d->node)))
        sim_fail("I10: all on record know format %d of entries, and %u is written", NEWEST,
                 format);
    return __real_entry_encode_as(e, format, out, err);
}
