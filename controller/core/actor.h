/* controller/core/actor.h -- who asked for it, by what means, and from where.
 *
 * Every entry that a person caused carries one, as judged when the request was admitted by
 * the leader: an auditor reads it years later, when the user may be gone and the roles
 * changed. Who may ask for what is decided by the shell, at the one place where requests
 * come in; apply() keeps and shows it, and goes by it where several people have to agree
 * (proposal.h).
 *
 * An entry of format 1 (formats.h) has none. While a controller that knows no other format
 * is on record, what people ask for is written without it: `ringfence log` then says
 * "operator", as it always did.
 *
 * Pure:    types and words only.
 */
#ifndef RF_CORE_ACTOR_H
#define RF_CORE_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/core/state.h"

enum { ACTOR_FROM_SIZE = 64 };

/* Numbers travel in the log: add at the end, never renumber. */
#define ACTOR_KIND_MAP(X)                                                                  \
    X(ACTOR_NONE, 0, "nobody")             /* no person: a rule, an agent, a controller */ \
    X(ACTOR_SOCKET, 1, "socket")           /* the Unix socket: root of that host */        \
    X(ACTOR_CERTIFICATE, 2, "certificate") /* a person's client certificate */             \
    X(ACTOR_TOKEN, 3, "token")                                                             \
    X(ACTOR_JWT, 4, "jwt")                                                                 \
    X(ACTOR_ANONYMOUS, 5, "anonymous") /* of refused requests only */

enum actor_kind {
#define X(name, number, text) name = (number),
    ACTOR_KIND_MAP(X)
#undef X
};

/* The second factor that was shown with this very request. */
#define ACTOR_FACTOR_MAP(X)                                                                \
    X(FACTOR_NONE, 0, "none")                                                              \
    X(FACTOR_TOTP, 1, "totp")                                                              \
    X(FACTOR_RECOVERY, 2, "recovery-code")

enum actor_factor {
#define X(name, number, text) name = (number),
    ACTOR_FACTOR_MAP(X)
#undef X
};

/* Bits. Nobody has one that is not given; an admin has all of them (role_allows()). */
#define ROLE_MAP(X)                                                                        \
    X(ROLE_VIEWER, 1, "viewer")                                                            \
    X(ROLE_OPERATOR, 2, "operator")                                                        \
    X(ROLE_APPROVER, 4, "approver")                                                        \
    X(ROLE_ADMIN, 8, "admin")

enum role {
#define X(name, bit, text) name = (bit),
    ROLE_MAP(X)
#undef X
        ROLES_ALL = 15
};

struct actor {
    char name[NAME_SIZE]; /* the user; "root" at the socket; "" where nobody is known */
    enum actor_kind kind;
    enum actor_factor factor;
    uint8_t roles; /* enum role bits, for the group in question, when it was admitted */
    char from[ACTOR_FROM_SIZE]; /* "10.0.0.7", "unix uid 0"; for people */
};

const char *actor_kind_name(enum actor_kind kind);
const char *actor_factor_name(enum actor_factor factor);

/* One of `needed` is among `roles`. Who may act may look: operators and approvers are
 * viewers; admins have every role. */
bool role_allows(uint8_t roles, uint8_t needed);

/* 0: there is no role of that name. */
uint8_t role_of(const char *name);

/* "operator, approver"; "no role" for none. */
enum { ROLES_TEXT_SIZE = 48 };
void roles_text(uint8_t roles, char text[ROLES_TEXT_SIZE]);

/* "anna (token, totp) from 10.0.0.7"; empty for ACTOR_NONE. */
enum { ACTOR_TEXT_SIZE = 160 };
void actor_text(const struct actor *a, char text[ACTOR_TEXT_SIZE]);

#endif
