#include "proto/snapshot_codec.h"

#include <stdlib.h>
#include <string.h>

#include "proto/check.h"
#include "proto/log.pb-c.h"
#include "proto/state_map.h"
#include "proto/strict.h"
#include "proto/whole.h"

static const struct check_limits limits = {.message_max = SNAPSHOT_BYTES_MAX};

static void message_free(ProtobufCMessage **message)
{
    if (*message != NULL)
        protobuf_c_message_free_unpacked(*message, NULL);
}

static void read_free(ProtobufCMessage **message) { whole_free(*message); }

uint32_t snapshot_format_of(const struct state *s)
{
    bool newer = s->user_count > 0 || s->proposal_count > 0;

    if (s->answered_count > 0)
        return 3;
    for (unsigned i = 0; i < s->group_count && !newer; i++)
        newer = s->groups[i].policy.window_count > 0 || s->groups[i].break_glass > 0;
    return newer ? 2 : 1;
}

static int to_message(const struct state *s, ProtobufCMessage **ret_message,
                      struct err *err)
{
    int status = map_to_message(&map_state, s, ret_message, err);

    if (status == 0)
        ((Rf__Log__Snapshot *)*ret_message)->format = snapshot_format_of(s);
    return status;
}

int snapshot_encode(const struct state *s, struct buf *out, struct err *err)
{
    AUTO(message_free) ProtobufCMessage *message = NULL;
    int status = to_message(s, &message, err);

    if (status != 0) {
        if (status == ERR_BADMSG && err != NULL)
            err->code = ERR_INVAL;
        return status == ERR_BADMSG ? ERR_INVAL : status;
    }
    return check_pack(message, &limits, out, err);
}

/* Equal states, equal bytes: what packs differently was not written by snapshot_encode().
 */
static int check_canonical(const struct state *s, const uint8_t *data, size_t len,
                           struct err *err)
{
    AUTO(message_free) ProtobufCMessage *again = NULL;
    int status = to_message(s, &again, err);

    return status != 0 ? status : strict_compare(again, data, len, err);
}

int snapshot_decode(const uint8_t *data, size_t len, struct state *ret_state,
                    struct err *err)
{
    AUTO(read_free) ProtobufCMessage *message = NULL;
    AUTO(auto_free) struct state *s = NULL;
    uint32_t format;
    int status =
        check_unpack(&rf__log__snapshot__descriptor, data, len, &limits, &message, err);

    if (status != 0)
        return status;
    format = ((Rf__Log__Snapshot *)message)->format;
    if (format < SNAPSHOT_FORMAT_MIN || format > SNAPSHOT_FORMAT_MAX)
        return err_set(err, ERR_UNSUPPORTED,
                       "snapshot of format %u, this version knows %d-%d", format,
                       SNAPSHOT_FORMAT_MIN, SNAPSHOT_FORMAT_MAX);
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "snapshot");
    status = map_from_message(&map_state, message, s, err);
    if (status == 0)
        status = check_canonical(s, data, len, err);
    if (status == 0)
        *ret_state = *s;
    return status;
}
