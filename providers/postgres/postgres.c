#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "providers/postgres/checks.h"
#include "providers/postgres/follow.h"
#include "providers/postgres/lead.h"
#include "providers/postgres/observe.h"
#include "providers/postgres/sever.h"
#include "providers/postgres/stop.h"
#include "providers/postgres/sync.h"
#include "providers/provider.h"

struct provider {
    struct pg pg;
    Rf__ServerSpec *spec;
};

/* The nearest existing parent that belongs to somebody but root, or the operating system's
 * user of the superuser's name: for a directory that is still to be made. */
static bool find_owner(const struct pg *pg, uid_t *ret_uid)
{
    struct passwd *pw;
    struct stat st;

    if (stat(pg->spec->data, &st) == 0 && st.st_uid != 0) {
        *ret_uid = st.st_uid;
        return true;
    }
    pw = getpwnam(pg->spec->superuser[0] != '\0' ? pg->spec->superuser : "postgres");
    if (pw == NULL || pw->pw_uid == 0)
        return false;
    *ret_uid = pw->pw_uid;
    return true;
}

int pg_find_user(struct pg *pg, struct err *err)
{
    struct passwd *pw;
    uid_t uid;

    if (!find_owner(pg, &uid))
        return err_set(err, ERR_INVAL,
                       "%s belongs to root, as which PostgreSQL does not run: chown it to "
                       "the server's user",
                       pg->spec->data);
    pw = getpwuid(uid);
    if (pw == NULL)
        return err_set(err, ERR_INVAL, "%s belongs to uid %u, which has no name",
                       pg->spec->data, uid);
    pg->uid = uid;
    pg->gid = pw->pw_gid;
    snprintf(pg->user, sizeof pg->user, "%s", pw->pw_name);
    return 0;
}

static int check_spec(const Rf__ServerSpec *s, struct err *err)
{
    if (s->data[0] != '/' || s->bin_dir[0] != '/' || s->socket_dir[0] != '/')
        return err_set(err, ERR_INVAL,
                       "server: data '%s', bin_dir '%s' and socket_dir '%s' "
                       "must be absolute paths",
                       s->data, s->bin_dir, s->socket_dir);
    if (s->port == 0 || s->port > 65535)
        return err_set(err, ERR_INVAL, "server: port %u", s->port);
    if (strcmp(s->start, "pg_ctl") != 0 && strncmp(s->start, "systemd:", 8) != 0)
        return err_set(err, ERR_INVAL,
                       "server: start '%s' is neither pg_ctl nor "
                       "systemd:UNIT",
                       s->start);
    if (strlen(s->socket_dir) > 90)
        return err_set(err, ERR_INVAL,
                       "server: socket_dir '%s' is too long for a Unix "
                       "socket",
                       s->socket_dir);
    return 0;
}

static void pg_provider_close(struct provider *p)
{
    if (p == NULL)
        return;
    pg_conn_close(&p->pg.main);
    pg_conn_close(&p->pg.canary);
    if (p->spec != NULL)
        rf__server_spec__free_unpacked(p->spec, NULL);
    free(p);
}

static void drop_provider(struct provider **p) { pg_provider_close(*p); }

static int pg_provider_open(struct provider **ret_provider, const Rf__ServerSpec *spec,
                            struct err *err)
{
    AUTO(drop_provider) struct provider *p = calloc(1, sizeof *p);
    AUTO(auto_free) uint8_t *packed = malloc(rf__server_spec__get_packed_size(spec) + 1);

    if (p == NULL || packed == NULL)
        return err_set(err, ERR_NOMEM, "PostgreSQL provider");
    if (check_spec(spec, err) != 0)
        return err->code;
    p->spec = rf__server_spec__unpack(NULL, rf__server_spec__pack(spec, packed), packed);
    if (p->spec == NULL)
        return err_set(err, ERR_NOMEM, "PostgreSQL provider");
    p->pg.spec = p->spec;
    *ret_provider = TAKE(p);
    return 0;
}

static void know_peers(struct pg *pg, const Rf__ProviderRequest *request)
{
    pg->peers = request->peers;
    pg->n_peers = request->n_peers;
}

static void pg_provider_observe(struct provider *p, const Rf__ProviderRequest *request,
                                Rf__Observation *out)
{
    know_peers(&p->pg, request);
    pg_observe(&p->pg, request->canary, PROVIDER_OBSERVE_MS, out);
    know_peers(&p->pg, &(Rf__ProviderRequest)RF__PROVIDER_REQUEST__INIT);
}

static int step_checkpoint(struct pg *pg, struct mono deadline, struct err *err)
{
    if (pg_main(pg, deadline, err) != 0 ||
        pg_exec(&pg->main, "CHECKPOINT", deadline, NULL, err) != 0)
        return err_wrap(err, "checkpoint");
    return 0;
}

static int do_step(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                   Rf__StepResult *out, struct err *err)
{
    pg_reap(pg);
    if (pg_find_user(pg, err) != 0)
        return err->code;
    switch (rq->kind) {
    case RF__STEP_KIND__STEP_LEAD:
        return pg_step_lead(pg, rq, deadline, out, err);
    case RF__STEP_KIND__STEP_FOLLOW:
    case RF__STEP_KIND__STEP_CLONE:
        return pg_step_follow(pg, rq, deadline, out, err);
    case RF__STEP_KIND__STEP_STOP:
        return pg_step_stop(pg, rq, deadline, out, err);
    case RF__STEP_KIND__STEP_CHECKPOINT:
        return step_checkpoint(pg, deadline, err);
    case RF__STEP_KIND__STEP_JOIN:
        return pg_step_join(pg, rq, deadline, out, err);
    case RF__STEP_KIND__STEP_SYNC:
        return pg_step_sync(pg, rq, deadline, out, err);
    case RF__STEP_KIND__STEP_SEVER:
        return pg_step_sever(pg, rq, deadline, out, err);
    case RF__STEP_KIND__STEP_NONE:
    case _RF__STEP_KIND_IS_INT_SIZE:
        break;
    }
    return err_set(err, ERR_UNSUPPORTED, "step %d is unknown", rq->kind);
}

static void pg_provider_step(struct provider *p, const Rf__ProviderRequest *request,
                             Rf__StepResult *out)
{
    const Rf__StepRequest *rq = request->step;
    struct mono deadline = mono_plus_ms(mono_now(), rq->deadline_ms);
    struct err err = {0};
    int status;

    know_peers(&p->pg, request);
    status = do_step(&p->pg, rq, deadline, out, &err);
    out->step = rq->step;
    out->outcome = RF__STEP_OUTCOME__OUTCOME_DONE;
    if (status != 0) {
        /* I5: what may still happen is never reported as failed. */
        out->outcome = status == ERR_UNKNOWN ? RF__STEP_OUTCOME__OUTCOME_UNKNOWN
                                             : RF__STEP_OUTCOME__OUTCOME_FAILED;
        provider_text(&out->text, "%s", err.text);
    }
    out->seen = malloc(sizeof *out->seen);
    if (out->seen != NULL) {
        rf__observation__init(out->seen);
        pg_observe(&p->pg, false, PROVIDER_OBSERVE_MS, out->seen);
    }
    know_peers(&p->pg, &(Rf__ProviderRequest)RF__PROVIDER_REQUEST__INIT);
}

static bool pg_provider_let_go(struct provider *p) { return pg_cgroup_let_go(&p->pg); }

static int pg_provider_checks(struct provider *p, char *const *checks, size_t n,
                              Rf__ProviderReply *reply, struct err *err)
{
    return pg_checks(&p->pg, checks, n, reply, err);
}

const struct provider_ops provider_postgres = {
    .name = "postgres",
    .open = pg_provider_open,
    .close = pg_provider_close,
    .observe = pg_provider_observe,
    .step = pg_provider_step,
    .let_go = pg_provider_let_go,
    .checks = pg_provider_checks,
};
