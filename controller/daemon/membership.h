/* controller/daemon/membership.h -- controllers that are replaced while the others run.
 *
 * An operator's ENTRY_CONTROLLER_REPLACE says which id a name has from now on; the list of
 * members in the log (controller/consensus/members.h) says who votes. The leader makes the
 * second follow the first, one step at a time, each of them an entry of its own: the old id
 * is removed, the new one gets the log, and when it has caught up it votes. What is left to
 * do is read off the two, so that whoever leads goes on with it (I5).
 *
 * Everybody learns ids and addresses from the log: what the file says counts until then,
 * and a file that says something else is warned about.
 *
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_MEMBERSHIP_H
#define RF_DAEMON_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

/* The list of members has changed, or is known now: ids and addresses of
 * settings.controllers and the links follow. */
void membership_follow(struct daemon *d);

/* The leader takes the next step, if one is due. Call it now and then, on every node: what
 * has been decided is noted and told. */
void membership_tick(struct daemon *d);

/* For people: it votes by the newest list that is known to be decided; by the newest one
 * until any is. The node itself goes by the newest one in its log (members.h), but that may
 * yet be taken back. */
bool membership_votes(const struct daemon *d, uint64_t id);

/* The id that this name has, as far as this node knows: the newest of file, list and
 * record. */
uint64_t membership_id(const struct daemon *d, uint8_t position);

#endif
