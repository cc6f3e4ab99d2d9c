/* chaos/verbs_host.c -- what happens to hosts: clocks, disks, the gate, the power. */
#include <signal.h>

#include "chaos/base.h"
#include "chaos/bmc.h"
#include "chaos/clocks.h"
#include "chaos/disks.h"
#include "chaos/gate_hands.h"
#include "chaos/verbs.h"

/* `wrong`: why it could not be done, which is freed; NULL: it was. */
static void must(struct play *p, const struct step *s, char *wrong)
{
    if (wrong != NULL)
        result_blame(&p->result, "`%s`: %s", s->line, wrong);
    auto_free(&wrong);
}

/* ---- clocks ---------------------------------------------------------------------------
 */

static void step_clock(struct play *p, const struct step *s, int seconds)
{
    enum site at = verbs_site(p, &s->arg[0]);

    if (at == SITE_COUNT)
        return;
    if (p->cluster->clocks == CLOCKS_STEPS)
        clocks_step(&p->cluster->ground, at, seconds);
    else
        result_blame(&p->result, "`%s`: the laboratory has no such clocks (lab.clocks)",
                     s->line);
}

enum { SECONDS_PER_MINUTE = 60 };

void verb_clock_ahead(struct play *p, const struct step *s)
{
    step_clock(p, s, (int)s->arg[1].number * SECONDS_PER_MINUTE);
}

void verb_clock_behind(struct play *p, const struct step *s)
{
    step_clock(p, s, -(int)s->arg[1].number * SECONDS_PER_MINUTE);
}

void verb_clock_right(struct play *p, const struct step *s) { step_clock(p, s, 0); }

/* A process has one rate from its start on: a new life of the controller. */
void verb_clock_rate(struct play *p, const struct step *s)
{
    enum site at = verbs_site(p, &s->arg[0]);

    if (at == SITE_COUNT)
        return;
    if (p->cluster->clocks != CLOCKS_RATES) {
        result_blame(&p->result, "`%s`: the laboratory has no such clocks (lab.clocks)",
                     s->line);
        return;
    }
    process_signal(&p->cluster->controllers[at], SIGKILL);
    clocks_rate(&p->cluster->ground, at, s->arg[1].number);
    cluster_start_controller(p->cluster, at);
}

/* ---- disks ----------------------------------------------------------------------------
 */

/* SITE_COUNT: blamed. */
static enum site site_of_disk(struct play *p, const struct step *s)
{
    enum site at = s->arg[0].disk == DISK_CONTROLLER ? verbs_site(p, &s->arg[1])
                                                     : verbs_data_site(p, &s->arg[1]);

    if (at != SITE_COUNT && !p->cluster->disks) {
        result_blame(&p->result, "`%s`: the laboratory has no disks (lab.disks)", s->line);
        return SITE_COUNT;
    }
    return at;
}

typedef char *disk_fault(const struct ground *g, enum site s, enum disk d);

static void do_to_disk(struct play *p, const struct step *s, disk_fault *fault)
{
    enum site at = site_of_disk(p, s);

    if (at != SITE_COUNT)
        must(p, s, fault(&p->cluster->ground, at, s->arg[0].disk));
}

static char *freeze(const struct ground *g, enum site s, enum disk d)
{
    return disk_freeze(g, s, d, true);
}

static char *thaw(const struct ground *g, enum site s, enum disk d)
{
    return disk_freeze(g, s, d, false);
}

void verb_disk_full(struct play *p, const struct step *s) { do_to_disk(p, s, disk_fill); }

void verb_disk_room(struct play *p, const struct step *s) { do_to_disk(p, s, disk_clear); }

void verb_disk_hangs(struct play *p, const struct step *s) { do_to_disk(p, s, freeze); }

void verb_disk_goes_on(struct play *p, const struct step *s) { do_to_disk(p, s, thaw); }

void verb_disk_breaks(struct play *p, const struct step *s)
{
    do_to_disk(p, s, disk_break);
}

void verb_disk_replaced(struct play *p, const struct step *s)
{
    do_to_disk(p, s, disk_replace);
}

/* ---- the gate, the power --------------------------------------------------------------
 */

void verb_ungate(struct play *p, const struct step *s)
{
    enum site at = verbs_data_site(p, &s->arg[0]);

    if (at != SITE_COUNT)
        must(p, s, gate_detach(&p->cluster->ground, at));
}

void verb_stranger(struct play *p, const struct step *s)
{
    enum site at = verbs_data_site(p, &s->arg[0]);

    if (at != SITE_COUNT)
        must(p, s, gate_attach_stranger(&p->cluster->ground, at));
}

/* SITE_COUNT: blamed. */
static enum site site_of_bmc(struct play *p, const struct step *s)
{
    enum site at = verbs_data_site(p, &s->arg[0]);

    if (at != SITE_COUNT && !p->cluster->power) {
        result_blame(&p->result, "`%s`: the laboratory has no BMCs (lab.power)", s->line);
        return SITE_COUNT;
    }
    return at;
}

static void let_bmc_lie(struct play *p, const struct step *s, bool lies)
{
    enum site at = site_of_bmc(p, s);

    if (at != SITE_COUNT)
        bmc_lie(&p->cluster->ground, at, lies);
}

void verb_bmc_lies(struct play *p, const struct step *s) { let_bmc_lie(p, s, true); }

void verb_bmc_honest(struct play *p, const struct step *s) { let_bmc_lie(p, s, false); }

/* It takes what is sent to it, and does not answer. */
void verb_bmc_hangs(struct play *p, const struct step *s)
{
    enum site at = site_of_bmc(p, s);

    if (at != SITE_COUNT)
        process_signal(&p->cluster->bmcs[at], SIGSTOP);
}

void verb_bmc_answers(struct play *p, const struct step *s)
{
    enum site at = site_of_bmc(p, s);

    if (at != SITE_COUNT)
        process_signal(&p->cluster->bmcs[at], SIGCONT);
}
