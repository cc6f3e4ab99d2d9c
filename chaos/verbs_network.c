/* chaos/verbs_network.c -- what a wide-area network does to a running pair. */
#include "chaos/base.h"
#include "chaos/names.h"
#include "chaos/verbs.h"

static const struct wan_link cut = {.cut = true};

static uint64_t dropped(const struct play *p)
{
    uint64_t n = 0;

    for (enum site a = EAST; a < SITE_REGIONS; a++)
        for (enum site b = EAST; b < SITE_REGIONS; b++) {
            struct wan_count c = {0};

            if (a != b)
                c = ground_count(&p->cluster->ground, a, b);
            n += c.lost + c.cut + c.overflow;
        }
    return n;
}

/* Both ends of a link, or false. */
static bool ends_of(struct play *p, const struct step *s, enum site *ret_a,
                    enum site *ret_b)
{
    *ret_b = verbs_site(p, &s->arg[1]);
    *ret_a = verbs_site(p, &s->arg[0]);
    return *ret_a != SITE_COUNT && *ret_b != SITE_COUNT && *ret_a != *ret_b;
}

static void note(struct play *p)
{
    if (p->dropped == 0)
        p->dropped = dropped(p);
}

void verb_cut(struct play *p, const struct step *s)
{
    enum site a, b;

    note(p);
    if (ends_of(p, s, &a, &b))
        ground_cut(&p->cluster->ground, a, b);
}

/* `out`, `in`: what it says, and what it hears. */
static void cut_off(struct play *p, const struct step *s, bool out, bool in)
{
    const struct ground *g = &p->cluster->ground;
    enum site at = verbs_site(p, &s->arg[0]);

    note(p);
    for (enum site other = EAST; other < SITE_REGIONS && at != SITE_COUNT; other++) {
        if (other == at)
            continue;
        if (out)
            ground_link(g, at, other, &cut);
        if (in)
            ground_link(g, other, at, &cut);
    }
}

void verb_isolate(struct play *p, const struct step *s) { cut_off(p, s, true, true); }

void verb_mute(struct play *p, const struct step *s) { cut_off(p, s, true, false); }

void verb_deafen(struct play *p, const struct step *s) { cut_off(p, s, false, true); }

void verb_flap(struct play *p, const struct step *s)
{
    enum { DOWN_MS = 300, UP_MS = 200 };
    const struct ground *g = &p->cluster->ground;
    enum site a, b;

    note(p);
    if (!ends_of(p, s, &a, &b))
        return;
    for (unsigned i = 0; i < s->arg[2].number; i++) {
        ground_cut(g, a, b);
        wait_ms(DOWN_MS);
        ground_heal(g);
        wait_ms(UP_MS);
    }
}

void verb_link(struct play *p, const struct step *s)
{
    enum site a, b;

    note(p);
    if (!ends_of(p, s, &a, &b))
        return;
    ground_link(&p->cluster->ground, a, b, &s->arg[2].link);
    ground_link(&p->cluster->ground, b, a, &s->arg[2].link);
}

void verb_one_way(struct play *p, const struct step *s)
{
    enum site a, b;

    note(p);
    if (ends_of(p, s, &a, &b))
        ground_link(&p->cluster->ground, a, b, &s->arg[2].link);
}

void verb_network(struct play *p, const struct step *s)
{
    (void)s;
    ground_heal(&p->cluster->ground);
}

/* Where nothing was lost, nothing was shown. */
void verb_felt(struct play *p, const struct step *s)
{
    uint64_t n = dropped(p) - p->dropped;

    (void)s;
    if (n == 0)
        result_blame(&p->result, "the network dropped nothing between regions");
    view_tell(p->view, "  between regions %ju packets were dropped", (uintmax_t)n);
}

/* False: blamed. */
static bool has_names(struct play *p, const struct step *s)
{
    if (!p->cluster->names)
        result_blame(&p->result, "`%s`: the laboratory has no names (lab.names)", s->line);
    return p->cluster->names;
}

void verb_names_gone(struct play *p, const struct step *s)
{
    if (has_names(p, s))
        names_hang(&p->cluster->resolver);
}

void verb_names_refuse(struct play *p, const struct step *s)
{
    if (has_names(p, s))
        names_refuse(&p->cluster->resolver);
}

void verb_names_back(struct play *p, const struct step *s)
{
    if (has_names(p, s))
        names_back(&p->cluster->ground, &p->cluster->resolver);
}
