/* Looking at a server, in a process that may hang without hanging us. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "controller/core/observe.h"
#include "fencing/agent/steps_private.h"
#include "fencing/agent/wire_text.h"

void inst_fill_server(const struct inst *i, Rf__ServerSpec *out)
{
    const struct agent_settings *s = i->st->parts.settings;

    /* A shallow copy: the strings stay the assignment's and the settings'. */
    *out = *i->a->server;
    out->address = wire_text(s->address);
    out->bin_dir = wire_text(s->postgres.bin_dir);
    out->socket_dir = wire_text(s->postgres.socket_dir);
    out->superuser = wire_text(s->postgres.superuser);
    out->replication_user = wire_text(s->postgres.replication_user);
    out->passfile = wire_text(s->postgres.passfile);
    out->tail_dir = wire_text(s->postgres.tail_dir);
    out->options = wire_text(s->postgres.options);
}

/* In a step the set is about to change: there names are only held against addresses. */
void inst_fill_peers(const struct inst *i, bool members, struct known_peers *out,
                     Rf__ProviderRequest *request)
{
    const Rf__Assignment *a = i->a;
    bool binds = members && a->opened && strcmp(a->sync_mode, "off") != 0;
    size_t n = 0;

    for (; a->role == RF__ROLE__ROLE_PRIMARY && n < a->n_peers && n < SHRINK_PEERS_MAX;
         n++) {
        rf__provider_peer__init(&out->of[n]);
        out->of[n].standby_name = a->peers[n]->standby_name;
        out->of[n].address = a->peers[n]->address;
        out->of[n].member = binds && a->peers[n]->member;
        out->list[n] = &out->of[n];
    }
    request->peers = out->list;
    request->n_peers = n;
}

Rf__Observation *observation_copy(const Rf__Observation *from)
{
    size_t n = rf__observation__get_packed_size(from);
    uint8_t *bytes = malloc(n + 1);
    Rf__Observation *copy;

    if (bytes == NULL)
        return NULL;
    (void)rf__observation__pack(from, bytes);
    copy = rf__observation__unpack(NULL, n, bytes);
    free(bytes);
    return copy;
}

/* A walsender that learns by a reload that its standby is waited for lets nobody go before
 * that standby's next answer, and while every commit waits there is nothing to answer. Each
 * canary is such a something, so after a change of the names they come quickly. */
static bool wants_canary(const struct inst *i, struct mono now)
{
    uint32_t each = i->a->probe_ms != 0 ? i->a->probe_ms : PROBE_DEFAULT_MS;

    if (now.ns < i->nudge_until.ns)
        each = 0;

    return i->a->role == RF__ROLE__ROLE_PRIMARY && i->alive &&
           (!mono_is_set(i->canary_asked_at) ||
            mono_since_ms(i->canary_asked_at, now) >= each);
}

/* A server that stops gives no session, so each look starts a program that reads its
 * control file, on the cores that the shutdown needs while all writes wait for it. */
static uint32_t observe_each_ms(const struct inst *i, struct mono now)
{
    if (i->run.busy && i->run.kind == RF__STEP_KIND__STEP_STOP)
        return OBSERVE_STOP_MS;
    return now.ns < i->fast_until.ns ? OBSERVE_FAST_MS : OBSERVE_MS;
}

/* A unit that is not there is found out now, and not at 3 a.m. by the step that needs it.
 * Not while a step is under way: it has the cores. Nor before the server itself was looked
 * at, which the leader of a group waits for after a restart. */
static bool wants_start_look(const struct inst *i, struct mono now)
{
    uint32_t each = i->cannot_start[0] != 0 ? START_LOOK_BAD_MS : START_LOOK_MS;

    return strncmp(i->a->server->start, "systemd:", 8) == 0 && !i->run.busy &&
           mono_is_set(i->asked_at) &&
           (!mono_is_set(i->start_looked_at) ||
            mono_since_ms(i->start_looked_at, now) >= each);
}

static void look_at_start(struct inst *i, Rf__ProviderRequest *request, struct mono now)
{
    char *checks[] = {wire_text("start")};
    struct err err = {0};

    request->checks = checks;
    request->n_checks = ARRAY_LEN(checks);
    if (helper_ask(i->observer, request, CHECKS_DEADLINE_MS, &err) != 0)
        return; /* being replaced */
    i->start_asked = true;
    i->start_looked_at = now;
}

/* "warn" is not known, and what was known stands. */
static void note_start(struct inst *i, const Rf__ProviderReply *reply)
{
    const Rf__Finding *f =
        reply != NULL && reply->n_findings == 1 ? reply->findings[0] : NULL;
    char was[sizeof i->cannot_start];

    i->start_asked = false;
    if (f == NULL || strcmp(f->level, "warn") == 0)
        return;
    memcpy(was, i->cannot_start, sizeof was);
    text_set(i->cannot_start, sizeof i->cannot_start, "%s",
             strcmp(f->level, "fail") == 0 ? f->text : "");
    if (i->cannot_start[0] != 0 && strcmp(was, i->cannot_start) != 0)
        log_error("%s: %s", i->group, i->cannot_start);
    else if (i->cannot_start[0] == 0 && was[0] != 0)
        log_info("%s: the server can be started again", i->group);
}

enum { DOCTOR_CHECKS_MAX = 40 };

/* All that the doctor asks of a provider. pg_hba.conf is asked for this host and each other
 * one, since a server's copy leads with the file it was copied with; the passfile for the
 * others only. */
struct all_checks {
    char *names[DOCTOR_CHECKS_MAX];
    size_t n;
    char of_hosts[DOCTOR_CHECKS_MAX + 1][80];
};

/* `port` 0: a host's right to come, else a password to go there. */
static void add_host_check(struct all_checks *c, const char *address, uint32_t port)
{
    char *name = c->of_hosts[c->n];

    if (address[0] == 0 || c->n == DOCTOR_CHECKS_MAX)
        return;
    if (port == 0)
        (void)snprintf(name, sizeof c->of_hosts[0], "hba %s", address);
    else
        (void)snprintf(name, sizeof c->of_hosts[0], "pass %s %" PRIu32, address, port);
    c->names[c->n++] = name;
}

static void fill_checks(struct all_checks *c, const struct inst *i,
                        const Rf__ServerSpec *server)
{
    *c = (struct all_checks){
        .names = {wire_text("settings"), wire_text("disk"), wire_text("host")}, .n = 3};
    add_host_check(c, server->address, 0);
    for (size_t p = 0; p < i->a->n_peers; p++) {
        add_host_check(c, i->a->peers[p]->address, 0);
        add_host_check(c, i->a->peers[p]->address, i->a->peers[p]->port);
    }
}

void inst_observe(struct inst *i)
{
    struct mono now = mono_now();
    uint32_t each = observe_each_ms(i, now);
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT;
    Rf__ServerSpec server;
    struct known_peers peers;
    struct all_checks checks;
    struct err err = {0};

    if (i->a == NULL || i->observer == NULL || helper_is_busy(i->observer) ||
        i->a->role == RF__ROLE__ROLE_DETACHED)
        return;
    if (!i->checks_wanted && mono_is_set(i->asked_at) &&
        mono_since_ms(i->asked_at, now) < each)
        return;
    inst_fill_server(i, &server);
    request.server = &server;
    if (!i->checks_wanted && wants_start_look(i, now)) {
        look_at_start(i, &request, now);
        return;
    }
    if (i->checks_wanted) {
        fill_checks(&checks, i, &server);
        request.checks = checks.names;
        request.n_checks = checks.n;
    } else {
        request.canary = wants_canary(i, now);
        inst_fill_peers(i, true, &peers, &request);
    }
    if (helper_ask(i->observer, &request,
                   i->checks_wanted ? CHECKS_DEADLINE_MS : OBSERVE_DEADLINE_MS, &err) != 0)
        return; /* being replaced */
    i->checking = i->checks_wanted;
    i->checks_wanted = false;
    i->asked_at = now;
    i->asked_index = i->a->index;
    i->asked_generation = i->a->sync_generation;
    i->canary_asked = request.canary;
    if (request.canary)
        i->canary_asked_at = now;
}

/* I9: only silence is hung; to wait for a standby, or for a free connection, is not. */
static void note_canary(struct inst *i, const Rf__Observation *seen)
{
    switch (seen->canary) {
    case RF__CANARY_STATE__CANARY_OK:
    case RF__CANARY_STATE__CANARY_WAITS_SYNC:
    case RF__CANARY_STATE__CANARY_NO_CONNECTION:
        i->canary_ok = mono_now();
        i->canary_failed = 0;
        break;
    case RF__CANARY_STATE__CANARY_NONE:
    case RF__CANARY_STATE__CANARY_HUNG:
        i->canary_failed += i->canary_asked;
        break;
    case _RF__CANARY_STATE_IS_INT_SIZE:
        break;
    }
    i->canary_asked = false;
}

/* Our own login is refused: said once, and shown as the instance's problem, with what to
 * do; clients may be served well all the while. */
static void note_denied(struct inst *i, const Rf__Observation *before,
                        const Rf__Observation *now)
{
    bool was = before != NULL && before->denied[0] != 0;

    if (now->denied[0] != 0 && (!was || strcmp(before->denied, now->denied) != 0))
        log_error("%s: %s", i->group, now->denied);
    else if (now->denied[0] == 0 && was && now->error[0] == 0)
        log_info("%s: the agent is let in again", i->group);
}

/* I8: some hundred milliseconds later it is mended, and who looks then finds nothing. */
static void note_weak_commit(const struct inst *i, const Rf__Observation *before,
                             const Rf__Observation *now)
{
    if (now->weak_commit[0] != 0 &&
        (before == NULL || strcmp(before->weak_commit, now->weak_commit) != 0))
        log_error("%s: %s", i->group, now->weak_commit);
}

static void note_server(struct inst *i, const Rf__Observation *seen)
{
    struct postmaster pm = {seen->postmaster_pid, seen->postmaster_start_ms};

    if (pm.pid != 0)
        i->alive = inst_watch(i, pm);
    else if (i->watch == NULL)
        i->alive = false; /* with a watch the pidfd says it, and says it first */
    i->state = server_state(seen, i->state, i->alive);
    if (i->alive) {
        i->crashed = false;
        i->stopped = false;
    }
}

/* A look from outside knows nothing of the names that are in force; the same postmaster has
 * not changed them by itself, and "0" would have the leader set them again. */
static void carry_over(const Rf__Observation *before, Rf__Observation *now)
{
    if (before == NULL || before->postmaster_pid != now->postmaster_pid ||
        before->postmaster_start_ms != now->postmaster_start_ms)
        return;
    if (now->error[0] != 0 && now->weak_commit[0] == 0 && now->sync_generation == 0)
        now->sync_generation = before->sync_generation;
    /* A step's worker looks seldom, and knows no recent rate; the observer does (I9). */
    if (now->wal_bytes_per_s == WAL_RATE_UNKNOWN &&
        before->server == RF__SERVER_STATE__SERVER_PRIMARY)
        now->wal_bytes_per_s = before->wal_bytes_per_s;
}

/* I9: a position is as old as the look that found it, not as its way to us: the look may
 * have taken a second, and our loop may come late to it. */
static struct mono looked_at(const Rf__Observation *seen)
{
    struct mono now = mono_now();

    return seen->looked_ns != 0 && seen->looked_ns < now.ns ? (struct mono){seen->looked_ns}
                                                            : now;
}

bool inst_take_observation(struct inst *i, const Rf__Observation *seen)
{
    struct postmaster pm = {seen->postmaster_pid, seen->postmaster_start_ms};
    Rf__Observation *copy;

    /* It was taken before the exit that we have seen since. */
    if (pm.pid != 0 && postmaster_equal(pm, i->dead))
        return false;
    copy = observation_copy(seen);
    if (copy == NULL)
        return false; /* no memory; the next one may find some */
    carry_over(i->seen, copy);
    note_denied(i, i->seen, copy);
    note_weak_commit(i, i->seen, copy);
    if (i->seen != NULL)
        rf__observation__free_unpacked(i->seen, NULL);
    i->seen = copy;
    i->seen_at = looked_at(seen);
    copy->looked_ns = 0; /* another host would make nothing of it */
    i->observations++;
    note_canary(i, seen);
    note_server(i, seen);
    return true;
}

static void look_for_silent_members(struct inst *i)
{
    struct keeper_view v;
    bool held;

    board_view(i->st->parts.board, i->slot, &v);
    held = v.lease_kind == KIND_WRITE && v.lease_epoch == i->a->epoch &&
           v.lease_deadline.ns > boot_now().ns;
    /* What it says of the members is of those that it was asked about. */
    held = held && i->asked_generation == i->a->sync_generation;
    i->shrink_bits = shrink_look(&i->shrink, i->a, i->seen, held, i->seen_at);
}

static void give_checks(struct inst *i, const Rf__ProviderReply *reply,
                        const struct err *why)
{
    steps_checks *on_checks = i->on_checks;

    i->checking = false;
    i->on_checks = NULL;
    if (on_checks != NULL)
        on_checks(i->checks_owner, reply, why);
}

void inst_on_observed(void *owner, const Rf__ProviderReply *reply, const struct err *why)
{
    struct inst *i = owner;

    if (i->checking) {
        give_checks(i, reply, why);
        return;
    }
    if (i->start_asked) {
        note_start(i, reply);
        inst_consider(i);
        return;
    }
    if (reply == NULL) {
        i->observer_deaths++;
        i->canary_failed += i->canary_asked;
        i->canary_asked = false;
        log_warn("%s: observing the server: %s", i->group, why->text);
    } else if (reply->seen != NULL) {
        if (inst_take_observation(i, reply->seen))
            i->looked = i->asked_index;
        if (i->a != NULL && i->seen != NULL)
            look_for_silent_members(i);
    }
    inst_consider(i);
}
