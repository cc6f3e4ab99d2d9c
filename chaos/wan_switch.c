/* chaos/wan_switch.c */
#include "chaos/wan_switch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "chaos/base.h"

enum {
    /* Whom an event is from; below: the site. */
    FROM_TIMER = WAN_SITES_MAX,
    FROM_CONTROL,
    SOURCES,
    FRAMES_AT_ONCE = 64, /* of one site, before the others are looked at */
    NS_PER_S = 1000000000,
};

struct loop {
    struct wan_switch *net;
    int epoll, timer;
    int64_t armed_ns; /* INT64_MAX: not */
    bool outlives;
};

static void watch(struct loop *l, int fd, uint32_t from)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = from};

    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("wide-area network: epoll: %s", strerror(errno));
}

/* A site whose device is down takes nothing: its frame is gone, as on a cable that nobody
 * has plugged in. */
static void deliver(struct wan_switch *s, int64_t now)
{
    struct wan_frame *f;

    while ((f = wan_core_due(s->core, now)) != NULL) {
        (void)!write(s->taps[f->to], f->bytes, f->size);
        wan_core_return(s->core, f);
    }
}

static void take_frames(struct wan_switch *s, unsigned from)
{
    for (int i = 0; i < FRAMES_AT_ONCE; i++) {
        struct wan_frame *f = wan_core_blank(s->core);
        ssize_t size = read(s->taps[from], f->bytes, sizeof f->bytes);
        int64_t now;

        if (size <= 0) {
            wan_core_return(s->core, f);
            if (size < 0 && errno != EAGAIN && errno != EINTR && errno != EIO)
                die("wide-area network: read from site %u: %s", from, strerror(errno));
            return;
        }
        f->size = (uint16_t)size;
        now = now_ns();
        wan_core_send(s->core, f, from, now);
        deliver(s, now);
    }
}

static bool is_right(const struct wan_switch *s, const struct wan_order *o)
{
    if (o->count > WAN_CHANGES_MAX)
        return false;
    for (unsigned i = 0; i < o->count; i++) {
        const struct wan_change *c = &o->changes[i];

        if (c->from >= s->sites || c->to >= s->sites || c->from == c->to ||
            wan_link_wrong(&c->rules) != NULL)
            return false;
    }
    return true;
}

static bool change_all(struct wan_core *core, const struct wan_order *o)
{
    bool done = true;

    for (unsigned i = 0; i < o->count; i++) {
        const struct wan_change *c = &o->changes[i];

        done &= o->kind == WAN_SET ? wan_core_set(core, c->from, c->to, &c->rules)
                                   : wan_core_set_base(core, c->from, c->to, &c->rules);
    }
    return done;
}

static bool obey(struct loop *l, const struct wan_order *o, struct wan_answer *a)
{
    struct wan_core *core = l->net->core;

    if (!is_right(l->net, o))
        return false;
    switch (o->kind) {
    case WAN_SET:
    case WAN_SET_BASE:
        return change_all(core, o);
    case WAN_HEAL:
        wan_core_heal(core);
        return true;
    case WAN_COUNT:
        a->count = wan_core_count(core, o->changes[0].from, o->changes[0].to);
        return true;
    case WAN_OUTLIVE:
        l->outlives = true;
        return prctl(PR_SET_PDEATHSIG, 0) == 0;
    }
    return false;
}

static void lose_control(struct loop *l)
{
    if (!l->outlives)
        _exit(0);
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->net->control, NULL);
    close(l->net->control);
}

static void serve(struct loop *l)
{
    struct wan_order order;
    struct wan_answer answer = {0};
    ssize_t size = recv(l->net->control, &order, sizeof order, 0);

    if (size <= 0) {
        lose_control(l);
        return;
    }
    answer.done = (size_t)size == sizeof order && obey(l, &order, &answer);
    if (send(l->net->control, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer)
        lose_control(l);
}

static void wind_up(struct loop *l)
{
    int64_t due = wan_core_next_ns(l->net->core);
    struct itimerspec at = {0};

    if (due == l->armed_ns)
        return;
    if (due != INT64_MAX)
        at.it_value =
            (struct timespec){.tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S};
    if (timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &at, NULL) != 0)
        die("wide-area network: timer: %s", strerror(errno));
    l->armed_ns = due;
}

static void handle(struct loop *l, unsigned from)
{
    uint64_t times;

    if (from == FROM_CONTROL) {
        serve(l);
    } else if (from == FROM_TIMER) {
        l->armed_ns = INT64_MAX; /* it is over; wind_up() sets it anew */
        (void)!read(l->timer, &times, sizeof times);
    } else {
        take_frames(l->net, from);
    }
}

void wan_switch_run(struct wan_switch *s)
{
    struct loop l = {.net = s, .armed_ns = INT64_MAX};
    struct epoll_event events[SOURCES];

    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    /* The clock of now_ns(). */
    l.timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l.epoll < 0 || l.timer < 0)
        die("wide-area network: epoll, timer: %s", strerror(errno));
    for (unsigned site = 0; site < s->sites; site++)
        watch(&l, s->taps[site], site);
    watch(&l, l.timer, FROM_TIMER);
    watch(&l, s->control, FROM_CONTROL);
    for (;;) {
        int n = epoll_wait(l.epoll, events, SOURCES, -1);

        if (n < 0 && errno != EINTR)
            die("wide-area network: wait: %s", strerror(errno));
        for (int i = 0; i < n; i++)
            handle(&l, events[i].data.u32);
        deliver(s, now_ns());
        wind_up(&l);
    }
}
