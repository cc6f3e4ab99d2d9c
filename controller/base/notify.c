#include "controller/base/notify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/base/auto.h"
#include "controller/base/log.h"

void notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    AUTO(auto_close) int fd = -1;
    /* A pulse that is lost is followed by another one; READY and STOPPING come once, and
     * systemd has a second to make room for them. */
    bool pulse = strcmp(state, "WATCHDOG=1") == 0;
    struct timeval patience = {.tv_sec = 1};
    size_t len;

    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    len = strlen(path);
    if (len >= sizeof sa.sun_path)
        return;
    memcpy(sa.sun_path, path, len);
    if (path[0] == '@')
        sa.sun_path[0] = '\0'; /* the abstract name space */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (fd < 0 || sendto(fd, state, strlen(state),
                         MSG_NOSIGNAL | (pulse ? MSG_DONTWAIT : 0), (struct sockaddr *)&sa,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        log_debug("systemd was not told %s", state);
}
