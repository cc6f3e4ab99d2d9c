/* The nftables driver's table: built, or adopted from an earlier life. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <jansson.h>

#include "controller/base/clock.h"
#include "fencing/gate/gate_nft.h"

enum { MARK_MAX = 64 };

static void drop_json(json_t **json) { json_decref(*json); }

/* The names of the empty chains that say whose gate this is. */
struct marks {
    char version[MARK_MAX], boot[MARK_MAX];
};

static int make_marks(struct marks *m, struct err *err)
{
    char boot[40], *to = m->boot;
    int r = gate_boot_id(boot, sizeof boot, err);

    if (r != 0)
        return r;
    (void)snprintf(m->version, sizeof m->version, "version_%d", NFT_VERSION);
    to += sprintf(to, "boot_");
    for (const char *c = boot; *c != '\0'; c++)
        if (*c != '-')
            *to++ = *c;
    *to = '\0';
    return 0;
}

static int list_table(struct nft_gate *n, json_t **ret_json, struct err *err)
{
    AUTO(auto_free) char *text = NULL;
    char command[NFT_TABLE_NAME_MAX + 32];
    int r;

    (void)snprintf(command, sizeof command, "list table inet %s", n->table);
    r = nft_run_json(n->run, command, &text, err);
    if (r != 0)
        return r;
    *ret_json = json_loads(text, 0, NULL);
    if (*ret_json == NULL)
        return err_set(err, ERR_CORRUPT, "nftables' listing of %s is not JSON", n->table);
    return 0;
}

/* The object of this kind and name in a listing, or NULL. */
static json_t *object_of(json_t *listing, const char *kind, const char *name)
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(listing, "nftables"), i, entry)
    {
        json_t *object = json_object_get(entry, kind);
        const char *is = json_string_value(json_object_get(object, "name"));

        if (is != NULL && strcmp(is, name) == 0)
            return object;
    }
    return NULL;
}

/* "id_<32 hex digits>" among the chains. */
static bool read_id(json_t *listing, uint8_t id[GATE_ID_SIZE])
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(listing, "nftables"), i, entry)
    {
        json_t *chain = json_object_get(entry, "chain");
        const char *name = json_string_value(json_object_get(chain, "name"));
        size_t n = 0;

        if (name == NULL || strncmp(name, "id_", 3) != 0 ||
            strlen(name) != 3 + 2 * (size_t)GATE_ID_SIZE)
            continue;
        for (; n < GATE_ID_SIZE; n++) {
            char byte[3] = {name[3 + 2 * n], name[4 + 2 * n], '\0'}, *end;

            id[n] = (uint8_t)strtoul(byte, &end, 16);
            if (*end != '\0')
                break;
        }
        if (n == GATE_ID_SIZE)
            return true;
    }
    return false;
}

/* --- building --------------------------------------------------------------------------
 */

static void say_structure(struct nft_gate *n)
{
    static const char *const sets[] = {
        "managed { type inet_service; }",
        "fenced { type inet_service; }",
        "now_0 { type inet_service; }",
        "now_1 { type inet_service; }",
        "open_0 { type inet_service; flags timeout; }",
        "open_1 { type inet_service; flags timeout; }",
        "repl_0 { type inet_service; flags timeout; }",
        "repl_1 { type inet_service; flags timeout; }",
        "peers4 { type inet_service . ipv4_addr; }",
        "peers6 { type inet_service . ipv6_addr; }",
        "guests4 { type inet_service . ipv4_addr; }",
        "guests6 { type inet_service . ipv6_addr; }",
        "standby { type inet_service; }",
        "beside { type inet_service . inet_service; }",
        "epochs { type inet_service . mark . mark . mark; }",
    };
    const char *t = n->table;

    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        nft_say(&n->text, "add set inet %s %s\n", n->table, sets[i]);
    nft_say(
        &n->text,
        "add map inet %s wall { type inet_service : verdict; }\n"
        "add chain inet %s dead_in\n"
        "add chain inet %s dead_out\n"
        "add chain inet %s in_0\nadd chain inet %s in_1\n"
        "add chain inet %s out_0\nadd chain inet %s out_1\n"
        "add chain inet %s in { type filter hook input priority -300; policy accept; }\n"
        "add chain inet %s out { type filter hook output priority -300; policy accept; }\n",
        t, t, t, t, t, t, t, t, t);
}

/* Courtesy: clients are told by a reset, peers are not. Our own reset goes out through the
 * output hook and must pass it; it carries no data. */
static void say_dead(struct nft_gate *n)
{
    const char *t = n->table;

    nft_say(&n->text, "flush chain inet %s dead_in\nflush chain inet %s dead_out\n", t, t);
    nft_say(&n->text, "add rule inet %s dead_in th dport . ip saddr @peers4 drop\n", t);
    nft_say(&n->text, "add rule inet %s dead_in th dport . ip6 saddr @peers6 drop\n", t);
    nft_say(&n->text, "add rule inet %s dead_in th dport . ip saddr @guests4 drop\n", t);
    nft_say(&n->text, "add rule inet %s dead_in th dport . ip6 saddr @guests6 drop\n", t);
    nft_say(&n->text, "add rule inet %s dead_in meta l4proto tcp reject with tcp reset\n",
            t);
    nft_say(&n->text, "add rule inet %s dead_in drop\n", t);
    nft_say(&n->text, "add rule inet %s dead_out tcp flags & rst == rst accept\n", t);
    nft_say(&n->text, "add rule inet %s dead_out drop\n", t);
}

static void say_identity(struct gate *gate, const struct marks *marks)
{
    struct nft_gate *n = gate->nft;
    char id[GATE_ID_TEXT_SIZE];

    gate_id_text(gate, id);
    nft_say(&n->text,
            "add chain inet %s %s\nadd chain inet %s %s\nadd chain inet %s id_%s\n",
            n->table, marks->version, n->table, marks->boot, n->table, id);
}

int nft_gate_say_structure(struct gate *gate, struct err *err)
{
    struct marks marks;
    const int r = make_marks(&marks, err);

    if (r != 0)
        return r;
    if (!gate->nft->owned)
        nft_say(&gate->nft->text, "add table inet %s\n", gate->nft->table);
    say_structure(gate->nft);
    say_dead(gate->nft);
    say_identity(gate, &marks);
    return 0;
}

static int build(struct gate *gate, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r = gate_random(gate->id, sizeof gate->id, err);

    n->text.len = 0;
    if (r == 0)
        r = nft_gate_say_structure(gate, err);
    if (r == 0)
        r = nft_gate_commit(n, err);
    return r != 0 ? r : nft_gate_note_shape(n, err);
}

/* --- adopting --------------------------------------------------------------------------
 */

int nft_gate_list_set(struct nft_gate *n, const char *set, char **ret_text, struct err *err)
{
    n->text.len = 0;
    nft_say(&n->text, "list set inet %s %s", n->table, set);
    return nft_run_text(n->run, n->text.bytes, ret_text, err);
}

/* What is left of a lease, as a deadline of this clock: read after the listing was made,
 * less the milliseconds that it took, so never too late. */
static void adopt_lease(struct gate_port *p, const char *listing, enum gate_mode mode,
                        struct boot asked)
{
    uint64_t ms;

    if (p->nft.mode != GATE_CLOSED || !nft_find_timed(listing, p->port, &ms))
        return;
    p->nft.mode = mode;
    p->nft.deadline =
        ms == UINT64_MAX ? GATE_FOREVER : (struct boot){asked.ns + ms * NS_PER_MS};
}

/* Those of the ports whose turn it is; what the others have there is not in force. */
static int adopt_turn(struct gate *gate, unsigned turn, struct err *err)
{
    AUTO(auto_free) char *now = NULL;
    AUTO(auto_free) char *open = NULL;
    AUTO(auto_free) char *repl = NULL;
    const struct boot asked = boot_now();
    int r = nft_gate_list_set(gate->nft, turn == 0 ? "now_0" : "now_1", &now, err);

    if (r == 0)
        r = nft_gate_list_set(gate->nft, turn == 0 ? "open_0" : "open_1", &open, err);
    if (r == 0)
        r = nft_gate_list_set(gate->nft, turn == 0 ? "repl_0" : "repl_1", &repl, err);
    for (size_t i = 0; r == 0 && i < gate->n_ports; i++) {
        struct gate_port *p = &gate->ports[i];
        uint64_t ms;

        if (!nft_find_timed(now, p->port, &ms))
            continue;
        p->turn = turn;
        adopt_lease(p, open, GATE_OPEN, asked);
        adopt_lease(p, repl, GATE_REPLICATION, asked);
    }
    return r;
}

static uint64_t number_at(json_t *concat, size_t at)
{
    return (uint64_t)json_integer_value(json_array_get(concat, at));
}

static int adopt_ports(struct gate *gate, json_t *listing, struct err *err)
{
    json_t *elements = json_object_get(object_of(listing, "set", "epochs"), "elem");
    json_t *element;
    size_t i;

    json_array_foreach(elements, i, element)
    {
        json_t *key = json_object_get(element, "concat");
        struct gate_port *p = &gate->ports[gate->n_ports];
        const uint64_t port = number_at(key, 0), flags = number_at(key, 3);

        if (gate->n_ports == ARRAY_LEN(gate->ports) || port == 0 || port > UINT16_MAX)
            return err_set(err, ERR_CORRUPT, "the gate manages port %" PRIu64, port);
        *p = (struct gate_port){.port = (uint16_t)port, .cell_fd = -1};
        p->nft.epoch = number_at(key, 1) << 32 | number_at(key, 2);
        p->nft.opened = (flags & NFT_FLAG_OPENED) != 0;
        p->nft.fenced = (flags & NFT_FLAG_FENCED) != 0;
        p->spare = (flags & NFT_FLAG_SPARE) != 0;
        gate->n_ports++;
    }
    return 0;
}

typedef int adopt_pair(struct gate *gate, uint16_t port, const json_t *second,
                       struct err *err);

static struct gate_port *instance_with(struct gate *gate, uint16_t port)
{
    for (size_t i = 0; i < gate->n_ports; i++)
        for (size_t k = 0; gate_port_at(&gate->ports[i], k) != 0; k++)
            if (gate_port_at(&gate->ports[i], k) == port)
                return &gate->ports[i];
    return NULL;
}

static int adopt_beside(struct gate *gate, uint16_t port, const json_t *second,
                        struct err *err)
{
    struct gate_port *p = gate_port_of(gate, port);

    if (p == NULL)
        return 0;
    if (p->n_also == GATE_ALSO_MAX)
        return err_set(err, ERR_FULL, "port %u has too many beside it", port);
    p->also[p->n_also++] = (uint16_t)json_integer_value(second);
    return 0;
}

static int adopt_peer(struct gate *gate, uint16_t port, const json_t *second,
                      struct err *err)
{
    struct gate_port *p = gate_port_of(gate, port);

    if (p == NULL || json_string_value(second) == NULL)
        return 0;
    if (p->n_peers == GATE_PEERS_MAX)
        return err_set(err, ERR_FULL, "port %u has too many peers", port);
    return gate_addr_parse(&p->peers[p->n_peers++], json_string_value(second), err);
}

static int adopt_guest(struct gate *gate, uint16_t port, const json_t *second,
                       struct err *err)
{
    struct gate_port *p = instance_with(gate, port);

    if (p == NULL || json_string_value(second) == NULL)
        return 0;
    if (p->n_guests == GATE_GUESTS_MAX)
        return err_set(err, ERR_FULL, "port %u has too many guests", port);
    p->guests[p->n_guests].port = port;
    return gate_addr_parse(&p->guests[p->n_guests++].addr, json_string_value(second), err);
}

static int adopt_pairs(struct gate *gate, json_t *listing, const char *set,
                       adopt_pair *adopt_one, struct err *err)
{
    json_t *elements = json_object_get(object_of(listing, "set", set), "elem");
    json_t *element;
    size_t i;

    json_array_foreach(elements, i, element)
    {
        json_t *key = json_object_get(element, "concat");
        const int r =
            adopt_one(gate, (uint16_t)number_at(key, 0), json_array_get(key, 1), err);

        if (r != 0)
            return r;
    }
    return 0;
}

/* The rules are written anew, in one transaction: what the last life left may have been
 * changed since. */
static int say_again(struct gate *gate, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r;

    n->text.len = 0;
    r = nft_gate_say_structure(gate, err);
    if (r == 0 && gate->n_ports > 0)
        nft_say_rules(n);
    if (r == 0)
        r = nft_gate_commit(n, err);
    return r != 0 ? r : nft_gate_note_shape(n, err);
}

static int adopt(struct gate *gate, json_t *listing, struct err *err)
{
    int r = adopt_ports(gate, listing, err);

    if (r == 0)
        r = adopt_pairs(gate, listing, "beside", adopt_beside, err);
    if (r == 0)
        r = adopt_pairs(gate, listing, "peers4", adopt_peer, err);
    if (r == 0)
        r = adopt_pairs(gate, listing, "peers6", adopt_peer, err);
    if (r == 0)
        r = adopt_pairs(gate, listing, "guests4", adopt_guest, err);
    if (r == 0)
        r = adopt_pairs(gate, listing, "guests6", adopt_guest, err);
    for (unsigned turn = 0; r == 0 && turn < NFT_TURNS; turn++)
        r = adopt_turn(gate, turn, err);
    if (r == 0)
        r = say_again(gate, err);
    gate->adopted = r == 0;
    return r;
}

/* --- one agent's gate in a network namespace -------------------------------------------
 */

static int refuse_others(struct nft_gate *n, struct err *err)
{
    static const char prefix[] = "ringfence_gate_";
    AUTO(auto_free) char *text = NULL;
    AUTO(drop_json) json_t *json = NULL;
    json_t *entry;
    size_t i;
    int r = nft_run_json(n->run, "list tables inet", &text, err);

    if (r != 0)
        return r;
    json = json_loads(text, 0, NULL);
    json_array_foreach(json_object_get(json, "nftables"), i, entry)
    {
        const char *name =
            json_string_value(json_object_get(json_object_get(entry, "table"), "name"));

        if (name == NULL || strncmp(name, prefix, sizeof prefix - 1) != 0)
            continue;
        if (strcmp(name, n->table) != 0)
            return err_set(err, ERR_CONFLICT, "agent %s has a gate here already",
                           name + sizeof prefix - 1);
    }
    return 0;
}

int nft_gate_install(struct gate *gate, struct err *err)
{
    AUTO(drop_json) json_t *listing = NULL;
    struct marks marks;
    int r = make_marks(&marks, err);

    if (r == 0)
        r = refuse_others(gate->nft, err);
    if (r == 0)
        r = list_table(gate->nft, &listing, err);
    if (r == ERR_NOTFOUND)
        return build(gate, err);
    if (r != 0)
        return r;
    if (object_of(listing, "set", "managed") == NULL)
        return build(gate, err);
    if (object_of(listing, "chain", marks.version) == NULL ||
        object_of(listing, "chain", marks.boot) == NULL || !read_id(listing, gate->id))
        return err_set(
            err, ERR_CONFLICT,
            "table %s is of another boot or version: somebody restored it; delete "
            "it (`nft delete table inet %s`) when no lease can hold",
            gate->nft->table, gate->nft->table);
    return adopt(gate, listing, err);
}
