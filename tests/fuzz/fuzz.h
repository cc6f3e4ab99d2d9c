/* tests/fuzz/fuzz.h -- what the fuzz targets share: libFuzzer's entry point, a reader that
 * turns bytes into choices, and a claim that stays on in every build.
 *
 * A target is a function of its input alone (no clock, no randomness): the same file fails
 * in the same way under libFuzzer and in the replay that every test run does.
 */
#ifndef RF_TEST_FUZZ_H
#define RF_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts with the claim that does not hold: a finding, whatever the sanitizers say. */
#define CLAIM(holds, ...)                                                                  \
    do {                                                                                   \
        if (!(holds))                                                                      \
            fuzz_claim_broken(#holds, __VA_ARGS__);                                        \
    } while (0)

__attribute__((noreturn, format(printf, 2, 3))) void fuzz_claim_broken(const char *claim,
                                                                       const char *fmt,
                                                                       ...);

/* True if FUZZ_TRACE is set: a target then tells what it does, for a person who replays. */
bool fuzz_is_traced(void);

/* A directory of this process, gone at its end; in memory where there is /dev/shm. */
const char *fuzz_scratch(void);

/* Choices out of bytes; past the end all are 0. */
struct bytes {
    const uint8_t *at, *end;
};

bool bytes_left(const struct bytes *b);
uint8_t bytes_next(struct bytes *b);
/* 0 .. below-1 */
uint8_t bytes_pick(struct bytes *b, uint8_t below);
/* Mostly `right`, sometimes a neighbour, seldom anything. */
uint64_t bytes_near(struct bytes *b, uint64_t right);
/* The next part: a length of two bytes, then as much of it as there is. */
size_t bytes_part(struct bytes *b, const uint8_t **ret_part);

#endif
