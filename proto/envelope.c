#include "proto/envelope.h"

#include <openssl/sha.h>
#include <string.h>
#include <zlib.h>

#include "proto/log_envelope.pb-c.h"
#include "proto/strict.h"
#include "proto/whole.h"

/* A tag byte and four bytes: the crc field, always last. */
enum { CRC_FIELD_SIZE = 5 };

void envelope_hash(const void *data, size_t len, uint8_t ret[ENVELOPE_HASH_SIZE])
{
    (void)SHA256(data, len, ret);
}

/* Of everything in front of the crc field. */
static uint32_t crc_of(const uint8_t *packed, size_t len)
{
    return (uint32_t)crc32_z(0, packed, len - CRC_FIELD_SIZE);
}

/* Pack `msg`, whose crc is 0 yet, behind what is in `out`, and put the checksum into the
 * last four bytes (little-endian, as protobuf has it). */
static int pack_sealed(const ProtobufCMessage *msg, struct buf *out, struct err *err)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    uint8_t *packed;
    uint32_t crc;

    if (buf_reserve(out, len, err) != 0)
        return err_wrap(err, "seal");
    packed = out->data + out->len;
    protobuf_c_message_pack(msg, packed);
    crc = crc_of(packed, len);
    for (unsigned i = 0; i < 4; i++)
        packed[len - 4 + i] = (uint8_t)(crc >> (8 * i));
    out->len += len;
    return 0;
}

static ProtobufCBinaryData bytes(const void *data, size_t len)
{
    ProtobufCBinaryData b = {.len = len};

    /* protobuf-c has no const; packing only reads. */
    memcpy(&b.data, &data, sizeof b.data);
    return b;
}

static void drop_message(ProtobufCMessage **msg) { whole_free(*msg); }

/* The first field is the version and the last the checksum, in every version to come: so
 * damage is told from an upgrade that is missing, before anything else is looked at. */
static int check_raw(const uint8_t *data, size_t len, struct err *err)
{
    enum { VERSION_TAG = 0x08, SHORTEST = 2 + CRC_FIELD_SIZE };
    uint32_t crc = 0;

    if (len < SHORTEST || data[0] != VERSION_TAG)
        return err_set(err, ERR_CORRUPT, "%zu bytes are no envelope", len);
    for (unsigned i = 0; i < 4; i++)
        crc |= (uint32_t)data[len - 4 + i] << (8 * i);
    if (crc != crc_of(data, len))
        return err_set(err, ERR_CORRUPT, "checksum of the envelope does not fit");
    if (data[1] != ENVELOPE_VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "envelope of format version %u, this build knows %d: upgrade it",
                       data[1], ENVELOPE_VERSION);
    return 0;
}

static int unpack_sealed(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                         size_t len, ProtobufCMessage **ret_msg, struct err *err)
{
    int status = check_raw(data, len, err);

    if (status != 0)
        return status;
    status = strict_unpack(type, data, len, ret_msg, err);
    if (status == 0 || status == ERR_NOMEM)
        return status;
    if (err != NULL)
        err->code = ERR_CORRUPT; /* it passed the checksum, so nobody sent it so */
    return ERR_CORRUPT;
}

static int check_hash(size_t len, struct err *err)
{
    if (len != ENVELOPE_HASH_SIZE)
        return err_set(err, ERR_CORRUPT, "hash of %zu bytes", len);
    return 0;
}

int envelope_seal(const struct envelope *e, struct buf *out, struct err *err)
{
    Rf__LogEnvelope msg = RF__LOG_ENVELOPE__INIT;

    msg.version = ENVELOPE_VERSION;
    msg.leader_id = e->leader_id;
    msg.wall_ms = e->wall_ms;
    msg.prev_hash = bytes(e->prev_hash, sizeof e->prev_hash);
    msg.body = bytes(e->body, e->len);
    return pack_sealed(&msg.base, out, err);
}

int envelope_open(const uint8_t *data, size_t len, struct envelope *ret, struct err *err)
{
    AUTO(drop_message) ProtobufCMessage *base = NULL;
    const Rf__LogEnvelope *msg;
    int status = unpack_sealed(&rf__log_envelope__descriptor, data, len, &base, err);

    if (status != 0)
        return status;
    msg = (const Rf__LogEnvelope *)(const void *)base;
    status = check_hash(msg->prev_hash.len, err);
    if (status != 0)
        return status;
    *ret = (struct envelope){.version = msg->version,
                             .leader_id = msg->leader_id,
                             .wall_ms = msg->wall_ms,
                             .body = data + len - CRC_FIELD_SIZE - msg->body.len,
                             .len = msg->body.len};
    memcpy(ret->prev_hash, msg->prev_hash.data, sizeof ret->prev_hash);
    return 0;
}

int snapshot_seal(const struct snapshot_envelope *s, struct buf *out, struct err *err)
{
    Rf__SnapshotEnvelope msg = RF__SNAPSHOT_ENVELOPE__INIT;

    msg.version = ENVELOPE_VERSION;
    msg.index = s->index;
    msg.term = s->term;
    msg.taken_by = s->taken_by;
    msg.wall_ms = s->wall_ms;
    msg.chain = bytes(s->chain, sizeof s->chain);
    msg.members_index = s->members_index;
    msg.members = bytes(s->members, s->members_len);
    msg.body = bytes(s->body, s->len);
    return pack_sealed(&msg.base, out, err);
}

static size_t varint_size(size_t value)
{
    size_t n = 1;

    for (; value >= 0x80; value >>= 7)
        n++;
    return n;
}

int snapshot_open(const uint8_t *data, size_t len, struct snapshot_envelope *ret,
                  struct err *err)
{
    AUTO(drop_message) ProtobufCMessage *base = NULL;
    const Rf__SnapshotEnvelope *msg;
    const uint8_t *body;
    int status = unpack_sealed(&rf__snapshot_envelope__descriptor, data, len, &base, err);

    if (status != 0)
        return status;
    msg = (const Rf__SnapshotEnvelope *)(const void *)base;
    status = check_hash(msg->chain.len, err);
    if (status != 0)
        return status;
    body = data + len - CRC_FIELD_SIZE - msg->body.len;
    *ret = (struct snapshot_envelope){.version = msg->version,
                                      .index = msg->index,
                                      .term = msg->term,
                                      .taken_by = msg->taken_by,
                                      .wall_ms = msg->wall_ms,
                                      .members_index = msg->members_index,
                                      /* In front of body, its tag and its length. */
                                      .members = body - varint_size(msg->body.len) - 1 -
                                                 msg->members.len,
                                      .members_len = msg->members.len,
                                      .body = body,
                                      .len = msg->body.len};
    memcpy(ret->chain, msg->chain.data, sizeof ret->chain);
    return 0;
}
