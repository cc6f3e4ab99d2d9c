#include "proto/strict.h"

#include <stdlib.h>
#include <string.h>

#include "proto/check.h"
#include "proto/whole.h"

int strict_compare(const ProtobufCMessage *msg, const uint8_t *data, size_t len,
                   struct err *err)
{
    const char *name = msg->descriptor->name;
    AUTO(auto_free) uint8_t *again = NULL;

    if (protobuf_c_message_get_packed_size(msg) != len)
        return err_set(err, ERR_BADMSG, "%s is not encoded canonically", name);
    again = malloc(len != 0 ? len : 1);
    if (again == NULL)
        return err_set(err, ERR_NOMEM, "%s", name);
    if (protobuf_c_message_pack(msg, again) != len || memcmp(again, data, len) != 0)
        return err_set(err, ERR_BADMSG, "%s is not encoded canonically", name);
    return 0;
}

/* No memory to look is no sign of damage: a node that took it for one would call its log
 * corrupt, and ask to be replaced. */
int strict_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                  ProtobufCMessage **ret_msg, struct err *err)
{
    const struct check_limits limits = {.bytes_max = SIZE_MAX}; /* the caller bounds len */
    int status = check_bytes(type, data, len, &limits, err);
    ProtobufCMessage *msg;

    if (status != 0)
        return status;
    status = whole_unpack(type, data, len, &msg, err);
    if (status != 0)
        return status;
    status = strict_compare(msg, data, len, err);
    if (status != 0) {
        whole_free(msg);
        return status;
    }
    *ret_msg = msg;
    return 0;
}
