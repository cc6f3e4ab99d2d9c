/* What stands in the log and in snapshots: canonical bytes, or a refusal (I9, I10). */
#include <string.h>

#include "controller/daemon/audit.h"
#include "proto/entry_codec.h"
#include "proto/envelope.h"
#include "proto/snapshot_codec.h"
#include "tests/fuzz/fuzz.h"

static void claim_same(const struct buf *now, const uint8_t *data, size_t size,
                       const char *what)
{
    CLAIM(now->len == size && memcmp(now->data, data, size) == 0,
          "%s: %zu bytes read, %zu others written", what, size, now->len);
}

static void try_entry(const uint8_t *data, size_t size)
{
    static struct state nobody;
    static struct entry e;
    struct apply_result r = {.refusal = ACCEPTED};
    AUTO(buf_free) struct buf out = {0};
    struct audit_before before;
    struct audit_row row;
    struct err err = {0};
    char text[TEXT_SIZE + 1];

    if (entry_decode(data, size, &e, &err) != 0)
        return;
    /* Canonical: the format is the first field, and one byte. */
    CLAIM(entry_encode_as(&e, data[1], &out, &err) == 0, "read, not written: %s", err.text);
    claim_same(&out, data, size, entry_kind_name(e.kind));
    memset(text, 0x55, sizeof text);
    entry_summary(&e, "pg-east", text, TEXT_SIZE);
    CLAIM(memchr(text, '\0', TEXT_SIZE) != NULL, "a summary without an end");
    audit_look(&nobody, &e, &before);
    (void)audit_make(&e, &r, &before, &row);
}

static void try_envelope(const uint8_t *data, size_t size)
{
    AUTO(buf_free) struct buf out = {0};
    struct envelope e;
    struct err err = {0};

    if (envelope_open(data, size, &e, &err) != 0)
        return;
    CLAIM(e.body >= data && e.body + e.len <= data + size, "a body outside its envelope");
    CLAIM(envelope_seal(&e, &out, &err) == 0, "%s", err.text);
    claim_same(&out, data, size, "envelope");
}

static void try_sealed_snapshot(const uint8_t *data, size_t size)
{
    AUTO(buf_free) struct buf out = {0};
    struct snapshot_envelope s;
    struct err err = {0};

    if (snapshot_open(data, size, &s, &err) != 0)
        return;
    CLAIM(s.body >= data && s.body + s.len <= data + size, "a body outside its envelope");
    CLAIM(snapshot_seal(&s, &out, &err) == 0, "%s", err.text);
    claim_same(&out, data, size, "snapshot envelope");
}

static void try_snapshot(const uint8_t *data, size_t size)
{
    static struct state s;
    AUTO(buf_free) struct buf out = {0};
    struct err err = {0};

    if (snapshot_decode(data, size, &s, &err) != 0)
        return;
    (void)state_invariant_broken(&s); /* the node asks before it uses it */
    CLAIM(snapshot_encode(&s, &out, &err) == 0, "read, not written: %s", err.text);
    claim_same(&out, data, size, "snapshot");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    typedef void try_bytes(const uint8_t *data, size_t size);
    static try_bytes *const tries[] = {try_entry, try_envelope, try_sealed_snapshot,
                                       try_snapshot};

    if (size > 0)
        tries[data[0] % 4](data + 1, size - 1);
    return 0;
}
