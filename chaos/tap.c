/* chaos/tap.c */
#include "chaos/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "chaos/base.h"

static const char tun[] = "/dev/net/tun";

/* Opened rather than looked at: a container may have the node and not the right. */
const char *tap_missing(void)
{
    AUTO(auto_close) int fd = open(tun, O_RDWR | O_CLOEXEC);

    return fd >= 0
               ? NULL
               : "its network is made of TAP devices, and /dev/net/tun cannot be opened: "
                 "modprobe tun, or give the container that device";
}

int tap_open(int network, const char *name)
{
    AUTO(auto_close) int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd;

    if (home < 0 || setns(network, CLONE_NEWNET) != 0)
        die("enter a network namespace for its TAP device: %s", strerror(errno));
    fd = open(tun, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        die("%s: %s", tun, strerror(errno));
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) != 0)
        die("TAP device %s: %s", name, strerror(errno));
    if (setns(home, CLONE_NEWNET) != 0)
        die("return from a network namespace: %s", strerror(errno));
    return fd;
}
