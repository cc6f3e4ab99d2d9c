/* controller/base/assert.h -- for our own mistakes; stays on in release builds.
 *
 * Nothing that a peer, an operator or a disk can send may trip it. A crash must be the
 * safe direction: a dead controller costs one vote, a dead agent lets the lease run out.
 */
#ifndef RF_BASE_ASSERT_H
#define RF_BASE_ASSERT_H

#define ASSERT(condition)                                                                  \
    ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__, __func__))

__attribute__((noreturn)) void assert_failed(const char *condition, const char *file,
                                             int line, const char *function);

#endif
