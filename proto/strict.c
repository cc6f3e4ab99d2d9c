#include "proto/strict.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/check.h"

/* protobuf-c says NULL for a missing field and for missing memory alike. */
static void *noted_alloc(void *ret_failed, size_t size)
{
    void *p = malloc(size);

    if (p == NULL)
        *(bool *)ret_failed = true;
    return p;
}

static void plain_free(void *ret_failed, void *p)
{
    (void)ret_failed;
    free(p);
}

static int check_canonical(const ProtobufCMessage *msg, const uint8_t *data, size_t len,
                           struct err *err)
{
    const char *name = msg->descriptor->name;
    uint8_t *again;
    bool same;

    if (protobuf_c_message_get_packed_size(msg) != len)
        return err_set(err, ERR_BADMSG, "%s is not encoded canonically", name);
    again = malloc(len != 0 ? len : 1);
    if (again == NULL)
        return err_set(err, ERR_NOMEM, "%s", name);
    same = protobuf_c_message_pack(msg, again) == len && memcmp(again, data, len) == 0;
    free(again);
    return same ? 0 : err_set(err, ERR_BADMSG, "%s is not encoded canonically", name);
}

/* No memory to look is no sign of damage: a node that took it for one would call its log
 * corrupt, and ask to be replaced. */
int strict_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                  ProtobufCMessage **ret_msg, struct err *err)
{
    const struct check_limits limits = {.bytes_max = SIZE_MAX}; /* the caller bounds len */
    int status = check_bytes(type, data, len, &limits, err);
    bool no_memory = false;
    ProtobufCAllocator noted = {noted_alloc, plain_free, &no_memory};
    ProtobufCMessage *msg;

    if (status != 0)
        return status;
    msg = protobuf_c_message_unpack(type, &noted, len, data);
    if (no_memory)
        return err_set(err, ERR_NOMEM, "%s", type->name);
    if (msg == NULL)
        return err_set(err, ERR_BADMSG, "%s without a field that it needs", type->name);
    status = check_canonical(msg, data, len, err);
    if (status != 0) {
        protobuf_c_message_free_unpacked(msg, NULL);
        return status;
    }
    *ret_msg = msg;
    return 0;
}
