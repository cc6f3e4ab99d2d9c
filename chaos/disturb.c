/* chaos/disturb.c */
#include "chaos/disturb.h"

#include "chaos/base.h"

static const struct wan_link cut = {.cut = true};

static uint64_t dropped(const struct play *p)
{
    const struct ground *g = &p->cluster->ground;
    struct wan_count there = ground_count(g, EAST, WEST),
                     back = ground_count(g, WEST, EAST);

    return there.lost + there.cut + back.lost + back.cut;
}

/* Where nothing was lost, nothing was shown. */
static void check_felt(struct play *p)
{
    uint64_t n = dropped(p) - p->dropped;

    if (n == 0)
        result_blame(&p->result, "the network dropped nothing between east and west");
    view_tell(p->view, "between east and west %ju packets were dropped", (uintmax_t)n);
}

void disturb_mute_east(struct play *p)
{
    const struct ground *g = &p->cluster->ground;

    p->dropped = dropped(p);
    ground_link(g, EAST, WEST, &cut);
    ground_link(g, EAST, WITNESS, &cut);
}

void disturb_deafen_east(struct play *p)
{
    const struct ground *g = &p->cluster->ground;

    p->dropped = dropped(p);
    ground_link(g, WEST, EAST, &cut);
    ground_link(g, WITNESS, EAST, &cut);
}

void disturb_flap(struct play *p)
{
    enum { TIMES = 10, DOWN_MS = 300, UP_MS = 200 };
    const struct ground *g = &p->cluster->ground;

    p->dropped = dropped(p);
    for (int i = 0; i < TIMES; i++) {
        ground_cut(g, EAST, WEST);
        wait_ms(DOWN_MS);
        ground_heal(g);
        wait_ms(UP_MS);
    }
    check_felt(p);
}

void disturb_gray(struct play *p)
{
    static const struct wan_link gray = {.delay_us = 800000, .loss_ppm = 100000};
    const struct ground *g = &p->cluster->ground;

    p->dropped = dropped(p);
    ground_link(g, EAST, WEST, &gray);
    ground_link(g, WEST, EAST, &gray);
}

void disturb_end(struct play *p)
{
    check_felt(p);
    ground_heal(&p->cluster->ground);
}
