#include "providers/provider.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/worker.h"

const struct provider_ops *provider_find(const char *name)
{
    static const struct provider_ops *const all[] = {&provider_postgres, NULL};

    for (size_t i = 0; all[i] != NULL; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

void provider_text(char **field, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        return; /* out of memory: the old text is better than none */
    if (*field != protobuf_c_empty_string)
        free(*field);
    *field = text;
}

void provider_slot_close(struct provider_slot *slot)
{
    if (slot->ops != NULL)
        slot->ops->close(slot->provider);
    free(slot->spec);
    *slot = (struct provider_slot){0};
}

/* Opens the provider of `spec`, unless it is the one that is open already. */
static int slot_open(struct provider_slot *slot, const Rf__ServerSpec *spec,
                     struct err *err)
{
    const struct provider_ops *ops = provider_find(spec->provider);
    AUTO(auto_free) uint8_t *packed = NULL;
    size_t len = rf__server_spec__get_packed_size(spec);

    if (ops == NULL)
        return err_set(err, ERR_UNSUPPORTED, "no provider is called '%s'", spec->provider);
    packed = malloc(len + 1);
    if (packed == NULL)
        return err_set(err, ERR_NOMEM, "server spec");
    rf__server_spec__pack(spec, packed);
    if (slot->spec != NULL && slot->spec_len == len && memcmp(slot->spec, packed, len) == 0)
        return 0;

    provider_slot_close(slot);
    if (ops->open(&slot->provider, spec, err) != 0)
        return err->code;
    slot->ops = ops;
    slot->spec = TAKE(packed);
    slot->spec_len = len;
    return 0;
}

static void free_reply(Rf__ProviderReply **reply)
{
    if (*reply != NULL)
        rf__provider_reply__free_unpacked(*reply, NULL);
}

/* A request that cannot be served is answered all the same, so that its sender knows. */
static int answer_error(const Rf__ProviderRequest *request, Rf__ProviderReply *reply,
                        const struct err *why)
{
    if (request->step != NULL) {
        reply->result = malloc(sizeof *reply->result);
        if (reply->result == NULL)
            return ERR_NOMEM;
        rf__step_result__init(reply->result);
        reply->result->step = request->step->step;
        reply->result->outcome = RF__STEP_OUTCOME__OUTCOME_FAILED;
        provider_text(&reply->result->text, "%s", why->text);
        return 0;
    }
    reply->seen = malloc(sizeof *reply->seen);
    if (reply->seen == NULL)
        return ERR_NOMEM;
    rf__observation__init(reply->seen);
    provider_text(&reply->seen->error, "%s", why->text);
    return 0;
}

static int serve(struct provider_slot *slot, const Rf__ProviderRequest *request,
                 Rf__ProviderReply *reply, struct err *err)
{
    if (request->n_checks > 0)
        return slot->ops->checks(slot->provider, request->checks, request->n_checks, reply,
                                 err);
    if (request->step != NULL) {
        reply->result = malloc(sizeof *reply->result);
        if (reply->result == NULL)
            return err_set(err, ERR_NOMEM, "step result");
        rf__step_result__init(reply->result);
        slot->ops->step(slot->provider, request, reply->result);
        return 0;
    }
    reply->seen = malloc(sizeof *reply->seen);
    if (reply->seen == NULL)
        return err_set(err, ERR_NOMEM, "observation");
    rf__observation__init(reply->seen);
    slot->ops->observe(slot->provider, request, reply->seen);
    return 0;
}

int provider_serve(struct provider_slot *slot, const Rf__ProviderRequest *request,
                   Rf__ProviderReply **ret_reply, struct err *err)
{
    AUTO(free_reply) Rf__ProviderReply *reply = malloc(sizeof *reply);
    struct err why = {0};

    if (reply == NULL)
        return err_set(err, ERR_NOMEM, "reply");
    rf__provider_reply__init(reply);
    reply->id = request->id;

    if (request->server == NULL)
        err_set(&why, ERR_BADMSG, "request without a server");
    else
        (void)slot_open(slot, request->server, &why);
    if (why.code != 0) {
        if (answer_error(request, reply, &why) != 0)
            return err_set(err, ERR_NOMEM, "reply");
    } else if (serve(slot, request, reply, err) != 0) {
        return err->code;
    }
    *ret_reply = TAKE(reply);
    return 0;
}
