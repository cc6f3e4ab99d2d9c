/* Golden bytes: what an earlier version wrote, this one reads and would write again.
 *
 *     test_proto_golden DIR            compares
 *     test_proto_golden DIR --extend   writes those that are not there yet
 *     test_proto_golden DIR --rewrite  writes DIR anew: a change of format (I10)
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "proto/entry_codec.h"
#include "proto/entry_map.h"
#include "proto/frame.h"
#include "proto/snapshot_codec.h"
#include "tests/unit/proto/sample.h"

enum { SEED = 20261121 };

struct golden {
    const char *dir;
    bool rewrite, extend;
    unsigned passed, failed;
};

static FILE *open_file(const struct golden *g, const char *name, const char *mode)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s.hex", g->dir, name);
    return fopen(path, mode);
}

static bool write_hex(const struct golden *g, const char *name, const struct buf *b)
{
    FILE *f = open_file(g, name, "w");

    if (f == NULL)
        return false;
    for (size_t i = 0; i < b->len; i++)
        fprintf(f, "%02x%s", b->data[i], i % 40 == 39 || i + 1 == b->len ? "\n" : "");
    return fclose(f) == 0;
}

static bool read_hex(const struct golden *g, const char *name, struct buf *b)
{
    FILE *f = open_file(g, name, "r");
    unsigned byte;

    if (f == NULL)
        return false;
    while (fscanf(f, "%2x", &byte) == 1) {
        uint8_t one = (uint8_t)byte;

        if (buf_append(b, &one, 1, NULL) != 0)
            break;
    }
    fclose(f);
    return true;
}

static bool is_there(const struct golden *g, const char *name)
{
    FILE *f = open_file(g, name, "r");

    return f != NULL && fclose(f) == 0;
}

static void check(struct golden *g, const char *name, const struct buf *now)
{
    AUTO(buf_free) struct buf then = {0};
    bool ok;

    if (g->rewrite || (g->extend && !is_there(g, name)))
        ok = write_hex(g, name, now);
    else
        ok = read_hex(g, name, &then) && then.len == now->len &&
             memcmp(then.data, now->data, now->len) == 0;
    if (!ok)
        printf("FAILED %s: %zu bytes, the file has %zu\n", name, now->len, then.len);
    ok ? g->passed++ : g->failed++;
}

static void check_entry(struct golden *g, const struct entry *e, uint32_t format,
                        const char *what)
{
    AUTO(buf_free) struct buf b = {0};
    struct entry again;
    char name[64];
    struct err err;

    ASSERT(entry_encode_as(e, format, &b, &err) == 0);
    ASSERT(entry_decode(b.data, b.len, &again, &err) == 0);
    if (format == 1)
        snprintf(name, sizeof name, "entry-%s%s", entry_kind_text(e->kind), what);
    else
        snprintf(name, sizeof name, "entry%u-%s%s", format, entry_kind_text(e->kind), what);
    check(g, name, &b);
}

/* In format 1, which says nobody's name, and in each one since. */
static void check_entries(struct golden *g)
{
    for (int kind = 1; kind < ENTRY_KIND_COUNT; kind++) {
        struct entry e;

        for (uint32_t format = entry_kind_since((enum entry_kind)kind);
             format <= ENTRY_FORMAT_MAX; format++) {
            sample_entry(&e, (enum entry_kind)kind, SEED);
            if (format_needed(&e) > entry_kind_since(e.kind) && format_needed(&e) <= format)
                check_entry(g, &e, format, "-people");
            sample_make_first(&e);
            check_entry(g, &e, format, "");
            if (format < FORMAT_KEYS)
                continue;
            sample_add_key(&e, SEED);
            check_entry(g, &e, format, "-key");
        }
    }
}

/* Written before the entry named its target, its generation, its hold, or could leave out
 * who is active: read, and written again as it was. Never rewritten. */
static void check_older(struct golden *g)
{
    static const char *const names[] = {
        "older-entry-attach",     "older-entry-declare",   "older-entry-declare-2",
        "older-entry-declare-3",  "older-entry-declare-4", "older-entry-fence-begin",
        "older-entry-proof",      "older-entry-refused",   "older-entry-step-end",
        "older-entry-step-start", "older-entry-switchover"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(buf_free) struct buf then = {0};
        AUTO(buf_free) struct buf again = {0};
        struct entry e;
        struct err err = {0};
        bool ok = read_hex(g, names[i], &then) &&
                  entry_decode(then.data, then.len, &e, &err) == 0 &&
                  entry_encode_as(&e, 1, &again, &err) == 0 && again.len == then.len &&
                  memcmp(again.data, then.data, then.len) == 0;

        if (!ok)
            printf("FAILED %s: %s\n", names[i], err.text);
        ok ? g->passed++ : g->failed++;
    }
}

/* Written before a request said who asked, and before it had a key. Never rewritten. */
static void check_older_frame(struct golden *g, const char *name, bool has_caller)
{
    AUTO(buf_free) struct buf then = {0}, again = {0};
    AUTO(frame_free) Rf__Frame *frame = NULL;
    struct err err = {0};
    bool ok =
        read_hex(g, name, &then) && frame_decode(then.data, then.len, &frame, &err) == 0 &&
        (frame->api_request->caller != NULL) == has_caller &&
        frame->api_request->key[0] == '\0' && frame_encode(frame, &again, &err) == 0 &&
        again.len == then.len && memcmp(again.data, then.data, then.len) == 0;

    if (!ok)
        printf("FAILED %s: %s\n", name, err.text);
    ok ? g->passed++ : g->failed++;
}

static void check_frames(struct golden *g)
{
    for (unsigned i = 0; i < rf__frame__descriptor.n_fields; i++) {
        AUTO(buf_free) struct buf b = {0};
        uint64_t seed = SEED;
        const ProtobufCFieldDescriptor *f = &rf__frame__descriptor.fields[i];
        ProtobufCMessage *m = sample_message(&rf__frame__descriptor, f->id, &seed);
        char name[64];
        struct err err;

        ASSERT(frame_encode((Rf__Frame *)m, &b, &err) == 0);
        protobuf_c_message_free_unpacked(m, NULL);
        snprintf(name, sizeof name, "frame-%s", f->name);
        check(g, name, &b);
    }
}

/* Cut to what a real one has, so that the file stays readable; with so many users,
 * proposals, and requests that were answered. */
static void check_snapshot(struct golden *g, const char *name, uint8_t users,
                           uint8_t proposals, uint8_t answered)
{
    AUTO(buf_free) struct buf b = {0};
    AUTO(auto_free) struct state *s = calloc(1, sizeof *s);
    struct err err;

    ASSERT(s != NULL);
    sample_state(s, SEED);
    s->group_count = 1;
    s->agent_count = 2;
    s->tombstone_count = 1;
    s->user_count = users;
    s->proposal_count = proposals;
    s->answered_count = answered;
    if (proposals == 0) {
        s->groups[0].policy.window_count = 0;
        s->groups[0].break_glass = 0;
    }
    ASSERT(snapshot_encode(s, &b, &err) == 0);
    check(g, name, &b);
}

int main(int argc, char **argv)
{
    struct golden g = {.dir = argc > 1 ? argv[1] : "."};

    g.rewrite = argc > 2 && strcmp(argv[2], "--rewrite") == 0;
    g.extend = argc > 2 && strcmp(argv[2], "--extend") == 0;
    check_entries(&g);
    check_older(&g);
    check_frames(&g);
    check_older_frame(&g, "older-frame-api_request", false);
    check_older_frame(&g, "older-frame-api_request-2", true);
    check_snapshot(&g, "snapshot", 0, 0, 0);
    check_snapshot(&g, "snapshot2", 2, 0, 0);
    check_snapshot(&g, "snapshot2-people", 2, 2, 0);
    check_snapshot(&g, "snapshot3", 2, 2, 2);
    printf("%u %s, %u failed\n", g.passed, g.rewrite ? "written" : "as they were",
           g.failed);
    return g.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
