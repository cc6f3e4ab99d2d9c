/* chaos/api.h -- the API as a user's program meets it: JSON over HTTP.
 *
 * Owner:   the caller; answers are new references (jansson).
 * Threads: any; an answer belongs to its thread. Call api_init() once before.
 * Errors:  no answer is an ordinary answer here: things are being killed.
 */
#ifndef RF_CHAOS_API_H
#define RF_CHAOS_API_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "chaos/doc.h"

void api_init(void);

/* GET over a Unix socket. NULL: no answer, no JSON, or not 200. */
json_t *api_get(const char *socket, const char *path);

/* GET http://ADDRESS/PATH as text, malloc'ed, from the network of the calling thread; NULL:
 * no answer within the time, or not 200. `*keep` holds the connection between calls, NULL
 * before the first; api_hang_up() ends it. */
char *api_text(void **keep, const char *url, long timeout_ms);
void api_hang_up(void **keep);

/* Follows a stream of lines until it ends or `*stop`; each line that is JSON is given to
 * `on_line`, which must not keep it. */
typedef void api_line(void *owner, json_t *line);
void api_follow(const char *socket, const char *path, const atomic_bool *stop,
                api_line *on_line, void *owner);

#endif
