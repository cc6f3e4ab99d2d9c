/* controller/http/document.h -- the group document (`ringfence apply -f`), both ways.
 *
 * What is left out has its default; what is not known is an error that names its path
 * ("components[0].instances[1].prot: unknown key ..."), I10. What this version cannot do is
 * said as such. Whether the document fits the cluster is asked by document_check().
 *
 * Limits:  a document of HTTPD_BODY_MAX bytes; REGION_MAX regions with TAG_MAX tags each,
 *          INSTANCE_MAX instances, texts of fixed size (controller/core/state.h); numbers
 *          and durations within the bounds that their refusals name.
 *
 * Pure:    no I/O, no clock.
 * Errors:  ERR_INVAL; the text names path, value and what was expected.
 */
#ifndef RF_HTTP_DOCUMENT_H
#define RF_HTTP_DOCUMENT_H

#include <jansson.h>

#include "controller/core/state.h"

/* `ret_spec`: as struct entry_declare wants it; but `active` is NO_INSTANCE where no region
 * has a role: then document_keep_active() is due. */
MUST_USE int document_parse(const json_t *document, struct group *ret_spec,
                            struct err *err);
/* The same from bytes. */
MUST_USE int document_read(const void *data, size_t len, struct group *ret_spec,
                           struct err *err);

/* The document that gives this group again, all defaults spelt out. NULL: no memory. */
json_t *document_of(const struct group *g);

/* [{"path", "from", "to"}], a leaf each, null where there is none; `from` NULL: a new
 * group. NULL: no memory. */
json_t *document_diff(const struct group *from, const struct group *to);

/* Who is active stays as it is in `g`, whatever roles the document has.
 *   ERR_INVAL  the document does not have that instance */
MUST_USE int document_keep_active(struct group *spec, const struct group *g,
                                  struct err *err);

struct document_surroundings {
    const struct state *state;
    uint32_t rtt_ms; /* longest round trip measured */
};

/* Does it fit the cluster: agents enrolled and in the region that the document says,
 * residency, and the TTL rule with what voters announced and round trips take. The texts
 * say what to do. */
MUST_USE int document_check(const struct group *spec,
                            const struct document_surroundings *around, struct err *err);

#endif
