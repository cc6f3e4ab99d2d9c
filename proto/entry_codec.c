#include "proto/entry_codec.h"

#include <string.h>

#include "controller/base/assert.h"
#include "controller/core/answered.h"
#include "proto/check.h"
#include "proto/entry_map.h"
#include "proto/log.pb-c.h"
#include "proto/strict.h"
#include "proto/whole.h"

static const struct check_limits limits = {.message_max = ENTRY_BYTES_MAX};

static void message_free(ProtobufCMessage **message)
{
    if (*message != NULL)
        protobuf_c_message_free_unpacked(*message, NULL);
}

static void read_free(ProtobufCMessage **message) { whole_free(*message); }

/* I10: a kind that this version does not know is refused, not skipped. */
static const struct entry_body *known_kind(enum entry_kind kind, struct err *err)
{
    const struct entry_body *body = entry_body_of(kind);

    if (body == NULL)
        err_set(err, ERR_BADMSG, "rf.log.Entry.kind: %d is not a kind of entry", (int)kind);
    return body;
}

static int check_since(enum entry_kind kind, uint32_t format, struct err *err)
{
    if (format < entry_kind_since(kind))
        return err_set(err, ERR_BADMSG, "rf.log.Entry.kind: %s is not in format %u",
                       entry_kind_text(kind), format);
    return 0;
}

static int check_head(const struct entry *e, const struct entry_body *body, struct err *err)
{
    int status = map_check(&map_entry_head, e, err);

    if (status != 0)
        return status;
    if (body->group == ENTRY_GROUP_NONE && e->group[0] != '\0')
        return err_set(err, ERR_BADMSG, "rf.log.Entry.group: '%s' where there is none",
                       e->group);
    if (body->group == ENTRY_GROUP_NEEDED && e->group[0] == '\0')
        return err_set(err, ERR_BADMSG, "rf.log.Entry.group: missing");
    if (e->kind == ENTRY_DECLARE && strcmp(e->group, e->declare.spec.name) != 0)
        return err_set(err, ERR_BADMSG, "rf.log.Entry.group: '%s', its document says '%s'",
                       e->group, e->declare.spec.name);
    return 0;
}

/* What it says of nobody would be lost. */
static int check_actor(const struct actor *a, struct err *err)
{
    if (a->kind == ACTOR_NONE && (a->name[0] != '\0' || a->factor != FACTOR_NONE ||
                                  a->roles != 0 || a->from[0] != '\0'))
        return err_set(err, ERR_BADMSG, "rf.log.Actor: something is said of nobody");
    return map_check(&map_actor, a, err);
}

/* What a format before 2 has no room for is left out: the trail of a cluster that is being
 * upgraded says "operator", as it did before. */
static int add_actor(const struct entry *e, uint32_t format, Rf__Log__Entry *entry,
                     struct err *err)
{
    ProtobufCMessage *actor = NULL;
    int status = check_actor(&e->actor, err);

    if (status != 0 || e->actor.kind == ACTOR_NONE || format < ENTRY_FORMAT_ACTORS)
        return status;
    status = map_to_message(&map_actor, &e->actor, &actor, err);
    entry->actor = (Rf__Log__Actor *)actor;
    return status;
}

/* I10: an older format has no room for it, and check_format() has seen to that: a key that
 * was left out would let its request run twice. */
static int add_key(const struct entry *e, Rf__Log__Entry *entry, struct err *err)
{
    ProtobufCMessage *key = NULL;
    int status;

    if (!key_is_set(&e->key))
        return 0;
    status = map_to_message(&map_request_key, &e->key, &key, err);
    entry->key = (Rf__Log__RequestKey *)key;
    return status;
}

/* I10: nobody who knows that format would read it. */
static int check_format(const struct entry *e, uint32_t format, struct err *err)
{
    if (check_since(e->kind, format, err) != 0)
        return ERR_BADMSG;
    if (format >= format_needed(e))
        return 0;
    return err_set(err, ERR_BADMSG, "rf.log.Entry: %s as it is here is not in format %u",
                   entry_kind_text(e->kind), format);
}

static int to_message(const struct entry *e, uint32_t format,
                      ProtobufCMessage **ret_message, struct err *err)
{
    const struct entry_body *body = known_kind(e->kind, err);
    AUTO(message_free) ProtobufCMessage *head = NULL;
    ProtobufCMessage *inner = NULL;
    int status = body != NULL ? check_head(e, body, err) : ERR_BADMSG;
    Rf__Log__Entry *entry;

    if (status == 0)
        status = check_format(e, format, err);
    if (status == 0)
        status = map_to_message(&map_entry_head, e, &head, err);
    if (status == 0)
        status = add_actor(e, format, (Rf__Log__Entry *)head, err);
    if (status == 0)
        status = add_key(e, (Rf__Log__Entry *)head, err);
    if (status == 0 && body->type != NULL)
        status = map_to_message(body->type, (const uint8_t *)e + body->offset, &inner, err);
    if (status != 0)
        return status;
    entry = (Rf__Log__Entry *)head;
    entry->format = format;
    entry->body_case = (Rf__Log__Entry__BodyCase)body->field;
    /* All members of the oneof are pointers at one place. */
    entry->controller = (Rf__Log__Controller *)inner;
    *ret_message = TAKE(head);
    return 0;
}

int entry_encode_as(const struct entry *e, uint32_t format, struct buf *out,
                    struct err *err)
{
    AUTO(message_free) ProtobufCMessage *message = NULL;
    int status = to_message(e, format, &message, err);

    if (status == 0)
        return check_pack(message, &limits, out, err);
    if (status != ERR_BADMSG)
        return status;
    if (err != NULL)
        err->code = ERR_INVAL;
    return ERR_INVAL;
}

int entry_encode(const struct entry *e, struct buf *out, struct err *err)
{
    return entry_encode_as(e, entry_formats().max, out, err);
}

static int read_actor(const Rf__Log__Entry *message, struct entry *e, struct err *err)
{
    int status;

    if (message->actor == NULL)
        return 0;
    if (message->format < ENTRY_FORMAT_ACTORS)
        return err_set(err, ERR_BADMSG, "rf.log.Entry.actor: not in format %u",
                       message->format);
    status = map_from_message(&map_actor, &message->actor->base, &e->actor, err);
    return status != 0 ? status : check_actor(&e->actor, err);
}

static int read_key(const Rf__Log__Entry *message, struct entry *e, struct err *err)
{
    if (message->key == NULL)
        return 0;
    if (message->format < ENTRY_FORMAT_KEYS)
        return err_set(err, ERR_BADMSG, "rf.log.Entry.key: not in format %u",
                       message->format);
    return map_from_message(&map_request_key, &message->key->base, &e->key, err);
}

static int from_message(const Rf__Log__Entry *message, struct entry *e, struct err *err)
{
    const struct format_range known = entry_formats();
    const struct entry_body *body;
    int status;

    if (message->format < known.min || message->format > known.max)
        return err_set(err, ERR_UNSUPPORTED, "entry of format %u, this version knows %u-%u",
                       message->format, known.min, known.max);
    body = known_kind((enum entry_kind)message->kind, err);
    if (body == NULL || check_since(body->kind, message->format, err) != 0)
        return ERR_BADMSG;
    if ((uint32_t)message->body_case != body->field)
        return err_set(err, ERR_BADMSG, "rf.log.Entry: field %u is no body of kind %s",
                       (unsigned)message->body_case, entry_kind_text(body->kind));
    status = map_from_message(&map_entry_head, &message->base, e, err);
    if (status == 0)
        status = read_actor(message, e, err);
    if (status == 0)
        status = read_key(message, e, err);
    if (status == 0 && body->type != NULL)
        status = map_from_message(body->type, &message->controller->base,
                                  (uint8_t *)e + body->offset, err);
    return status != 0 ? status : check_head(e, body, err);
}

/* The hash chain covers these bytes: one entry, one encoding in its format. */
static int check_canonical(const struct entry *e, uint32_t format, const uint8_t *data,
                           size_t len, struct err *err)
{
    AUTO(message_free) ProtobufCMessage *again = NULL;
    int status = to_message(e, format, &again, err);

    return status != 0 ? status : strict_compare(again, data, len, err);
}

int entry_decode(const uint8_t *data, size_t len, struct entry *ret_entry, struct err *err)
{
    AUTO(read_free) ProtobufCMessage *message = NULL;
    struct entry e;
    int status =
        check_unpack(&rf__log__entry__descriptor, data, len, &limits, &message, err);

    if (status != 0)
        return status;
    memset(&e, 0, sizeof e);
    status = from_message((const Rf__Log__Entry *)message, &e, err);
    if (status == 0)
        status =
            check_canonical(&e, ((const Rf__Log__Entry *)message)->format, data, len, err);
    if (status == 0)
        *ret_entry = e;
    return status;
}
