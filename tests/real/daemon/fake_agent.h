/* tests/real/daemon/fake_agent.h -- an agent over real TLS streams, with a pretended gate
 * and server, as strict as a real one: it takes only answers that echo its own incarnation
 * and send time, carries out only steps of the epoch that it holds a lease of, and proves
 * only on a fence order that names what was assigned (I3, I6).
 *
 * Owner: fake_agent_open() to fake_agent_close(), then the loop runs dry.
 */
#ifndef RF_TEST_DAEMON_FAKE_AGENT_H
#define RF_TEST_DAEMON_FAKE_AGENT_H

#include "controller/base/time.h"
#include "controller/core/observe.h"
#include "controller/net/link.h"
#include "controller/net/tls.h"
#include "proto/frame.h"
#include "tests/real/daemon/cluster.h"

struct fake_agent {
    struct cluster *c;
    char name[NAME_SIZE], region[NAME_SIZE];
    struct incarnation incarnation;
    struct tls *tls;
    struct fake_link {
        struct fake_agent *a;
        struct link *link;
        bool welcomed;
        uint64_t ping_seq, answered_seq; /* so that reports can be dated */
        struct boot answered;
    } links[NODES];
    char leader[NAME_SIZE];
    uv_timer_t tick;
    uint64_t seq;
    struct mono unanswered_since; /* the oldest renewal without an answer */
    bool silent;                  /* says nothing more; its streams stay */
    bool mute, no_hello;          /* the tests of bad manners */
    const char *address;          /* in its hello; NULL: 127.0.0.1 */
    bool hung;                    /* as it reports */
    bool held_back; /* reports are: the first one stays in `held`, to be let go */
    struct buf held;
    bool closed;

    /* As assigned. */
    char group[NAME_SIZE];
    bool assigned;
    uint64_t index, epoch, fence_index, generation;
    Rf__Role role;
    bool opened, proof_wanted;
    char upstream[64];
    uint32_t upstream_port;
    char own_name[STANDBY_NAME_SIZE];
    uint32_t renew_ms;

    /* The gate. */
    uint64_t lease_epoch, fenced_epoch;
    struct boot deadline;
    bool may_open;

    /* The server: one that answers probes, as PostgreSQL does before it asks who one is. */
    uv_tcp_t listener;
    uint16_t port;
    bool deaf;
    enum server_state server;
    uint64_t lsn, applied_generation;
    bool follows;

    /* What the tests ask about. */
    unsigned grants, refusals, gaps, steps[8], fence_orders, refused;
    uint64_t slowest_answer_us, answered_us_sum;
    char last_refusal[64], refusal_text[256];
    struct boot last_sent;
};

void fake_agent_open(struct fake_agent *a, struct cluster *c, const char *name,
                     const char *region, unsigned life);
void fake_agent_close(struct fake_agent *a);

/* True while packets would pass: by deadline, as the kernel would judge. */
bool fake_agent_is_open(const struct fake_agent *a);
/* Let go of the link to that controller, for good. */
void fake_agent_cut(struct fake_agent *a, int node);
/* The report that was held back, at last. */
void fake_agent_let_go(struct fake_agent *a, int node);
void fake_agent_send(struct fake_agent *a, int node, const Rf__Frame *frame);

#endif
