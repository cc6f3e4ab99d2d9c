/* tests/unit/cli/fake.h -- one strict HTTP exchange at a time on a Unix socket.
 *
 * It answers what it was told to, and remembers what it was asked. A request other than
 * HTTP/1.1 with a Host, or a body without a JSON content type and a length, is answered
 * 400.
 *
 * Owner:   fake_start() to fake_stop(), which joins its thread.
 */
#ifndef RF_TESTS_UNIT_CLI_FAKE_H
#define RF_TESTS_UNIT_CLI_FAKE_H

#include <pthread.h>
#include <stdbool.h>

enum fake_end {
    FAKE_ANSWER, /* status and body */
    FAKE_HANG,   /* read the request, say nothing until the client gives up */
    FAKE_CLOSE,  /* read the request, close */
    FAKE_CUT,    /* promise more bytes than come */
};

struct fake {
    char dir[32], socket[64];
    int listener;
    pthread_t thread;
    enum fake_end end;
    unsigned status;
    const char *body;
    bool no_leader;     /* 503 but for what may be stale */
    const char *listed; /* of GET /api/v1/proposals, with status 200; NULL: as all else */
    unsigned refuses;   /* the request with this count gets a 404; 0: none does */
    bool keys;          /* it remembers keys, and says so, whatever it answers else */
    unsigned loses;     /* so many answers are lost first */
    unsigned asked;     /* requests so far, but for those for its version */
    char key[80], key_before[80]; /* of the last two of them; "" */
    char line[300];               /* "POST /api/v1/groups HTTP/1.1" */
    char request[8192];           /* the last request's body */
};

void fake_start(struct fake *f);
void fake_stop(struct fake *f);

#endif
