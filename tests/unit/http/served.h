/* tests/unit/http/served.h -- the API on a real Unix socket, against a pretended backend,
 * and a client of it.
 */
#ifndef RF_TESTS_UNIT_HTTP_SERVED_H
#define RF_TESTS_UNIT_HTTP_SERVED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/http/api.h"

/* A group `orders` in regions r0 (active) and r1, steady in epoch 3; this node leads. */
struct backend {
    struct api_backend api;
    uv_loop_t loop;
    struct api *served;
    char socket[80];
    struct state state;
    struct observations seen;
    bool leads, east_answers;
    uint64_t leader_id;
    /* What is done with a proposal. */
    enum refusal dry, applied;
    int propose_code, done_status;
    struct entry proposed, before, tried; /* the last one, the one before it */
    unsigned proposals, notes, forwards, retries, looks; /* looks: at the facts */
    char forwarded[96], note[600];
    struct actor noted;
    struct secrets_key key;
    struct caller caller;             /* of what was forwarded last */
    bool forwarded_unknown, no_place; /* no_place: for those who are unknown */
    struct {                          /* a proposal whose fate is told at the next turn */
        api_proposed *done;
        void *ctx;
    } later;
    uv_idle_t idle;
    bool failover_wanted, take_failover;
    uint64_t log_rows; /* 0: two, else so many, long ones */
    int log_status;    /* of the store's answers behind the first page */
    /* Exports: a chain of log_rows entries, the key, and what west answers (NULL: it is not
     * to be reached). */
    const struct audit_row *chain;
    const struct audit_key *audit_key;
    bool has_west;
    unsigned west_status;
    const char *west_says;
};
extern struct backend b;

/* The last request, and its answer. */
struct call {
    uv_work_t work;
    const char *method, *path, *body, *header;
    char text[8 << 20], type[64];
    size_t len;
    long status;
    bool whole; /* the answer came to its end */
    long limit_ms;
    bool done;
};
extern struct call call;

/* Of the next requests; NULL: none. */
extern const char *served_headers[2];

int served_setup(void **state);
int served_teardown(void **state);

/* The status; the answer is in call.text. One of 400 and more was found to be a problem
 * (controller/base/problem.h), any other none. */
long ask_for(const char *method, const char *path, const char *body, long limit_ms);
long ask(const char *method, const char *path, const char *body);
/* With one header more. */
long ask_with(const char *header, const char *method, const char *path, long limit_ms);
/* Is it in the answer? Prints both if not. */
bool says(const char *part);

#define SERVED(test) cmocka_unit_test_setup_teardown(test, served_setup, served_teardown)

#endif
