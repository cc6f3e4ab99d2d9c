#include "chaos/picture.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/html.h"
#include "chaos/picture_acks.h"

enum {
    WIDE = PICTURE_LEFT + PICTURE_PLOT + 16,
    AXIS_HIGH = 26,
    ROW_HIGH = 22,
    BAR_HIGH = 16,
    FAULT_ROWS_MAX = 6,
    LABEL_MAX = 40, /* characters beside an instant */
};

static const double CHARACTER_WIDE = 6.3; /* of the labels' font, a bit more than average */

struct canvas {
    const struct page *p;
    const struct picture *pic;
    FILE *out;
    int y; /* the top of the next row */
};

static double x_of(const struct canvas *c, int64_t at_ns)
{
    double part =
        (double)(at_ns - c->pic->from_ns) / (double)(c->pic->to_ns - c->pic->from_ns);

    return PICTURE_LEFT + PICTURE_PLOT * fmax(0, fmin(1, part));
}

static double seconds(const struct canvas *c, int64_t at_ns)
{
    return (double)(at_ns - c->p->origin_ns) / 1e9;
}

static bool is_seen(const struct canvas *c, int64_t from_ns, int64_t to_ns)
{
    return to_ns >= c->pic->from_ns && from_ns < c->pic->to_ns;
}

static bool is_instant(const struct mark *m) { return m->from_ns == m->to_ns; }

/* What a state means, as a class of the style sheet. The same is always said as text. */
static const char *tone(const struct mark *m)
{
    static const struct {
        enum lane lane;
        const char *text, *tone;
    } known[] = {{LANE_LEADER, "east", "east"},
                 {LANE_LEADER, "west", "west"},
                 {LANE_EPOCH, "east", "east"},
                 {LANE_EPOCH, "west", "west"},
                 {LANE_PHASE, "suspected", "warn"},
                 {LANE_PHASE, "steady", "calm"},
                 {LANE_GATE, "open", "good"},
                 {LANE_GATE_WEST, "open", "good"},
                 {LANE_GATE, "replication", "warn"},
                 {LANE_GATE_WEST, "replication", "warn"},
                 {LANE_GATE, "closed", "shut"},
                 {LANE_GATE_WEST, "closed", "shut"},
                 {LANE_GATE, "answer", "mute"},
                 {LANE_GATE_WEST, "answer", "mute"},
                 {LANE_FAULT, "", "bad"},
                 {LANE_ALARM, "", "bad"},
                 {LANE_LEADER, "", "calm"},
                 {LANE_STEP, "", "calm"},
                 {LANE_STEP_WEST, "", "calm"}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (m->lane == known[i].lane && strstr(m->text, known[i].text) != NULL)
            return known[i].tone;
    return "busy";
}

static void label_row(const struct canvas *c, const char *name, int high)
{
    fprintf(c->out, "<text class=\"lane\" x=\"%d\" y=\"%d\">%s</text>\n", PICTURE_LEFT - 8,
            c->y + high / 2 + 4, name);
}

static void end_row(struct canvas *c, int high)
{
    c->y += high;
    fprintf(c->out, "<line class=\"rule\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", WIDE,
            c->y, c->y);
}

static void title_of_span(const struct canvas *c, int64_t from, int64_t to,
                          const char *text)
{
    fprintf(c->out, "<title>%.3f to %.3f s (%.1f ms): ", seconds(c, from), seconds(c, to),
            ms_between(from, to));
    html_text(c->out, text);
    fputs("</title>", c->out);
}

static void span(const struct canvas *c, const struct mark *m, const char *class, int y)
{
    double from = x_of(c, m->from_ns), to = x_of(c, m->to_ns), wide = fmax(to - from, 1.5);
    int fits = (int)((wide - 6) / CHARACTER_WIDE);

    fprintf(c->out,
            "<g><rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\""
            " rx=\"2\"/>",
            class, from, y, wide, BAR_HIGH);
    title_of_span(c, m->from_ns, m->to_ns, m->text);
    if (fits >= 3) {
        fprintf(c->out, "<text class=\"in\" x=\"%.1f\" y=\"%d\">", from + 4, y + 12);
        html_text_cut(c->out, m->text, (size_t)fits);
        fputs("</text>", c->out);
    }
    fputs("</g>\n", c->out);
}

/* An entry of the log is known by its kind. */
static void label_tick(const struct canvas *c, const struct mark *m, size_t others,
                       double room)
{
    int fits = (int)((room - 10) / CHARACTER_WIDE) - (others > 0 ? 4 : 0);
    size_t name = m->lane == LANE_LOG ? strcspn(m->text, ":") : strlen(m->text);
    char label[TIMELINE_TEXT];

    snprintf(label, sizeof label, "%.*s", (int)name, m->text);
    if (fits < 6 && (fits < 0 || strlen(label) > (size_t)fits))
        return;
    fprintf(c->out, "<text class=\"in\" x=\"%.1f\" y=\"%d\">", x_of(c, m->from_ns) + 4,
            c->y + 15);
    html_text_cut(c->out, label, (size_t)(fits < LABEL_MAX ? fits : LABEL_MAX));
    if (others > 0)
        fprintf(c->out, " +%zu", others);
    fputs("</text>", c->out);
}

/* Instants that fall into one place are one tick, with all their texts. */
static void tick(const struct canvas *c, const struct mark *const *marks, size_t n,
                 double room)
{
    fprintf(c->out, "<g><path class=\"tick\" d=\"M%.1f %dv%d\"/><title>",
            x_of(c, marks[0]->from_ns), c->y + 3, BAR_HIGH);
    for (size_t i = 0; i < n; i++) {
        fprintf(c->out, "%s%.3f s: ", i > 0 ? "\n" : "", seconds(c, marks[i]->from_ns));
        html_text(c->out, marks[i]->text);
    }
    fputs("</title>", c->out);
    label_tick(c, marks[0], n - 1, room);
    fputs("</g>\n", c->out);
}

static void ticks(const struct canvas *c, const struct mark *const *marks, size_t n)
{
    enum { ONE_PLACE = 3 };
    size_t next;

    for (size_t i = 0; i < n; i = next) {
        double at = x_of(c, marks[i]->from_ns), end = PICTURE_LEFT + PICTURE_PLOT;

        for (next = i + 1; next < n; next++)
            if (x_of(c, marks[next]->from_ns) > at + ONE_PLACE)
                break;
        tick(c, marks + i, next - i, (next < n ? x_of(c, marks[next]->from_ns) : end) - at);
    }
}

static int by_begin(const void *a, const void *b)
{
    const struct mark *x = *(const struct mark *const *)a,
                      *y = *(const struct mark *const *)b;

    return x->from_ns != y->from_ns ? (x->from_ns < y->from_ns ? -1 : 1)
                                    : (x > y) - (x < y);
}

/* Spans that overlap are drawn below each other. Returns how high the row is. */
static int spans(const struct canvas *c, const struct mark *const *marks, size_t n)
{
    int64_t busy_until[FAULT_ROWS_MAX] = {0};
    int rows = 1;

    for (size_t i = 0; i < n; i++) {
        char class[24];
        int row = 0;

        while (row < FAULT_ROWS_MAX - 1 && busy_until[row] > marks[i]->from_ns)
            row++;
        busy_until[row] = marks[i]->to_ns;
        rows = row + 1 > rows ? row + 1 : rows;
        snprintf(class, sizeof class, "s-%s", tone(marks[i]));
        span(c, marks[i], class, c->y + row * (BAR_HIGH + 2) + 3);
    }
    return rows * (BAR_HIGH + 2) + ROW_HIGH - BAR_HIGH - 2;
}

/* The marks of a lane that are seen, by their beginning: instants, or spans. */
static size_t choose(const struct canvas *c, enum lane which, bool instants,
                     const struct mark **seen)
{
    const struct timeline *t = c->p->timeline;
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        if (t->marks[i].lane == which && is_instant(&t->marks[i]) == instants &&
            is_seen(c, t->marks[i].from_ns, t->marks[i].to_ns))
            seen[n++] = &t->marks[i];
    qsort(seen, n, sizeof(void *), by_begin);
    return n;
}

/* Instants have a row of their own below the spans, if there are any. */
static void lane(struct canvas *c, enum lane which)
{
    const struct mark **seen = must_alloc(c->p->timeline->count + 1, sizeof(void *));
    size_t n = choose(c, which, false, seen);
    int high = n > 0 ? spans(c, seen, n) : 0;

    n = choose(c, which, true, seen);
    c->y += high;
    ticks(c, seen, n);
    c->y -= high;
    high += n > 0 || high == 0 ? ROW_HIGH : 0;
    label_row(c, lane_name(which), high);
    end_row(c, high);
    free(seen);
}

/* What a host held, renewal upon renewal; it ends with the last deadline. */
static void leases(struct canvas *c, int side)
{
    const struct lease_log *l = c->p->leases[side];
    const char *name = side == 0 ? "east: lease" : "west: lease";
    struct mark held = {.text = "lease held until its deadline"};

    for (size_t i = 0; i < l->count; i++) {
        if (i == 0 || l->spans[i].from > held.to_ns)
            held.from_ns = l->spans[i].from;
        held.to_ns = l->spans[i].until;
        if ((i + 1 == l->count || l->spans[i + 1].from > held.to_ns) &&
            is_seen(c, held.from_ns, held.to_ns))
            span(c, &held, side == 0 ? "s-east" : "s-west", c->y + 3);
    }
    label_row(c, name, ROW_HIGH);
    end_row(c, ROW_HIGH);
}

static void outage(const struct canvas *c, const struct outage *o, int high)
{
    double from = x_of(c, o->from), to = x_of(c, o->until);

    if (o->from == o->until || !is_seen(c, o->from, o->until))
        return;
    fprintf(c->out,
            "<g><rect class=\"outage\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
            "height=\"%d\"/>",
            from, AXIS_HIGH, fmax(to - from, 1), high - AXIS_HIGH);
    title_of_span(c, o->from, o->until, "no write of the writer was acknowledged");
    fputs("</g>\n", c->out);
}

/* Among the bars, where nothing is drawn. */
static void label_outage(const struct canvas *c, const struct outage *o, int y)
{
    double from = x_of(c, o->from), to = x_of(c, o->until);
    double ms = ms_between(o->from, o->until);
    const char *text = to - from > 220 ? " without an acknowledged write" : "";

    if (is_seen(c, o->from, o->until) && to - from > 64)
        fprintf(c->out, "<text class=\"band\" x=\"%.1f\" y=\"%d\">%.1f ms%s</text>\n",
                (from + to) / 2, y, ms, text);
}

static void acks(struct canvas *c)
{
    enum { HIGH = 2 * PICTURE_ACKS_HIGH + 12 };
    int base = c->y + HIGH / 2;

    picture_acks(c->p, c->pic, base, c->out);
    fprintf(c->out,
            "<text class=\"lane\" x=\"%d\" y=\"%d\">east: writes</text>\n"
            "<text class=\"lane\" x=\"%d\" y=\"%d\">west: writes</text>\n",
            PICTURE_LEFT - 8, base - 10, PICTURE_LEFT - 8, base + 18);
    label_outage(c, &c->p->outage, base - 10);
    label_outage(c, &c->p->pause, base - 10);
    end_row(c, HIGH);
}

/* The largest of 1, 2 and 5 times a power of ten that gives at least six lines. */
static double step_of(double length)
{
    double power = pow(10, floor(log10(length / 6))), rest = length / 6 / power;

    return power * (rest >= 5 ? 5 : rest >= 2 ? 2 : 1);
}

static void axis(const struct canvas *c, int high)
{
    double from = seconds(c, c->pic->from_ns), to = seconds(c, c->pic->to_ns),
           step = step_of(to - from);
    int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);

    for (long n = (long)ceil(from / step); (double)n * step < to; n++) {
        double at = (double)n * step;
        double x = x_of(c, c->p->origin_ns + (int64_t)(at * 1e9));

        fprintf(c->out,
                "<path class=\"grid\" d=\"M%.1f %dV%d\"/>"
                "<text class=\"axis\" x=\"%.1f\" y=\"16\">%.*f s</text>\n",
                x, AXIS_HIGH - 4, high, x, digits, at);
    }
}

static void definitions(const struct canvas *c)
{
    fprintf(c->out,
            "<defs><pattern id=\"%s-shut\" width=\"6\" height=\"6\" "
            "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
            "<path class=\"hatch\" d=\"M0 0v6\"/></pattern>"
            "<pattern id=\"%s-mute\" width=\"5\" height=\"5\" "
            "patternUnits=\"userSpaceOnUse\"><circle class=\"dot\" cx=\"1.5\" cy=\"1.5\" "
            "r=\"1\"/></pattern></defs>\n",
            c->pic->id, c->pic->id);
}

/* The rows are drawn first, since the grid below them must know how high they are. */
static char *rows(struct canvas *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        die("out of memory");
    c->out = out;
    lane(c, LANE_FAULT);
    lane(c, LANE_PLAY);
    acks(c);
    for (enum lane l = LANE_LEADER; l <= LANE_RUN; l++)
        lane(c, l);
    for (int side = 0; side < PAGE_SIDES; side++) {
        leases(c, side);
        lane(c, LANE_GATE + (unsigned)side);
        lane(c, LANE_STEP + (unsigned)side);
    }
    for (enum lane l = LANE_ALARM; l < LANES; l++)
        lane(c, l);
    if (fclose(out) != 0)
        die("out of memory");
    return text;
}

void picture_write(const struct page *p, const struct picture *pic, FILE *out)
{
    struct canvas c = {.p = p, .pic = pic, .y = AXIS_HIGH};
    AUTO(auto_free) char *drawn = rows(&c);

    c.out = out;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"%s\" role=\"img\" "
            "viewBox=\"0 0 %d %d\" aria-labelledby=\"%s-title %s-desc\">\n"
            "<title id=\"%s-title\">",
            pic->id, WIDE, c.y + 2, pic->id, pic->id, pic->id);
    html_text(out, pic->title);
    fprintf(out,
            "</title>\n<desc id=\"%s-desc\">Lanes over time, from %.3f to %.3f s; the "
            "table of events says the same in words.</desc>\n",
            pic->id, seconds(&c, pic->from_ns), seconds(&c, pic->to_ns));
    definitions(&c);
    outage(&c, &p->outage, c.y);
    outage(&c, &p->pause, c.y);
    axis(&c, c.y);
    fputs(drawn, out);
    fputs("</svg>\n", out);
}
