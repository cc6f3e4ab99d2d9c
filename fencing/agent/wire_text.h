/* fencing/agent/wire_text.h -- protobuf-c has no const; nothing is written through these.
 */
#ifndef RF_AGENT_WIRE_TEXT_H
#define RF_AGENT_WIRE_TEXT_H

static inline char *wire_text(const char *t)
{
    union {
        const char *given;
        char *wanted;
    } u = {.given = t};

    return u.wanted;
}

#endif
