/* controller/net/identity.h -- who a node or a user is, as the certificate says.
 *
 * One is named by exactly one SAN URI `ringfence://CLUSTER/controller/NAME`,
 * `ringfence://CLUSTER/agent/NAME` or `ringfence://CLUSTER/user/NAME`. A user's opens
 * nothing but the API for people (door.h): no stream of controllers and agents takes it.
 * CLUSTER and NAME are 1..63 of [a-z0-9-], beginning and ending with a letter or digit.
 * Nothing else is accepted: no upper case, no escapes, no port, no query, no trailing
 * slash; a certificate with two URIs has no identity.
 *
 * Limits:  names of 63 characters, one URI; a longer one, of whatever length, is refused
 *          and at most 79 printable characters of it are shown. What is accepted is what
 *          identity_format() writes, to the byte.
 * Pure:    no I/O, no state.
 * Owner:   plain values; nothing to free.
 * Threads: any.
 * Errors:  on error ret_ arguments are untouched.
 */
#ifndef RF_NET_IDENTITY_H
#define RF_NET_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct x509_st; /* OpenSSL's X509 */

enum identity_role {
    IDENTITY_CONTROLLER,
    IDENTITY_AGENT,
    IDENTITY_USER,
    IDENTITY_ROLE_MAX,
};

enum {
    IDENTITY_NAME_SIZE = 64,  /* with the terminating zero */
    IDENTITY_TEXT_SIZE = 160, /* room for a whole URI */
};

struct identity {
    enum identity_role role;
    char cluster[IDENTITY_NAME_SIZE];
    char name[IDENTITY_NAME_SIZE];
};

/* "controller", "agent" and "user". */
const char *identity_role_name(enum identity_role role);
/* False: `text` is none of them. */
MUST_USE bool identity_role_parse(enum identity_role *ret_role, const char *text);

/* True for something that may be a cluster's, a node's or a user's name. */
bool identity_name_is_valid(const char *name);

/* Put an identity together.
 *   ERR_INVAL  the cluster or the name is not valid; the text says which and the rule */
MUST_USE int identity_make(struct identity *ret_id, enum identity_role role,
                           const char *cluster, const char *name, struct err *err);

/* `uri` need not be terminated and may hold anything, zero bytes too.
 *   ERR_INVAL */
MUST_USE int identity_parse(struct identity *ret_id, const char *uri, size_t len,
                            struct err *err);

/* The URI. identity_parse() of it gives the same identity back. */
void identity_format(const struct identity *id, char text[IDENTITY_TEXT_SIZE]);

bool identity_equals(const struct identity *a, const struct identity *b);

/* The identity that a certificate names.
 *   ERR_PEER  no SAN URI, more than one, or not one of ours; the text says which */
MUST_USE int identity_of_cert(struct identity *ret_id, struct x509_st *cert,
                              struct err *err);

#endif
