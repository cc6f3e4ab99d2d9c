/* controller/net/names_lookup.h -- getaddrinfo() on a thread that nobody has to wait for.
 *
 * Inside of names.c. What a thread found is handed over through a desk, which both sides
 * hold: it goes with the last of them, so the loop can close while a resolver hangs.
 *
 * Owner:   names.c has the desk until desk_leave(), and each lookup that it took.
 * Threads: that of the loop; lookup_start()'s threads touch the desk only.
 */
#ifndef RF_NET_NAMES_LOOKUP_H
#define RF_NET_NAMES_LOOKUP_H

#include "controller/net/names.h"

struct desk;

enum lookup_kind { LOOKUP_NAME, LOOKUP_KEEP };

struct lookup {
    struct lookup *next; /* on the desk */
    struct desk *desk;
    enum lookup_kind kind;
    char host[ADDRESS_HOST_SIZE]; /* LOOKUP_NAME */
    char *path, *text;            /* LOOKUP_KEEP: the file, and what is to stand in it */
    /* What came of it: */
    struct err err;             /* code 0: it went well */
    struct names_answer answer; /* of a name; its ports are 0 */
};

/*   ERR_NOMEM  ERR_IO */
MUST_USE int desk_new(struct desk **ret_desk, struct err *err);
/* To be polled: readable when a lookup has ended. The desk's own, until desk_leave(). */
int desk_bell(const struct desk *d);
/* A list of those that have ended since the last time; lookup_free() each. */
struct lookup *desk_take(struct desk *d);
/* What ends later is freed by its thread. */
void desk_leave(struct desk *d);

/*   ERR_NOMEM */
MUST_USE int lookup_start_name(struct desk *d, const char *host, struct err *err);
/* Writes the file beside `path` and renames it. `text` is taken, whatever comes of it.
 *   ERR_NOMEM */
MUST_USE int lookup_start_keep(struct desk *d, const char *path, char *text,
                               struct err *err);
void lookup_free(struct lookup *l);

#endif
