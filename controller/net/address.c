#include "controller/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int malformed(const char *text, const char *what, struct err *err)
{
    return err_set(err, ERR_INVAL,
                   "address '%.80s': %s (expected host:port, as in 10.0.0.2:7400 or "
                   "[fd00::2]:7400)",
                   text, what);
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    unsigned long port;

    if (text[0] < '0' || text[0] > '9')
        return false;
    port = strtoul(text, &end, 10);
    if (*end != '\0' || port > UINT16_MAX || end - text > 5)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool host_is_sane(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (host[i] <= ' ' || host[i] >= 0x7f || strchr("/[]@?#\"'", host[i]) != NULL)
            return false;
    return true;
}

int address_parse(struct address *ret_address, const char *text, struct err *err)
{
    const char *colon = strrchr(text, ':'), *host = text;
    struct address a = {0};
    size_t len;

    if (colon == NULL || !parse_port(colon + 1, &a.port))
        return malformed(text, "no port, or not a port", err);
    len = (size_t)(colon - text);
    if (text[0] == '[') {
        if (len < 3 || text[len - 1] != ']')
            return malformed(text, "'[' without ']'", err);
        host++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return malformed(text, "an IPv6 address needs brackets", err);
    }
    if (len == 0 || len >= sizeof a.host || !host_is_sane(host, len))
        return malformed(text, "not a host", err);
    memcpy(a.host, host, len);
    *ret_address = a;
    return 0;
}

void address_format(const struct address *a, char text[ADDRESS_TEXT_SIZE])
{
    const bool v6 = strchr(a->host, ':') != NULL;

    snprintf(text, ADDRESS_TEXT_SIZE, "%s%s%s:%u", v6 ? "[" : "", a->host, v6 ? "]" : "",
             (unsigned)a->port);
}

int address_numeric(struct sockaddr_storage *ret_sa, const struct address *a,
                    struct err *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

    if (inet_pton(AF_INET, a->host, &v4.sin_addr) == 1) {
        *ret_sa = (struct sockaddr_storage){0};
        memcpy(ret_sa, &v4, sizeof v4);
        return 0;
    }
    if (inet_pton(AF_INET6, a->host, &v6.sin6_addr) == 1) {
        *ret_sa = (struct sockaddr_storage){0};
        memcpy(ret_sa, &v6, sizeof v6);
        return 0;
    }
    return err_set(err, ERR_NOTFOUND, "'%s' is not a numeric address", a->host);
}

void address_of_sockaddr(const struct sockaddr_storage *sa, char text[ADDRESS_TEXT_SIZE])
{
    struct address a = {0};

    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;

        inet_ntop(AF_INET, &v4->sin_addr, a.host, sizeof a.host);
        a.port = ntohs(v4->sin_port);
    } else if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

        inet_ntop(AF_INET6, &v6->sin6_addr, a.host, sizeof a.host);
        a.port = ntohs(v6->sin6_port);
    } else {
        snprintf(text, ADDRESS_TEXT_SIZE, "?");
        return;
    }
    address_format(&a, text);
}
