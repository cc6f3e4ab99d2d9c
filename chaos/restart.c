/* chaos/restart.c */
#include "chaos/restart.h"

#include <signal.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/operate.h"

enum { LOOK_MS = 1, END_MS = 5000, BACK_MS = 20000 };

/* The next life begins at once, as systemd's `restart` has it. */
static bool end(struct play *p, struct process *program, int sig, const char *what)
{
    int64_t until = now_ns() + (int64_t)END_MS * NS_PER_MS;

    process_signal(program, sig);
    while (process_running(program)) {
        if (now_ns() > until) {
            result_blame(&p->result, "%s did not end within %d ms", what, END_MS);
            return false;
        }
        wait_ms(LOOK_MS);
    }
    return true;
}

/* And a leader that has just begun has heard what the agents report. */
static bool is_served(struct play *p)
{
    return play_is_steady(p) && strcmp(view_get(p->view).of[EAST].gate, "open") == 0;
}

/* The new life has been heard, and east's has a new lease. */
static bool agent_is_back(struct play *p, enum site s, int64_t since)
{
    return view_get(p->view).of[s].heard_ns > since &&
           (s != EAST || atomic_load(&p->lease.changed_ns) > since);
}

/* Another incarnation would have to wait until the first one's lease is proven over. */
static void check_life(struct play *p, const char *what)
{
    struct view_doc d;

    if (!play_wait(p, BACK_MS, is_served))
        result_blame(&p->result, "%s: not served as before within %d ms", what, BACK_MS);
    d = view_get(p->view);
    for (enum site s = EAST; s <= WEST; s++)
        if (d.of[s].lives != p->before.of[s].lives)
            result_blame(&p->result, "%s: %s was in life %jd and is in %jd", what,
                         cluster_agent_name(s), (intmax_t)p->before.of[s].lives,
                         (intmax_t)d.of[s].lives);
}

static void restart_agent(struct play *p, enum site s, int sig)
{
    AUTO(auto_free)
    char *what =
        text_new("%s, %s", cluster_agent_name(s), sig == SIGTERM ? "SIGTERM" : "SIGKILL");
    int64_t began = now_ns(), started, until;

    if (!end(p, &p->cluster->agents[s], sig, what))
        return;
    started = now_ns();
    cluster_start_agent(p->cluster, s);
    until = started + (int64_t)BACK_MS * NS_PER_MS;
    while (!agent_is_back(p, s, started) && now_ns() < until)
        wait_ms(LOOK_MS);
    if (!agent_is_back(p, s, started))
        result_blame(&p->result, "%s did not come back within %d ms", what, BACK_MS);
    view_tell(p->view, "%s: ended in %.0f ms, back after %.0f ms", what,
              ms_between(began, started), ms_between(began, now_ns()));
    check_life(p, what);
}

static bool another_leads(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return d.leader < SITE_REGIONS && d.leader != p->it;
}

static void restart_leader(struct play *p)
{
    static const char what[] = "the leader, SIGTERM";
    int64_t began = now_ns();
    double handed_over;

    p->it = view_get(p->view).leader;
    if (p->it >= SITE_REGIONS) {
        result_blame(&p->result, "nobody leads");
        return;
    }
    if (!end(p, &p->cluster->controllers[p->it], SIGTERM, what))
        return;
    cluster_start_controller(p->cluster, p->it);
    if (!play_wait(p, BACK_MS, another_leads))
        result_blame(&p->result, "nobody took the leadership over in %d ms", BACK_MS);
    handed_over = ms_between(began, now_ns());
    check_life(p, what);
    view_tell(p->view, "%s: handed over in %.0f ms, back after %.0f ms", what, handed_over,
              ms_between(began, now_ns()));
}

void restart_everybody(struct play *p)
{
    struct pids before = operate_pids(p);
    unsigned sessions = atomic_load(&p->writer.sessions);

    for (enum site s = EAST; s <= WEST; s++) {
        restart_agent(p, s, SIGTERM);
        restart_agent(p, s, SIGKILL);
    }
    restart_leader(p);
    operate_check_pids(p, before);
    if (atomic_load(&p->writer.sessions) != sessions)
        result_blame(&p->result, "the writer lost its session %u times",
                     atomic_load(&p->writer.sessions) - sessions);
}
