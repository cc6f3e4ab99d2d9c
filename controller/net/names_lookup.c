#include "controller/net/names_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "controller/base/assert.h"

/* Enough for glibc's resolver and what nsswitch.conf may load; a daemon that locks its
 * memory pays for what is touched. */
enum { STACK_SIZE = 512 << 10 };

struct desk {
    /* An eventfd. Not uv_async: its receiver spins with sched_yield() while a sender is
     * between two of its own instructions, and a daemon of real-time priority keeps these
     * threads, which are ordinary, from getting on: it stood still for a second, until the
     * kernel's throttle ended that, at each lookup's end. */
    int bell;
    pthread_mutex_t mutex; /* over the rest; who holds it has its waiter's priority */
    unsigned holders;      /* names.c, and lookups under way */
    bool left;             /* names.c has */
    struct lookup *ended;
};

static void lock(struct desk *d) { (void)pthread_mutex_lock(&d->mutex); }

/* Unlocks, and frees it with its last holder. */
static void put(struct desk *d)
{
    unsigned left = --d->holders;

    (void)pthread_mutex_unlock(&d->mutex);
    if (left > 0)
        return;
    (void)pthread_mutex_destroy(&d->mutex);
    (void)close(d->bell);
    free(d);
}

int desk_new(struct desk **ret_desk, struct err *err)
{
    struct desk *d = calloc(1, sizeof *d);
    pthread_mutexattr_t inherit;

    if (d == NULL)
        return err_set(err, ERR_NOMEM, "lookups of names");
    d->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->bell < 0) {
        free(d);
        return err_errno(err, errno, "lookups of names");
    }
    pthread_mutexattr_init(&inherit);
    (void)pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
    (void)pthread_mutex_init(&d->mutex, &inherit);
    pthread_mutexattr_destroy(&inherit);
    d->holders = 1;
    *ret_desk = d;
    return 0;
}

int desk_bell(const struct desk *d) { return d->bell; }

struct lookup *desk_take(struct desk *d)
{
    struct lookup *ended;
    uint64_t rings;

    /* Before the list is taken: what comes in between rings once more. */
    (void)!read(d->bell, &rings, sizeof rings);
    lock(d);
    ended = TAKE(d->ended);
    (void)pthread_mutex_unlock(&d->mutex);
    return ended;
}

void desk_leave(struct desk *d)
{
    struct lookup *ended;

    lock(d);
    d->left = true;
    ended = TAKE(d->ended);
    put(d);
    while (ended != NULL) {
        struct lookup *next = ended->next;

        lookup_free(ended);
        ended = next;
    }
}

void lookup_free(struct lookup *l)
{
    free(l->path);
    free(l->text);
    free(l);
}

/* ---- on its thread ------------------------------------------------------------------- */

static void note_failure(struct lookup *l, int status, int errno_value)
{
    if (status == EAI_SYSTEM)
        (void)err_errno(&l->err, errno_value, "look up %s", l->host);
    else if (status == EAI_MEMORY)
        (void)err_set(&l->err, ERR_NOMEM, "look up %s", l->host);
    else
        (void)err_set(&l->err,
                      status == EAI_NONAME || status == EAI_NODATA ? ERR_NOTFOUND : ERR_IO,
                      "look up %s: %s", l->host, gai_strerror(status));
}

static void find_addresses(struct lookup *l)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(l->host, NULL, &hints, &found);

    if (status != 0) {
        note_failure(l, status, errno);
        return;
    }
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
        if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
            a->ai_addrlen <= sizeof l->answer.of[0] &&
            l->answer.count < NAMES_ADDRESSES_MAX)
            memcpy(&l->answer.of[l->answer.count++], a->ai_addr, a->ai_addrlen);
    freeaddrinfo(found);
    if (l->answer.count == 0)
        (void)err_set(&l->err, ERR_NOTFOUND, "look up %s: no address", l->host);
}

static bool write_all(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    bool done = fd >= 0 && write(fd, text, len) == (ssize_t)len && fdatasync(fd) == 0;
    int why = errno;

    if (fd >= 0)
        (void)close(fd);
    errno = why;
    return done;
}

static void keep(struct lookup *l)
{
    char beside[4096];

    (void)snprintf(beside, sizeof beside, "%s.new", l->path);
    errno = EIO; /* of a short write, which sets none */
    if (!write_all(beside, l->text) || rename(beside, l->path) != 0)
        (void)err_errno(&l->err, errno, "write %s", l->path);
}

/* True: it lies on the desk, and is not ours any more. */
static bool hand_over(struct desk *d, struct lookup *l)
{
    bool left;

    lock(d);
    left = d->left;
    if (!left) {
        l->next = d->ended;
        d->ended = l;
    }
    (void)pthread_mutex_unlock(&d->mutex);
    return !left;
}

static void *look(void *arg)
{
    struct lookup *l = arg;
    struct desk *d = l->desk;
    const uint64_t one = 1;

    if (l->kind == LOOKUP_NAME)
        find_addresses(l);
    else
        keep(l);
    if (!hand_over(d, l))
        lookup_free(l);
    (void)!write(d->bell, &one, sizeof one); /* ours as long as we hold the desk */
    lock(d);
    put(d);
    return NULL;
}

/* ---- starting one -------------------------------------------------------------------- */

/* Of ordinary priority whatever ours is, and with no signal of the daemon's. */
static int set_up(pthread_attr_t *attr)
{
    const struct sched_param ordinary = {0};
    sigset_t all;
    int status = pthread_attr_setdetachstate(attr, PTHREAD_CREATE_DETACHED);

    (void)sigfillset(&all);
    if (status == 0)
        status = pthread_attr_setstacksize(attr, STACK_SIZE);
    if (status == 0)
        status = pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
    if (status == 0)
        status = pthread_attr_setschedpolicy(attr, SCHED_OTHER);
    if (status == 0)
        status = pthread_attr_setschedparam(attr, &ordinary);
    if (status == 0)
        status = pthread_attr_setsigmask_np(attr, &all);
    return status;
}

static int start(struct desk *d, struct lookup *l, struct err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    int status = pthread_attr_init(&attr);

    ASSERT(status == 0); /* glibc's cannot fail */
    status = set_up(&attr);
    l->desk = d;
    lock(d);
    d->holders++;
    (void)pthread_mutex_unlock(&d->mutex);
    if (status == 0)
        status = pthread_create(&thread, &attr, look, l);
    (void)pthread_attr_destroy(&attr);
    if (status == 0)
        return 0;
    lock(d);
    put(d);
    lookup_free(l);
    return err_errno(err, status, "a thread to look up a name");
}

int lookup_start_name(struct desk *d, const char *host, struct err *err)
{
    struct lookup *l = calloc(1, sizeof *l);

    if (l == NULL)
        return err_set(err, ERR_NOMEM, "look up %s", host);
    l->kind = LOOKUP_NAME;
    (void)snprintf(l->host, sizeof l->host, "%s", host);
    return start(d, l, err);
}

int lookup_start_keep(struct desk *d, const char *path, char *text, struct err *err)
{
    struct lookup *l = calloc(1, sizeof *l);

    if (l == NULL) {
        free(text);
        return err_set(err, ERR_NOMEM, "write %s", path);
    }
    l->kind = LOOKUP_KEEP;
    l->text = text;
    l->path = strdup(path);
    if (l->path == NULL) {
        lookup_free(l);
        return err_set(err, ERR_NOMEM, "write %s", path);
    }
    return start(d, l, err);
}
