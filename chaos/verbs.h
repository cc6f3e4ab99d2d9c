/* chaos/verbs.h -- the verbs that steps of scenarios are made of.
 *
 * What a step cannot do, or does not find, is blamed on the play's result.
 *
 * Owner:   the main thread.
 */
#ifndef RF_CHAOS_VERBS_H
#define RF_CHAOS_VERBS_H

#include <stdio.h>

#include "chaos/play.h"
#include "chaos/step.h"

const struct verb *verb_find(const char *word); /* NULL: there is none */
void verbs_print(FILE *out);

/* Does them one after the other, and tells each. */
void verbs_run(struct play *p, const struct steps *steps);

/* The site that a step means, from now on also called `it`; a role that nobody has at the
 * moment, or a witness where data is needed, is blamed: then SITE_COUNT. */
enum site verbs_site(struct play *p, const struct step_arg *a);
enum site verbs_data_site(struct play *p, const struct step_arg *a);

/* How long that is here. */
unsigned verbs_ms(const struct play *p, const struct step_arg *a);

/* What `until` waits for. */
struct moment {
    const char *word;
    const char *is; /* for people */
    bool (*holds)(struct play *p);
};
const struct moment *moment_find(const char *word); /* NULL: there is none */
void moments_print(FILE *out);

/* In verbs.c: a step, whatever comes of it. */
void verb_try(struct play *p, const struct step *s);

/* In their own files, by what they are about. */

/* verbs_process.c */
void verb_kill(struct play *p, const struct step *s);
void verb_end(struct play *p, const struct step *s);
void verb_freeze(struct play *p, const struct step *s);
void verb_thaw(struct play *p, const struct step *s);
void verb_start(struct play *p, const struct step *s);
void verb_running(struct play *p, const struct step *s);
void verb_gone(struct play *p, const struct step *s);

/* verbs_network.c */
void verb_cut(struct play *p, const struct step *s);
void verb_isolate(struct play *p, const struct step *s);
void verb_mute(struct play *p, const struct step *s);
void verb_deafen(struct play *p, const struct step *s);
void verb_flap(struct play *p, const struct step *s);
void verb_link(struct play *p, const struct step *s);
void verb_one_way(struct play *p, const struct step *s);
void verb_network(struct play *p, const struct step *s);
void verb_felt(struct play *p, const struct step *s);
void verb_names_gone(struct play *p, const struct step *s);
void verb_names_refuse(struct play *p, const struct step *s);
void verb_names_back(struct play *p, const struct step *s);

/* verbs_operate.c */
void verb_wait(struct play *p, const struct step *s);
void verb_until(struct play *p, const struct step *s);
void verb_within(struct play *p, const struct step *s);
void verb_when(struct play *p, const struct step *s);
void verb_never(struct play *p, const struct step *s);
void verb_ringfence(struct play *p, const struct step *s);
void verb_refused(struct play *p, const struct step *s);
void verb_says(struct play *p, const struct step *s);
void verb_unsaid(struct play *p, const struct step *s);
void verb_agent_says(struct play *p, const struct step *s);
void verb_proof(struct play *p, const struct step *s);
void verb_switchover(struct play *p, const struct step *s);
void verb_shell(struct play *p, const struct step *s);
void verb_sql(struct play *p, const struct step *s);
void verb_promote(struct play *p, const struct step *s);

/* verbs_host.c */
void verb_clock_ahead(struct play *p, const struct step *s);
void verb_clock_behind(struct play *p, const struct step *s);
void verb_clock_right(struct play *p, const struct step *s);
void verb_clock_rate(struct play *p, const struct step *s);
void verb_disk_full(struct play *p, const struct step *s);
void verb_disk_room(struct play *p, const struct step *s);
void verb_disk_hangs(struct play *p, const struct step *s);
void verb_disk_goes_on(struct play *p, const struct step *s);
void verb_disk_breaks(struct play *p, const struct step *s);
void verb_disk_replaced(struct play *p, const struct step *s);
void verb_ungate(struct play *p, const struct step *s);
void verb_stranger(struct play *p, const struct step *s);
void verb_bmc_lies(struct play *p, const struct step *s);
void verb_bmc_honest(struct play *p, const struct step *s);
void verb_bmc_hangs(struct play *p, const struct step *s);
void verb_bmc_answers(struct play *p, const struct step *s);

/* verbs_database.c */
void verb_stop_backends(struct play *p, const struct step *s);
void verb_wake_backends(struct play *p, const struct step *s);
void verb_receive_wal(struct play *p, const struct step *s);
void verb_copy_standby(struct play *p, const struct step *s);
void verb_clone_host(struct play *p, const struct step *s);
void verb_end_guests(struct play *p, const struct step *s);
void verb_occupy(struct play *p, const struct step *s);
void verb_vacate(struct play *p, const struct step *s);

#endif
