/* The probe of state_dir: a disk that hangs is told of in time, and holds nobody up. */
#include "tests/unit/agent/cmocka_env.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"
#include "fencing/agent/disk_probe.h"

enum { DEADLINE_MS = 50, PATIENCE_MS = 20000, SYNC_STEP = 3, SAID_MAX = 8 };

/* A disk whose sync does not return before it is let go on. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool stuck;
    unsigned waiting;
} disk = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};

static void before_step(int step)
{
    if (step != SYNC_STEP)
        return;
    pthread_mutex_lock(&disk.lock);
    disk.waiting++;
    while (disk.stuck)
        pthread_cond_wait(&disk.change, &disk.lock);
    disk.waiting--;
    pthread_cond_broadcast(&disk.change);
    pthread_mutex_unlock(&disk.lock);
}

static void set_stuck(bool stuck)
{
    pthread_mutex_lock(&disk.lock);
    disk.stuck = stuck;
    pthread_cond_broadcast(&disk.change);
    pthread_mutex_unlock(&disk.lock);
}

static bool somebody_waits(void)
{
    bool waits;

    pthread_mutex_lock(&disk.lock);
    waits = disk.waiting > 0;
    pthread_mutex_unlock(&disk.lock);
    return waits;
}

struct rig {
    uv_loop_t loop;
    uv_timer_t tick;
    char path[64];
    struct durable_dir dir;
    struct disk_probe *probe;
    unsigned said, ticks;
    int codes[SAID_MAX];
    char text[SAID_MAX][512];
};

static void on_said(void *owner, const struct err *why)
{
    struct rig *r = owner;

    assert_true(r->said < SAID_MAX);
    r->codes[r->said] = why != NULL ? why->code : 0;
    snprintf(r->text[r->said], sizeof r->text[0], "%s", why != NULL ? why->text : "");
    r->said++;
}

/* What else lives on the loop goes on meanwhile. */
static void on_tick(uv_timer_t *tick) { ((struct rig *)tick->data)->ticks++; }

static void rig_open(struct rig *r, uint32_t deadline_ms)
{
    struct disk_probe_parts parts = {.loop = &r->loop,
                                     .dir = &r->dir,
                                     .deadline_ms = deadline_ms,
                                     .says = on_said,
                                     .owner = r};
    struct err err = {0};

    *r = (struct rig){0};
    snprintf(r->path, sizeof r->path, "/tmp/rf-probe-XXXXXX");
    assert_non_null(mkdtemp(r->path));
    r->dir =
        (struct durable_dir){open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r->path};
    assert_true(r->dir.fd >= 0);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(uv_timer_init(&r->loop, &r->tick), 0);
    r->tick.data = r;
    assert_int_equal(uv_timer_start(&r->tick, on_tick, 5, 5), 0);
    durable_before_step = before_step;
    assert_int_equal(disk_probe_open(&r->probe, &parts, &err), 0);
}

static void rig_close(struct rig *r)
{
    disk_probe_close(r->probe);
    close(r->dir.fd);
    uv_close((uv_handle_t *)&r->tick, NULL);
    assert_int_equal(uv_run(&r->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r->loop), 0);
}

static void clear_dir(const struct rig *r)
{
    char path[128];

    snprintf(path, sizeof path, "%s/probe.new", r->path);
    (void)unlink(path);
    snprintf(path, sizeof path, "%s/probe", r->path);
    (void)unlink(path);
    assert_int_equal(rmdir(r->path), 0);
}

static void until_said(struct rig *r, unsigned n)
{
    struct mono end = mono_plus_ms(mono_now(), PATIENCE_MS);

    while (r->said < n) {
        (void)uv_run(&r->loop, UV_RUN_ONCE);
        assert_true(mono_now().ns < end.ns);
    }
}

static void a_disk_that_answers_is_said_to(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, PATIENCE_MS);
    until_said(&r, 1);
    assert_int_equal(r.codes[0], 0);
    rig_close(&r);
    clear_dir(&r);
}

/* It is told of once while it hangs, the loop turns on, and told of again when it answers.
 */
static void a_disk_that_hangs_is_told_of(void **state)
{
    struct rig r;
    unsigned ticks;

    (void)state;
    set_stuck(true);
    rig_open(&r, DEADLINE_MS);
    until_said(&r, 1);
    assert_int_equal(r.codes[0], ERR_TIMEOUT);
    assert_non_null(strstr(r.text[0], r.path));
    assert_non_null(strstr(r.text[0], "hangs"));
    assert_true(somebody_waits());
    ticks = r.ticks;
    while (r.ticks < ticks + 3 * DEADLINE_MS / 5)
        (void)uv_run(&r.loop, UV_RUN_ONCE);
    assert_int_equal(r.said, 1);
    set_stuck(false);
    until_said(&r, 2);
    assert_int_equal(r.codes[1], 0);
    rig_close(&r);
    clear_dir(&r);
}

/* An agent that ends does not wait for it, and what the write needs outlives the agent. */
static void a_write_that_hangs_holds_no_end_up(void **state)
{
    struct rig r;

    (void)state;
    set_stuck(true);
    rig_open(&r, DEADLINE_MS);
    until_said(&r, 1);
    rig_close(&r);
    assert_true(somebody_waits());
    set_stuck(false);
    pthread_mutex_lock(&disk.lock);
    while (disk.waiting > 0)
        pthread_cond_wait(&disk.change, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
    /* Its last deeds are in the directory: it is gone only when they are done. */
    for (struct mono end = mono_plus_ms(mono_now(), PATIENCE_MS);
         rmdir(r.path) != 0 && mono_now().ns < end.ns;)
        (void)sched_yield();
    assert_int_not_equal(access(r.path, F_OK), 0);
}

/* One that fails is not one that hangs: here nothing can be made any more. */
static void a_disk_that_fails_is_told_of_as_before(void **state)
{
    struct rig r;

    (void)state;
    set_stuck(true);
    rig_open(&r, DEADLINE_MS);
    until_said(&r, 1); /* probe.new is there by now */
    clear_dir(&r);
    set_stuck(false);
    until_said(&r, 2);
    assert_int_equal(r.codes[1], ERR_NOTFOUND);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_answers_is_said_to),
        cmocka_unit_test(a_disk_that_hangs_is_told_of),
        cmocka_unit_test(a_write_that_hangs_holds_no_end_up),
        cmocka_unit_test(a_disk_that_fails_is_told_of_as_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
