/* controller/cli/https.h -- TLS as the CLI speaks it, for http.c: whom it takes for a
 * controller. Wraps libcurl and OpenSSL. */
#ifndef RF_CLI_HTTPS_H
#define RF_CLI_HTTPS_H

#include <curl/curl.h>
#include <stdbool.h>

#include "controller/cli/remote.h"
#include "controller/net/identity.h"

/* Whom we look for, and what we found instead. */
struct https_peer {
    char cluster[IDENTITY_NAME_SIZE]; /* of our own certificate; "": it does not say */
    char why[400];                    /* why it is not taken for a controller; "" */
};

/* `peer` must outlive the transfer. */
void https_set_up(CURL *curl, const struct remote *r, struct https_peer *peer);

/* Is this what libcurl says when the other side ends a handshake over our certificate? */
bool https_is_refusal(const char *said);

#endif
