#include "chaos/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chaos/base.h"
#include "chaos/html.h"
#include "chaos/page_events.h"
#include "chaos/page_style.h"
#include "chaos/picture.h"

static void head(const struct page *p, FILE *out)
{
    const char *state = result_ok(p->result) ? "ok" : "NOT OK";

    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width\"/>\n"
          "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>",
          out);
    html_say(out, "%s: %s", p->result->scenario, state);
    fprintf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n", page_style);
}

static void verdict(const struct page *p, FILE *out)
{
    const struct result *r = p->result;
    bool ok = result_ok(r);

    fprintf(out, "<header>\n<h1><span class=\"badge %s\">%s</span> ", ok ? "ok" : "not",
            ok ? "ok" : "NOT OK");
    html_text(out, r->scenario);
    fputs("</h1>\n<p class=\"story\">", out);
    html_text(out, p->story);
    fputs("</p>\n<p class=\"story\">What must hold: ", out);
    html_text(out, p->holds);
    fputs("</p>\n", out);
    if (!ok)
        fputs("<ul class=\"reasons\" aria-label=\"why it is not ok\">\n", out);
    for (unsigned i = 0; i < r->reasons; i++) {
        fputs("<li>", out);
        html_text(out, r->reason[i]);
        fputs("</li>\n", out);
    }
    fputs(ok ? "</header>\n" : "</ul>\n</header>\n", out);
}

PRINTF_LIKE(3, 4)
static void figure(FILE *out, const char *name, const char *fmt, ...)
{
    char value[160];
    va_list args;

    va_start(args, fmt);
    vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    fprintf(out, "<div><dt>%s</dt><dd>", name);
    html_text(out, value);
    fputs("</dd></div>\n", out);
}

static void figure_ms(FILE *out, const char *name, double ms)
{
    if (!isnan(ms))
        figure(out, name, "%.1f ms", ms);
}

static void figures_of_service(const struct result *r, FILE *out)
{
    figure_ms(out, "longest time without an acknowledged write", r->outage_ms);
    figure_ms(out, "until suspected", r->detect_ms);
    figure_ms(out, "then until fenced", r->fence_ms);
    if (r->proof[0] != 0)
        figure(out, "fenced by", "%s", r->proof);
    figure_ms(out, "then until promoted", r->promote_ms);
    figure_ms(out, "both sides writable", r->both_writable_ms);
    figure_ms(out, "the old side's last answer, after the end of its lease",
              r->last_ack_ms);
    figure_ms(out, "writes paused by the move back", r->switchback_pause_ms);
    figure(out, "epoch", "%" PRId64 " to %" PRId64, r->epoch_before, r->epoch_end);
    figure(out, "failovers", "%" PRId64, r->failovers);
    if (r->rejoined >= 0)
        figure(out, "standby is back", "%s", r->rejoined ? "yes" : "no");
}

static void figures_of_data(const struct result *r, FILE *out)
{
    const struct loss l = {.synchronous = r->synchronous,
                           .bytes = r->lost_bytes,
                           .forecast = r->forecast_lost_bytes};
    char text[LOSS_TEXT_SIZE];

    figure(out, "rows acknowledged", "%" PRIu64, r->acked);
    figure(out, "of these lost", "%" PRIu64, r->lost);
    loss_say(text, &l);
    if (r->lost_bytes >= 0)
        figure(out, "the old primary's log", "%s", text);
    if (r->operations < 0) {
        figure(out, "operations judged one by one", "none: without a workload");
        return;
    }
    figure(out, "operations judged one by one",
           "%" PRId64 " on %" PRId64 " keys, %" PRId64 " with an unknown outcome",
           r->operations, r->operations_keys, r->operations_unknown);
    if (r->standby_reads > 0)
        figure(out, "oldest answer of a standby", "%.1f ms behind, of %" PRId64,
               r->stale_ms, r->standby_reads);
}

static void figures_of_run(const struct page *p, FILE *out)
{
    time_t at = (time_t)(p->origin_wall / 1000000000);
    char wall[40] = "";
    struct tm utc;

    if (gmtime_r(&at, &utc) != NULL)
        strftime(wall, sizeof wall, "%Y-%m-%d %H:%M:%S", &utc);
    figure(out, "the controllers' log", "%s", p->log);
    figure(out, "TTL", "%u ms", p->result->ttl_ms);
    figure(out, "sync", "%s", p->result->sync);
    figure(out, "seed", "%u", p->seed);
    figure(out, "0 s is", "%s.%03d UTC", wall, (int)(p->origin_wall / NS_PER_MS % 1000));
}

static void figures(const struct page *p, FILE *out)
{
    fputs("<section>\n<h2>Figures</h2>\n<dl>\n", out);
    figures_of_service(p->result, out);
    figures_of_data(p->result, out);
    figures_of_run(p, out);
    fputs("</dl>\n<p>To repeat it:</p>\n<pre>", out);
    html_text(out, p->repeat);
    fputs("</pre>\n</section>\n", out);
}

/* What is of interest, with some time before and after it. */
static struct picture near_outage(const struct page *p)
{
    const int64_t least = (int64_t)250 * NS_PER_MS;
    int64_t from = p->outage.from, until = p->outage.until, pad;

    if (p->origin_ns < from && from - p->origin_ns < 2 * (until - from))
        from = p->origin_ns; /* the fault itself; else it is not what the writer felt */
    pad = (until - from) / 4 > least ? (until - from) / 4 : least;
    from = from - pad > p->start_ns ? from - pad : p->start_ns;
    until = until + pad < p->end_ns ? until + pad : p->end_ns;
    return (struct picture){.id = "near",
                            .title =
                                "Around the longest time without an acknowledged write",
                            .from_ns = from,
                            .to_ns = until > from ? until : from + 1};
}

static void picture(const struct page *p, const struct picture *pic, FILE *out)
{
    fputs("<figure>\n<figcaption>", out);
    html_text(out, pic->title);
    fputs("</figcaption>\n", out);
    picture_write(p, pic, out);
    fputs("</figure>\n", out);
}

static void pictures(const struct page *p, FILE *out)
{
    struct picture near = near_outage(p);
    struct picture whole = {.id = "whole",
                            .title = "The whole run",
                            .from_ns = p->start_ns,
                            .to_ns = p->end_ns > p->start_ns ? p->end_ns : p->start_ns + 1};

    fputs("<section>\n<h2>Timeline</h2>\n", out);
    if (p->outage.from != p->outage.until &&
        near.to_ns - near.from_ns < (whole.to_ns - whole.from_ns) / 2)
        picture(p, &near, out);
    picture(p, &whole, out);
    fputs(
        "<p class=\"legend\">Seconds since the fault. Bars: writes acknowledged (by the "
        "writers and by the probes of each server) in 20 ms; where a column is wider, the "
        "fullest 20 ms of it pale, the emptiest over it. Shaded from top to bottom: the "
        "longest time in which no write of the writer was acknowledged. A lease ends at "
        "its last deadline, as its holder counts it. A gate is as its own agent says; "
        "<q>no answer</q>: nobody says, and it closes by itself at the deadline. An entry "
        "of the log is where the first controller told it, so it was committed "
        "before.</p>\n</section>\n",
        out);
}

void page_write(const struct page *p, FILE *out)
{
    head(p, out);
    verdict(p, out);
    figures(p, out);
    pictures(p, out);
    page_events(p, out);
    fputs("</body>\n</html>\n", out);
}
