/* Frames between machines, and a provider's messages: what is accepted comes out again as
 * the same message, and is what its limits say (I10). */
#include <string.h>

#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

static void claim_same(const struct buf *a, const struct buf *b, const char *what)
{
    CLAIM(a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0),
          "%s: read and written twice, %zu and %zu bytes", what, a->len, b->len);
}

static void try_frame(const uint8_t *data, size_t size)
{
    AUTO(frame_free) Rf__Frame *first = NULL, *again = NULL;
    AUTO(buf_free) struct buf one = {0}, two = {0};
    struct err err = {0};

    if (frame_decode(data, size, &first, &err) != 0) {
        CLAIM(err.text[0] != '\0', "a refusal without a word");
        return;
    }
    CLAIM(frame_name(first)[0] != '\0', "a frame without a name");
    for (int way = FRAME_CONTROLLER_TO_CONTROLLER; way <= FRAME_CONTROLLER_TO_AGENT; way++)
        (void)frame_allowed(first, (enum frame_way)way);
    CLAIM(frame_encode(first, &one, &err) == 0, "read, not written: %s", err.text);
    CLAIM(frame_decode(one.data, one.len, &again, &err) == 0, "not read again: %s",
          err.text);
    CLAIM(frame_encode(again, &two, &err) == 0, "not written again: %s", err.text);
    claim_same(&one, &two, frame_name(first));
}

static void try_request(const uint8_t *data, size_t size)
{
    AUTO(provider_request_free) Rf__ProviderRequest *first = NULL, *again = NULL;
    AUTO(buf_free) struct buf one = {0}, two = {0};
    struct err err = {0};

    if (provider_request_decode(data, size, &first, &err) != 0)
        return;
    CLAIM(provider_request_encode(first, &one, &err) == 0, "%s", err.text);
    CLAIM(provider_request_decode(one.data, one.len, &again, &err) == 0, "%s", err.text);
    CLAIM(provider_request_encode(again, &two, &err) == 0, "%s", err.text);
    claim_same(&one, &two, "provider request");
}

static void try_reply(const uint8_t *data, size_t size)
{
    AUTO(provider_reply_free) Rf__ProviderReply *first = NULL, *again = NULL;
    AUTO(buf_free) struct buf one = {0}, two = {0};
    struct err err = {0};

    if (provider_reply_decode(data, size, &first, &err) != 0)
        return;
    CLAIM(provider_reply_encode(first, &one, &err) == 0, "%s", err.text);
    CLAIM(provider_reply_decode(one.data, one.len, &again, &err) == 0, "%s", err.text);
    CLAIM(provider_reply_encode(again, &two, &err) == 0, "%s", err.text);
    claim_same(&one, &two, "provider reply");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        try_frame(data + 1, size - 1);
        break;
    case 1:
        try_request(data + 1, size - 1);
        break;
    default:
        try_reply(data + 1, size - 1);
        break;
    }
    return 0;
}
