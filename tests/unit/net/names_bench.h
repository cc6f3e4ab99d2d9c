/* tests/unit/net/names_bench.h -- names on a loop, who asks for them, and what was logged.
 *
 * The resolver and the clock are resolver.h's; log_at() is wrapped as well.
 *
 * Owner:   begin() to end(), which sees that nothing is left of it.
 * Threads: one.
 */
#ifndef RF_TEST_NET_NAMES_BENCH_H
#define RF_TEST_NET_NAMES_BENCH_H

#include "controller/net/names.h"
#include "tests/unit/net/bench.h"
#include "tests/unit/net/resolver.h"

struct world {
    uv_loop_t loop;
    uv_timer_t alarm;
    struct names *names;
    char dir[BENCH_PATH], file[BENCH_PATH + 16];
    bool late;
};

struct asker {
    struct names_wait wait;
    struct world *w;
    unsigned told;
    struct names_answer got;
    struct err why;
    struct asker *forgets; /* in its on_answer */
    bool asks_again;       /* for east.test */
    int status;            /* of that */
};

extern char logged[16384];

void begin(struct world *w, bool with_file);
void open_names(struct world *w, bool with_file);
void close_names(struct world *w);
/* The loop ends while lookups hang, and nothing is left of it. */
void end(struct world *w);

/* names_find() at port 7400. */
int ask(struct world *w, struct asker *a, const char *host, struct err *err);
void until_told(struct world *w, const struct asker *a, unsigned times);
/* It is looked up, and known. */
void know(struct world *w, const char *host, const char *addresses);

/* How often the words were logged. */
unsigned lines(const char *words);
void until_logged(struct world *w, const char *words, unsigned times);
/* The IPv4 address, with port 7400. */
uint32_t v4(const struct names_answer *a, unsigned i);

#endif
