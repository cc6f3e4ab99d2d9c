/* Is anything bound to a port of this host? */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "fencing/gate/gate.h"

/* Without SO_REUSEADDR a port can be bound only where nobody has it: listeners, living
 * connections and those in TIME_WAIT are in the way alike. Nothing listens here for it. */
static int try_bind(int family, const struct sockaddr *at, socklen_t size)
{
    AUTO(auto_close) int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int no = 0;

    if (fd < 0)
        return errno;
    if (family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0)
        return errno;
    return bind(fd, at, size) == 0 ? 0 : errno;
}

bool gate_port_in_use(uint16_t port)
{
    const struct sockaddr_in6 both = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    int why = try_bind(AF_INET6, (const struct sockaddr *)&both, sizeof both);

    if (why == EAFNOSUPPORT || why == EADDRNOTAVAIL) /* a host without IPv6 */
        why = try_bind(AF_INET, (const struct sockaddr *)&four, sizeof four);
    return why != 0;
}
