/* providers/provider.h -- what each kind of component can do, by the provider's name.
 *
 * Runs in a worker process (providers/worker.h) only: its functions block, up to the
 * deadline that each is given.
 *
 * Owner:   `struct provider` keeps connections between requests; the caller frees it.
 *          Strings put into messages are malloc'ed, as rf__..._free_unpacked() expects.
 * Threads: one.
 * Errors:  none are returned: an observation says in `error` what could not be read, a
 *          result in `outcome` and `text` what happened.
 */
#ifndef RF_PROVIDERS_PROVIDER_H
#define RF_PROVIDERS_PROVIDER_H

#include <stdbool.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/base/time.h"
#include "proto/provider.pb-c.h"

enum {
    /* How long an observation may take when the server does not answer. A worker that
     * needs longer than twice this is stuck: the agent kills it. */
    PROVIDER_OBSERVE_MS = 1000,
    /* After a step's deadline the state is read once more, within this time. */
    PROVIDER_STEP_GRACE_MS = 1500,
};

struct provider; /* what one provider remembers of one instance */

struct provider_ops {
    const char *name; /* as in ServerSpec.provider */

    /* Remembers `spec` (copied). */
    MUST_USE int (*open)(struct provider **ret_provider, const Rf__ServerSpec *spec,
                         struct err *err);
    void (*close)(struct provider *p); /* NULL is fine; the server goes on */

    /* Fills `out`, which was initialised. */
    void (*observe)(struct provider *p, const Rf__ProviderRequest *request,
                    Rf__Observation *out);

    /* Does the step and fills `out`, which was initialised; `out->seen` is read afresh.
     * Nothing that was started for the step is left running but the server itself. */
    void (*step)(struct provider *p, const Rf__ProviderRequest *request,
                 Rf__StepResult *out);

    /* The server is nobody's from now on. What was made for it here (a cgroup) is removed.
     * False: not yet, it is still used; ask again. Does not block. */
    bool (*let_go)(struct provider *p);

    /* `checks` names groups of checks ("settings", "disk"); findings are added to
     * `reply`. */
    MUST_USE int (*checks)(struct provider *p, char *const *checks, size_t n,
                           Rf__ProviderReply *reply, struct err *err);
};

/* NULL when there is no such provider. */
const struct provider_ops *provider_find(const char *name);

/* Serves one request: `*provider` is opened, or reopened when the spec has changed. The
 * reply is the caller's.
 *   ERR_UNSUPPORTED  no such provider
 *   ERR_INVAL        a spec that cannot be served
 *   ERR_NOMEM */
struct provider_slot {
    const struct provider_ops *ops;
    struct provider *provider;
    uint8_t *spec; /* packed, to see whether it has changed */
    size_t spec_len;
};
MUST_USE int provider_serve(struct provider_slot *slot, const Rf__ProviderRequest *request,
                            Rf__ProviderReply **ret_reply, struct err *err);
void provider_slot_close(struct provider_slot *slot);

/* Replace a message's string; the old one is freed unless it is the default. */
void provider_text(char **field, const char *fmt, ...) PRINTF_LIKE(2, 3);

extern const struct provider_ops provider_postgres;

#endif
