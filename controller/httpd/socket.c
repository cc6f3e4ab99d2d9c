#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/httpd/httpd_private.h"

enum { BACKLOG = 64, SOCKET_MODE = 0660 };

static int new_socket(int family, int *ret_fd, struct err *err)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, errno, "open a socket for HTTP");
    *ret_fd = fd;
    return 0;
}

/* -- TCP -- */

static int sockaddr_of(const struct httpd_listen *at, struct sockaddr_storage *ret_sa,
                       socklen_t *ret_len, struct err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_sa;

    if (inet_pton(AF_INET, at->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(at->port);
        *ret_len = sizeof *v4;
        return 0;
    }
    if (inet_pton(AF_INET6, at->address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(at->port);
        *ret_len = sizeof *v6;
        return 0;
    }
    return err_set(err, ERR_INVAL, "listen for HTTP on '%s': not a numeric address",
                   at->address);
}

static int explain_bind(const struct httpd_listen *at, int why, struct err *err)
{
    if (why == EADDRINUSE)
        return err_set(err, ERR_BUSY,
                       "listen for HTTP on %s port %u: the port is in use (`ss -ltnp "
                       "'sport = :%u'` shows by whom)",
                       at->address, at->port, at->port);
    if (why == EADDRNOTAVAIL)
        return err_set(err, ERR_NOTFOUND,
                       "listen for HTTP on %s: not an address of this host", at->address);
    return err_errno(err, why, "listen for HTTP on %s port %u", at->address, at->port);
}

static int tcp_socket(struct httpd *h, const struct httpd_listen *at, int *ret_fd,
                      struct err *err)
{
    AUTO(auto_close) int fd = -1;
    struct sockaddr_storage sa = {0};
    socklen_t len = 0;
    int one = 1, status = sockaddr_of(at, &sa, &len, err);

    if (status == 0)
        status = new_socket(sa.ss_family, &fd, err);
    if (status != 0)
        return status;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, len) != 0 || listen(fd, BACKLOG) != 0)
        return explain_bind(at, errno, err);
    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return err_errno(err, errno, "listen for HTTP");
    /* sin_port and sin6_port are at the same place. */
    h->port = ntohs(((const struct sockaddr_in *)&sa)->sin_port);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* -- Unix -- */

/* A socket file outlives its process. Whether one lives is found out by knocking. */
static int clear_stale(const char *path, const struct sockaddr_un *sa, struct err *err)
{
    AUTO(auto_close) int fd = -1;
    struct stat st;
    int status;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "the socket %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_INVAL, "%s is there and is not a socket: move it away",
                       path);
    status = new_socket(AF_UNIX, &fd, err);
    if (status != 0)
        return status;
    if (connect(fd, (const struct sockaddr *)sa, sizeof *sa) == 0 || errno == EAGAIN)
        return err_set(err, ERR_BUSY,
                       "another %s is running: it answers on the socket %s; stop that one "
                       "first, or give this one another `socket`",
                       program_invocation_short_name, path);
    if (errno != ECONNREFUSED)
        return err_errno(err, errno, "the socket %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(err, errno, "remove the old socket %s", path);
    return 0;
}

static int group_of(const char *name, gid_t *ret_gid, struct err *err)
{
    struct group *group;

    *ret_gid = (gid_t)-1; /* chown() leaves it as it is */
    if (name == NULL)
        return 0;
    errno = 0;
    group = getgrnam(name);
    if (group == NULL && errno == ENOMEM)
        return err_set(err, ERR_NOMEM, "look up the group %s", name);
    if (group == NULL)
        return err_set(err, ERR_NOTFOUND, "no group '%s' on this host", name);
    *ret_gid = group->gr_gid;
    return 0;
}

/* Where the socket is bound. Who else may write there could put a link in its place between
 * one call of ours and the next, and have root give away what the link points at. */
struct place {
    int dir;
    const char *name, *path;
};

static void place_close(struct place *p)
{
    if (p->dir >= 0)
        close(p->dir);
}

static int place_check(const struct place *p, struct err *err)
{
    struct stat st;

    if (fstat(p->dir, &st) != 0)
        return err_errno(err, errno, "the directory of the socket %s", p->path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return err_set(err, ERR_REFUSED,
                       "the directory of the socket %s belongs to uid %u, who could put "
                       "something else in its place, and this program runs as uid %u: run "
                       "it as its own user, or configure another `socket`",
                       p->path, st.st_uid, geteuid());
    /* With the sticky bit others make files, and touch none that is not theirs. */
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st.st_mode & S_ISVTX) == 0)
        return err_set(err, ERR_REFUSED,
                       "others than its owner may write in the directory of the socket %s "
                       "(mode %04o): `chmod go-w` it, or configure another `socket`",
                       p->path, st.st_mode & 07777);
    return 0;
}

static int place_open(struct place *p, const char *path, struct err *err)
{
    char dir[HTTPD_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);

    memcpy(dir, slash == NULL ? "." : path, len == 0 ? 1 : len);
    dir[len == 0 ? 1 : len] = '\0';
    p->path = path;
    p->name = slash == NULL ? path : slash + 1;
    p->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (p->dir < 0)
        return err_errno(err, errno, "the directory of the socket %s", path);
    return place_check(p, err);
}

/* Nothing that lies elsewhere is touched: both act on the name in the directory that was
 * checked, and follow no link. */
static int give_to_group(const struct place *p, gid_t gid)
{
    if (fchownat(p->dir, p->name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return fchmodat(p->dir, p->name, SOCKET_MODE, AT_SYMLINK_NOFOLLOW);
}

/* The mode of the descriptor becomes the file's, less the umask: at no moment is it wider
 * than SOCKET_MODE. */
static int bind_file(int fd, const struct place *p, const struct sockaddr_un *sa, gid_t gid,
                     struct err *err)
{
    if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)sa, sizeof *sa) != 0)
        return err_errno(err, errno, "make the socket %s", p->path);
    if (give_to_group(p, gid) != 0 || listen(fd, BACKLOG) != 0) {
        err_errno(err, errno, "the socket %s", p->path);
        (void)unlinkat(p->dir, p->name, 0);
        return err != NULL ? err->code : ERR_IO;
    }
    return 0;
}

static int unix_socket(struct httpd *h, const struct httpd_listen *at, int *ret_fd,
                       struct err *err)
{
    AUTO(auto_close) int fd = -1;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    AUTO(place_close) struct place place = {.dir = -1};
    const size_t len = strlen(at->socket_path);
    struct stat st;
    gid_t gid;
    int status;

    if (len >= sizeof sa.sun_path || len == 0)
        return err_set(err, ERR_INVAL, "the socket path '%s' is not 1 to %zu bytes long",
                       at->socket_path, sizeof sa.sun_path - 1);
    memcpy(sa.sun_path, at->socket_path, len);
    status = group_of(at->group, &gid, err);
    if (status == 0)
        status = place_open(&place, at->socket_path, err);
    if (status == 0)
        status = clear_stale(at->socket_path, &sa, err);
    if (status == 0)
        status = new_socket(AF_UNIX, &fd, err);
    if (status == 0)
        status = bind_file(fd, &place, &sa, gid, err);
    if (status != 0)
        return status;
    memcpy(h->socket_path, at->socket_path, len + 1);
    if (lstat(at->socket_path, &st) == 0)
        h->socket_inode = st.st_ino;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* Not another process's, which may have replaced ours. */
void httpd_unlink(struct httpd *h)
{
    struct stat st;

    if (h->socket_path[0] != '\0' && lstat(h->socket_path, &st) == 0 &&
        st.st_ino == h->socket_inode)
        unlink(h->socket_path);
}

int httpd_socket(struct httpd *h, const struct httpd_listen *at, int *ret_fd,
                 struct err *err)
{
    if (at->socket_path != NULL)
        return unix_socket(h, at, ret_fd, err);
    return tcp_socket(h, at, ret_fd, err);
}
