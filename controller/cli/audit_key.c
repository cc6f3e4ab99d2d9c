#include "controller/cli/audit_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "controller/audit/keys.h"
#include "controller/net/pki.h"

enum { PATH_ROOM = 4096 };

static void drop_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

static int make_path(char *path, const char *dir, const char *stem, const char *end,
                     struct err *err)
{
    if (snprintf(path, PATH_ROOM, "%s/%s%s", dir, stem, end) < PATH_ROOM)
        return 0;
    return err_set(err, ERR_INVAL, "%s: the path is too long", dir);
}

int audit_key_list(const char *dir, char *path, size_t size, struct err *err)
{
    if ((size_t)snprintf(path, size, "%s/audit-keys.pub", dir) < size)
        return 0;
    return err_set(err, ERR_INVAL, "%s: the path is too long", dir);
}

/* 0600 from its first byte, synced, and never over one that is there. */
static int write_private(const char *path, const struct audit_key *key, struct err *err)
{
    AUTO(drop_file) FILE *file = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), saved;
    bool done;

    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_CONFLICT,
                       "%s is there already: remove it first if a new one is wanted; the "
                       "old one's public key stays in audit-keys.pub",
                       path);
    if (fd < 0)
        return err_errno(err, errno, "make %s", path);
    file = fdopen(fd, "w");
    errno = 0;
    done = file != NULL && audit_key_write(file, key) == 1 && fflush(file) == 0 &&
           fsync(fd) == 0;
    saved = errno;
    if (done)
        return 0;
    if (file == NULL)
        (void)close(fd);
    (void)unlink(path);
    return err_errno(err, saved != 0 ? saved : EIO, "write %s", path);
}

static int append_public(const char *path, const struct audit_public *of, struct err *err)
{
    AUTO(drop_file) FILE *file = NULL;
    char line[AUDIT_KEYS_LINE];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    file = fdopen(fd, "a");
    if (file == NULL) {
        (void)close(fd);
        return err_set(err, ERR_NOMEM, "write %s", path);
    }
    audit_keys_line(of, line);
    if (fprintf(file, "%s\n", line) < 0 || fflush(file) != 0 || fsync(fd) != 0)
        return err_errno(err, errno, "write %s", path);
    return 0;
}

int audit_key_issue(const char *dir, const char *controller, struct err *err)
{
    AUTO(audit_key_drop) struct audit_key *key = NULL;
    struct audit_public public = {0};
    struct pki_entry entry = {0};
    struct pki_crl crl = {0};
    char path[PATH_ROOM], stem[2 * AUDIT_NAME_SIZE];
    bool is_cert = false;

    (void)snprintf(stem, sizeof stem, "controller-%s", controller);
    if (make_path(path, dir, stem, ".crt", err) != 0 ||
        pki_look(path, &entry, &crl, &is_cert, err) != 0 || audit_key_make(&key, err) != 0)
        return err->code;
    audit_key_public(key, public.key);
    (void)snprintf(public.cluster, sizeof public.cluster, "%s", entry.id.cluster);
    (void)snprintf(public.controller, sizeof public.controller, "%s", controller);
    if (make_path(path, dir, stem, ".audit.key", err) != 0 ||
        write_private(path, key, err) != 0 ||
        audit_key_list(dir, path, sizeof path, err) != 0)
        return err->code;
    return append_public(path, &public, err);
}
