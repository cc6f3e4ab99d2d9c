#include "proto/frame.h"

#include <string.h>

#include "controller/base/assert.h"
#include "proto/check.h"
#include "proto/whole.h"

enum { PART = INCARNATION_BYTES / 3, THIRD_AT = 2 * PART };

static const struct check_limits frame_limits = {.message_max = FRAME_MAX};
static const struct check_limits provider_limits = {.message_max = PROVIDER_MAX};

int frame_incarnation_get(const Rf__Incarnation *wire, struct incarnation *ret,
                          struct err *err)
{
    if (wire == NULL)
        return err_set(err, ERR_BADMSG, "incarnation is missing");
    if (wire->boot_id.len != PART || wire->gate_id.len != PART || wire->random.len != PART)
        return err_set(err, ERR_BADMSG,
                       "incarnation: parts of %zu, %zu and %zu bytes instead of %d",
                       wire->boot_id.len, wire->gate_id.len, wire->random.len, PART);
    memcpy(ret->bytes, wire->boot_id.data, PART);
    memcpy(ret->bytes + PART, wire->gate_id.data, PART);
    memcpy(ret->bytes + THIRD_AT, wire->random.data, PART);
    return 0;
}

void frame_incarnation_put(struct incarnation *from, Rf__Incarnation *wire)
{
    rf__incarnation__init(wire);
    wire->boot_id = (ProtobufCBinaryData){PART, from->bytes};
    wire->gate_id = (ProtobufCBinaryData){PART, from->bytes + PART};
    wire->random = (ProtobufCBinaryData){PART, from->bytes + THIRD_AT};
}

/* The incarnation that a kind of frame must carry; *ret_needed false where it has none. */
static const Rf__Incarnation *incarnation_of(const Rf__Frame *f, bool *ret_needed)
{
    *ret_needed = true;
    switch (f->body_case) {
    case RF__FRAME__BODY_AGENT_HELLO:
        return f->agent_hello->incarnation;
    case RF__FRAME__BODY_RENEW:
        return f->renew->incarnation;
    case RF__FRAME__BODY_AGENT_REPORT:
        return f->agent_report->incarnation;
    case RF__FRAME__BODY_STEP_REPORT:
        return f->step_report->incarnation;
    case RF__FRAME__BODY_FENCE_PROOF:
        return f->fence_proof->incarnation;
    case RF__FRAME__BODY_RENEW_ACK:
        return f->renew_ack->incarnation;
    case RF__FRAME__BODY_ASSIGNMENTS:
        return f->assignments->incarnation;
    case RF__FRAME__BODY_STEP_ORDER:
        return f->step_order->incarnation;
    case RF__FRAME__BODY_FENCE_ORDER:
        return f->fence_order->incarnation;
    case RF__FRAME__BODY_CONTROLLER_HELLO:
    case RF__FRAME__BODY_RAFT:
    case RF__FRAME__BODY_FORWARD_UP:
    case RF__FRAME__BODY_FORWARD_DOWN:
    case RF__FRAME__BODY_API_REQUEST:
    case RF__FRAME__BODY_API_REPLY:
    case RF__FRAME__BODY_PEER_VIEW:
    case RF__FRAME__BODY_PING:
    case RF__FRAME__BODY_PONG:
    case RF__FRAME__BODY_REFUSED:
    case RF__FRAME__BODY_WELCOME:
    case RF__FRAME__BODY_REFUSAL:
    case RF__FRAME__BODY__NOT_SET:
    case _RF__FRAME__BODY__CASE_IS_INT_SIZE:
        break;
    }
    *ret_needed = false;
    return NULL;
}

/* What is missing would be a NULL pointer in the hands of whoever handles the frame. */
static int check_frame(const Rf__Frame *f, struct err *err)
{
    struct incarnation unused;
    bool needed;
    const Rf__Incarnation *incarnation = incarnation_of(f, &needed);

    if (f->body_case == RF__FRAME__BODY__NOT_SET)
        return err_set(err, ERR_BADMSG, "rf.Frame: no body");
    if (needed && frame_incarnation_get(incarnation, &unused, err) != 0)
        return err_wrap(err, "%s", frame_name(f));
    if (f->body_case == RF__FRAME__BODY_STEP_ORDER && f->step_order->request == NULL)
        return err_set(err, ERR_BADMSG, "step_order: request is missing");
    if (f->body_case == RF__FRAME__BODY_STEP_REPORT && f->step_report->result == NULL)
        return err_set(err, ERR_BADMSG, "step_report: result is missing");
    if (f->body_case == RF__FRAME__BODY_ASSIGNMENTS)
        for (size_t i = 0; i < f->assignments->n_instances; i++)
            if (f->assignments->instances[i]->server == NULL)
                return err_set(err, ERR_BADMSG, "assignments: server is missing");
    return 0;
}

int frame_decode(const uint8_t *data, size_t len, Rf__Frame **ret_frame, struct err *err)
{
    AUTO(frame_free) Rf__Frame *frame = NULL;
    ProtobufCMessage *message;
    int status;

    status = check_unpack(&rf__frame__descriptor, data, len, &frame_limits, &message, err);
    if (status != 0)
        return status;
    frame = (Rf__Frame *)message;
    status = check_frame(frame, err);
    if (status != 0)
        return ERR_BADMSG;
    *ret_frame = TAKE(frame);
    return 0;
}

int frame_encode(const Rf__Frame *frame, struct buf *out, struct err *err)
{
    int status = check_frame(frame, err);

    if (status != 0) {
        if (err != NULL)
            err->code = ERR_INVAL;
        return ERR_INVAL;
    }
    return check_pack(&frame->base, &frame_limits, out, err);
}

void frame_free(Rf__Frame **frame)
{
    whole_free(*frame != NULL ? &(*frame)->base : NULL);
    *frame = NULL;
}

/* Agent and worker take these messages apart, and keep parts of them. */
static int unpack_pieces(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                         size_t len, ProtobufCMessage **ret_message, struct err *err)
{
    int status = check_bytes(type, data, len, &provider_limits, err);

    if (status != 0)
        return status;
    *ret_message = protobuf_c_message_unpack(type, NULL, len, data);
    /* The walk has seen every byte, so what is left to fail is memory. */
    return *ret_message != NULL
               ? 0
               : err_set(err, ERR_NOMEM, "unpack %s of %zu bytes", type->name, len);
}

int provider_request_decode(const uint8_t *data, size_t len,
                            Rf__ProviderRequest **ret_request, struct err *err)
{
    AUTO(provider_request_free) Rf__ProviderRequest *request = NULL;
    ProtobufCMessage *message;
    int status = unpack_pieces(&rf__provider_request__descriptor, data, len, &message, err);

    if (status != 0)
        return status;
    request = (Rf__ProviderRequest *)message;
    if (request->server == NULL)
        return err_set(err, ERR_BADMSG, "rf.ProviderRequest: server is missing");
    *ret_request = TAKE(request);
    return 0;
}

int provider_request_encode(const Rf__ProviderRequest *request, struct buf *out,
                            struct err *err)
{
    if (request->server == NULL)
        return err_set(err, ERR_INVAL, "rf.ProviderRequest: server is missing");
    return check_pack(&request->base, &provider_limits, out, err);
}

void provider_request_free(Rf__ProviderRequest **request)
{
    rf__provider_request__free_unpacked(*request, NULL);
    *request = NULL;
}

int provider_reply_decode(const uint8_t *data, size_t len, Rf__ProviderReply **ret_reply,
                          struct err *err)
{
    ProtobufCMessage *message;
    int status = unpack_pieces(&rf__provider_reply__descriptor, data, len, &message, err);

    if (status == 0)
        *ret_reply = (Rf__ProviderReply *)message;
    return status;
}

int provider_reply_encode(const Rf__ProviderReply *reply, struct buf *out, struct err *err)
{
    return check_pack(&reply->base, &provider_limits, out, err);
}

void provider_reply_free(Rf__ProviderReply **reply)
{
    rf__provider_reply__free_unpacked(*reply, NULL);
    *reply = NULL;
}

static bool is_from_agent(unsigned number) { return number >= 20 && number < 30; }

static bool is_to_agent(unsigned number) { return number >= 30 && number < 40; }

/* wire.proto numbers the kinds by their way: 1-19 between controllers, 20-29 from an agent,
 * 30-39 to an agent. Two kinds go more ways than one. */
bool frame_allowed(const Rf__Frame *frame, enum frame_way way)
{
    unsigned number = (unsigned)frame->body_case;

    if (number == RF__FRAME__BODY_PING || number == RF__FRAME__BODY_PONG)
        return true;
    if (number == RF__FRAME__BODY_REFUSAL)
        return way != FRAME_AGENT_TO_CONTROLLER;
    switch (way) {
    case FRAME_CONTROLLER_TO_CONTROLLER:
        return number != 0 && !is_from_agent(number) && !is_to_agent(number);
    case FRAME_AGENT_TO_CONTROLLER:
        return is_from_agent(number);
    case FRAME_CONTROLLER_TO_AGENT:
        return is_to_agent(number);
    }
    return false;
}

const char *frame_name(const Rf__Frame *frame)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(
        &rf__frame__descriptor, (unsigned)frame->body_case);

    return f != NULL ? f->name : "none";
}
