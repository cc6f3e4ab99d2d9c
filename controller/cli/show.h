/* controller/cli/show.h -- documents of the API as people read them at 3 a.m.
 *
 * What a document lacks prints as "-": a newer controller's answer is still shown.
 *
 * Pure:    they write to `out` only.
 */
#ifndef RF_CLI_SHOW_H
#define RF_CLI_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A cell made of one member: a string as it is, numbers, "yes"/"no", lists with commas. */
enum { SHOW_TEXT_SIZE = 200 };
const char *show_member(const json_t *object, const char *name, char room[SHOW_TEXT_SIZE]);
/* The same of a value. */
const char *show_value(const json_t *value, char room[SHOW_TEXT_SIZE]);

/* As it was declared: "1s", "1500ms"; "-" for none. */
const char *show_exact_duration(const json_t *ms, char room[SHOW_TEXT_SIZE]);
/* "870ms", "12s", "4min", "expired 30ms ago" for less than 0; "-" for none. */
const char *show_duration(const json_t *ms, char room[SHOW_TEXT_SIZE]);
/* "0", "800B", "1.5MiB"; "-" for none. */
const char *show_bytes(const json_t *bytes, char room[SHOW_TEXT_SIZE]);

void show_status(const json_t *status, FILE *out);
void show_why(const json_t *why, FILE *out);
/* One line of GET /api/v1/log, with all that it says. */
void show_log_line(const json_t *line, FILE *out);
/* Is it among what a person asks the log for: decisions, fences with their proof, epochs,
 * promotions, the sync set, what was held or failed, operators' acts? */
bool show_log_is_told(const json_t *line);
/* The last failure that was told; all zero before the first. */
struct show_log_memory {
    char group[SHOW_TEXT_SIZE], failed[1024];
};
/* The same in short: when, what, by which rule; a failure that says again what the last one
 * said is not spelt out. */
void show_log_told(const json_t *line, bool with_group, struct show_log_memory *m,
                   FILE *out);
void show_rules(const json_t *rules, FILE *out);
void show_diff(const json_t *diff, FILE *out);
/* Returns the number of findings at level "fail". */
unsigned show_doctor(const json_t *doctor, FILE *out);

#endif
