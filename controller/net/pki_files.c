/* The directory of a CA: who may use it, and files that are there whole or not at all. */
#include "controller/net/pki_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

static const char *const key_files[] = {"ca.key", "ca-old.key", "ca-next.key"};

int pki_path(char path[PATH_MAX], const struct pki *p, const char *name, struct err *err)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", p->dir, name);

    if (n > 0 && n < PATH_MAX)
        return 0;
    return err_set(err, ERR_INVAL, "the path %.80s... is too long", p->dir);
}

bool pki_has(const struct pki *p, const char *name)
{
    struct stat st;

    return fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- who may use it -------------------------------------------------------------------
 */

static int check_owner(const struct stat *st, const char *path, struct err *err)
{
    if (st->st_uid == geteuid())
        return 0;
    return err_set(err, ERR_REFUSED,
                   "%s belongs to uid %u, and this is uid %u: who owns it can put another "
                   "key there; `chown -R %u %s` if it is yours, or be that user",
                   path, st->st_uid, geteuid(), geteuid(), path);
}

static int check_dir(const struct pki *p, struct err *err)
{
    struct stat st;

    if (fstat(p->fd, &st) != 0)
        return err_errno(err, errno, "%s", p->dir);
    if (check_owner(&st, p->dir, err) != 0)
        return err->code;
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return 0;
    return err_set(err, ERR_REFUSED,
                   "%s can be written by %s, who can put a key of his own there: `chmod "
                   "go-w %s`, and make a new CA if others have been here",
                   p->dir, (st.st_mode & S_IWOTH) != 0 ? "every user" : "its group",
                   p->dir);
}

static int check_key(const struct pki *p, const char *name, struct err *err)
{
    char path[PATH_MAX];
    struct stat st;

    if (pki_path(path, p, name, err) != 0)
        return err->code;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_REFUSED, "%s is not a file: put the key itself there",
                       path);
    if (check_owner(&st, path, err) != 0)
        return err->code;
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) == 0)
        return 0;
    return err_set(err, ERR_REFUSED,
                   "the CA's key %s can be used by %s: `chmod 0600 %s`, and make a new CA "
                   "if others have been here (`ringfence pki renew ca`)",
                   path, (st.st_mode & S_IRWXO) != 0 ? "every user" : "its group", path);
}

static void drop_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* A node's key may be its daemon's group's, on the node and so perhaps here; everybody's it
 * may be nowhere. */
static int check_node_keys(const struct pki *p, struct err *err)
{
    AUTO(drop_dir) DIR *dir = opendir(p->dir);
    const struct dirent *e;
    struct stat st;

    if (dir == NULL)
        return err_errno(err, errno, "read %s", p->dir);
    while ((e = readdir(dir)) != NULL) {
        const size_t len = strlen(e->d_name);

        if (len < 5 || strcmp(e->d_name + len - 4, ".key") != 0 ||
            fstatat(p->fd, e->d_name, &st, 0) != 0 || (st.st_mode & S_IRWXO) == 0)
            continue;
        return err_set(err, ERR_REFUSED,
                       "the key %s/%s can be used by every user: `chmod 0600 %s/%s`, and "
                       "renew that node and revoke the old certificate if others have "
                       "been here (`ringfence pki renew`, `revoke --superseded`)",
                       p->dir, e->d_name, p->dir, e->d_name);
    }
    return 0;
}

int pki_open_dir(struct pki *p, const char *dir, enum pki_use use, struct err *err)
{
    int n = snprintf(p->dir, sizeof p->dir, "%s", dir);

    p->fd = -1;
    if (n <= 0 || n >= (int)sizeof p->dir - 128)
        return err_set(err, ERR_INVAL, "the path '%.80s' is empty or too long", dir);
    p->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOTFOUND, "no directory %s: run `ringfence pki init` first",
                       dir);
    if (p->fd < 0)
        return err_errno(err, errno, "the CA's directory %s", dir);
    if (check_dir(p, err) != 0)
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(key_files); i++)
        if (check_key(p, key_files[i], err) != 0)
            return err->code;
    if (check_node_keys(p, err) != 0)
        return err->code;
    if (use == PKI_LOOK || flock(p->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return err_set(err, ERR_BUSY,
                       "another `ringfence pki` works in %s: wait until it has ended", dir);
    return err_errno(err, errno, "lock %s", dir);
}

void pki_close(struct pki *p)
{
    for (unsigned i = 0; i < PKI_CAS_MAX; i++) {
        X509_free(p->cas[i]);
        EVP_PKEY_free(p->keys[i]);
    }
    if (p->fd >= 0)
        close(p->fd); /* and the lock with it */
    *p = (struct pki){.fd = -1};
}

/* ---- the CA ---------------------------------------------------------------------------
 */

static int open_part(FILE **ret_file, char path[PATH_MAX], const struct pki *p,
                     const char *name, struct err *err)
{
    if (pki_path(path, p, name, err) != 0)
        return err->code;
    *ret_file = fopen(path, "re");
    if (*ret_file == NULL && errno == ENOENT)
        return err_set(err, ERR_NOTFOUND, "no %s: run `ringfence pki init` first", path);
    if (*ret_file == NULL)
        return err_errno(err, errno, "read %s", path);
    return 0;
}

static int load_cas(struct pki *p, struct err *err)
{
    AUTO(pki_drop_file) FILE *file = NULL;
    char path[PATH_MAX];
    X509 *cert;

    if (open_part(&file, path, p, "ca.crt", err) != 0)
        return err->code;
    while ((cert = PEM_read_X509(file, NULL, NULL, "")) != NULL) {
        if (p->n == PKI_CAS_MAX) {
            X509_free(cert);
            return err_set(err, ERR_FULL, "%s holds more than %d certificates", path,
                           PKI_CAS_MAX);
        }
        p->cas[p->n++] = cert;
    }
    ERR_clear_error();
    if (p->n == 0)
        return err_set(err, ERR_INVAL, "%s holds no certificate in PEM", path);
    return 0;
}

/* Which of the CAs it is the key of; a key without its certificate is in nobody's way. */
static int load_key(struct pki *p, const char *name, unsigned *ret_of, struct err *err)
{
    AUTO(pki_drop_file) FILE *file = NULL;
    AUTO(pki_drop_key) EVP_PKEY *key = NULL;
    char path[PATH_MAX];

    if (open_part(&file, path, p, name, err) != 0)
        return err->code;
    /* With a password given, and be it none, OpenSSL does not ask the terminal. */
    key = PEM_read_PrivateKey(file, NULL, NULL, "");
    ERR_clear_error();
    if (key == NULL)
        return err_set(err, ERR_INVAL, "%s holds no unencrypted private key in PEM", path);
    *ret_of = p->n;
    for (unsigned i = 0; i < p->n; i++)
        if (p->keys[i] == NULL && X509_check_private_key(p->cas[i], key) == 1) {
            p->keys[i] = TAKE(key);
            *ret_of = i;
            break;
        }
    ERR_clear_error();
    return 0;
}

static int load_keys(struct pki *p, struct err *err)
{
    unsigned of;

    if (!pki_has(p, "ca.key") && pki_has(p, "ca-old.key"))
        return err_set(err, ERR_INVAL,
                       "%s has no ca.key: `ringfence pki renew ca --use` was interrupted "
                       "there; run it again",
                       p->dir);
    if (load_key(p, "ca.key", &p->signer, err) != 0)
        return err->code;
    if (p->signer == p->n)
        return err_set(err, ERR_INVAL, "%s/ca.crt and ca.key are not a CA and its key",
                       p->dir);
    for (size_t i = 1; i < ARRAY_LEN(key_files); i++)
        if (pki_has(p, key_files[i]) && load_key(p, key_files[i], &of, err) != 0)
            return err->code;
    return 0;
}

int pki_open(struct pki *p, const char *dir, enum pki_use use, struct err *err)
{
    if (pki_open_dir(p, dir, use, err) != 0 || load_cas(p, err) != 0 ||
        load_keys(p, err) != 0)
        return err->code;
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(p->cas[p->signer]),
                                  NID_organizationName, p->cluster,
                                  sizeof p->cluster) <= 0 ||
        !identity_name_is_valid(p->cluster))
        return err_set(err, ERR_INVAL, "the CA in %s names no cluster (O=...)", dir);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------
 */

int pki_write_key(FILE *file, const void *key)
{
    return PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
}

int pki_write_cert(FILE *file, const void *cert) { return PEM_write_X509(file, cert); }

int pki_write_cas(FILE *file, const void *what)
{
    const struct pki *p = what;

    for (unsigned i = 0; i < p->n; i++)
        if (PEM_write_X509(file, p->cas[i]) != 1)
            return 0;
    return 1;
}

/* A new file beside its place, with its mode from the first byte. What a try that was
 * killed has left there is taken away: nobody else writes here (the lock). */
static int put_beside(const char *path, mode_t mode, pki_writer *write, const void *what,
                      struct err *err)
{
    AUTO(pki_drop_file) FILE *file = NULL;
    int fd, bad, saved;

    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_errno(err, errno, "make %s", path);
    file = fdopen(fd, "w");
    if (file == NULL) {
        close(fd);
        return err_set(err, ERR_NOMEM, "make %s", path);
    }
    errno = 0;
    bad = write(file, what) != 1 || fflush(file) != 0 || fsync(fd) != 0;
    saved = errno;
    bad = fclose(TAKE(file)) != 0 || bad;
    ERR_clear_error();
    if (!bad)
        return 0;
    (void)unlink(path);
    return err_errno(err, saved != 0 ? saved : EIO, "write %s", path);
}

static int sync_dir(const struct pki *p, struct err *err)
{
    return fsync(p->fd) == 0 ? 0 : err_errno(err, errno, "sync %s", p->dir);
}

int pki_put(const struct pki *p, const char *name, mode_t mode, pki_writer *write,
            const void *what, struct err *err)
{
    char path[PATH_MAX], beside[PATH_MAX];

    if (pki_path(path, p, name, err) != 0 || pki_path(beside, p, "new.tmp", err) != 0 ||
        put_beside(beside, mode, write, what, err) != 0)
        return err->code;
    if (rename(beside, path) != 0) {
        int saved = errno;

        (void)unlink(beside);
        return err_errno(err, saved, "put %s in its place", path);
    }
    return sync_dir(p, err);
}

int pki_rename(const struct pki *p, const char *from, const char *to, struct err *err)
{
    if (renameat(p->fd, from, p->fd, to) != 0)
        return err_errno(err, errno, "rename %s/%s to %s", p->dir, from, to);
    return sync_dir(p, err);
}

int pki_remove(const struct pki *p, const char *name, struct err *err)
{
    if (unlinkat(p->fd, name, 0) != 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s/%s", p->dir, name);
    return sync_dir(p, err);
}

static int sync_issued(const struct pki *p, struct err *err)
{
    AUTO(auto_close)
    int fd = openat(p->fd, "issued", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, errno, "sync %s/issued", p->dir);
    return 0;
}

int pki_keep(const struct pki *p, X509 *cert, struct err *err)
{
    char name[PKI_SERIAL_SIZE + 16] = "issued/", serial[PKI_SERIAL_SIZE];

    if (mkdirat(p->fd, "issued", 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make %s/issued", p->dir);
    pki_serial_text(X509_get0_serialNumber(cert), serial);
    (void)snprintf(name, sizeof name, "issued/%s.crt", serial);
    if (pki_put(p, name, 0644, pki_write_cert, cert, err) != 0)
        return err->code;
    return sync_issued(p, err);
}
