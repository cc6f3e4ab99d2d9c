#include "controller/consensus/members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/bytes.h"

/* libraft's format (configuration.c): version, number of servers, and of each id, text and
 * role; filled up with zeros to a multiple of 8. */
enum { FORMAT = 1, ROLE_STANDBY = 0, ROLE_VOTER = 1, HEAD_SIZE = 9, TEXT_ROOM = 160 };

const struct member *members_find(const struct members *m, uint64_t id)
{
    for (unsigned i = 0; i < m->n; i++)
        if (m->list[i].id == id)
            return &m->list[i];
    return NULL;
}

const struct member *members_named(const struct members *m, const char *name)
{
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->list[i].name, name) == 0)
            return &m->list[i];
    return NULL;
}

static bool is_text(const char *text, size_t size)
{
    return strnlen(text, size) < size && strchr(text, '/') == NULL;
}

int members_add(struct members *m, const struct member *one, struct err *err)
{
    unsigned at = m->n;

    if (m->n == CONSENSUS_VOTERS_MAX)
        return err_set(err, ERR_FULL, "%d members are possible", CONSENSUS_VOTERS_MAX);
    if (one->id == 0 || one->name[0] == '\0' || !is_text(one->name, sizeof one->name) ||
        !is_text(one->address, sizeof one->address))
        return err_set(err, ERR_INVAL, "a member without id, name or proper address");
    if (members_find(m, one->id) != NULL || members_named(m, one->name) != NULL)
        return err_set(err, ERR_INVAL, "two members with id %" PRIu64 " or name %s",
                       one->id, one->name);
    for (; at > 0 && m->list[at - 1].id > one->id; at--)
        m->list[at] = m->list[at - 1];
    m->list[at] = *one;
    m->n++;
    return 0;
}

void members_remove(struct members *m, uint64_t id)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < m->n; i++)
        if (m->list[i].id != id)
            m->list[kept++] = m->list[i];
    m->n = kept;
}

static bool same_but_vote(const struct member *a, const struct member *b)
{
    return strcmp(a->name, b->name) == 0 && a->store == b->store &&
           strcmp(a->address, b->address) == 0;
}

bool members_is_step(const struct members *from, const struct members *to)
{
    unsigned removed = 0, added = 0, promoted = 0, voters = 0;

    for (unsigned i = 0; i < from->n; i++)
        removed += members_find(to, from->list[i].id) == NULL;
    for (unsigned i = 0; i < to->n; i++) {
        const struct member *b = &to->list[i], *a = members_find(from, b->id);

        voters += b->votes;
        added += a == NULL;
        if (a == NULL && b->votes)
            return false;
        if (a != NULL && (!same_but_vote(a, b) || (a->votes && !b->votes)))
            return false;
        promoted += a != NULL && a->votes != b->votes;
    }
    return removed + added + promoted == 1 && voters > 0;
}

/* ---- bytes --------------------------------------------------------------------------- */

_Static_assert(HEAD_SIZE + CONSENSUS_VOTERS_MAX * (9 + TEXT_ROOM) + 8 <= MEMBERS_BYTES_MAX,
               "room for all members");

/* No allocation: a check that runs out of memory would call good bytes bad. */
static size_t put_all(const struct members *m, uint8_t to[MEMBERS_BYTES_MAX])
{
    size_t len = HEAD_SIZE;

    memset(to, 0, MEMBERS_BYTES_MAX);
    to[0] = FORMAT;
    put64(to + 1, m->n);
    for (unsigned i = 0; i < m->n; i++) {
        const struct member *one = &m->list[i];
        char *text = (char *)to + len + 8;
        int n = one->store == 0 ? snprintf(text, TEXT_ROOM, "%s", one->name)
                                : snprintf(text, TEXT_ROOM, "%s/%016" PRIx64 "/%s",
                                           one->name, one->store, one->address);

        put64(to + len, one->id);
        len += 8 + (size_t)n + 1;
        to[len++] = one->votes ? ROLE_VOTER : ROLE_STANDBY;
    }
    return (len + 7) / 8 * 8;
}

int members_encode(const struct members *m, struct buf *out, struct err *err)
{
    uint8_t bytes[MEMBERS_BYTES_MAX];
    size_t len = put_all(m, bytes);

    return buf_append(out, bytes, len, err);
}

static bool read_text(const char *text, struct member *one)
{
    size_t name = strcspn(text, "/");
    const char *rest = text + name;

    if (name == 0 || name >= sizeof one->name)
        return false;
    memcpy(one->name, text, name);
    if (*rest == '\0')
        return true;
    one->store = strtoull(rest + 1, NULL, 16);
    rest = strchr(rest + 1, '/');
    if (rest == NULL || one->store == 0 || strlen(rest + 1) >= sizeof one->address)
        return false;
    memcpy(one->address, rest + 1, strlen(rest + 1));
    return true;
}

bool members_read(uint64_t id, const char *text, bool votes, struct member *ret)
{
    *ret = (struct member){.id = id, .votes = votes};
    return read_text(text, ret);
}

/* *at moves behind what was read. */
static bool read_member(const uint8_t *data, size_t len, size_t *at, struct members *ret)
{
    struct member one = {0};
    const uint8_t *end;

    if (len - *at < 10)
        return false;
    one.id = get64(data + *at);
    *at += 8;
    end = memchr(data + *at, 0, len - *at);
    if (end == NULL || end + 1 >= data + len || end[1] > ROLE_VOTER ||
        !read_text((const char *)data + *at, &one))
        return false;
    one.votes = end[1] == ROLE_VOTER;
    *at = (size_t)(end + 2 - data);
    return members_add(ret, &one, NULL) == 0;
}

/* What it reads must come out again exactly so: then the engine, which looks at no length,
 * reads the same. */
static bool is_canonical(const uint8_t *data, size_t len, const struct members *m)
{
    uint8_t again[MEMBERS_BYTES_MAX];

    return put_all(m, again) == len && memcmp(again, data, len) == 0;
}

int members_decode(const uint8_t *data, size_t len, struct members *ret, struct err *err)
{
    struct members m = {0};
    size_t at = HEAD_SIZE;
    uint64_t n;
    bool good;

    if (len != 0 && data[0] > FORMAT)
        return err_set(err, ERR_UNSUPPORTED,
                       "the list of members has format %u, this version knows %d: install "
                       "the version that the others run",
                       data[0], FORMAT);
    good = len >= HEAD_SIZE && len <= MEMBERS_BYTES_MAX && data[0] == FORMAT;
    n = good ? get64(data + 1) : 0;
    good = good && n > 0 && n <= CONSENSUS_VOTERS_MAX;
    for (uint64_t i = 0; good && i < n; i++)
        good = read_member(data, len, &at, &m);
    if (!good || !is_canonical(data, len, &m))
        return err_set(err, ERR_BADMSG, "a list of members that is none, %zu bytes", len);
    *ret = m;
    return 0;
}
