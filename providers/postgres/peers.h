/* providers/postgres/peers.h -- is who follows a primary who it says it is, and does every
 * commit wait for the members (I8)?
 *
 * A standby's name carries group, epoch and a nonce, so that nobody has it by accident of
 * naming; but a clone of its host has it, and whoever may read pg_stat_replication knows
 * it. PostgreSQL goes by the name alone. The address cannot be had so easily: a standby
 * connects from the one that the group's file gives its instance, since another one passes
 * neither pg_hba.conf nor a gate at `replication`.
 *
 * What the log says of the others is in pg->peers; without it nothing is doubted.
 *
 * Pure:    no I/O, no clock.
 */
#ifndef RF_PROVIDERS_POSTGRES_PEERS_H
#define RF_PROVIDERS_POSTGRES_PEERS_H

#include "providers/postgres/commit.h"
#include "providers/postgres/pg.h"

/* NULL: it is nobody's name. */
const Rf__ProviderPeer *pg_peer_named(const struct pg *pg, const char *name);

/* `address`: a number, or anything else for a local socket. */
bool pg_peer_is_at(const Rf__ProviderPeer *peer, const char *address);

/* The address is a number: else any is taken for it. */
bool pg_peer_has_number(const Rf__ProviderPeer *peer);

/* "" when `names` let every commit wait for each member; else what they are, and what
 * becomes of it. */
void pg_peers_passed_by(const struct pg *pg, const char *names, char text[PG_COMMIT_TEXT]);

#endif
