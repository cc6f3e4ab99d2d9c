/* The group document's ports beside a server's own, and its exceptions. */
#include <netinet/in.h>
#include <string.h>
#include <arpa/inet.h>

#include "controller/http/document_private.h"
#include "controller/http/reader.h"

/* Kept in one order, whatever the file's: equal lists are equal bytes in the log. */
static void keep_port(struct instance *i, uint16_t port)
{
    unsigned at = i->also_count++;

    for (; at > 0 && i->also[at - 1].port > port; at--)
        i->also[at] = i->also[at - 1];
    i->also[at].port = port;
}

static int read_also_port(const json_t *v, const char *at, struct instance *i,
                          struct err *err)
{
    const json_int_t port = json_integer_value(v);

    if (!json_is_integer(v) || port < 1 || port > UINT16_MAX)
        return err_set(err, ERR_INVAL, "%s: a port from 1 to %d is expected", at,
                       UINT16_MAX);
    if (port == i->port)
        return err_set(err, ERR_INVAL,
                       "%s: %d is the server's own `port`, which is gated anyhow: list the "
                       "others, a pooler's on the same host",
                       at, (int)port);
    if (instance_has_port(i, (uint16_t)port))
        return err_set(err, ERR_INVAL, "%s: port %d is listed already", at, (int)port);
    keep_port(i, (uint16_t)port);
    return 0;
}

int document_read_also_ports(const json_t *list, const char *path, struct instance *i,
                             struct err *err)
{
    char at[READER_PATH_SIZE], item[READER_PATH_SIZE];
    size_t n = 0;

    if (list == NULL)
        return 0;
    reader_path_key(at, path, "also_ports");
    if (reader_list(list, at, 0, ALSO_MAX, &n, err) != 0)
        return err->code;
    for (size_t k = 0; k < n; k++) {
        reader_path_index(item, at, k);
        if (read_also_port(json_array_get(list, k), item, i, err) != 0)
            return err->code;
    }
    return 0;
}

/* As inet_ntop() writes it, IPv4 not mapped, so that one address has one spelling. */
static bool same_spelling(const char *text, char ret[EXCEPTION_SIZE])
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, text, &four) == 1)
        return four.s_addr != INADDR_ANY && !IN_MULTICAST(ntohl(four.s_addr)) &&
               inet_ntop(AF_INET, &four, ret, EXCEPTION_SIZE) != NULL;
    if (inet_pton(AF_INET6, text, &six) != 1 || IN6_IS_ADDR_UNSPECIFIED(&six) ||
        IN6_IS_ADDR_MULTICAST(&six))
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&six))
        return inet_ntop(AF_INET, &six.s6_addr[12], ret, EXCEPTION_SIZE) != NULL;
    return inet_ntop(AF_INET6, &six, ret, EXCEPTION_SIZE) != NULL;
}

static int read_exception(const json_t *v, const char *at, struct group *g, struct err *err)
{
    struct exception *x = &g->exceptions[g->exception_count];
    const char *text = json_string_value(v);

    if (text == NULL || !same_spelling(text, x->address))
        return err_set(err, ERR_INVAL,
                       "%s: %s%.60s%s: the address of one host is expected, such as "
                       "10.0.9.7 or 2001:db8::7; neither a name nor a prefix: each one "
                       "listed may pass a closed standby's gate",
                       at, text != NULL ? "\"" : "", text != NULL ? text : "not a text",
                       text != NULL ? "\"" : "");
    for (unsigned i = 0; i < g->exception_count; i++)
        if (strcmp(g->exceptions[i].address, x->address) == 0)
            return err_set(err, ERR_INVAL, "%s: %s is listed already", at, x->address);
    g->exception_count++;
    return 0;
}

int document_read_exceptions(const json_t *list, struct group *g, struct err *err)
{
    static const char path[] = "components[0].exceptions";
    char at[READER_PATH_SIZE];
    size_t n = 0;

    if (list == NULL)
        return 0;
    if (reader_list(list, path, 0, EXCEPTION_MAX, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        reader_path_index(at, path, i);
        if (read_exception(json_array_get(list, i), at, g, err) != 0)
            return err->code;
    }
    return 0;
}
