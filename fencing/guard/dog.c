#include "fencing/guard/dog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fencing/guard/guard_rules.h"

enum { RETRY_S = 5, SPEAK_PARTS = 4 };

static const uint64_t NS_PER_S = 1000000000u;

uint64_t dog_lead_ns(const struct dog *dog)
{
    return dog->fd >= 0 ? dog->timeout_s * NS_PER_S : 0;
}

static void failed(struct dog *dog, const struct dog_view *view, int error)
{
    dog->state = GUARD_DOG_FAILED;
    dog->error = error;
    dog->retry_ns = view->now_ns + RETRY_S * NS_PER_S;
}

/* From the open on the host is reset unless somebody speaks. */
static void disarm(struct dog *dog)
{
    ssize_t written = write(dog->fd, "V", 1);

    (void)written;
    (void)close(dog->fd);
    dog->fd = -1;
    dog->timeout_s = 0;
}

static void speak(struct dog *dog, uint64_t now_ns)
{
    if (ioctl(dog->fd, WDIOC_KEEPALIVE, 0) != 0) {
        dog->error = errno; /* the host is reset before long, if the driver means it */
        return;
    }
    dog->spoke_ns = now_ns;
    dog->pets++;
}

/* The driver may round; what it says it will do is what counts. */
static bool set_timeout(struct dog *dog, unsigned wanted_s, uint64_t ttl_ms)
{
    int seconds = (int)wanted_s, now = 0;

    if (ioctl(dog->fd, WDIOC_SETTIMEOUT, &seconds) != 0 ||
        ioctl(dog->fd, WDIOC_GETTIMEOUT, &now) != 0) {
        dog->error = errno;
        return false;
    }
    dog->error = 0;
    if (now <= 0 || (unsigned)now > guard_dog_timeout_s(ttl_ms))
        return false;
    dog->timeout_s = (unsigned)now;
    return true;
}

static void arm(struct dog *dog, const struct dog_view *view)
{
    const unsigned wanted_s = guard_dog_timeout_s(view->ttl_ms);

    if (view->now_ns < dog->retry_ns)
        return;
    if (wanted_s == 0) {
        dog->state = GUARD_DOG_TOO_SLOW;
        return;
    }
    dog->fd = open(view->device, O_WRONLY | O_CLOEXEC);
    if (dog->fd < 0) {
        failed(dog, view, errno);
        return;
    }
    if (!set_timeout(dog, wanted_s, view->ttl_ms)) {
        const int error = dog->error;

        disarm(dog); /* nobody is to be reset by a watchdog that does not fit the lease */
        failed(dog, view, error);
        if (error == 0)
            dog->state = GUARD_DOG_TOO_SLOW;
        return;
    }
    dog->state = GUARD_DOG_ARMED;
    speak(dog, view->now_ns);
}

/* A group with shorter leases came. */
static void fit(struct dog *dog, const struct dog_view *view)
{
    const unsigned wanted_s = guard_dog_timeout_s(view->ttl_ms);

    if (!view->any_armed || wanted_s >= dog->timeout_s)
        return;
    if (wanted_s == 0 || !set_timeout(dog, wanted_s, view->ttl_ms))
        dog->state = GUARD_DOG_TOO_SLOW; /* it goes on with what it has, and we say so */
}

void dog_turn(struct dog *dog, const struct dog_view *view)
{
    const uint64_t period_ns = dog->timeout_s * NS_PER_S / SPEAK_PARTS;

    if (dog->fd < 0) {
        if (view->device[0] == '\0')
            dog->state = GUARD_DOG_NONE;
        else if (!view->any_armed)
            dog->state = GUARD_DOG_READY;
        else
            arm(dog, view);
        return;
    }
    if (!view->any_armed && view->all_down) {
        disarm(dog);
        dog->state = GUARD_DOG_READY;
        return;
    }
    fit(dog, view);
    if (view->all_safe && view->now_ns - dog->spoke_ns >= period_ns)
        speak(dog, view->now_ns);
}
