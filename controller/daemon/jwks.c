#include "controller/daemon/jwks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "controller/outbound/outbound.h"

struct jwks {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct jwt *jwt;
    struct jwt_config config;
    struct jwks_times times;
    struct outbound *request; /* NULL: none is under way */
    struct mono tried;        /* the last one was begun */
    struct mono good;         /* the set in force was fetched; unset: none yet */
    uint64_t fetches, failures;
    char problem[API_ERROR_SIZE];
};

static void on_time(uv_timer_t *timer);

static void next_in(struct jwks *k, uint32_t ms)
{
    uv_update_time(k->loop);
    (void)uv_timer_start(&k->timer, on_time, ms, 0);
}

static void failed(struct jwks *k, const char *why)
{
    const bool news = strcmp(k->problem, why) != 0;

    k->failures++;
    text_set(k->problem, sizeof k->problem, "%s", why);
    if (news)
        log_warn("keys of JWTs: %s: %s", k->problem,
                 mono_is_set(k->good) ? "those that were fetched before stay in force"
                                      : "until they are there no JWT is good");
    next_in(k, k->times.retry_ms);
}

static void on_answer(void *owner, long status, const struct buf *body,
                      const struct err *why)
{
    struct jwks *k = owner;
    struct err err = {0};

    k->request = NULL;
    if (why != NULL) {
        failed(k, why->text);
        return;
    }
    if (status != 200) {
        (void)err_set(&err, ERR_IO, "%s: the answer is %ld, and not 200", k->config.keys,
                      status);
        failed(k, err.text);
        return;
    }
    if (jwt_take_keys(k->jwt, body->data != NULL ? body->data : (const uint8_t *)"",
                      body->len, &err) != 0) {
        failed(k, err.text);
        return;
    }
    if (!mono_is_set(k->good) || k->problem[0] != '\0')
        log_info("keys of JWTs: %u from %s", jwt_key_count(k->jwt), k->config.keys);
    k->good = mono_now();
    k->problem[0] = '\0';
    next_in(k, k->times.refresh_ms);
}

static void begin(struct jwks *k)
{
    const struct outbound_ask ask = {.url = k->config.keys,
                                     .ca = k->config.ca,
                                     .timeout_ms = JWKS_TIMEOUT_MS,
                                     .answer_max = JWT_KEYS_BYTES};
    struct err err = {0};

    if (k->request != NULL)
        return;
    k->tried = mono_now();
    k->fetches++;
    if (outbound_start(&k->request, k->loop, &ask, on_answer, k, &err) != 0)
        failed(k, err.text);
}

static void on_time(uv_timer_t *timer) { begin(timer->data); }

void jwks_want(struct jwks *k)
{
    if (k != NULL && mono_since_ms(k->tried, mono_now()) >= k->times.again_ms)
        begin(k);
}

void jwks_facts(const struct jwks *k, struct api_keys *ret)
{
    *ret = (struct api_keys){0};
    if (k == NULL)
        return;
    ret->fetched = true;
    ret->known = mono_is_set(k->good);
    ret->age_ms = ret->known ? mono_since_ms(k->good, mono_now()) : 0;
    ret->count = jwt_key_count(k->jwt);
    ret->fetches = k->fetches;
    ret->failures = k->failures;
    (void)snprintf(ret->problem, sizeof ret->problem, "%s", k->problem);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

int jwks_open(struct jwks **ret_jwks, uv_loop_t *loop, struct jwt *jwt,
              const struct jwt_config *config, const struct jwks_times *times,
              struct err *err)
{
    struct jwks *k = calloc(1, sizeof *k);

    if (k == NULL)
        return err_set(err, ERR_NOMEM, "keys of JWTs: no memory");
    k->loop = loop;
    k->jwt = jwt;
    k->config = *config;
    k->times = *times;
    (void)uv_timer_init(loop, &k->timer); /* cannot fail */
    k->timer.data = k;
    next_in(k, 0);
    *ret_jwks = k;
    return 0;
}

void jwks_close(struct jwks *k)
{
    if (k == NULL)
        return;
    outbound_cancel(k->request);
    uv_close((uv_handle_t *)&k->timer, on_closed);
}
