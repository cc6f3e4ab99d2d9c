#include "chaos/page_events.h"

#include <stdarg.h>
#include <stdlib.h>

#include "chaos/html.h"

struct row {
    const char *lane;
    int64_t from_ns, to_ns;
    size_t place; /* keeps the order of what has one time */
    char text[TIMELINE_TEXT];
};

struct table {
    struct row *rows;
    size_t count, cap;
};

PRINTF_LIKE(5, 6)
static void add(struct table *t, const char *lane, int64_t from, int64_t to,
                const char *fmt, ...)
{
    struct row *r;
    va_list args;

    t->rows = must_grow(t->rows, &t->cap, t->count + 1, sizeof *t->rows);
    r = &t->rows[t->count];
    *r = (struct row){.lane = lane, .from_ns = from, .to_ns = to, .place = t->count};
    va_start(args, fmt);
    vsnprintf(r->text, sizeof r->text, fmt, args);
    va_end(args);
    t->count++;
}

static void add_leases(struct table *t, const struct page *p, int side)
{
    const struct lease_log *l = p->leases[side];
    const char *lane = side == 0 ? "east: lease" : "west: lease";

    for (size_t i = 0, first = 0; i < l->count; i++) {
        if (i + 1 < l->count && l->spans[i + 1].from <= l->spans[i].until)
            continue;
        add(t, lane, l->spans[first].from, l->spans[i].until,
            "held, %zu grants seen; the last one at %.3f s or later", i - first + 1,
            (double)(l->spans[i].from - p->origin_ns) / 1e9);
        first = i + 1;
    }
}

/* Without an acknowledged write for longer than the outage's tenth, and what lies between.
 */
static void add_writes(struct table *t, const struct page *p, uint8_t side)
{
    const char *lane = side == 0 ? "east: writes" : "west: writes";
    int64_t first = 0, last = 0;
    size_t n = 0;
    enum { GAP_MS = 250 };

    for (size_t i = 0; i < p->history->count; i++) {
        const struct event *e = &p->history->events[i];

        if (e->kind != EVENT_ACK || e->host != side)
            continue;
        if (n > 0 && e->at_ns - last > (int64_t)GAP_MS * NS_PER_MS) {
            add(t, lane, first, last, "%zu acknowledged", n);
            n = 0;
        }
        first = n++ == 0 ? e->at_ns : first;
        last = e->at_ns;
    }
    if (n > 0)
        add(t, lane, first, last, "%zu acknowledged", n);
}

static void add_outage(struct table *t, const struct outage *o, const char *text)
{
    if (o->from != o->until)
        add(t, "outage", o->from, o->until, "%s", text);
}

static void gather(struct table *t, const struct page *p)
{
    for (size_t i = 0; i < p->timeline->count; i++) {
        const struct mark *m = &p->timeline->marks[i];

        add(t, lane_name(m->lane), m->from_ns, m->to_ns, "%s", m->text);
    }
    for (int side = 0; side < PAGE_SIDES; side++) {
        add_leases(t, p, side);
        add_writes(t, p, (uint8_t)side);
    }
    add_outage(t, &p->outage, "no write of the writer was acknowledged");
    add_outage(t, &p->pause, "no write of the writer was acknowledged: the move back");
}

static int by_time(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->from_ns != y->from_ns)
        return x->from_ns < y->from_ns ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static void put_row(const struct row *r, int64_t origin, FILE *out)
{
    fprintf(out, "<tr><td class=\"n\">%.3f</td>", (double)(r->from_ns - origin) / 1e9);
    if (r->to_ns > r->from_ns)
        fprintf(out, "<td class=\"n\">%.3f</td><td class=\"n\">%.1f</td>",
                (double)(r->to_ns - origin) / 1e9, ms_between(r->from_ns, r->to_ns));
    else
        fputs("<td></td><td></td>", out);
    fprintf(out, "<th scope=\"row\">%s</th><td>", r->lane);
    html_text(out, r->text);
    fputs("</td></tr>\n", out);
}

void page_events(const struct page *p, FILE *out)
{
    struct table t = {0};

    gather(&t, p);
    if (t.count > 0)
        qsort(t.rows, t.count, sizeof *t.rows, by_time);
    fputs("<section>\n<h2>Events</h2>\n<table>\n<thead><tr><th scope=\"col\">from, s</th>"
          "<th scope=\"col\">until, s</th><th scope=\"col\">ms</th>"
          "<th scope=\"col\">lane</th><th scope=\"col\">what</th></tr></thead>\n<tbody>\n",
          out);
    for (size_t i = 0; i < t.count; i++)
        put_row(&t.rows[i], p->origin_ns, out);
    fputs("</tbody>\n</table>\n", out);
    if (p->timeline->dropped > 0)
        fprintf(out, "<p>%zu more events had no room.</p>\n", p->timeline->dropped);
    fputs("</section>\n", out);
    free(t.rows);
}
