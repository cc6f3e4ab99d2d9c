#include "proto/strict.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/check.h"

static bool packs_to(const ProtobufCMessage *msg, const uint8_t *data, size_t len)
{
    uint8_t *again;
    bool same;

    if (protobuf_c_message_get_packed_size(msg) != len)
        return false;
    again = malloc(len != 0 ? len : 1);
    if (again == NULL)
        return false;
    same = protobuf_c_message_pack(msg, again) == len && memcmp(again, data, len) == 0;
    free(again);
    return same;
}

int strict_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                  ProtobufCMessage **ret_msg, struct err *err)
{
    const struct check_limits limits = {.bytes_max = SIZE_MAX}; /* the caller bounds len */
    int status = check_bytes(type, data, len, &limits, err);
    ProtobufCMessage *msg;

    if (status != 0)
        return status;
    msg = protobuf_c_message_unpack(type, NULL, len, data);
    if (msg == NULL)
        return err_set(err, ERR_BADMSG, "%s without a field that it needs", type->name);
    if (!packs_to(msg, data, len)) {
        protobuf_c_message_free_unpacked(msg, NULL);
        return err_set(err, ERR_BADMSG, "%s is not encoded canonically", type->name);
    }
    *ret_msg = msg;
    return 0;
}
