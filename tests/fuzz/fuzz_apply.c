/* Any entries in any order: apply() keeps the invariants whoever proposed what (I1, I2, I4,
 * I8, I12). Bytes choose entries that are mostly right for the state as it is, so that the
 * search gets far; a wrong part stands for a stale leader, a buggy rule, another life. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/core/decide.h"
#include "controller/core/people.h"
#include "proto/entry_codec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scene.h"
#include "tests/shadow/apply_shadow.h"

/* Each entry is chosen by as many bytes, so that a change of one leaves the others alone.
 */
enum { ENTRIES_MAX = 400, ENTRY_BYTES = 16 };

static struct state s, before, scratch;
static struct shadow shadow;
static struct observations seen;
static struct actions actions;

void shadow_broken(const char *claim, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fuzz_claim_broken(claim, "%s", text);
}

struct choice {
    struct bytes *b;
    const struct group *g; /* NULL: not declared */
    uint8_t group;
};

static uint8_t choose_instance(struct choice *c)
{
    uint8_t n = bytes_next(c->b);

    if (c->g == NULL)
        return n % 2;
    if (n < 0x80)
        return c->g->active;
    return (uint8_t)(n % (n < 0xf8 ? c->g->instance_count : INSTANCE_MAX));
}

static struct incarnation choose_life(struct choice *c, uint8_t instance)
{
    const struct agent *a = c->g != NULL && instance < c->g->instance_count
                                ? state_agent(&s, c->g->instances[instance].agent)
                                : NULL;
    uint8_t how = bytes_next(c->b);

    if (a != NULL && how < 0xe0)
        return a->incarnation;
    if (a != NULL && how < 0xf0)
        return c->g->instances[instance].proof.holder;
    return scene_life(how % SCENE_AGENTS, bytes_pick(c->b, 4));
}

static uint64_t epoch_of(const struct choice *c) { return c->g != NULL ? c->g->epoch : 0; }

static void make_enrol(struct choice *c, struct entry *e)
{
    uint8_t n = bytes_pick(c->b, SCENE_AGENTS);
    struct agent *a = &e->enrol.agent;
    const struct agent *known = state_agent(&s, scene_agents[n]);

    e->group[0] = '\0';
    snprintf(a->name, NAME_SIZE, "%s", scene_agents[n]);
    snprintf(a->region, NAME_SIZE, "%s", n % 2 == 0 ? "east" : "west");
    snprintf(a->address, ADDRESS_SIZE, "10.0.%u.2", (unsigned)bytes_near(c->b, n) % 8);
    a->incarnation = scene_life(n, bytes_pick(c->b, 8));
    if (known != NULL && bytes_next(c->b) < 0xf0)
        a->former = known->incarnation;
    e->enrol.epoch_count = bytes_pick(c->b, 3);
    for (unsigned i = 0; i < e->enrol.epoch_count; i++) {
        snprintf(e->enrol.epochs[i].name, NAME_SIZE, "%s", scene_groups[i % 2]);
        e->enrol.epochs[i].epoch = bytes_near(c->b, epoch_of(c));
    }
}

static void make_declare(struct choice *c, struct entry *e)
{
    struct group *spec = &e->declare.spec;
    uint8_t flags = bytes_next(c->b);

    scene_spec(spec, c->group);
    if (c->g != NULL)
        spec->active = c->g->active < 2 ? c->g->active : 0;
    spec->active ^= flags & 1u;
    spec->adopt = flags & 2u;
    spec->policy.ungated_local = flags & 4u;
    spec->policy.standby_reads = flags & 8u;
    if (flags & 16u)
        spec->policy.fence = FENCE_LEASE_EXPIRY;
    spec->policy.sync = (enum sync_mode)bytes_pick(c->b, 4);
    spec->policy.lease.ttl_ms = (uint32_t)(bytes_near(c->b, 1000) % 4000);
    if ((flags & 16u) && (bytes_next(c->b) & 1u)) {
        spec->policy.fence = FENCE_AGENT | FENCE_POWER;
        spec->policy.fence_turn_count = 0;
        snprintf(spec->instances[bytes_pick(c->b, 2)].power, NAME_SIZE, "ipmi");
    } else if (flags & 16u) {
        spec->policy.fence = FENCE_SYNC_SEVERED | FENCE_LEASE_EXPIRY;
        spec->policy.fence_turn_count = 0;
        spec->policy.no_async_writers = true;
    }
    if (flags & 32u) { /* another agent in the place of the second */
        snprintf(spec->instances[1].agent, NAME_SIZE, "%s",
                 scene_agents[bytes_pick(c->b, SCENE_AGENTS)]);
        spec->instances[1].port = (uint16_t)(6000 + bytes_pick(c->b, 3));
    }
    if (flags & 64u && spec->instance_count < INSTANCE_MAX) {
        spec->instances[2] = spec->instances[1];
        snprintf(spec->instances[2].agent, NAME_SIZE, "%s",
                 scene_agents[bytes_pick(c->b, SCENE_AGENTS)]);
        snprintf(spec->regions[2].name, NAME_SIZE, "north");
        spec->instances[2].region = 2;
        spec->instance_count = spec->region_count = 3;
    }
}

static void make_renew(struct choice *c, struct entry *e)
{
    e->group[0] = '\0';
    e->renew.count = (uint8_t)(1 + bytes_pick(c->b, 3));
    for (unsigned i = 0; i < e->renew.count; i++) {
        struct renew_item *item = &e->renew.items[i];

        snprintf(item->group, NAME_SIZE, "%s", scene_groups[c->group]);
        item->instance = choose_instance(c);
        item->kind = bytes_next(c->b) < 0xc0 ? LEASE_WRITE : LEASE_READ;
        item->epoch = bytes_near(c->b, epoch_of(c));
        item->incarnation = choose_life(c, item->instance);
    }
}

static void make_proof(struct choice *c, struct entry *e)
{
    static const enum proof_kind kinds[] = {PROOF_INSTALLED,    PROOF_AGENT,
                                            PROOF_LEASE_EXPIRY, PROOF_POWER,
                                            PROOF_ATTESTED,     PROOF_SYNC_SEVERED};
    struct entry_proof *p = &e->proof;
    uint8_t kind = bytes_next(c->b);

    p->instance = choose_instance(c);
    p->kind = kinds[kind < 0xf0 ? kind % 3 : kind % 6];
    p->epoch = bytes_near(c->b, epoch_of(c));
    p->fence_index = c->g == NULL                 ? 0
                     : p->kind == PROOF_INSTALLED ? c->g->index
                                                  : c->g->fence_index;
    p->fence_index = bytes_near(c->b, p->fence_index);
    p->prover = choose_life(c, p->instance);
    p->stopped = bytes_next(c->b) & 1;
    if (p->kind == PROOF_SYNC_SEVERED && c->g != NULL) {
        uint8_t by = choose_instance(c);

        snprintf(p->severed_by, NAME_SIZE, "%s",
                 by < c->g->instance_count ? c->g->instances[by].agent : "pg-gone");
        p->witness = choose_life(c, by);
    }
}

static void make_fence(struct choice *c, struct entry *e)
{
    uint64_t last = c->g != NULL ? c->g->instances[c->g->active].proof.last_grant : 0;

    e->fence_begin.epoch = bytes_near(c->b, epoch_of(c));
    e->fence_begin.expected_grant = bytes_near(c->b, last);
    e->fence_begin.run = bytes_next(c->b) < 0x60 ? RUN_SWITCHOVER : RUN_FAILOVER;
    e->fence_begin.target = bytes_next(c->b) < 0x80 ? NO_INSTANCE : choose_instance(c);
}

static void make_activate(struct choice *c, struct entry *e)
{
    e->activate.epoch = bytes_near(c->b, c->g != NULL ? group_next_epoch(c->g) : 1);
    e->activate.instance = choose_instance(c);
}

static void make_switchover(struct choice *c, struct entry *e)
{
    e->switchover.epoch = bytes_near(c->b, epoch_of(c));
    e->switchover.target = choose_instance(c);
}

static void make_opened(struct choice *c, struct entry *e)
{
    e->opened.epoch = bytes_near(c->b, epoch_of(c));
    e->opened.instance = choose_instance(c);
    e->opened.system_id = bytes_near(c->b, 77);
}

static void make_sync(struct choice *c, struct entry *e)
{
    const struct instance *active = c->g != NULL ? &c->g->instances[c->g->active] : NULL;

    e->sync.epoch = bytes_near(c->b, epoch_of(c));
    e->sync.instance = choose_instance(c);
    if (active == NULL)
        return;
    if (e->kind == ENTRY_SYNC_JOIN && active->step.subject < c->g->instance_count)
        e->sync.instance = active->step.subject;
    e->sync.generation = bytes_near(c->b, c->g->sync_generation);
    e->sync.step = bytes_near(c->b, active->step.id);
    e->sync.holder = choose_life(c, c->g->active);
}

static void make_step_end(struct choice *c, struct entry *e)
{
    struct entry_step_end *end = &e->step_end;

    end->instance = choose_instance(c);
    end->done = bytes_next(c->b) < 0xd0;
    end->position = bytes_near(c->b, 1000);
    end->system_id = bytes_near(c->b, 77);
    end->loss_known = bytes_next(c->b) & 1;
    if (c->g != NULL && end->instance < c->g->instance_count)
        end->step = bytes_near(c->b, c->g->instances[end->instance].step.id);
}

static void make_step_start(struct choice *c, struct entry *e)
{
    struct entry_step_start *st = &e->step_start;

    st->instance = choose_instance(c);
    st->kind = (enum step_kind)bytes_pick(c->b, 8);
    st->epoch = bytes_near(c->b, epoch_of(c));
    st->subject = st->kind == STEP_JOIN ? bytes_pick(c->b, 3) : NO_INSTANCE;
    st->restart = c->g != NULL && c->g->phase != PHASE_PROMOTING;
    st->counted = bytes_next(c->b) >= 0xe0;
    if (c->g != NULL && !st->counted)
        st->generation = c->g->sync_generation;
}

static void make_corruption(struct choice *c, struct entry *e)
{
    uint8_t k = choose_instance(c);

    e->corruption.failures = bytes_pick(c->b, 3);
    if (c->g != NULL && k < c->g->instance_count)
        memcpy(e->corruption.agent, c->g->instances[k].agent, NAME_SIZE);
    else
        snprintf(e->corruption.agent, NAME_SIZE, "pg-gone");
}

static void make_false_proof(struct choice *c, struct entry *e)
{
    struct entry_false_proof *f = &e->false_proof;
    uint8_t k = choose_instance(c);
    const struct instance *i =
        c->g != NULL && k < c->g->instance_count ? &c->g->instances[k] : NULL;

    snprintf(f->agent, NAME_SIZE, "%s", i != NULL ? i->agent : "pg-gone");
    f->proof = bytes_near(c->b, i != NULL ? i->proof.proven : 1);
    f->kind = i != NULL ? i->proof.kind : PROOF_POWER;
    snprintf(f->text, TEXT_SIZE, "an open gate");
}

static void make_trouble(struct choice *c, struct entry *e)
{
    if (e->kind == ENTRY_CORRUPTION)
        make_corruption(c, e);
    else
        make_false_proof(c, e);
}

static void make_controller(struct choice *c, struct entry *e)
{
    struct entry_controller_replace *r = &e->controller_replace;

    e->group[0] = '\0';
    if (e->kind == ENTRY_CONTROLLER) {
        e->controller = s.controllers[bytes_pick(c->b, 3)];
        return;
    }
    snprintf(r->name, NAME_SIZE, "%s", s.controllers[0].name);
    r->former = s.controllers[0].id;
    r->id = bytes_near(c->b, s.controller_id_max + 1);
}

/* One of three people, so that they meet themselves. All bodies begin with the name. */
static void make_user(struct choice *c, struct entry *e)
{
    static const char *const names[] = {"anna", "ben", "cleo"};

    memset(e->group, 0, sizeof e->group);
    snprintf(e->user.name, NAME_SIZE, "%s", names[bytes_pick(c->b, 3)]);
    e->wall_ms = bytes_pick(c->b, 8) * FACTOR_LOCK_MS;
    if (e->kind == ENTRY_USER_SET)
        e->user_set.roles = bytes_next(c->b) & ROLES_ALL;
    else if (e->kind == ENTRY_USER_TOKEN)
        memset(e->user_token.hash, bytes_next(c->b), TOKEN_HASH_SIZE);
    else if (e->kind == ENTRY_USER_REVOKE)
        e->user_revoke.token = bytes_near(c->b, s.applied);
    else if (e->kind == ENTRY_USER_TOTP)
        memset(e->user_totp.seed, bytes_next(c->b), SEED_SEALED_SIZE);
    if (e->kind == ENTRY_USER_TOTP)
        for (e->user_totp.recovery_count = 0; e->user_totp.recovery_count < 3;)
            e->user_totp.recovery[e->user_totp.recovery_count++].hash[0] = 1;
    if (e->kind == ENTRY_FACTOR_USED) {
        e->factor_used.factor = (enum actor_factor)bytes_pick(c->b, 3);
        e->factor_used.step = bytes_near(c->b, 10);
        e->factor_used.code = (uint8_t)bytes_pick(c->b, RECOVERY_MAX);
    }
}

/* Of three people, who have the roles that their bytes say; about what is on record. */
static void make_proposal(struct choice *c, struct entry *e)
{
    static const char *const names[] = {"anna", "ben", "cleo"};
    uint8_t n = s.proposal_count, which = bytes_pick(c->b, (uint8_t)(n + 1));
    uint8_t k = choose_instance(c);

    snprintf(e->actor.name, NAME_SIZE, "%s", names[bytes_pick(c->b, 3)]);
    e->actor.kind = ACTOR_TOKEN;
    e->actor.roles = bytes_next(c->b) & ROLES_ALL;
    e->actor.factor = (enum actor_factor)bytes_pick(c->b, 3);
    if (e->kind == ENTRY_PROPOSE) {
        e->propose.kind = (enum proposal_kind)bytes_pick(c->b, 5);
        e->propose.epoch = bytes_near(c->b, epoch_of(c));
        e->propose.break_glass = bytes_next(c->b) >= 0xe0;
        snprintf(e->propose.reason, TEXT_SIZE, "because");
        if (c->g != NULL && k < c->g->instance_count)
            memcpy(e->propose.target, c->g->instances[k].agent, NAME_SIZE);
        return;
    }
    e->proposal.id = bytes_near(c->b, which < n ? s.proposals[which].id : s.applied);
    e->proposal.seen = which < n ? s.proposals[which].asked : 0;
    e->proposal.epoch = bytes_near(c->b, epoch_of(c));
    snprintf(e->proposal.reason, TEXT_SIZE, "because");
}

/* What is in the corpus keeps its meaning: a kind that came later shares one. */
static enum entry_kind choose_kind(struct choice *c)
{
    enum entry_kind kind = (enum entry_kind)(1 + bytes_pick(c->b, ENTRY_REFUSED));

    if (kind == ENTRY_REFUSED && c->group == 0 && (bytes_next(c->b) & 1) != 0)
        return ENTRY_CORRUPTION;
    if (kind == ENTRY_PAUSE && (bytes_next(c->b) & 1) != 0)
        return (bytes_next(c->b) & 1) != 0 ? ENTRY_FALSE_PROOF : ENTRY_ACKNOWLEDGE;
    if (kind == ENTRY_RESUME && (bytes_next(c->b) & 1) != 0)
        return (enum entry_kind)(ENTRY_USER_SET + bytes_pick(c->b, 14));
    return kind == ENTRY_REFUSED && c->group != 0 ? ENTRY_CONTROLLER_REPLACE : kind;
}

static void make_abort(struct choice *c, struct entry *e)
{
    e->run_abort.run = bytes_near(c->b, c->g != NULL ? c->g->run.id : 0);
}

static void make_attach(struct choice *c, struct entry *e)
{
    e->attach.active = choose_instance(c);
}

/* None: a kind without a body that matters here. */
static void (*const makers[ENTRY_KIND_COUNT])(struct choice *, struct entry *) = {
    [ENTRY_ENROL] = make_enrol,           [ENTRY_DECLARE] = make_declare,
    [ENTRY_RENEW] = make_renew,           [ENTRY_PROOF] = make_proof,
    [ENTRY_FENCE_BEGIN] = make_fence,     [ENTRY_ACTIVATE] = make_activate,
    [ENTRY_OPENED] = make_opened,         [ENTRY_SWITCHOVER] = make_switchover,
    [ENTRY_SYNC_SHRINK] = make_sync,      [ENTRY_SYNC_JOIN] = make_sync,
    [ENTRY_STEP_START] = make_step_start, [ENTRY_STEP_END] = make_step_end,
    [ENTRY_RUN_ABORT] = make_abort,       [ENTRY_CORRUPTION] = make_trouble,
    [ENTRY_FALSE_PROOF] = make_trouble,   [ENTRY_ATTACH] = make_attach,
    [ENTRY_CONTROLLER] = make_controller, [ENTRY_CONTROLLER_REPLACE] = make_controller,
    [ENTRY_USER_SET] = make_user,         [ENTRY_USER_REMOVE] = make_user,
    [ENTRY_USER_TOKEN] = make_user,       [ENTRY_USER_REVOKE] = make_user,
    [ENTRY_USER_TOTP] = make_user,        [ENTRY_USER_UNLOCK] = make_user,
    [ENTRY_FACTOR_USED] = make_user,      [ENTRY_FACTOR_FAILED] = make_user,
    [ENTRY_PROPOSE] = make_proposal,      [ENTRY_APPROVE] = make_proposal,
    [ENTRY_REJECT] = make_proposal,       [ENTRY_WITHDRAW] = make_proposal,
    [ENTRY_EXPIRE] = make_proposal,       [ENTRY_STALE] = make_proposal,
};

static void make_entry(struct choice *c, struct entry *e)
{
    *e = (struct entry){.kind = choose_kind(c)};
    snprintf(e->group, NAME_SIZE, "%s", scene_groups[c->group]);
    snprintf(e->rule, RULE_SIZE, "fuzz");
    if (makers[e->kind] != NULL)
        makers[e->kind](c, e);
}

/* The log holds only what was written by entry_encode() and reads by entry_decode(). */
static bool through_the_log(struct entry *e)
{
    AUTO(buf_free) struct buf b = {0};
    static struct entry read;
    struct err err = {0};

    if (entry_encode(e, &b, &err) != 0) {
        if (fuzz_is_traced())
            fprintf(stderr, "%s: not written: %s\n", entry_kind_name(e->kind), err.text);
        return false;
    }
    CLAIM(entry_decode(b.data, b.len, &read, &err) == 0, "%s: %s", entry_kind_name(e->kind),
          err.text);
    *e = read;
    return true;
}

/* Some come under a key, and again under it, or as another request. */
enum { KEYS = 4, KEYED_FROM = 0xf8 };

static bool keyed[KEYS]; /* an entry of it was accepted */

static void choose_key(const uint8_t bytes[ENTRY_BYTES], struct entry *e)
{
    uint8_t k = bytes[ENTRY_BYTES - 1];

    if (k < KEYED_FROM)
        return;
    memset(e->key.id, 1 + k % KEYS, sizeof e->key.id);
    memset(e->key.request, 1 + bytes[ENTRY_BYTES - 2] % 2, sizeof e->key.request);
}

/* What has a key is done once; the use of a code comes before, and is no more than that. */
static void judge_key(const struct entry *e)
{
    bool *done;

    if (e->key.id[0] == 0)
        return;
    done = &keyed[(e->key.id[0] - 1) % KEYS];
    CLAIM(!*done, "%s: a second entry of one key", entry_kind_name(e->kind));
    *done = e->kind != ENTRY_FACTOR_USED;
}

/* Plain values, copied whole: padding and all. */
static bool is_as_before(void)
{
    return memcmp(&s, &before, sizeof s) == 0; /* NOLINT(*-comparison,cert-*) */
}

static void play(const struct entry *e)
{
    struct apply_result dry, r;
    const char *broken;

    before = s;
    apply_dry(&s, e, &scratch, &dry);
    apply(&s, s.applied + 1, e, &r);
    if (fuzz_is_traced())
        fprintf(stderr, "%s: %s %s\n", entry_kind_name(e->kind), refusal_name(r.refusal),
                r.text);
    broken = state_invariant_broken(&s);
    CLAIM(broken == NULL, "after %s: %s", entry_kind_name(e->kind), broken);
    CLAIM(dry.refusal == r.refusal, "%s: %s when tried, %s when applied: %s",
          entry_kind_name(e->kind), refusal_name(dry.refusal), refusal_name(r.refusal),
          dry.text);
    if (r.refusal != ACCEPTED) { /* I10: a refused request changes no state */
        before.applied = s.applied;
        CLAIM(is_as_before(), "%s was refused and left a trace", entry_kind_name(e->kind));
        CLAIM(r.text[0] != '\0', "%s refused without a word", entry_kind_name(e->kind));
    }
    if (r.refusal == ACCEPTED && e->kind != ENTRY_REFUSED)
        judge_key(e);
    shadow_follow(&shadow, state_group_const(&before, e->group), &s, e, &r);
    observe_applied(&seen, &s, e, &r, (struct mono){s.applied * 10 * NS_PER_MS});
}

/* What the leader would do next is always something that apply() accepts. */
static void ask_leader(void)
{
    decide(&s, &seen, (struct mono){(s.applied * 10 + 5) * NS_PER_MS}, &actions);
    for (unsigned i = 0; i < actions.count; i++)
        if (actions.list[i].kind == ACT_PROPOSE) {
            play(&actions.list[i].entry);
            return;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scene_begin(&s);
    shadow.count = 0;
    memset(keyed, 0, sizeof keyed);
    observations_init(&seen, 3);
    observe_leading(&seen, true, (struct mono){NS_PER_MS});
    for (size_t at = 0; at < size && at < ENTRIES_MAX * ENTRY_BYTES; at += ENTRY_BYTES) {
        size_t left = size - at;
        struct bytes b = {data + at, data + at + (left < ENTRY_BYTES ? left : ENTRY_BYTES)};
        uint8_t first = bytes_next(&b);
        struct choice c = {.b = &b, .group = (first & 7) == 7};
        static struct entry e;

        c.g = state_group_const(&s, scene_groups[c.group]);
        make_entry(&c, &e);
        if (left >= ENTRY_BYTES)
            choose_key(data + at, &e);
        if (through_the_log(&e))
            play(&e);
        if (first >= 0xf0)
            ask_leader();
    }
    return 0;
}
