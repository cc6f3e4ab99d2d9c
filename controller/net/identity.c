#include "controller/net/identity.h"

#include <stdio.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "controller/base/assert.h"

static const char scheme[] = "ringfence://";

const char *identity_role_name(enum identity_role role)
{
    switch (role) {
    case IDENTITY_CONTROLLER:
        return "controller";
    case IDENTITY_AGENT:
        return "agent";
    case IDENTITY_USER:
        return "user";
    case IDENTITY_ROLE_MAX:
        break;
    }
    return "?";
}

static bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static bool part_is_valid(const char *part, size_t len)
{
    if (len == 0 || len >= IDENTITY_NAME_SIZE)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(part[i]) && part[i] != '-')
            return false;
    return is_alnum(part[0]) && is_alnum(part[len - 1]);
}

bool identity_name_is_valid(const char *name)
{
    return part_is_valid(name, strnlen(name, IDENTITY_NAME_SIZE));
}

static int check_name(const char *what, const char *name, struct err *err)
{
    if (identity_name_is_valid(name))
        return 0;
    return err_set(err, ERR_INVAL,
                   "%s '%.80s': expected 1 to 63 of a-z, 0-9 and -, beginning and ending "
                   "with a letter or digit",
                   what, name);
}

int identity_make(struct identity *ret_id, enum identity_role role, const char *cluster,
                  const char *name, struct err *err)
{
    struct identity id = {.role = role};
    int status = check_name("cluster", cluster, err);

    if (status == 0)
        status = check_name(identity_role_name(role), name, err);
    if (status != 0)
        return status;
    memcpy(id.cluster, cluster, strlen(cluster));
    memcpy(id.name, name, strlen(name));
    *ret_id = id;
    return 0;
}

/* The part up to the next slash or the end; moves *at behind that slash. */
static bool take_part(const char **at, const char *end, char part[IDENTITY_NAME_SIZE])
{
    const char *slash = memchr(*at, '/', (size_t)(end - *at));
    size_t len = (size_t)((slash != NULL ? slash : end) - *at);

    if (!part_is_valid(*at, len))
        return false;
    memcpy(part, *at, len);
    part[len] = '\0';
    *at = slash != NULL ? slash + 1 : NULL;
    return true;
}

bool identity_role_parse(enum identity_role *ret_role, const char *text)
{
    for (enum identity_role r = IDENTITY_CONTROLLER; r < IDENTITY_ROLE_MAX; r++)
        if (strcmp(text, identity_role_name(r)) == 0) {
            *ret_role = r;
            return true;
        }
    return false;
}

/* What a stranger wrote must not reach a terminal as it is. */
static int not_ours(const char *uri, size_t len, struct err *err)
{
    char shown[80];
    size_t n = len < sizeof shown - 1 ? len : sizeof shown - 1;

    for (size_t i = 0; i < n; i++)
        shown[i] = (char)(uri[i] > ' ' && uri[i] < 0x7f ? uri[i] : '?');
    shown[n] = '\0';
    return err_set(err, ERR_INVAL,
                   "'%s' is not ringfence://CLUSTER/ROLE/NAME with controller, agent or "
                   "user for ROLE",
                   shown);
}

int identity_parse(struct identity *ret_id, const char *uri, size_t len, struct err *err)
{
    const size_t skip = sizeof scheme - 1;
    const char *at = uri + skip, *end = uri + len;
    char role[IDENTITY_NAME_SIZE];
    struct identity id = {0};

    if (len <= skip || memcmp(uri, scheme, skip) != 0)
        return not_ours(uri, len, err);
    if (!take_part(&at, end, id.cluster) || at == NULL)
        return not_ours(uri, len, err);
    if (!take_part(&at, end, role) || at == NULL || !identity_role_parse(&id.role, role))
        return not_ours(uri, len, err);
    if (!take_part(&at, end, id.name) || at != NULL)
        return not_ours(uri, len, err);
    *ret_id = id;
    return 0;
}

void identity_format(const struct identity *id, char text[IDENTITY_TEXT_SIZE])
{
    int n = snprintf(text, IDENTITY_TEXT_SIZE, "%s%s/%s/%s", scheme, id->cluster,
                     identity_role_name(id->role), id->name);

    ASSERT(n > 0);
    ASSERT(n < IDENTITY_TEXT_SIZE);
}

bool identity_equals(const struct identity *a, const struct identity *b)
{
    return a->role == b->role && strcmp(a->cluster, b->cluster) == 0 &&
           strcmp(a->name, b->name) == 0;
}

static void drop_names(GENERAL_NAMES **names) { GENERAL_NAMES_free(*names); }

int identity_of_cert(struct identity *ret_id, X509 *cert, struct err *err)
{
    AUTO(drop_names)
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const ASN1_IA5STRING *uri = NULL;
    int found = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_URI) {
            uri = name->d.uniformResourceIdentifier;
            found++;
        }
    }
    if (found != 1)
        return err_set(err, ERR_PEER,
                       "the certificate has %s SAN URI that names a node or a user",
                       found == 0 ? "no" : "more than one");
    if (identity_parse(ret_id, (const char *)ASN1_STRING_get0_data(uri),
                       (size_t)ASN1_STRING_length(uri), err) != 0) {
        if (err != NULL)
            err->code = ERR_PEER;
        err_wrap(err, "the certificate's SAN URI");
        return ERR_PEER;
    }
    return 0;
}
