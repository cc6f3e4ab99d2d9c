/* controller/net/host.h -- what this host would say to an address or a path, by looking.
 *
 * Nothing is listened on, made or removed, and no running process is disturbed: a port is
 * tried by a bind() without listen(), a Unix socket by a knock.
 *
 * Units:   pids as /proc has them; 0: not known (another user's process, to all but root).
 * Threads: any; reads /proc, so not on a loop that is in a hurry.
 * Errors:  on error ret_ arguments are untouched, but for `ret_holder` with ERR_BUSY.
 */
#ifndef RF_NET_HOST_H
#define RF_NET_HOST_H

#include "controller/base/findings.h"
#include "controller/net/address.h"

struct host_holder {
    int pid;
    char program[32];
};

/* Could we listen there?
 *   ERR_BUSY      somebody listens there: `ret_holder`
 *   ERR_NOTFOUND  not an address of this host
 *   ERR_INVAL     not a numeric address
 *   ERR_REFUSED   not without more privileges
 *   ERR_IO */
MUST_USE int host_try_port(const struct address *at, struct host_holder *ret_holder,
                           struct err *err);

/* Could we make this socket? A left-over of a process that has ended is in nobody's way.
 *   ERR_BUSY  somebody answers on it: `ret_holder`
 *   ERR_INVAL something else is there
 *   ERR_IO */
MUST_USE int host_try_socket(const char *path, struct host_holder *ret_holder,
                             struct err *err);

/* ---- users ----------------------------------------------------------------------------
 */

enum { HOST_USER_SIZE = 64 };

/* By name, or by number where there is no name. */
void host_user(char ret_user[HOST_USER_SIZE], char ret_group[HOST_USER_SIZE]);

/* From here to host_look_back() this process looks with that user's eyes (its effective
 * ids; for a process with one thread). The owner's: where there is no such path, or root
 * owns it, `usual`'s, if there is such a user; as it is for all but root.
 *   ERR_NOTFOUND  no such user
 *   ERR_REFUSED   this user may not */
MUST_USE int host_look_as(const char *name, struct err *err);
MUST_USE int host_look_as_owner(const char *path, const char *usual, struct err *err);
/* This process is root, and the path is there and another user's, who goes to `ret_user`.
 */
bool host_is_of_another(const char *path, char ret_user[HOST_USER_SIZE]);
void host_look_back(void);

/* Says why a file could not be opened, and who may not and how to let him (`secret`: him
 * alone). Returns the error's code. */
int host_unreadable(struct err *err, int error, const char *what, const char *path,
                    bool secret);

/* Has that process opened this very file? */
bool host_process_has(int pid, const char *path);

/* ---- for configuration files ----------------------------------------------------------
 */

struct host_check {
    struct findings *f;
    /* A file that the running daemon of this configuration has open, and nobody else: what
     * that daemon holds is in nobody's way, until one more is to start. */
    const char *held;
    bool starting; /* what is not there yet would have to be there now */
};

void host_check_listen(const struct host_check *c, const char *key,
                       const struct address *at);
/* With its directory, which the program makes itself (`made`), or not. */
void host_check_socket(const struct host_check *c, const char *key, const char *path,
                       bool made);

enum host_dir { HOST_DIR_IS_THERE, HOST_DIR_TO_BE_MADE, HOST_DIR_WRONG };
/* One that the program makes itself (`made`; with its parents: `parents`) need not be there
 * yet. Nothing is said of one that is simply there and can be written. */
enum host_dir host_check_dir(const struct host_check *c, const char *key, const char *path,
                             bool made, bool parents);

#endif
