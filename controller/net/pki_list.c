/* What was issued, and what a file is. */
#include "controller/net/pki_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

void pki_drop_issued(struct pki_issued *issued)
{
    for (size_t i = 0; i < issued->n; i++)
        X509_free(issued->certs[i]);
    free(issued->certs);
    *issued = (struct pki_issued){0};
}

static bool has_serial(const struct pki_issued *issued, X509 *cert)
{
    for (size_t i = 0; i < issued->n; i++)
        if (X509_cmp(issued->certs[i], cert) == 0)
            return true;
    return false;
}

/* Takes `cert`. */
static int add(struct pki_issued *issued, X509 *cert, struct err *err)
{
    AUTO(pki_drop_cert) X509 *owned = cert;
    X509 **grown;

    if (has_serial(issued, cert))
        return 0;
    if (issued->n == PKI_ISSUED_MAX)
        return err_set(err, ERR_FULL, "more than %d certificates were issued",
                       PKI_ISSUED_MAX);
    grown = reallocarray(issued->certs, issued->n + 1, sizeof(X509 *));
    if (grown == NULL)
        return err_set(err, ERR_NOMEM, "list of what was issued");
    issued->certs = grown;
    issued->certs[issued->n++] = TAKE(owned);
    return 0;
}

static bool is_cert_file(const char *name, const char *const *prefixes)
{
    const size_t len = strlen(name);

    if (len < 5 || strcmp(name + len - 4, ".crt") != 0 || name[0] == '.')
        return false;
    for (size_t i = 0; prefixes != NULL && prefixes[i] != NULL; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return prefixes == NULL;
}

static int add_file(struct pki_issued *issued, const struct pki *p, int dir,
                    const char *name, struct err *err)
{
    AUTO(pki_drop_file) FILE *file = NULL;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    X509 *cert;

    if (fd < 0)
        return err_errno(err, errno, "read %s of %s", name, p->dir);
    file = fdopen(fd, "r");
    if (file == NULL) {
        close(fd);
        return err_set(err, ERR_NOMEM, "read %s", name);
    }
    cert = PEM_read_X509(file, NULL, NULL, "");
    ERR_clear_error();
    if (cert == NULL)
        return err_set(err, ERR_INVAL, "%s of %s holds no certificate in PEM", name,
                       p->dir);
    return add(issued, cert, err);
}

static void drop_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* No directory: nothing is in it. */
static int add_dir(struct pki_issued *issued, const struct pki *p, const char *name,
                   const char *const *prefixes, struct err *err)
{
    int fd = openat(p->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO(drop_dir) DIR *dir = NULL;
    const struct dirent *e;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "read %s/%s", p->dir, name);
    dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return err_set(err, ERR_NOMEM, "read %s/%s", p->dir, name);
    }
    while ((e = readdir(dir)) != NULL)
        if (is_cert_file(e->d_name, prefixes) &&
            add_file(issued, p, dirfd(dir), e->d_name, err) != 0)
            return err->code;
    return 0;
}

/* By role and name, then from the newest to the oldest, then anyhow but always the same. */
static int compare(const void *a, const void *b)
{
    X509 *const *left = a, *const *right = b;
    struct identity l = {0}, r = {0};
    int by;

    (void)!identity_of_cert(&l, *left, NULL);
    (void)!identity_of_cert(&r, *right, NULL);
    if (l.role != r.role)
        return l.role < r.role ? -1 : 1;
    by = strcmp(l.name, r.name);
    if (by == 0)
        by = ASN1_TIME_compare(X509_get0_notBefore(*right), X509_get0_notBefore(*left));
    return by != 0 ? by
                   : ASN1_INTEGER_cmp(X509_get0_serialNumber(*left),
                                      X509_get0_serialNumber(*right));
}

int pki_load_issued(const struct pki *p, struct pki_issued *ret, struct err *err)
{
    static const char *const nodes[] = {"controller-", "agent-", "user-", NULL};
    AUTO(pki_drop_issued) struct pki_issued issued = {0};

    if (add_dir(&issued, p, "issued", NULL, err) != 0 ||
        add_dir(&issued, p, ".", nodes, err) != 0)
        return err->code;
    if (issued.n > 1)
        qsort(issued.certs, issued.n, sizeof(X509 *), compare);
    *ret = issued;
    issued = (struct pki_issued){0};
    return 0;
}

X509 *pki_newest(const struct pki_issued *issued, const struct identity *id)
{
    for (size_t i = 0; i < issued->n; i++) {
        struct identity other;

        if (identity_of_cert(&other, issued->certs[i], NULL) == 0 &&
            identity_equals(&other, id))
            return issued->certs[i];
    }
    return NULL;
}

/* ---- for people -----------------------------------------------------------------------
 */

int pki_list(const char *dir, struct pki_entry **ret_list, size_t *ret_count,
             struct pki_crl *ret_crl, struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_lists) struct pki_lists lists = {0};
    AUTO(pki_drop_issued) struct pki_issued issued = {0};
    struct pki_entry *list;
    struct pki_crl crl = {0};

    if (pki_open(&p, dir, PKI_LOOK, err) != 0 || pki_load_lists(&p, &lists, err) != 0 ||
        pki_load_issued(&p, &issued, err) != 0)
        return err->code;
    list = calloc(p.n + issued.n, sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NOMEM, "list of what was issued");
    for (unsigned i = 0; i < p.n; i++) {
        pki_describe(p.cas[i], &list[i]);
        list[i].signs = i == p.signer;
        (void)snprintf(list[i].id.cluster, sizeof list[i].id.cluster, "%s", p.cluster);
    }
    for (size_t i = 0; i < issued.n; i++) {
        struct pki_entry *e = &list[p.n + i];

        pki_describe(issued.certs[i], e);
        e->newest = e->has_identity && (i == 0 || !identity_equals(&e->id, &e[-1].id));
        e->revoked_s = pki_revoked_s(&p, &lists, issued.certs[i]);
    }
    if (lists.of[p.signer] != NULL)
        pki_describe_crl(lists.of[p.signer], &crl);
    *ret_list = list;
    *ret_count = p.n + issued.n;
    *ret_crl = crl;
    return 0;
}

int pki_look(const char *path, struct pki_entry *ret_entry, struct pki_crl *ret_crl,
             bool *ret_is_cert, struct err *err)
{
    AUTO(pki_drop_file) FILE *file = fopen(path, "re");
    AUTO(pki_drop_cert) X509 *cert = NULL;
    AUTO(pki_drop_crl) X509_CRL *crl = NULL;

    if (file == NULL)
        return err_errno(err, errno, "read %s", path);
    cert = PEM_read_X509(file, NULL, NULL, "");
    if (cert == NULL) {
        rewind(file);
        crl = PEM_read_X509_CRL(file, NULL, NULL, "");
    }
    ERR_clear_error();
    if (cert == NULL && crl == NULL)
        return err_set(err, ERR_INVAL,
                       "%s holds neither a certificate nor a list of revoked ones in PEM",
                       path);
    if (cert != NULL)
        pki_describe(cert, ret_entry);
    else
        pki_describe_crl(crl, ret_crl);
    *ret_is_cert = cert != NULL;
    return 0;
}
