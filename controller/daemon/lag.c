#include "controller/daemon/lag.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/clock.h"

enum { EACH_MS = 200, WINDOW = 10000 / EACH_MS, NS_PER_US = 1000 };

static const uint64_t bounds_us[] = {1000, 5000, 20000, 50000, 250000};

struct lag {
    uv_timer_t tick;
    struct mono due;
    uint64_t window[WINDOW]; /* lateness of the last turns, a ring */
    unsigned next;
    struct lag_stats stats;
};

static void count(struct lag *l, uint64_t us)
{
    histogram_count(&l->stats.turns, us);
    l->stats.last_us = us;
    l->window[l->next] = us;
    l->next = (l->next + 1) % WINDOW;
}

static void on_tick(uv_timer_t *tick)
{
    struct lag *l = tick->data;
    struct mono now = mono_now();

    count(l, mono_since_ns(l->due, now) / NS_PER_US);
    if (lag_is_late(l->due, now))
        l->stats.late++;
    l->due = mono_plus_ms(now, EACH_MS);
    /* Not a repeating timer: libuv counts that from its cached time, and a turn that came
     * late would look like one that came early the next time. */
    uv_update_time(tick->loop);
    (void)uv_timer_start(tick, on_tick, EACH_MS, 0);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

int lag_open(struct lag **ret_lag, struct uv_loop_s *loop, struct err *err)
{
    struct lag *l = calloc(1, sizeof *l);
    int status;

    if (l == NULL)
        return err_set(err, ERR_NOMEM, "loop lag");
    (void)uv_timer_init(loop, &l->tick); /* cannot fail */
    l->tick.data = l;
    l->stats.turns = histogram_make(bounds_us, ARRAY_LEN(bounds_us));
    l->due = mono_plus_ms(mono_now(), EACH_MS);
    uv_update_time(loop);
    status = uv_timer_start(&l->tick, on_tick, EACH_MS, 0);
    if (status != 0) {
        lag_close(l);
        return err_uv(err, status, "start the lag timer");
    }
    *ret_lag = l;
    return 0;
}

void lag_close(struct lag *l)
{
    if (l != NULL)
        uv_close((uv_handle_t *)&l->tick, on_closed);
}

void lag_stats(const struct lag *l, struct lag_stats *ret_stats)
{
    *ret_stats = l->stats;
    ret_stats->max_us = 0;
    for (unsigned i = 0; i < WINDOW; i++)
        if (l->window[i] > ret_stats->max_us)
            ret_stats->max_us = l->window[i];
}
