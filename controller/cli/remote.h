/* controller/cli/remote.h -- controllers that are asked over the network, and how we show
 * who we are: --url with --ca, --cert and --key, or what `ringfence login` has kept of
 * them.
 *
 * A controller is known by its certificate, of the CA in `ca`: it has to name a controller,
 * of our own certificate's cluster (docs/certificates.md), whatever the host in the URL is
 * called. TLS 1.3; the system's CAs count for nothing.
 *
 * A profile is a file of paths and URLs, without secrets: PROFILE.json in
 * $XDG_CONFIG_HOME/ringfence (or ~/.config/ringfence), 0600; one that others can write is
 * refused, and so is a key that others can read.
 *
 * Limits:  REMOTE_URLS_MAX controllers; paths and URLs shorter than their room.
 * Owner:   plain values.
 * Threads: one.
 * Errors:  ERR_INVAL, ERR_NOTFOUND, ERR_REFUSED, ERR_IO; the text says what to do.
 */
#ifndef RF_CLI_REMOTE_H
#define RF_CLI_REMOTE_H

#include <limits.h>
#include <stdbool.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum { REMOTE_URLS_MAX = 8, REMOTE_URL_SIZE = 300, REMOTE_PROFILE_SIZE = 64 };

struct remote {
    char urls[REMOTE_URLS_MAX][REMOTE_URL_SIZE]; /* "https://10.0.1.2:7404" */
    unsigned count;
    unsigned first; /* which one is asked first: that which answered last */
    char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
    bool by_token; /* a token is shown: no certificate is needed */
};

/* "https://HOST:PORT", nothing behind it but a slash. */
MUST_USE int remote_add_url(struct remote *r, const char *url, struct err *err);
/* Are the files there, and the key nobody else's? Makes their paths absolute. */
MUST_USE int remote_check(struct remote *r, struct err *err);

/* PROFILE is 1 to 63 of [a-z0-9-]. */
MUST_USE int remote_load(struct remote *ret, const char *profile, struct err *err);
MUST_USE int remote_save(const struct remote *r, const char *profile,
                         char ret_path[PATH_MAX], struct err *err);

#endif
