#include "controller/net/pki.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>

#include "controller/net/pki_private.h"

static int make_key(EVP_PKEY **ret_key, struct err *err)
{
    *ret_key = EVP_EC_gen("P-256");
    return *ret_key != NULL ? 0 : pki_failed(err, "make a key");
}

/* Nothing is overwritten but by those who say so. */
static int check_free(const struct pki *p, const char *name, const char *cure,
                      struct err *err)
{
    if (!pki_has(p, name))
        return 0;
    return err_set(err, ERR_CONFLICT, "%s/%s is there already: %s", p->dir, name, cure);
}

/* ---- the CA ---------------------------------------------------------------------------
 */

static int make_ca(struct pki *p, const char *cluster, uint32_t days, struct err *err)
{
    if (make_key(&p->keys[0], err) != 0)
        return err->code;
    p->cas[0] = pki_make_ca(p->keys[0], cluster, days, true);
    if (p->cas[0] == NULL)
        return pki_failed(err, "make a CA");
    p->n = 1;
    return 0;
}

int pki_init(const char *dir, const char *cluster, uint32_t days, struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_lists) struct pki_lists lists = {0};
    struct identity probe;

    if (pki_check_days(days, err) != 0 ||
        identity_make(&probe, IDENTITY_CONTROLLER, cluster, "x", err) != 0)
        return err->code;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make the directory %s", dir);
    if (pki_open_dir(&p, dir, PKI_WRITE, err) != 0 ||
        check_free(&p, "ca.key",
                   "it signs what is in use; `ringfence pki renew ca` "
                   "replaces it without an outage",
                   err) != 0 ||
        check_free(&p, "ca.crt", "remove it first if a new CA is wanted", err) != 0 ||
        make_ca(&p, cluster, days, err) != 0)
        return err->code;
    if (pki_put(&p, "ca.key", 0600, pki_write_key, p.keys[0], err) == 0 &&
        pki_put(&p, "ca.crt", 0644, pki_write_cas, &p, err) == 0 &&
        pki_sign_lists(&p, &lists, PKI_CRL_DAYS, err) == 0)
        return 0;
    /* Half a CA would be in the way of the next try. */
    (void)unlinkat(p.fd, "ca.crt", 0);
    (void)unlinkat(p.fd, "ca.key", 0);
    return err->code;
}

int pki_ca_prepare(const char *dir, uint32_t days, struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_lists) struct pki_lists lists = {0};
    const char *next = "the CA that comes is there: `ringfence pki renew ca --use`, once "
                       "every node has this ca.crt";

    if (pki_check_days(days, err) != 0 || pki_open(&p, dir, PKI_WRITE, err) != 0 ||
        pki_load_lists(&p, &lists, err) != 0)
        return err->code;
    if (p.n > 1 && pki_has(&p, "ca-next.key"))
        return err_set(err, ERR_CONFLICT, "%s/ca-next.key: %s", p.dir, next);
    if (p.n > 1)
        return err_set(err, ERR_CONFLICT,
                       "%s/ca.crt holds %u certificates: end the last replacement first, "
                       "with `ringfence pki renew ca --finish`",
                       p.dir, p.n);
    if (make_key(&p.keys[1], err) != 0)
        return err->code;
    p.cas[1] = pki_make_ca(p.keys[1], p.cluster, days, false);
    if (p.cas[1] == NULL)
        return pki_failed(err, "make a CA");
    p.n = 2;
    /* The key first: a certificate in ca.crt without one could never be used, nor be
     * replaced; a key without one is overwritten by the next try. */
    if (pki_put(&p, "ca-next.key", 0600, pki_write_key, p.keys[1], err) != 0 ||
        pki_put(&p, "ca.crt", 0644, pki_write_cas, &p, err) != 0)
        return err->code;
    return pki_sign_lists(&p, &lists, PKI_CRL_DAYS, err);
}

int pki_ca_use(const char *dir, struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};

    if (pki_open_dir(&p, dir, PKI_WRITE, err) != 0)
        return err->code;
    /* A try that was killed between the two renames has left no ca.key. */
    if (pki_has(&p, "ca.key") || !pki_has(&p, "ca-old.key")) {
        if (check_free(&p, "ca-old.key",
                       "end the last replacement first, with `ringfence "
                       "pki renew ca --finish`",
                       err) != 0)
            return err->code;
        pki_close(&p);
        if (pki_open(&p, dir, PKI_WRITE, err) != 0)
            return err->code;
        if (!pki_has(&p, "ca-next.key") || p.n < 2 || p.keys[1] == NULL)
            return err_set(err, ERR_CONFLICT,
                           "no CA that is to come in %s: `ringfence pki renew ca` makes it",
                           p.dir);
        if (pki_rename(&p, "ca.key", "ca-old.key", err) != 0)
            return err->code;
    }
    return pki_rename(&p, "ca-next.key", "ca.key", err);
}

/* Whose newest certificate is not yet of the CA that signs would be alone afterwards. */
static int check_all_moved(const struct pki *p, struct err *err)
{
    AUTO(pki_drop_issued) struct pki_issued issued = {0};
    AUTO(pki_drop_lists) struct pki_lists lists = {0};

    if (pki_load_issued(p, &issued, err) != 0 || pki_load_lists(p, &lists, err) != 0)
        return err->code;
    for (size_t i = 0; i < issued.n; i++) {
        struct pki_entry e;

        pki_describe(issued.certs[i], &e);
        if (!e.has_identity || pki_newest(&issued, &e.id) != issued.certs[i] ||
            pki_revoked_s(p, &lists, issued.certs[i]) != 0 ||
            X509_cmp_time(X509_get0_notAfter(issued.certs[i]), NULL) < 0 ||
            pki_issuer_of(p, issued.certs[i]) == p->signer)
            continue;
        return err_set(err, ERR_CONFLICT,
                       "%s %s still has a certificate of the CA that goes: `ringfence pki "
                       "renew %s %s`, and put it there; or revoke it if the node is gone",
                       identity_role_name(e.id.role), e.id.name,
                       identity_role_name(e.id.role), e.id.name);
    }
    return 0;
}

/* Only the one that signs stays. */
static void forget_others(struct pki *p)
{
    X509 *cert = TAKE(p->cas[p->signer]);
    EVP_PKEY *key = TAKE(p->keys[p->signer]);

    for (unsigned i = 0; i < p->n; i++) {
        X509_free(TAKE(p->cas[i]));
        EVP_PKEY_free(TAKE(p->keys[i]));
    }
    p->cas[0] = cert;
    p->keys[0] = key;
    p->n = 1;
    p->signer = 0;
}

int pki_ca_finish(const char *dir, struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_lists) struct pki_lists lists = {0};

    if (pki_open(&p, dir, PKI_WRITE, err) != 0)
        return err->code;
    if (pki_has(&p, "ca-next.key"))
        return err_set(err, ERR_CONFLICT,
                       "the CA that comes does not sign yet: `ringfence pki renew ca "
                       "--use` first");
    if (p.n < 2 && !pki_has(&p, "ca-old.key"))
        return err_set(err, ERR_CONFLICT, "%s has one CA: nothing is to be finished",
                       p.dir);
    if (check_all_moved(&p, err) != 0)
        return err->code;
    forget_others(&p);
    if (pki_load_lists(&p, &lists, err) != 0 ||
        pki_put(&p, "ca.crt", 0644, pki_write_cas, &p, err) != 0 ||
        pki_sign_lists(&p, &lists, PKI_CRL_DAYS, err) != 0)
        return err->code;
    return pki_remove(&p, "ca-old.key", err);
}

/* ---- nodes ----------------------------------------------------------------------------
 */

enum { STEM_SIZE = 2 * IDENTITY_NAME_SIZE };

static void node_file(char file[STEM_SIZE], const struct identity *id, const char *suffix)
{
    (void)snprintf(file, STEM_SIZE, "%s-%s%s", identity_role_name(id->role), id->name,
                   suffix);
}

/* On record first: what is not could not be revoked by its name. `key` NULL: the node's own
 * goes on, here or wherever it is. Who is killed between key and certificate leaves two
 * that do not fit, which no node takes: the next renewal mends it. */
static int put_node(const struct pki *p, const struct identity *id, X509 *cert,
                    EVP_PKEY *key, struct err *err)
{
    char file[STEM_SIZE];

    if (pki_keep(p, cert, err) != 0)
        return err->code;
    node_file(file, id, ".key");
    if (key != NULL && pki_put(p, file, 0600, pki_write_key, key, err) != 0)
        return err->code;
    node_file(file, id, ".crt");
    return pki_put(p, file, 0644, pki_write_cert, cert, err);
}

int pki_issue(const char *dir, enum identity_role role, const char *name, uint32_t days,
              struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_issued) struct pki_issued issued = {0};
    AUTO(pki_drop_key) EVP_PKEY *key = NULL;
    AUTO(pki_drop_cert) X509 *cert = NULL;
    const char *cure = "`ringfence pki renew` replaces it; remove it first if this is "
                       "another node";
    char file[STEM_SIZE];
    struct identity id;

    if (pki_check_days(days, err) != 0 || pki_open(&p, dir, PKI_WRITE, err) != 0 ||
        identity_make(&id, role, p.cluster, name, err) != 0)
        return err->code;
    node_file(file, &id, ".key");
    if (check_free(&p, file, cure, err) != 0)
        return err->code;
    node_file(file, &id, ".crt");
    if (check_free(&p, file, cure, err) != 0 || pki_load_issued(&p, &issued, err) != 0 ||
        make_key(&key, err) != 0)
        return err->code;
    cert = pki_make_leaf(&p, &id, key, days, pki_newest(&issued, &id));
    if (cert == NULL)
        return pki_failed(err, "make a certificate");
    return put_node(&p, &id, cert, key, err);
}

/* Its public half is in the certificate: the private one may long be on the node alone. */
static int same_key(EVP_PKEY **ret_key, const struct pki *p, X509 *old,
                    const struct identity *id, struct err *err)
{
    AUTO(pki_drop_lists) struct pki_lists lists = {0};

    if (pki_load_lists(p, &lists, err) != 0)
        return err->code;
    if (pki_revoked_s(p, &lists, old) != 0)
        return err_set(err, ERR_CONFLICT,
                       "the newest certificate of %s %s is revoked, so others may have its "
                       "key: renew it without --keep-key",
                       identity_role_name(id->role), id->name);
    *ret_key = X509_get_pubkey(old);
    return *ret_key != NULL ? 0 : pki_failed(err, "read a key");
}

int pki_renew(const char *dir, const struct pki_renewal *what,
              char ret_old[PKI_SERIAL_SIZE], struct err *err)
{
    AUTO(pki_close) struct pki p = {.fd = -1};
    AUTO(pki_drop_issued) struct pki_issued issued = {0};
    AUTO(pki_drop_key) EVP_PKEY *key = NULL;
    AUTO(pki_drop_cert) X509 *cert = NULL;
    struct identity id;
    X509 *old;

    if (pki_check_days(what->days, err) != 0 || pki_open(&p, dir, PKI_WRITE, err) != 0 ||
        identity_make(&id, what->role, p.cluster, what->name, err) != 0 ||
        pki_load_issued(&p, &issued, err) != 0)
        return err->code;
    old = pki_newest(&issued, &id);
    if (old == NULL)
        return err_set(err, ERR_NOTFOUND,
                       "nothing was issued for %s %s in %s: `ringfence pki issue %s %s`",
                       identity_role_name(id.role), id.name, dir,
                       identity_role_name(id.role), id.name);
    if ((what->keep_key ? same_key(&key, &p, old, &id, err) : make_key(&key, err)) != 0)
        return err->code;
    cert = pki_make_leaf(&p, &id, key, what->days, old);
    if (cert == NULL)
        return pki_failed(err, "make a certificate");
    /* One that an older version has issued is not in `issued` yet. */
    if (pki_keep(&p, old, err) != 0 ||
        put_node(&p, &id, cert, what->keep_key ? NULL : key, err) != 0)
        return err->code;
    pki_serial_text(X509_get0_serialNumber(old), ret_old);
    return 0;
}
