/* tests/real/agent/stage.h -- a scripted controller for a real ringfence-agent process,
 * over real TLS streams, in a network namespace and cgroup of the test's own.
 *
 * Owner:   stage_open() to stage_close(); agents are started and ended by the test.
 */
#ifndef RF_TEST_AGENT_STAGE_H
#define RF_TEST_AGENT_STAGE_H

#include <sys/types.h>
#include <uv.h>

#include "controller/net/listener.h"
#include "proto/frame.h"

enum { STAGE_TTL_MS = 1000, STAGE_RENEW_MS = 100, STAGE_WAIT_MS = 20000 };

struct stage {
    char dir[64], config[128], log[128];
    uv_loop_t loop;
    uv_timer_t limit;
    bool timed_out;
    struct tls *tls;
    struct listener *listener;
    struct stream *stream;     /* the newest one of the agent; NULL: none */
    uint16_t http, gated;      /* ports */
    const char *driver, *more; /* of the gate; lines for the configuration's end;
                                * NULL: no guard, which would outlive the test */
    const char *data;          /* the server's directory; NULL: one that is not there */

    /* What the agent said last, and how often. */
    struct incarnation life;
    Rf__Frame *hello, *renew, *report, *proof, *result;
    unsigned hellos, renews, reports, proofs, results, closes;

    /* What the script answers by itself. */
    bool grant, open, welcome;
};

void stage_open(struct stage *s);
void stage_close(struct stage *s);

/* Start the agent; `state_dir` NULL: the stage's. Its standard error goes to s->log. */
pid_t stage_agent(struct stage *s, const char *state_dir);
/* Wait for its end; the exit status, or 128 + signal. */
int stage_wait(struct stage *s, pid_t agent);
/* `--check` on the configuration of the last agent; its words go to s->log, too. */
int stage_check(struct stage *s);
/* `--close`, which a host runs when it boots; the same. */
int stage_close_gate(struct stage *s);
void stage_kill(struct stage *s, pid_t agent, int signal);
/* True if the agent's log holds this text. */
bool stage_log_has(const struct stage *s, const char *text);
unsigned stage_log_count(const struct stage *s, const char *text); /* how often */

/* From here on `systemctl` takes five seconds, in this process's mounts; and was it run? */
void stage_slow_systemctl(const struct stage *s);
bool stage_asked_systemctl(const struct stage *s);
void stage_own_systemctl(void); /* the host's again */

/* Run the loop until `until` holds; fails the test after STAGE_WAIT_MS. */
typedef bool stage_condition(const struct stage *s);
void stage_until(struct stage *s, stage_condition *until, const char *what);

void stage_send(struct stage *s, const Rf__Frame *frame);
void stage_send_bytes(struct stage *s, const void *data, size_t len);

/* An assignment for the agent's one group; the caller changes what it wants to. */
struct stage_assignment {
    Rf__Assignment a;
    Rf__ServerSpec server;
    char data[160];
};
void stage_assignment(const struct stage *s, struct stage_assignment *out, Rf__Role role,
                      uint64_t epoch);
void stage_assign(struct stage *s, const struct stage_assignment *a,
                  const struct incarnation *to);
void stage_order_fence(struct stage *s, uint64_t epoch, uint64_t index);

/* Of the last report about the group; NULL: none yet. */
const Rf__InstanceReport *stage_report(const struct stage *s);
/* Status of GET on the agent's HTTP address; 0: no answer. */
unsigned stage_get(const struct stage *s, const char *path);
/* The same on its Unix socket; the whole answer goes to `answer`. */
unsigned stage_ask_socket(const struct stage *s, const char *path, char *answer,
                          size_t size);

#endif
