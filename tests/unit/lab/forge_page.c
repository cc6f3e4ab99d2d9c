/* tests/unit/lab/forge_page.c -- writes a page of a run that never was: story, hostile,
 * empty or large. page_is_whole.py looks at it; so may people. */
#include <stdio.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/page.h"

enum { EAST = 0, WEST = 1 };

static const char hostile_text[] =
    "</title></text></svg><script>alert(1)</script> & \" ' ]]> \x01\x7f \xf0\x9f\x94 \xff";

struct forged {
    struct timeline timeline;
    struct history history;
    struct lease_log leases[PAGE_SIDES];
    struct result result;
    struct page page;
};

static int64_t ms(int64_t n) { return (1000000 + n) * NS_PER_MS; }

/* Rows of one client, one after the other, as fast as `each_ms` says. */
static void write_rows(struct forged *f, uint8_t client, uint8_t host, int64_t from,
                       int64_t until, int64_t each_us)
{
    for (int64_t at = ms(from); at < ms(until); at += each_us * 1000)
        history_add(&f->history, (struct event){.at_ns = at,
                                                .number = f->history.count + 1,
                                                .kind = EVENT_ACK,
                                                .client = client,
                                                .host = host});
}

static void hold_leases(struct forged *f, int side, int64_t from, int64_t until)
{
    for (int64_t at = from; at < until; at += 150)
        lease_log_add(&f->leases[side], (struct lease_span){ms(at), ms(at + 1000)});
}

static void tell_groups(struct timeline *t)
{
    timeline_state(t, LANE_LEADER, ms(0), "west");
    timeline_state(t, LANE_LEADER, ms(4600), "witness");
    timeline_state(t, LANE_EPOCH, ms(0), "1 east");
    timeline_state(t, LANE_EPOCH, ms(2975), "2 west");
    timeline_state(t, LANE_PHASE, ms(0), "steady");
    timeline_state(t, LANE_PHASE, ms(2390), "steady, suspected");
    timeline_state(t, LANE_PHASE, ms(2974), "fencing");
    timeline_state(t, LANE_PHASE, ms(2976), "promoting");
    timeline_state(t, LANE_PHASE, ms(3039), "steady");
    timeline_state(t, LANE_RUN, ms(2974), "failover: proven");
    timeline_state(t, LANE_RUN, ms(3039), "%s", "");
    timeline_state(t, LANE_ALARM, ms(5000), "the proof of pg-east by power does not hold");
    timeline_state(t, LANE_ALARM, ms(5500), "%s", "");
}

static void tell_hosts(struct timeline *t)
{
    timeline_state(t, LANE_GATE, ms(0), "open");
    timeline_state(t, LANE_GATE, ms(2890), "closed");
    timeline_state(t, LANE_GATE, ms(4300), "no answer");
    timeline_state(t, LANE_GATE, ms(4800), "replication");
    timeline_state(t, LANE_GATE_WEST, ms(0), "replication");
    timeline_state(t, LANE_GATE_WEST, ms(3041), "open");
    timeline_state(t, LANE_STEP_WEST, ms(2976), "lead");
    timeline_state(t, LANE_STEP_WEST, ms(3039), "%s", "");
    timeline_state(t, LANE_STEP, ms(4900), "follow");
    timeline_state(t, LANE_STEP, ms(6100), "%s", "");
}

static void story(struct forged *f)
{
    struct timeline *t = &f->timeline;

    write_rows(f, CLIENT_WRITER, EAST, 200, 1995, 400);
    write_rows(f, CLIENT_WRITER, WEST, 3048, 7000, 450);
    write_rows(f, CLIENT_PROBE, EAST, 200, 1990, 2500);
    write_rows(f, CLIENT_PROBE + 1, WEST, 3050, 7000, 2500);
    hold_leases(f, EAST, 0, 1950);
    hold_leases(f, EAST, 4800, 7000);
    hold_leases(f, WEST, 2976, 7000);
    tell_groups(t);
    tell_hosts(t);
    timeline_end(t, timeline_begin(t, LANE_FAULT, ms(2000), "east is cut off"), ms(4050));
    timeline_end(t, timeline_begin(t, LANE_FAULT, ms(2500), "a full disk"), ms(3500));
    timeline_note(t, LANE_FAULT, ms(2100), "a kill");
    timeline_note(t, LANE_PLAY, ms(2000), "isolate east");
    timeline_note(t, LANE_LOG, ms(2974), "fence-begin: failover of epoch 1 (entry 20)");
    timeline_note(t, LANE_LOG, ms(2974), "proof: pg-east proven by lease-expiry");
    timeline_note(t, LANE_LOG, ms(3039), "opened: pg-west opened for writes in epoch 2");
    timeline_note(t, LANE_TOLD, ms(2390), "suspected: east");
    timeline_note(t, LANE_TOLD, ms(4050), "mended");
    f->page.end_ns = ms(7000);
    f->page.outage = (struct outage){ms(1995), ms(3048)};
    f->result.outage_ms = 1053;
    f->result.acked = 13000;
}

static void hostile(struct forged *f)
{
    story(f);
    for (enum lane l = 0; l < LANES; l++) {
        timeline_note(&f->timeline, l, ms(1000), "%s", hostile_text);
        timeline_state(&f->timeline, l, ms(1100), "%s", hostile_text);
    }
    while (f->result.reasons < REASON_MAX)
        result_blame(&f->result, "%s", hostile_text);
    snprintf(f->result.proof, sizeof f->result.proof, "%s", "<b>&amp;\"'</dd>");
    f->result.scenario = f->result.sync = hostile_text;
    f->page.story = f->page.holds = f->page.repeat = f->page.log = hostile_text;
}

/* Twenty minutes with more of everything than there is room for, and a gap of 60 ms after
 * the first one. */
static void large(struct forged *f)
{
    enum { END = 20 * 60000, LEASE = 500, GAP = 60000 };

    write_rows(f, CLIENT_WRITER, EAST, 0, GAP, 12000);
    write_rows(f, CLIENT_WRITER, EAST, GAP + 60, END / 2, 12000);
    write_rows(f, CLIENT_WRITER, WEST, END / 2, END, 12000);
    for (int64_t at = 0; at < END; at += LEASE)
        lease_log_add(&f->leases[EAST], (struct lease_span){ms(at), ms(at + LEASE - 1)});
    for (int i = 0; i < 2 * TIMELINE_MARKS_MAX; i++)
        timeline_note(&f->timeline, i % 2 == 0 ? LANE_LOG : LANE_TOLD, ms(i * 280),
                      "step-end: pg-west: follow done (entry %d, term 3, end-step)", i);
    f->page.end_ns = ms(END);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*forge)(struct forged *f);
    } kinds[] = {{"story", story}, {"hostile", hostile}, {"empty", NULL}, {"large", large}};
    static struct forged f;

    timeline_open(&f.timeline);
    result_init(&f.result);
    f.result.scenario = "isolated";
    f.result.sync = "required";
    f.result.ttl_ms = 1000;
    f.page = (struct page){.result = &f.result,
                           .timeline = &f.timeline,
                           .history = &f.history,
                           .leases = {&f.leases[EAST], &f.leases[WEST]},
                           .holds = "West is opened only when east cannot acknowledge.",
                           .story = "east is cut off from everything but its clients",
                           .repeat = "ringfence-lab --scenario isolated --seed 7",
                           .log = "12 entries; judged",
                           .seed = 7,
                           .start_ns = ms(0),
                           .end_ns = ms(0),
                           .origin_ns = ms(2000)};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (argc == 2 && strcmp(argv[1], kinds[i].name) == 0 && kinds[i].forge != NULL)
            kinds[i].forge(&f);
    timeline_end_all(&f.timeline, f.page.end_ns);
    history_sort(&f.history);
    page_write(&f.page, stdout);
    history_free(&f.history);
    for (int side = 0; side < PAGE_SIDES; side++)
        lease_log_free(&f.leases[side]);
    timeline_close(&f.timeline);
    return 0;
}
