/* Addresses: how many connections each has, and how fast they come. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "controller/net/door_private.h"

/* Of IPv6 the first half: who has one address there has as many as it likes. */
uint64_t source_key(const struct sockaddr_storage *sa)
{
    uint64_t key = 0;

    if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            memcpy(&key, v6->sin6_addr.s6_addr + 12, 4);
        else
            memcpy(&key, v6->sin6_addr.s6_addr, sizeof key);
    } else {
        memcpy(&key, &((const struct sockaddr_in *)sa)->sin_addr, 4);
    }
    return key;
}

static unsigned bucket_of(uint64_t key)
{
    return (unsigned)((key * 0x9e3779b97f4a7c15ull) >> 54) % DOOR_BUCKETS;
}

static uint64_t full(const struct door *d) { return 2000ull * d->limits.arrivals_per_s; }

struct door_source *source_of(struct door *d, uint64_t key, uint64_t now_ms)
{
    struct door_source **bucket = &d->buckets[bucket_of(key)], *s;

    for (s = *bucket; s != NULL; s = s->next)
        if (s->key == key)
            return s;
    s = d->sources < DOOR_SOURCES_MAX ? calloc(1, sizeof *s) : NULL;
    if (s == NULL)
        return &d->crowd;
    s->key = key;
    s->tokens_ms = full(d);
    s->at_ms = now_ms;
    s->next = *bucket;
    *bucket = s;
    d->sources++;
    return s;
}

static void refill(const struct door *d, struct door_source *s, uint64_t now_ms)
{
    s->tokens_ms += (now_ms - s->at_ms) * d->limits.arrivals_per_s;
    if (s->tokens_ms > full(d))
        s->tokens_ms = full(d);
    s->at_ms = now_ms;
}

bool source_take(struct door *d, struct door_source *s, uint64_t now_ms)
{
    refill(d, s, now_ms);
    if (s->tokens_ms < 1000)
        return false;
    s->tokens_ms -= 1000;
    return true;
}

/* What says no more than a new one would is forgotten. */
void sources_sweep(struct door *d, uint64_t now_ms)
{
    for (unsigned i = 0; i < DOOR_BUCKETS; i++) {
        struct door_source **at = &d->buckets[i];

        while (*at != NULL) {
            struct door_source *s = *at;

            refill(d, s, now_ms);
            if (s->open > 0 || s->tokens_ms < full(d)) {
                at = &s->next;
                continue;
            }
            *at = s->next;
            free(s);
            d->sources--;
        }
    }
}

void sources_free(struct door *d)
{
    for (unsigned i = 0; i < DOOR_BUCKETS; i++)
        while (d->buckets[i] != NULL) {
            struct door_source *s = d->buckets[i];

            d->buckets[i] = s->next;
            free(s);
        }
}
