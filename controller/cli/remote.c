#include "controller/cli/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/net/identity.h"

static const char scheme[] = "https://";

int remote_add_url(struct remote *r, const char *url, struct err *err)
{
    size_t len = strlen(url);
    const char *host = url + sizeof scheme - 1, *port;

    if (len > 0 && url[len - 1] == '/')
        len--;
    if (r->count == REMOTE_URLS_MAX)
        return err_set(err, ERR_INVAL, "--url: %d at most", REMOTE_URLS_MAX);
    port = strrchr(url, ':');
    if (strncmp(url, scheme, sizeof scheme - 1) != 0 || len >= REMOTE_URL_SIZE ||
        port <= host || strcspn(host, "/?#@ ") != len - (sizeof scheme - 1))
        return err_set(err, ERR_INVAL,
                       "--url '%.80s': https://HOST:PORT is expected, as `api.listen` of "
                       "ringfenced.yaml has it",
                       url);
    (void)snprintf(r->urls[r->count++], REMOTE_URL_SIZE, "%.*s", (int)len, url);
    return 0;
}

/* ---- files ----------------------------------------------------------------------------
 */

static int absolute(char path[PATH_MAX], const char *option, struct err *err)
{
    char found[PATH_MAX];

    if (path[0] == '\0')
        return err_set(
            err, ERR_INVAL,
            "%s is missing: over the network --ca is needed, and --cert and --key "
            "(or --token-file)",
            option);
    if (realpath(path, found) == NULL)
        return err_errno(err, errno, "%s %s", option, path);
    memcpy(path, found, sizeof found);
    if (access(path, R_OK) != 0)
        return err_errno(err, errno, "%s %s", option, path);
    return 0;
}

int remote_check(struct remote *r, struct err *err)
{
    struct stat st;

    if (r->by_token && r->cert[0] == '\0' && r->key[0] == '\0')
        return absolute(r->ca, "--ca", err);
    if (absolute(r->ca, "--ca", err) != 0 || absolute(r->cert, "--cert", err) != 0 ||
        absolute(r->key, "--key", err) != 0)
        return err->code;
    if (stat(r->key, &st) != 0)
        return err_errno(err, errno, "--key %s", r->key);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(err, ERR_REFUSED,
                       "--key %s can be used by others (mode %04o): `chmod 0600 %s`, and "
                       "have a new one made if somebody else may have read it",
                       r->key, st.st_mode & 07777, r->key);
    return 0;
}

/* ---- profiles -------------------------------------------------------------------------
 */

static int directory(char path[PATH_MAX], struct err *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n;

    if (config != NULL && config[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/ringfence", config);
    else if (home != NULL && home[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/.config/ringfence", home);
    else
        return err_set(err, ERR_INVAL,
                       "no place for profiles: neither $HOME nor "
                       "$XDG_CONFIG_HOME is an absolute path");
    return n < PATH_MAX - REMOTE_PROFILE_SIZE - 16
               ? 0
               : err_set(err, ERR_INVAL, "the path of the profiles is too long");
}

static int profile_path(char path[PATH_MAX], const char *profile, const char *suffix,
                        struct err *err)
{
    size_t len;

    if (!identity_name_is_valid(profile))
        return err_set(
            err, ERR_INVAL,
            "--profile '%.80s': 1 to 63 of a-z, 0-9 and - are expected, beginning "
            "and ending with a letter or digit",
            profile);
    if (directory(path, err) != 0)
        return err->code;
    len = strlen(path);
    (void)snprintf(path + len, PATH_MAX - len, "/%s.json%s", profile, suffix);
    return 0;
}

static void drop_json(json_t **v) { json_decref(*v); }

static bool take_text(const json_t *v, const char *key, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(v, key));

    if (text == NULL || strlen(text) >= size)
        return false;
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

static int read_profile(struct remote *r, int fd, const char *path, struct err *err)
{
    AUTO(drop_json) json_t *v = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
    const json_t *urls = json_object_get(v, "urls"), *url;
    size_t i;

    json_array_foreach(urls, i, url)
    {
        if (json_string_value(url) == NULL ||
            remote_add_url(r, json_string_value(url), err) != 0)
            return err_set(err, ERR_INVAL, "%s: urls: not one of https://HOST:PORT", path);
    }
    if (r->count == 0 || json_object_size(v) != 4 ||
        !take_text(v, "ca", r->ca, sizeof r->ca) ||
        !take_text(v, "cert", r->cert, sizeof r->cert) ||
        !take_text(v, "key", r->key, sizeof r->key))
        return err_set(
            err, ERR_INVAL,
            "%s is no profile (urls, ca, cert, key): `ringfence login` makes one", path);
    return 0;
}

/* Who could write there could send us to a host of his, under a CA of his. */
static int check_own(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_errno(err, errno, "%s", path);
    if ((st.st_uid != geteuid() && st.st_uid != 0) ||
        (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(err, ERR_REFUSED,
                       "%s belongs to uid %u and has mode %04o: it has to be this user's "
                       "alone (`chmod 0600`)",
                       path, st.st_uid, st.st_mode & 07777);
    return 0;
}

int remote_load(struct remote *ret, const char *profile, struct err *err)
{
    AUTO(auto_close) int fd = -1;
    struct remote r = {0};
    char path[PATH_MAX];

    if (profile_path(path, profile, "", err) != 0)
        return err->code;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOTFOUND,
                       "no profile '%s' (%s): `ringfence login --profile %s --url ... --ca "
                       "... --cert ... --key ...` makes it",
                       profile, path, profile);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    if (check_own(fd, path, err) != 0 || read_profile(&r, fd, path, err) != 0)
        return err->code;
    *ret = r;
    return 0;
}

/* Its parent is the user's own business, and is there as a rule. */
static int make_directory(struct err *err)
{
    char path[PATH_MAX], *slash;

    if (directory(path, err) != 0)
        return err->code;
    slash = strrchr(path, '/');
    *slash = '\0';
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make the directory %s", path);
    *slash = '/';
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make the directory %s", path);
    return 0;
}

static json_t *profile_json(const struct remote *r)
{
    json_t *urls = json_array();

    for (unsigned i = 0; i < r->count; i++)
        (void)json_array_append_new(urls, json_string(r->urls[i]));
    return json_pack("{s:o, s:s, s:s, s:s}", "urls", urls, "ca", r->ca, "cert", r->cert,
                     "key", r->key);
}

int remote_save(const struct remote *r, const char *profile, char ret_path[PATH_MAX],
                struct err *err)
{
    AUTO(drop_json) json_t *v = profile_json(r);
    AUTO(auto_close) int fd = -1;
    char path[PATH_MAX], beside[PATH_MAX];

    if (v == NULL)
        return err_set(err, ERR_NOMEM, "profile");
    if (profile_path(path, profile, "", err) != 0 ||
        profile_path(beside, profile, ".new", err) != 0 || make_directory(err) != 0)
        return err->code;
    (void)unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || json_dumpfd(v, fd, JSON_INDENT(2)) != 0 || fsync(fd) != 0 ||
        rename(beside, path) != 0)
        return err_errno(err, errno, "write %s", path);
    memcpy(ret_path, path, sizeof path);
    return 0;
}
