#include "controller/audit/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { KEYS_FILE_MAX = 64 << 10, SMALL_MAX = 64 };

/* Its EVP_PKEY, under a name of its own. */
struct audit_key {
    EVP_PKEY *pkey;
};

static void drop_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

static void drop_pkey(EVP_PKEY **pkey) { EVP_PKEY_free(*pkey); }
static void drop_context(EVP_MD_CTX **context) { EVP_MD_CTX_free(*context); }

/* ---- private keys ---------------------------------------------------------------------
 */

static int wrap_key(struct audit_key **ret_key, EVP_PKEY **pkey, struct err *err)
{
    struct audit_key *key = calloc(1, sizeof *key);

    if (key == NULL)
        return err_set(err, ERR_NOMEM, "a key for the audit trail");
    key->pkey = TAKE(*pkey);
    *ret_key = key;
    return 0;
}

static int open_private(FILE **ret_file, const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return err_errno(err, errno, "audit key %s", path);
    *ret_file = fdopen(fd, "r");
    if (*ret_file == NULL) {
        (void)close(fd);
        return err_set(err, ERR_NOMEM, "audit key %s", path);
    }
    if (fstat(fd, &st) != 0)
        return err_errno(err, errno, "audit key %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_REFUSED, "audit key %s is no plain file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return err_set(err, ERR_REFUSED,
                       "audit key %s belongs to user %u: whoever that is could sign what "
                       "never happened; `chown` it to the user that reads it",
                       path, (unsigned)st.st_uid);
    if ((st.st_mode & 077) != 0)
        return err_set(err, ERR_REFUSED,
                       "audit key %s has mode %04o: others could sign what never happened; "
                       "`chmod 600` it, and make a new one if it was read",
                       path, (unsigned)(st.st_mode & 07777));
    return 0;
}

int audit_key_load(struct audit_key **ret_key, const char *path, struct err *err)
{
    AUTO(drop_file) FILE *file = NULL;
    AUTO(drop_pkey) EVP_PKEY *pkey = NULL;

    if (open_private(&file, path, err) != 0)
        return err->code;
    /* With a password given, and be it none, OpenSSL does not ask the terminal. */
    pkey = PEM_read_PrivateKey(file, NULL, NULL, "");
    ERR_clear_error();
    if (pkey == NULL || EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
        return err_set(err, ERR_INVAL,
                       "audit key %s holds no unencrypted Ed25519 private key in PEM "
                       "(`openssl genpkey -algorithm ed25519` makes one)",
                       path);
    return wrap_key(ret_key, &pkey, err);
}

int audit_key_make(struct audit_key **ret_key, struct err *err)
{
    AUTO(drop_pkey) EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    ERR_clear_error();
    if (pkey == NULL)
        return err_set(err, ERR_NOMEM, "make a key for the audit trail");
    return wrap_key(ret_key, &pkey, err);
}

int audit_key_write(void *file, const void *key)
{
    const struct audit_key *k = key;

    return PEM_write_PrivateKey(file, k->pkey, NULL, NULL, 0, NULL, NULL);
}

void audit_key_free(struct audit_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void audit_key_drop(struct audit_key **key) { audit_key_free(*key); }

void audit_key_public(const struct audit_key *key, uint8_t ret[AUDIT_PUBLIC_SIZE])
{
    size_t len = AUDIT_PUBLIC_SIZE;

    memset(ret, 0, AUDIT_PUBLIC_SIZE);
    (void)EVP_PKEY_get_raw_public_key(key->pkey, ret, &len); /* cannot fail with room */
}

int audit_key_sign(const struct audit_key *key, const void *data, size_t len,
                   uint8_t ret_signature[AUDIT_SIGNATURE_SIZE], struct err *err)
{
    AUTO(drop_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = AUDIT_SIGNATURE_SIZE;
    bool done = context != NULL &&
                EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
                EVP_DigestSign(context, ret_signature, &size, data, len) == 1 &&
                size == AUDIT_SIGNATURE_SIZE;

    ERR_clear_error();
    return done ? 0 : err_set(err, ERR_NOMEM, "sign for the audit trail");
}

bool audit_signature_holds(const uint8_t key[AUDIT_PUBLIC_SIZE], const void *data,
                           size_t len, const uint8_t signature[AUDIT_SIGNATURE_SIZE])
{
    AUTO(drop_pkey)
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, AUDIT_PUBLIC_SIZE);
    AUTO(drop_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool holds = pkey != NULL && context != NULL &&
                 EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
                 EVP_DigestVerify(context, signature, AUDIT_SIGNATURE_SIZE, data, len) == 1;

    ERR_clear_error();
    return holds;
}

/* ---- base64 ---------------------------------------------------------------------------
 */

void audit_base64(const uint8_t *data, size_t len, char *text)
{
    (void)EVP_EncodeBlock((unsigned char *)text, data, (int)len);
}

bool audit_unbase64(const char *text, uint8_t *ret, size_t len)
{
    uint8_t bytes[SMALL_MAX + 4];
    char again[4 * (SMALL_MAX + 2) / 3 + 4];
    size_t size = strlen(text);

    if (len > SMALL_MAX || size != 4 * ((len + 2) / 3) ||
        EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)size) < (int)len)
        return false;
    audit_base64(bytes, len, again);
    if (strcmp(again, text) != 0)
        return false;
    memcpy(ret, bytes, len);
    return true;
}

/* ---- public keys ----------------------------------------------------------------------
 */

bool audit_name_ok(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < AUDIT_NAME_SIZE &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool take_line(const char *line, struct audit_public *ret)
{
    char key[AUDIT_PUBLIC_TEXT_SIZE], more;

    return sscanf(line, "%63s %63s ed25519:%47s %c", ret->cluster, ret->controller, key,
                  &more) == 3 &&
           audit_name_ok(ret->cluster) && audit_name_ok(ret->controller) &&
           audit_unbase64(key, ret->key, AUDIT_PUBLIC_SIZE);
}

static int add_public(struct audit_keys *to, const struct audit_public *one,
                      struct err *err)
{
    struct audit_public *list;

    if (to->n == AUDIT_KEYS_MAX)
        return err_set(err, ERR_FULL, "more than %d keys", AUDIT_KEYS_MAX);
    list = realloc(to->list, (to->n + 1) * sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NOMEM, "public keys");
    to->list = list;
    list[to->n++] = *one;
    return 0;
}

int audit_keys_parse(struct audit_keys *ret, const char *text, struct err *err)
{
    AUTO(audit_keys_free) struct audit_keys keys = {0};
    unsigned number = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        struct audit_public one = {0};
        char line[AUDIT_KEYS_LINE + 64];

        number++;
        (void)snprintf(line, sizeof line, "%.*s", (int)(len < sizeof line ? len : 0), text);
        text += len + (text[len] == '\n');
        if (len < sizeof line && (line[0] == '#' || line[strspn(line, " \t\r")] == '\0'))
            continue;
        if (len >= sizeof line || !take_line(line, &one))
            return err_set(err, ERR_INVAL,
                           "line %u: expected CLUSTER CONTROLLER ed25519:BASE64 "
                           "(`ringfence audit keys` prints them)",
                           number);
        if (add_public(&keys, &one, err) != 0)
            return err->code;
    }
    *ret = keys;
    keys = (struct audit_keys){0};
    return 0;
}

int audit_keys_read(struct audit_keys *ret, const char *path, struct err *err)
{
    AUTO(drop_file) FILE *file = fopen(path, "re");
    AUTO(auto_free) char *text = malloc(KEYS_FILE_MAX + 1);
    size_t n;

    if (file == NULL)
        return err_errno(err, errno, "public keys %s", path);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "public keys %s", path);
    n = fread(text, 1, KEYS_FILE_MAX, file);
    if (ferror(file) != 0)
        return err_errno(err, errno, "public keys %s", path);
    if (n == KEYS_FILE_MAX || memchr(text, '\0', n) != NULL)
        return err_set(err, ERR_INVAL, "%s is no file of public keys", path);
    text[n] = '\0';
    if (audit_keys_parse(ret, text, err) != 0)
        return err_wrap(err, "%s", path);
    return 0;
}

void audit_keys_free(struct audit_keys *keys)
{
    free(keys->list);
    *keys = (struct audit_keys){0};
}

void audit_keys_line(const struct audit_public *of, char text[AUDIT_KEYS_LINE])
{
    char key[AUDIT_PUBLIC_TEXT_SIZE];

    audit_base64(of->key, AUDIT_PUBLIC_SIZE, key);
    (void)snprintf(text, AUDIT_KEYS_LINE, "%s %s ed25519:%s", of->cluster, of->controller,
                   key);
}

bool audit_keys_know(const struct audit_keys *keys, const struct audit_public *one)
{
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->list[i].cluster, one->cluster) == 0 &&
            strcmp(keys->list[i].controller, one->controller) == 0 &&
            memcmp(keys->list[i].key, one->key, AUDIT_PUBLIC_SIZE) == 0)
            return true;
    return false;
}

bool audit_keys_name(const struct audit_keys *keys, const char *cluster,
                     const char *controller)
{
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->list[i].cluster, cluster) == 0 &&
            strcmp(keys->list[i].controller, controller) == 0)
            return true;
    return false;
}
