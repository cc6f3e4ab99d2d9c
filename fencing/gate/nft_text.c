#include "fencing/gate/nft_text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"

static void say(struct nft_text *t, const char *fmt, va_list args)
{
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false report of clang 14 */
    const int n = vsnprintf(t->bytes + t->len, sizeof t->bytes - t->len, fmt, args);

    ASSERT(n >= 0);
    ASSERT((size_t)n < sizeof t->bytes - t->len);
    t->len += (size_t)n;
}

void nft_say(struct nft_text *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(t, fmt, args);
    va_end(args);
}

char nft_addr(const struct gate_addr *addr, char text[46])
{
    static const uint8_t ip4_prefix[12] = {[10] = 0xff, [11] = 0xff};
    const bool is_ip4 = memcmp(addr->ip, ip4_prefix, sizeof ip4_prefix) == 0;

    (void)inet_ntop(is_ip4 ? AF_INET : AF_INET6, is_ip4 ? addr->ip + 12 : addr->ip, text,
                    46);
    return is_ip4 ? '4' : '6';
}

/* Milliseconds in the unit that `text` begins with, and its length; 0: none of them. */
static uint64_t unit_ms(const char *text, size_t *ret_length)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        *ret_length = strlen(units[i].name);
        if (strncmp(text, units[i].name, *ret_length) == 0)
            return units[i].ms;
    }
    return 0;
}

uint64_t nft_duration_ms(const char *text)
{
    uint64_t total = 0;

    while (isdigit((unsigned char)*text)) {
        char *unit;
        const uint64_t value = strtoull(text, &unit, 10);
        size_t length;
        const uint64_t ms = unit_ms(unit, &length);

        if (ms == 0)
            break;
        total += value * ms;
        text = unit + length;
    }
    return total;
}

bool nft_find_timed(const char *listing, uint16_t port, uint64_t *ret_ms)
{
    const char *at = strstr(listing, "elements = {");

    if (at == NULL)
        return false;
    at += strlen("elements = {");
    while (*at != '\0' && *at != '}') {
        char *end;
        const unsigned long value = strtoul(at, &end, 10);
        const size_t length = strcspn(end, ",}");
        const char *expires = strstr(end, " expires ");

        if (value == port && end != at) {
            *ret_ms = UINT64_MAX;
            if (expires != NULL && (size_t)(expires - end) < length)
                *ret_ms = nft_duration_ms(expires + strlen(" expires "));
            return true;
        }
        at = end + length;
        if (*at == ',')
            at++;
    }
    return false;
}
