#include "fencing/guard/guard_rules.h"

#include <string.h>

enum { MS_PER_S = 1000 };

/* Each word is released and acquired by itself, so that whoever has read one of a new order
 * finds its odd number as well; no fences, which ThreadSanitizer does not know. */
/* NOLINTNEXTLINE(readability-non-const-parameter): it is written, atomically */
void guard_put(uint64_t *seq, void *to, const void *from, size_t size)
{
    const uint64_t odd = __atomic_load_n(seq, __ATOMIC_RELAXED) | 1;
    const uint64_t *words = from;
    uint64_t *out = to;

    __atomic_store_n(seq, odd, __ATOMIC_RELAXED);
    for (size_t i = 0; i < size / sizeof *words; i++)
        __atomic_store_n(&out[i], words[i], __ATOMIC_RELEASE);
    __atomic_store_n(seq, odd + 1, __ATOMIC_RELEASE);
}

bool guard_get(const uint64_t *seq, void *to, const void *from, size_t size)
{
    enum { ATTEMPTS = 64 };
    const uint64_t *words = from;
    uint64_t copy[sizeof(struct guard_order) / 8];

    if (size > sizeof copy)
        return false;
    for (int n = 0; n < ATTEMPTS; n++) {
        const uint64_t before = __atomic_load_n(seq, __ATOMIC_ACQUIRE);

        for (size_t i = 0; i < size / sizeof *words; i++)
            copy[i] = __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
        if ((before & 1) != 0 || __atomic_load_n(seq, __ATOMIC_RELAXED) != before)
            continue;
        __builtin_memcpy(to, copy, size);
        return true;
    }
    return false;
}

bool guard_page_fits(const struct guard_page *page, uint64_t file_size)
{
    return file_size == sizeof *page && page->magic == GUARD_MAGIC &&
           page->version == GUARD_VERSION && page->size == sizeof *page;
}

static uint64_t before(uint64_t deadline_ns, uint64_t lead_ns)
{
    return deadline_ns > lead_ns ? deadline_ns - lead_ns : 0;
}

enum guard_verdict guard_judge(const struct guard_order *order, uint64_t now_ns,
                               uint64_t lead_ns, enum guard_found found)
{
    if (order->armed == 0)
        return GUARD_REST;
    if (order->when == GUARD_WHEN_EXPIRED && order->lease_until_ns != 0 &&
        now_ns >= before(order->lease_until_ns, lead_ns))
        return GUARD_STOP;
    if (now_ns < before(order->open_until_ns, lead_ns))
        return GUARD_REST;
    switch (found) {
    case GUARD_NOT_LOOKED:
        return GUARD_LOOK;
    case GUARD_IN_PLACE:
        return GUARD_REST;
    case GUARD_GONE:
        break;
    }
    return GUARD_STOP;
}

uint64_t guard_due_ns(const struct guard_order *order, uint64_t lead_ns)
{
    uint64_t due = before(order->open_until_ns, lead_ns);
    uint64_t over = before(order->lease_until_ns, lead_ns);

    if (order->armed == 0)
        return UINT64_MAX;
    if (order->when == GUARD_WHEN_EXPIRED && order->lease_until_ns != 0 && over < due)
        due = over;
    return due;
}

bool guard_is_servers_cgroup(const char *path)
{
    static const char prefix[] = "ringfence-";
    enum { HASH_DIGITS = 16 };
    const char *name = strrchr(path, '/');
    const char *hash = strrchr(path, '-');

    if (name == NULL || strncmp(name + 1, prefix, sizeof prefix - 1) != 0 || hash < name)
        return false;
    /* More than the prefix's own dash, and nothing behind the digits. */
    return hash > name + sizeof prefix - 1 &&
           strspn(hash + 1, "0123456789abcdef") == HASH_DIGITS &&
           hash[1 + HASH_DIGITS] == '\0';
}

unsigned guard_dog_timeout_s(uint64_t ttl_ms)
{
    const uint64_t half_s = ttl_ms / 2 / MS_PER_S;

    return half_s > UINT16_MAX ? UINT16_MAX : (unsigned)half_s;
}
