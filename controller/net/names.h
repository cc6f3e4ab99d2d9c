/* controller/net/names.h -- the addresses of hosts that are configured by name.
 *
 * The resolver may be gone in the very disaster that we are for, so what was found once
 * does not need it again. The last good answer of a name is kept, and is what one gets, at
 * once. A lookup goes on behind it, no more than one each NAMES_REFRESH_MS, and only while
 * somebody asks, that is, while a link is down. If it fails, or is overdue, the old answer
 * stays in use. With a file, answers outlive the process: one that is started again in the
 * disaster finds its peers. An old address is no hazard: who answers there must prove who
 * it is (identity.h), and a peer that has moved is found when the resolver is back.
 *
 * A name has one lookup under way at most, whoever waits for it. It has a thread of its
 * own, that nobody waits for: glibc's lookup can be held up (by default for 10 s and more
 * for each server in resolv.conf) and cannot be cut short, so it must neither take the
 * places in libuv's pool from others nor keep a daemon that ends from ending.
 *
 * Logs, once per change: that a refresh fails (why, since when the old answer is in use,
 * what to do), that it works again, and that a name has other addresses now.
 *
 * Units:   milliseconds; ports as struct address has them.
 * Owner:   the caller, from names_open() to names_close(). A names_wait belongs to who
 *          waits, and must stay until its answer came or names_forget().
 * Threads: that of its loop; lookups have their own, which touch nothing of it.
 * Errors:  texts say what to do; on error ret_ arguments are untouched.
 */
#ifndef RF_NET_NAMES_H
#define RF_NET_NAMES_H

#include <stdint.h>
#include <sys/socket.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/net/address.h"

struct uv_loop_s;
struct names;

enum {
    NAMES_MAX = 32, /* beyond it the one that was asked for longest ago is dropped */
    NAMES_ADDRESSES_MAX = 8, /* of a name; more are left out, in the resolver's order */
    NAMES_REFRESH_MS = 10000,
    NAMES_OVERDUE_MS = 4000, /* a lookup; who has no earlier answer waits no longer */
};

/* In the order in which the resolver wants them tried; never empty. */
struct names_answer {
    unsigned count;
    struct sockaddr_storage of[NAMES_ADDRESSES_MAX];
};

struct names_wait {
    /* Once, from the loop, never from inside a function of this header. Where there is no
     * answer it is NULL, and `why` says so: ERR_TIMEOUT, ERR_NOTFOUND (the resolver knows
     * no such name), ERR_NOMEM, ERR_IO. Any function of this header is allowed in it, but
     * names_close(). */
    void (*on_answer)(void *owner, const struct names_answer *answer,
                      const struct err *why);
    void *owner;
    /* The rest is names.c's; zero at first. */
    struct names_wait *next;
    struct name *of;
    uint64_t number;
    uint16_t port;
};

/* `file` (NULL: none; copied) is read now, and written whenever an answer is another one.
 * A file that cannot be used costs a warning and nothing else: it is no state.
 *   ERR_NOMEM  ERR_IO */
MUST_USE int names_open(struct names **ret_names, struct uv_loop_s *loop, const char *file,
                        struct err *err);
/* NULL is fine. Nobody may wait any more. Lookups under way end by themselves. */
void names_close(struct names *n);

/* The addresses of `at`, with its port.
 *   ERR_BUSY  they are being looked up for the first time: on_answer comes, within
 *             NAMES_OVERDUE_MS
 *   ERR_FULL  for each of NAMES_MAX other names somebody waits */
MUST_USE int names_find(struct names *n, const struct address *at, struct names_wait *wait,
                        struct names_answer *ret_answer, struct err *err);
/* on_answer comes no more; nothing to do for one that does not wait. */
void names_forget(struct names_wait *wait);

#endif
