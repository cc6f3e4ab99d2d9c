#include "chaos/picture_acks.h"

#include <stdlib.h>

enum { BIN_NS = 20 * NS_PER_MS };

struct bins {
    size_t count;
    unsigned *of[PAGE_SIDES];
    unsigned most; /* of all of them */
};

static void count(const struct page *p, const struct picture *pic, struct bins *b)
{
    b->count = (size_t)((pic->to_ns - pic->from_ns) / BIN_NS) + 1;
    for (int side = 0; side < PAGE_SIDES; side++)
        b->of[side] = must_alloc(b->count, sizeof **b->of);
    for (size_t i = 0; i < p->history->count; i++) {
        const struct event *e = &p->history->events[i];
        unsigned *bin;

        if (e->kind != EVENT_ACK || e->host >= PAGE_SIDES || e->at_ns < pic->from_ns ||
            e->at_ns >= pic->to_ns)
            continue;
        bin = &b->of[e->host][(e->at_ns - pic->from_ns) / BIN_NS];
        b->most = ++*bin > b->most ? *bin : b->most;
    }
}

static unsigned extreme(const unsigned *bins, size_t from, size_t to, bool most)
{
    unsigned found = bins[from];

    for (size_t i = from + 1; i < to; i++)
        if (most ? bins[i] > found : bins[i] < found)
            found = bins[i];
    return found;
}

/* One path: a vertical line for each column that has something. */
static void bars(const struct bins *b, int side, bool most, int base, FILE *out)
{
    size_t columns = b->count < PICTURE_PLOT ? b->count : PICTURE_PLOT;
    double wide = (double)PICTURE_PLOT / (double)columns;

    fprintf(out, "<path class=\"%s acks-%s\" stroke-width=\"%.2f\" d=\"",
            most ? "most" : "least", side == 0 ? "east" : "west", wide);
    for (size_t c = 0; c < columns; c++) {
        size_t from = c * b->count / columns, to = (c + 1) * b->count / columns;
        unsigned n = extreme(b->of[side], from, to, most);

        if (n > 0)
            fprintf(out, "M%.1f %dv%.1f", PICTURE_LEFT + ((double)c + 0.5) * wide, base,
                    (side == 0 ? -1.0 : 1.0) * PICTURE_ACKS_HIGH * n / b->most);
    }
    fputs("\"/>\n", out);
}

void picture_acks(const struct page *p, const struct picture *pic, int base, FILE *out)
{
    struct bins b = {0};

    count(p, pic, &b);
    for (int side = 0; side < PAGE_SIDES; side++) {
        bars(&b, side, true, base, out);
        bars(&b, side, false, base, out);
        free(b.of[side]);
    }
    fprintf(out,
            "<line class=\"base\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n"
            "<text class=\"scale\" x=\"%d\" y=\"%d\">%u / 20 ms</text>\n",
            PICTURE_LEFT, PICTURE_LEFT + PICTURE_PLOT, base, base, PICTURE_LEFT - 8,
            base - PICTURE_ACKS_HIGH + 8, b.most);
}
