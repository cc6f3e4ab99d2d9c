#include "tests/unit/net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **res);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **res);
struct mono __real_mono_now(void);
struct mono __wrap_mono_now(void);

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    char addresses[512];
    int eai;
    bool hangs;
    unsigned asked, inside;
} r = {.mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static atomic_uint skipped_ms;

struct mono __wrap_mono_now(void) { return mono_plus_ms(__real_mono_now(), skipped_ms); }

void resolver_skip_ms(unsigned ms) { skipped_ms += ms; }

static int answer(char *words, const struct addrinfo *hints, struct addrinfo **res)
{
    struct addrinfo numeric = *hints, **end = res;
    char *at = NULL;

    numeric.ai_flags = AI_NUMERICHOST;
    for (char *word = strtok_r(words, " ", &at); word != NULL;
         word = strtok_r(NULL, " ", &at)) {
        int status = __real_getaddrinfo(word, NULL, &numeric, end);

        ASSERT(status == 0);
        end = &(*end)->ai_next;
    }
    return 0;
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **res)
{
    char words[sizeof r.addresses];
    int eai;

    ASSERT(node != NULL && node[0] != 0);
    ASSERT(service == NULL); /* ports are not the resolver's */
    ASSERT(hints != NULL && hints->ai_socktype == SOCK_STREAM);
    pthread_mutex_lock(&r.mutex);
    r.asked++;
    r.inside++;
    pthread_cond_broadcast(&r.change);
    while (r.hangs)
        pthread_cond_wait(&r.change, &r.mutex);
    snprintf(words, sizeof words, "%s", r.addresses);
    eai = r.eai;
    pthread_mutex_unlock(&r.mutex);
    if (eai == 0)
        eai = answer(words, hints, res);
    pthread_mutex_lock(&r.mutex);
    r.inside--;
    pthread_cond_broadcast(&r.change);
    pthread_mutex_unlock(&r.mutex);
    return eai;
}

static void set(const char *addresses, int eai, bool hangs)
{
    pthread_mutex_lock(&r.mutex);
    if (addresses != NULL)
        snprintf(r.addresses, sizeof r.addresses, "%s", addresses);
    r.eai = eai;
    r.hangs = hangs;
    pthread_cond_broadcast(&r.change);
    pthread_mutex_unlock(&r.mutex);
}

void resolver_begin(void)
{
    set("127.0.0.1", 0, false);
    r.asked = 0;
}

void resolver_says(const char *addresses) { set(addresses, 0, r.hangs); }

void resolver_fails(int eai) { set(NULL, eai, r.hangs); }

void resolver_hangs(void) { set(NULL, r.eai, true); }

void resolver_goes_on(void) { set(NULL, r.eai, false); }

unsigned resolver_asked(void)
{
    unsigned n;

    pthread_mutex_lock(&r.mutex);
    n = r.asked;
    pthread_mutex_unlock(&r.mutex);
    return n;
}

unsigned resolver_waiting(void)
{
    unsigned n;

    pthread_mutex_lock(&r.mutex);
    n = r.inside;
    pthread_mutex_unlock(&r.mutex);
    return n;
}

void resolver_until_asked(unsigned n)
{
    pthread_mutex_lock(&r.mutex);
    while (r.asked < n)
        pthread_cond_wait(&r.change, &r.mutex);
    pthread_mutex_unlock(&r.mutex);
}

void resolver_end(void)
{
    resolver_goes_on();
    pthread_mutex_lock(&r.mutex);
    while (r.inside > 0)
        pthread_cond_wait(&r.change, &r.mutex);
    pthread_mutex_unlock(&r.mutex);
}
