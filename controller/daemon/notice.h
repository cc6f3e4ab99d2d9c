/* controller/daemon/notice.h -- what people are told of an entry, as JSON and as a mail.
 *
 * Its `id`, the cluster's name and the entry's index, is the same however often and by
 * whichever controller it is sent: a receiver goes by it.
 *
 * Pure:    no I/O, no clock.
 * Errors:  ERR_NOMEM, ERR_FULL.
 */
#ifndef RF_DAEMON_NOTICE_H
#define RF_DAEMON_NOTICE_H

#include "controller/audit/chain.h"
#include "controller/base/buf.h"
#include "controller/daemon/settings.h"

enum notice_kind {
    NOTICE_NONE,
    NOTICE_INFORM,      /* a proposal whose window names roles that are told of it */
    NOTICE_BREAK_GLASS, /* a proposal that took no approval: everybody is told */
    NOTICE_FALSE_PROOF, /* a proof that did not hold: everybody is told */
};

/* What the row is to people with these roles (0: whatever they have). A proposal that is
 * not remembered any more is told by what its row says. */
enum notice_kind notice_of(const struct state *s, const struct audit_row *row,
                           uint8_t roles);

struct notice {
    enum notice_kind kind;
    const char *cluster;
    const struct audit_row *row;
    const char *entry; /* logview_line() */
    uint8_t roles;     /* that are told; 0: all */
};

MUST_USE int notice_json(const struct notice *n, struct buf *out, struct err *err);
/* A whole mail, RFC 5322, in ASCII lines of at most 76 bytes. */
MUST_USE int notice_mail(const struct notice *n, const struct settings_notify *to,
                         uint64_t wall_ms, struct buf *out, struct err *err);

#endif
