/* What is revoked: one signed list for each CA, all in crl.pem. */
#include "controller/net/pki_private.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { HOUR_S = 3600 };

void pki_drop_lists(struct pki_lists *lists)
{
    for (unsigned i = 0; i < PKI_CAS_MAX; i++)
        X509_CRL_free(lists->of[i]);
    *lists = (struct pki_lists){0};
}

static bool is_signed_by(X509_CRL *crl, X509 *ca)
{
    bool is = X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0 &&
              X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;

    ERR_clear_error();
    return is;
}

/* Takes `crl`. One of a CA that is no longer here is dropped. */
static void take_list(const struct pki *p, struct pki_lists *lists, X509_CRL *crl)
{
    for (unsigned i = 0; i < p->n; i++)
        if (lists->of[i] == NULL && is_signed_by(crl, p->cas[i])) {
            lists->of[i] = crl;
            return;
        }
    X509_CRL_free(crl);
}

int pki_load_lists(const struct pki *p, struct pki_lists *ret, struct err *err)
{
    AUTO(pki_drop_file) FILE *file = NULL;
    AUTO(pki_drop_lists) struct pki_lists lists = {0};
    char path[PATH_MAX];
    X509_CRL *crl;
    bool any = false;

    if (pki_path(path, p, "crl.pem", err) != 0)
        return err->code;
    file = fopen(path, "re");
    if (file == NULL && errno == ENOENT)
        return 0; /* none was ever signed: an older version's CA */
    if (file == NULL)
        return err_errno(err, errno, "read %s", path);
    while ((crl = PEM_read_X509_CRL(file, NULL, NULL, "")) != NULL) {
        any = true;
        take_list(p, &lists, crl);
    }
    ERR_clear_error();
    /* To begin again from nothing would forgive all that was revoked. */
    if (!any || lists.of[p->signer] == NULL)
        return err_set(err, ERR_INVAL,
                       "%s holds no list that the CA in %s has signed: put the last good "
                       "one back (every node has it as its `crl`)",
                       path, p->dir);
    *ret = lists;
    lists = (struct pki_lists){0};
    return 0;
}

/* ---- signing --------------------------------------------------------------------------
 */

static int set_crl_times(X509_CRL *crl, uint32_t days)
{
    ASN1_TIME *from = ASN1_TIME_adj(NULL, time(NULL), 0, -HOUR_S);
    ASN1_TIME *next = ASN1_TIME_adj(NULL, time(NULL), (int)days, 0);
    int good = from != NULL && next != NULL && X509_CRL_set1_lastUpdate(crl, from) == 1 &&
               X509_CRL_set1_nextUpdate(crl, next) == 1;

    ASN1_TIME_free(from);
    ASN1_TIME_free(next);
    return good;
}

static int set_number(X509_CRL *crl, uint64_t n)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    int good =
        number != NULL && ASN1_INTEGER_set_uint64(number, n) == 1 &&
        X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, X509V3_ADD_REPLACE) == 1;

    ASN1_INTEGER_free(number);
    return good;
}

static int set_key_id(X509_CRL *crl, X509 *ca)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    int added;

    if (X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1) >= 0)
        return 1;
    X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
    extension =
        X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    if (extension == NULL)
        return 0;
    added = X509_CRL_add_ext(crl, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

static int sign_list(const struct pki *p, unsigned of, X509_CRL **list, uint32_t days)
{
    struct pki_crl before = {0};

    if (*list == NULL)
        *list = X509_CRL_new();
    else
        pki_describe_crl(*list, &before);
    return *list != NULL && X509_CRL_set_version(*list, X509_CRL_VERSION_2) == 1 &&
           X509_CRL_set_issuer_name(*list, X509_get_subject_name(p->cas[of])) == 1 &&
           set_crl_times(*list, days) && set_number(*list, before.number + 1) &&
           set_key_id(*list, p->cas[of]) && X509_CRL_sort(*list) == 1 &&
           X509_CRL_sign(*list, p->keys[of], EVP_sha256()) > 0;
}

static int write_lists(FILE *file, const void *what)
{
    const struct pki_lists *lists = what;

    for (unsigned i = 0; i < PKI_CAS_MAX; i++)
        if (lists->of[i] != NULL && PEM_write_X509_CRL(file, lists->of[i]) != 1)
            return 0;
    return 1;
}

int pki_sign_lists(const struct pki *p, struct pki_lists *lists, uint32_t days,
                   struct err *err)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->keys[i] != NULL && sign_list(p, i, &lists->of[i], days) != 1)
            return pki_failed(err, "sign the list of what is revoked");
    return pki_put(p, "crl.pem", 0644, write_lists, lists, err);
}

int pki_renew_crl(const char *dir, uint32_t days, struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_lists) struct pki_lists lists = {0};

    if (pki_check_days(days, err) != 0 || pki_open(&p, dir, PKI_WRITE, err) != 0 ||
        pki_load_lists(&p, &lists, err) != 0)
        return err->code;
    return pki_sign_lists(&p, &lists, days, err);
}

/* ---- revoking -------------------------------------------------------------------------
 */

unsigned pki_issuer_of(const struct pki *p, X509 *cert)
{
    for (unsigned i = 0; i < p->n; i++)
        if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(p->cas[i])) ==
                0 &&
            X509_verify(cert, X509_get0_pubkey(p->cas[i])) == 1)
            return i;
    ERR_clear_error();
    return p->n;
}

int64_t pki_revoked_s(const struct pki *p, const struct pki_lists *lists, X509 *cert)
{
    unsigned of = pki_issuer_of(p, cert);
    X509_REVOKED *revoked = NULL;

    if (of == p->n || lists->of[of] == NULL ||
        X509_CRL_get0_by_serial(lists->of[of], &revoked, X509_get0_serialNumber(cert)) != 1)
        return 0;
    return pki_seconds(X509_REVOKED_get0_revocationDate(revoked));
}

static int add_to_list(X509_CRL **list, X509 *cert)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *now = ASN1_TIME_adj(NULL, time(NULL), 0, 0);
    int good = r != NULL && now != NULL && (*list != NULL || (*list = X509_CRL_new())) &&
               X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(cert)) == 1 &&
               X509_REVOKED_set_revocationDate(r, now) == 1 &&
               X509_CRL_add0_revoked(*list, r) == 1;

    ASN1_TIME_free(now);
    if (!good)
        X509_REVOKED_free(r);
    return good;
}

struct wanted {
    const char *what;
    bool superseded;
    bool has_id; /* then all of this node; else a serial */
    struct identity id;
};

/* Without leading zeros, and whatever the case. */
static bool is_serial(const char *text, X509 *cert)
{
    char serial[PKI_SERIAL_SIZE];
    const char *at = serial;

    pki_serial_text(X509_get0_serialNumber(cert), serial);
    while (*at == '0')
        at++;
    while (*text == '0')
        text++;
    return *at != '\0' && strcasecmp(at, text) == 0;
}

static bool is_wanted(const struct wanted *w, const struct pki_issued *issued, X509 *cert)
{
    struct identity id;

    if (!w->has_id)
        return is_serial(w->what, cert);
    return identity_of_cert(&id, cert, NULL) == 0 && identity_equals(&id, &w->id) &&
           !(w->superseded && cert == pki_newest(issued, &id));
}

/* "east", "controller/east", or else a serial. */
static int find_node(struct wanted *w, const struct pki *p, const struct pki_issued *issued,
                     struct err *err)
{
    const char *slash = strchr(w->what, '/'), *name = slash != NULL ? slash + 1 : w->what;

    for (enum identity_role r = IDENTITY_CONTROLLER; r < IDENTITY_ROLE_MAX; r++) {
        const char *role = identity_role_name(r);
        struct identity id;

        if (slash != NULL && ((size_t)(slash - w->what) != strlen(role) ||
                              strncmp(w->what, role, strlen(role)) != 0))
            continue;
        if (identity_make(&id, r, p->cluster, name, NULL) != 0 ||
            pki_newest(issued, &id) == NULL)
            continue;
        if (w->has_id)
            return err_set(err, ERR_CONFLICT, "'%s' is a name of two: say %s/%s or %s/%s",
                           name, identity_role_name(w->id.role), name, role, name);
        w->has_id = true;
        w->id = id;
    }
    return 0;
}

static int revoke_all(const struct pki *p, const struct wanted *w,
                      const struct pki_issued *issued, struct pki_lists *lists,
                      struct err *err)
{
    unsigned found = 0, revoked = 0, foreign = 0;

    for (size_t i = 0; i < issued->n; i++) {
        X509 *cert = issued->certs[i];
        unsigned of;

        if (!is_wanted(w, issued, cert))
            continue;
        found++;
        of = pki_issuer_of(p, cert);
        if (of == p->n || p->keys[of] == NULL) {
            foreign++;
            continue;
        }
        if (pki_revoked_s(p, lists, cert) != 0 ||
            (w->has_id && pki_seconds(X509_get0_notAfter(cert)) < (int64_t)time(NULL)))
            continue;
        if (add_to_list(&lists->of[of], cert) != 1)
            return pki_failed(err, "revoke a certificate");
        revoked++;
    }
    if (found == 0)
        return err_set(err, ERR_NOTFOUND,
                       "%s: no %s'%.80s' was issued here; `ringfence pki show` lists what "
                       "was",
                       p->dir, w->superseded ? "older certificate of " : "", w->what);
    if (revoked == 0)
        return err_set(err, ERR_CONFLICT, "nothing of '%.80s' is left to be revoked: %s",
                       w->what,
                       foreign == found ? "it is of a CA that is no longer here, and no "
                                          "node accepts it any more"
                                        : "it is revoked already, or has expired");
    return (int)revoked;
}

int pki_revoke(const char *dir, const char *what, bool superseded, unsigned *ret_count,
               struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_lists) struct pki_lists lists = {0};
    AUTO(pki_drop_issued) struct pki_issued issued = {0};
    struct wanted w = {.what = what, .superseded = superseded};
    int count;

    if (pki_open(&p, dir, PKI_WRITE, err) != 0 || pki_load_lists(&p, &lists, err) != 0 ||
        pki_load_issued(&p, &issued, err) != 0 || find_node(&w, &p, &issued, err) != 0)
        return err->code;
    if (superseded && !w.has_id)
        return err_set(err, ERR_INVAL,
                       "'%.80s' is no node's name here, and --superseded needs one", what);
    count = revoke_all(&p, &w, &issued, &lists, err);
    if (count < 0)
        return count;
    if (pki_sign_lists(&p, &lists, PKI_CRL_DAYS, err) != 0)
        return err->code;
    *ret_count = (unsigned)count;
    return 0;
}
