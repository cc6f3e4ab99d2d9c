#include "tests/sim/older.h"

#include <string.h>

#include "proto/entry_codec.h"
#include "proto/frame.h"

enum older older[NODES_MAX];

static void make_older(uint32_t *format_min, uint32_t *format_max, enum older how)
{
    *format_min = ENTRY_FORMAT_MIN - 1;
    *format_max = how == OLDER_ALONE ? ENTRY_FORMAT_MIN - 1 : ENTRY_FORMAT_MAX;
}

bool older_codec(uint8_t node, const uint8_t *data, size_t len, struct older_bytes *ret)
{
    AUTO(frame_free) Rf__Frame *f = NULL;
    static char name[] = "0.0.9";
    struct buf out = {0};
    char *version;
    bool made;

    if (older[node] == OLDER_NOT || frame_decode(data, len, &f, NULL) != 0)
        return false;
    if (f->body_case == RF__FRAME__BODY_AGENT_HELLO) {
        Rf__AgentHello *h = f->agent_hello;

        make_older(&h->format_min, &h->format_max, older[node]);
        version = h->version;
        h->version = name;
        made = frame_encode(f, &out, NULL) == 0;
        h->version = version;
    } else if (f->body_case == RF__FRAME__BODY_CONTROLLER_HELLO) {
        Rf__ControllerHello *h = f->controller_hello;

        make_older(&h->format_min, &h->format_max, older[node]);
        version = h->version;
        h->version = name;
        made = frame_encode(f, &out, NULL) == 0;
        h->version = version;
    } else {
        return false;
    }
    if (!made)
        buf_free(&out);
    *ret = (struct older_bytes){out.data, out.len};
    return made;
}
