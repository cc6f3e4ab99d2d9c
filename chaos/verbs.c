/* chaos/verbs.c -- the table, and how steps are done. */
#include "chaos/verbs.h"

#include <string.h>

#include "chaos/base.h"
#include "chaos/operate.h"
#include "chaos/restart.h"

static const struct verb verbs[] = {
    /* Processes and regions. */
    {"kill", {TAKES_WHO}, "SIGKILL, of all its processes at one instant", verb_kill, NULL},
    {"end",
     {TAKES_WHO},
     "SIGTERM, of a server SIGINT (fast), and waits for it",
     verb_end,
     NULL},
    {"freeze",
     {TAKES_WHO},
     "stops it where it stands; a region by its cgroup",
     verb_freeze,
     NULL},
    {"thaw", {TAKES_WHO}, "lets it go on", verb_thaw, NULL},
    {"start", {TAKES_WHO}, "starts what does not run", verb_start, NULL},
    {"running", {TAKES_WHO}, "blames the scenario if it does not run", verb_running, NULL},
    {"gone", {TAKES_WHO}, "blames the scenario if it runs", verb_gone, NULL},
    /* The network. */
    {"cut", {TAKES_PLACE, TAKES_PLACE}, "nothing passes between the two", verb_cut, NULL},
    {"isolate",
     {TAKES_PLACE},
     "nothing passes between it and the other regions",
     verb_isolate,
     NULL},
    {"mute", {TAKES_PLACE}, "it hears the other regions and is not heard", verb_mute, NULL},
    {"deafen",
     {TAKES_PLACE},
     "it is heard by the other regions and hears nothing",
     verb_deafen,
     NULL},
    {"flap",
     {TAKES_PLACE, TAKES_PLACE, TAKES_NUMBER},
     "cut for 300 ms, whole for 200 ms, N times",
     verb_flap,
     NULL},
    {"link",
     {TAKES_PLACE, TAKES_PLACE, TAKES_RULES},
     "both directions have these rules",
     verb_link,
     NULL},
    {"one-way",
     {TAKES_PLACE, TAKES_PLACE, TAKES_RULES},
     "from the first to the second only",
     verb_one_way,
     NULL},
    {"network", {TAKES_NOTHING}, "every link is as it was", verb_network, NULL},
    {"felt",
     {TAKES_NOTHING},
     "blames the scenario if no packet was dropped",
     verb_felt,
     NULL},
    {"names-gone", {TAKES_NOTHING}, "the resolver answers nobody", verb_names_gone, NULL},
    {"names-refuse", {TAKES_NOTHING}, "the resolver is killed", verb_names_refuse, NULL},
    {"names-back", {TAKES_NOTHING}, "it answers again", verb_names_back, NULL},
    /* Time. */
    {"wait", {TAKES_TIME}, "does nothing", verb_wait, NULL},
    {"until", {TAKES_MOMENT}, "waits for a moment (below)", verb_until, NULL},
    {"within",
     {TAKES_TIME, TAKES_MOMENT},
     "the same, and no longer than that",
     verb_within,
     NULL},
    {"never",
     {TAKES_TIME, TAKES_MOMENT},
     "blames the scenario if it comes meanwhile",
     verb_never,
     NULL},
    {"when",
     {TAKES_TEXT},
     "waits until the log has a new entry by this rule",
     verb_when,
     NULL},
    {"try", {TAKES_STEP}, "another step, which may be in vain", verb_try, NULL},
    /* Operators. */
    {"ringfence", {TAKES_TEXT}, "the CLI, which must succeed", verb_ringfence, NULL},
    {"refused",
     {TAKES_TEXT},
     "the CLI, which must refuse it (status 1)",
     verb_refused,
     NULL},
    {"says", {TAKES_TEXT}, "`COMMAND => WORDS`: the CLI comes to say so", verb_says, NULL},
    {"unsaid",
     {TAKES_TEXT},
     "`COMMAND => WORDS`: the CLI comes to say so no more",
     verb_unsaid,
     NULL},
    {"agent-says",
     {TAKES_PLACE, TAKES_TEXT},
     "`COMMAND => WORDS`: asked of the agent there",
     verb_agent_says,
     NULL},
    {"proof",
     {TAKES_TEXT},
     "by which the last fence is to have been proven",
     verb_proof,
     NULL},
    {"switchover",
     {TAKES_PLACE},
     "a planned move there, and waits for it",
     verb_switchover,
     NULL},
    {"adopt",
     {TAKES_NOTHING},
     "detach, remove, and a first apply of the running pair",
     NULL,
     operate_adopt},
    {"adopt-wrong",
     {TAKES_NOTHING},
     "the same, with the standby declared active first",
     NULL,
     operate_adopt_wrong},
    {"detach-attach",
     {TAKES_NOTHING},
     "detach, an agent dies unnoticed, attach",
     NULL,
     operate_detach_attach},
    {"attach-wrong",
     {TAKES_NOTHING},
     "detach, attach with the standby named, and again",
     NULL,
     operate_attach_wrong},
    {"standby-reads",
     {TAKES_NOTHING},
     "switched on, and off while the standby is cut off",
     NULL,
     operate_standby_reads},
    {"restart-all",
     {TAKES_NOTHING},
     "agents and the leader end and come back, in turn",
     NULL,
     restart_everybody},
    /* Hosts and servers. */
    {"sh",
     {TAKES_PLACE, TAKES_TEXT},
     "a line for the shell, as root, in the region",
     verb_shell,
     NULL},
    {"sql",
     {TAKES_PLACE, TAKES_TEXT},
     "for its server, as the superuser, on the host",
     verb_sql,
     NULL},
    {"promote", {TAKES_PLACE}, "pg_ctl promote, by hand", verb_promote, NULL},
    {"stop-backends",
     {TAKES_PLACE, TAKES_TEXT},
     "SIGSTOP of those in pg_stat_activity that TEXT picks",
     verb_stop_backends,
     NULL},
    {"wake-backends", {TAKES_NOTHING}, "and SIGCONT", verb_wake_backends, NULL},
    {"receive-wal",
     {TAKES_PLACE, TAKES_TEXT},
     "pg_receivewal there from the active server, called so",
     verb_receive_wal,
     NULL},
    {"copy-standby",
     {TAKES_PLACE, TAKES_TEXT},
     "one more standby there of the active server, called so",
     verb_copy_standby,
     NULL},
    {"clone-host",
     {TAKES_PLACE, TAKES_PLACE},
     "the agent of the first runs in the second too, on a copy",
     verb_clone_host,
     NULL},
    {"end-guests", {TAKES_NOTHING}, "ends what these three started", verb_end_guests, NULL},
    {"occupy",
     {TAKES_PLACE, TAKES_NUMBER},
     "clients open so many sessions, or all they get",
     verb_occupy,
     NULL},
    {"vacate", {TAKES_NOTHING}, "and close them", verb_vacate, NULL},
    {"bmc-lies", {TAKES_PLACE}, "its BMC says `off` and does nothing", verb_bmc_lies, NULL},
    {"bmc-honest", {TAKES_PLACE}, "its BMC does what it says again", verb_bmc_honest, NULL},
    {"bmc-hangs",
     {TAKES_PLACE},
     "its BMC takes orders and does not answer",
     verb_bmc_hangs,
     NULL},
    {"bmc-answers", {TAKES_PLACE}, "its BMC goes on", verb_bmc_answers, NULL},
    {"clock-ahead",
     {TAKES_PLACE, TAKES_NUMBER},
     "its controller's wall clock jumps, N minutes ahead",
     verb_clock_ahead,
     NULL},
    {"clock-behind",
     {TAKES_PLACE, TAKES_NUMBER},
     "the same, N minutes behind",
     verb_clock_behind,
     NULL},
    {"clock-right", {TAKES_PLACE}, "it jumps to the right time", verb_clock_right, NULL},
    {"clock-rate",
     {TAKES_PLACE, TAKES_NUMBER},
     "its controller begins anew, clocks at N % of the right rate",
     verb_clock_rate,
     NULL},
    {"disk-full", {TAKES_DISK, TAKES_PLACE}, "no byte more fits", verb_disk_full, NULL},
    {"disk-room", {TAKES_DISK, TAKES_PLACE}, "somebody cleans up", verb_disk_room, NULL},
    {"disk-hangs",
     {TAKES_DISK, TAKES_PLACE},
     "whoever writes waits in the kernel",
     verb_disk_hangs,
     NULL},
    {"disk-goes-on", {TAKES_DISK, TAKES_PLACE}, "until now", verb_disk_goes_on, NULL},
    {"disk-breaks",
     {TAKES_DISK, TAKES_PLACE},
     "every call ends with EIO",
     verb_disk_breaks,
     NULL},
    {"disk-replaced",
     {TAKES_DISK, TAKES_PLACE},
     "it is sound again, with what was synced; nobody may use it",
     verb_disk_replaced,
     NULL},
    {"ungate",
     {TAKES_PLACE},
     "bpftool cgroup detach, of all programs of its cgroup",
     verb_ungate,
     NULL},
    {"stranger",
     {TAKES_PLACE},
     "a program that lets all pass is attached beside its gate",
     verb_stranger,
     NULL},
};

const struct verb *verb_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].word, word) == 0)
            return &verbs[i];
    return NULL;
}

static void print_verb(const struct verb *v, FILE *out)
{
    char line[64];
    size_t n = (size_t)snprintf(line, sizeof line, "%s", v->word);

    for (size_t i = 0; i < STEP_ARGS && v->takes[i] != TAKES_NOTHING; i++)
        n +=
            (size_t)snprintf(line + n, sizeof line - n, " %s", step_kind_name(v->takes[i]));
    fprintf(out, "  %-26s %s\n", line, v->does);
}

void verbs_print(FILE *out)
{
    fputs("Steps of scenarios, one verb and what it takes in a line:\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        print_verb(&verbs[i], out);
    fputs("\nPLACE: east, west, witness; active, standby, leader as they are at that "
          "moment;\n"
          "it: the one that was meant last. WHO: a PLACE, which is everything there, or\n"
          "controller, agent, server or guard and a PLACE. TIME: 300ms, 5s, 3ttl. RULES: "
          "delay "
          "TIME,\n"
          "jitter TIME, rate Nkbit or Nmbit, loss N%, duplicate N%, reorder N%. DISK:\n"
          "server, controller, agent, tails. A standby that is called `member` takes the\n"
          "name of the one that is waited for.\n"
          "Moments:\n",
          out);
    moments_print(out);
}

static void do_step(struct play *p, const struct step *s)
{
    if (s->verb->act != NULL)
        s->verb->act(p);
    else
        s->verb->run(p, s);
}

void verbs_run(struct play *p, const struct steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        view_step(p->view, steps->of[i].line);
        do_step(p, &steps->of[i]);
    }
}

void verb_try(struct play *p, const struct step *s)
{
    unsigned reasons = p->result.reasons;

    do_step(p, s->arg[0].step);
    if (p->result.reasons == reasons)
        return;
    view_tell(p->view, "  in vain: %s", p->result.reason[reasons]);
    p->result.reasons = reasons;
}

static enum site resolve(const struct play *p, unsigned place)
{
    struct view_doc d = view_get(p->view);

    switch (place) {
    case PLACE_ACTIVE:
        return d.active;
    case PLACE_STANDBY:
        return d.active == EAST ? WEST : d.active == WEST ? EAST : SITE_COUNT;
    case PLACE_LEADER:
        return d.leader;
    case PLACE_IT:
        return p->it;
    default:
        return (enum site)place;
    }
}

enum site verbs_site(struct play *p, const struct step_arg *a)
{
    enum site s = resolve(p, a->place);

    if (s >= SITE_REGIONS) {
        result_blame(&p->result, "a step of the scenario means somebody who is not there");
        return SITE_COUNT;
    }
    if (a->place >= PLACE_ACTIVE && a->place != PLACE_IT)
        view_tell(p->view, "  that is %s", site_name(s));
    p->it = s;
    return s;
}

unsigned verbs_ms(const struct play *p, const struct step_arg *a)
{
    return a->ms + a->ttls * p->cluster->profile.ttl;
}

enum site verbs_data_site(struct play *p, const struct step_arg *a)
{
    enum site s = verbs_site(p, a);

    if (s == WITNESS) {
        result_blame(&p->result, "a step of the scenario wants data of the witness");
        return SITE_COUNT;
    }
    return s;
}
