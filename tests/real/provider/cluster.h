/* tests/real/provider/cluster.h -- real PostgreSQL servers under the provider's hands.
 *
 * Everything lies in one tmpfs under /tmp; ports come from the kernel, addresses are
 * 127.0.0.1 (east) and 127.0.0.2 (west). A failed assertion leaves the servers to
 * world_end(), which kills what the test has started and nothing else.
 */
#ifndef RF_TESTS_PROVIDER_CLUSTER_H
#define RF_TESTS_PROVIDER_CLUSTER_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "controller/base/time.h"
#include "providers/provider.h"

#define ASSERT_OK(result)                                                                  \
    do {                                                                                   \
        if ((result)->outcome != RF__STEP_OUTCOME__OUTCOME_DONE)                           \
            print_error("%s\n", (result)->text);                                           \
        assert_int_equal((result)->outcome, RF__STEP_OUTCOME__OUTCOME_DONE);               \
    } while (0)

struct node {
    Rf__ServerSpec spec;
    struct provider *provider; /* as a step worker has it */
    struct provider *observer; /* as the observer has it */
    Rf__ProviderPeer peer;     /* that its agent knows; NULL as its name: none */
    char peer_name[64];
    char name[16], address[16], data[160], socket[160], options[256];
};

struct world {
    char dir[96], group[16], bin[64], tail[128], passfile[128];
    struct node east, west;
};

/* Before all tests: one initdb, copied for each test. After all: everything removed. */
int world_group_setup(void **state);
int world_group_teardown(void **state);
/* Each test: `*state` is a struct world with east's data directory, not started. */
int world_begin(void **state);
int world_end(void **state);

/* An observation by the observer; freed by the caller (see_free). */
Rf__Observation *see(struct node *n, bool canary);
void see_free(Rf__Observation **seen);

/* A step of `kind`, to be filled in. */
struct step {
    Rf__StepRequest request;
    Rf__Upstream upstream;
    char *members[4];
    char standby[64], blocking[64];
};
struct step step_make(Rf__StepKind kind, uint32_t deadline_ms);
void step_add_member(struct step *s, struct node *n);
void step_follow(struct step *s, struct node *self, struct node *upstream);
Rf__StepResult *step_do(struct node *n, struct step *s);
void result_free(Rf__StepResult **result);

/* DONE or the test fails. */
void lead(struct node *n);
void follow(struct node *n, struct node *upstream);
void join(struct node *n, struct node *member);
/* From now on its agent knows the other one, which connects from `address`: on the loopback
 * network that is the upstream's. */
void know(struct node *n, struct node *other, const char *address, bool member);
void stop(struct node *n);

/* A client's session over TCP; NULL when it gets none within a second or so. */
PGconn *client(struct node *n);
/* One value; "" when the statement fails. */
void client_ask(PGconn *c, const char *sql, char value[256]);
bool client_run(PGconn *c, const char *sql);
/* The row is acknowledged within `ms`; after that the session is closed and set to NULL. */
bool client_write(PGconn **c, int row, int ms);
int count_rows(struct node *n);

/* All processes of the instance, and one by its backend_type. */
void signal_all(struct node *n, int signal);
pid_t backend_of_type(struct node *n, const char *type);
int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool path_exists(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void append_line(const char *path, const char *line);
uint64_t ms_since(struct mono then);
/* Until `claim(owner)` holds; fails the test after `ms`. */
void eventually(bool (*claim)(void *owner), void *owner, uint32_t ms);

#endif
