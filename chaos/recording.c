#include "chaos/recording.h"

#include <errno.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/page.h"
#include "chaos/play.h"

void recording_start(struct play *p)
{
    struct recording *r = &p->recording;

    r->start_ns = now_ns();
    timeline_open(&r->timeline);
    view_record(p->view, &r->timeline);
    lease_watch_start(&r->west, &p->cluster->ground, WEST, p->cluster->profile.ttl,
                      &r->timeline);
    log_watch_start(&r->log, p->cluster);
}

void recording_stop(struct play *p)
{
    struct recording *r = &p->recording;
    struct view_doc d = view_get(p->view);
    bool steady = view_is_steady(&d, p->cluster->sync);

    r->steady_epoch = steady ? d.epoch : -1;
    log_watch_stop(&r->log, r->steady_epoch);
    lease_watch_stop(&r->west);
    view_record(p->view, NULL);
    log_watch_show(&r->log, &r->timeline);
    timeline_end_all(&r->timeline, now_ns());
}

void recording_judge(struct play *p, struct history *h)
{
    const struct log_watch *log = &p->recording.log;

    log_watch_tell(log, p->recording.steady_epoch, h);
    if (log->disputed != 0)
        result_blame(&p->result, "two controllers tell entry %jd of the log differently",
                     (intmax_t)log->disputed);
}

static struct page page_of(const struct play *p, const struct history *h)
{
    bool broken = p->fault_ns != 0, moved = p->switchback_ns != 0;
    struct page page = {
        .result = &p->result,
        .timeline = &p->recording.timeline,
        .history = h,
        .leases = {&p->lease.log, &p->recording.west.log},
        .story = p->scenario->story,
        .holds = p->scenario->holds,
        .repeat = p->repeat,
        .seed = p->seed,
        .start_ns = p->recording.start_ns,
        .end_ns = p->end_ns,
        .origin_ns = broken ? p->fault_ns : p->recording.start_ns,
    };

    page.origin_wall = wall_ns() - (now_ns() - page.origin_ns);
    if (broken)
        page.outage = history_outage(h, CLIENT_WRITER, p->fault_ns,
                                     moved ? p->switchback_ns : p->end_ns);
    if (moved)
        page.pause = history_outage(h, CLIENT_WRITER, p->switchback_ns, p->end_ns);
    return page;
}

void recording_write(const struct play *p, const struct history *h)
{
    AUTO(auto_free)
    char *path = text_new("%s/log/%s.html", p->cluster->ground.dir, p->scenario->name);
    AUTO(auto_free)
    char *log = log_watch_say(&p->recording.log, p->recording.steady_epoch);
    struct page page = page_of(p, h);
    FILE *out = fopen(path, "we");
    bool whole;

    if (out == NULL) {
        fprintf(stderr, "ringfence-lab: no page: %s: %s\n", path, strerror(errno));
        return;
    }
    page.log = log;
    page_write(&page, out);
    whole = ferror(out) == 0;
    if (fclose(out) != 0 || !whole)
        fprintf(stderr, "ringfence-lab: the page is not whole: %s\n", path);
}

void recording_from_here(struct play *p) { p->recording.start_ns = now_ns(); }

void recording_give_up(struct play *p)
{
    static const struct history nothing;

    p->end_ns = now_ns();
    recording_stop(p);
    recording_write(p, &nothing);
    recording_free(p);
}

void recording_free(struct play *p)
{
    log_watch_free(&p->recording.log);
    lease_watch_free(&p->recording.west);
    timeline_close(&p->recording.timeline);
}
