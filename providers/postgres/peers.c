#include "providers/postgres/peers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "providers/postgres/names.h"

const Rf__ProviderPeer *pg_peer_named(const struct pg *pg, const char *name)
{
    for (size_t i = 0; i < pg->n_peers; i++)
        if (name[0] != '\0' && strcmp(pg->peers[i]->standby_name, name) == 0)
            return pg->peers[i];
    return NULL;
}

static int read_address(const char *text, unsigned char out[sizeof(struct in6_addr)])
{
    memset(out, 0, sizeof(struct in6_addr));
    if (inet_pton(AF_INET, text, out) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, text, out) == 1 ? AF_INET6 : AF_UNSPEC;
}

bool pg_peer_has_number(const Rf__ProviderPeer *peer)
{
    unsigned char number[sizeof(struct in6_addr)];

    return read_address(peer->address, number) != AF_UNSPEC;
}

bool pg_peer_is_at(const Rf__ProviderPeer *peer, const char *address)
{
    unsigned char wanted[sizeof(struct in6_addr)], got[sizeof(struct in6_addr)];
    int family = read_address(peer->address, wanted);

    return family == AF_UNSPEC || (read_address(address, got) == family &&
                                   memcmp(wanted, got, sizeof wanted) == 0);
}

void pg_peers_passed_by(const struct pg *pg, const char *names, char text[PG_COMMIT_TEXT])
{
    struct pg_names waited = {0};
    bool ours = pg_names_parse(names, &waited);

    text[0] = '\0';
    for (size_t i = 0; i < pg->n_peers && text[0] == '\0'; i++)
        if (pg->peers[i]->member &&
            !(ours && pg_names_have(&waited, pg->peers[i]->standby_name)))
            snprintf(text, PG_COMMIT_TEXT,
                     "synchronous_standby_names was changed to '%.100s': commits do not "
                     "wait for %s; it belongs to the agent, which sets it again",
                     names, pg->peers[i]->standby_name);
}
