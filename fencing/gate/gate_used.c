/* Is anything bound to a port of this host? */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "fencing/gate/gate.h"
#include "fencing/gate/sockdestroy.h"

/* Refused where somebody listens; connections, and those in TIME_WAIT, are not in the way.
 * Nothing listens here for it. */
static int try_bind(int family, const struct sockaddr *at, socklen_t size)
{
    AUTO(auto_close) int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int no = 0, yes = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
        return errno;
    if (family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0)
        return errno;
    return bind(fd, at, size) == 0 ? 0 : errno;
}

static bool may_have_a_listener(uint16_t port)
{
    const struct sockaddr_in6 both = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    int why = try_bind(AF_INET6, (const struct sockaddr *)&both, sizeof both);

    if (why == EAFNOSUPPORT || why == EADDRNOTAVAIL) /* a host without IPv6 */
        why = try_bind(AF_INET, (const struct sockaddr *)&four, sizeof four);
    return why != 0;
}

/* A pooler that drains has no listener any more, and its clients all the same. */
bool gate_port_in_use(uint16_t port)
{
    bool any = true;
    struct err err;

    return may_have_a_listener(port) || sockdestroy_look(port, &any, &err) != 0 || any;
}
