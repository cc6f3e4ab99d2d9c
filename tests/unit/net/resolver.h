/* tests/unit/net/resolver.h -- getaddrinfo() that does what a test says (--wrap).
 *
 * As strict as the real one, and stricter about how it is asked: what names_lookup.c never
 * should do ends the process. Results are the real one's, so the real freeaddrinfo() frees
 * them.
 *
 * Owner:   resolver_begin() to resolver_end(), which lets all go on and waits for them.
 * Threads: any.
 */
#ifndef RF_TEST_NET_RESOLVER_H
#define RF_TEST_NET_RESOLVER_H

#include <stdbool.h>

/* The clock of the test goes on by so much, from now on (--wrap=mono_now). */
void resolver_skip_ms(unsigned ms);

void resolver_begin(void);
void resolver_end(void);
/* For every name from now on: numbers apart by spaces, or a failure (EAI_...). */
void resolver_says(const char *addresses);
void resolver_fails(int eai);
/* Lookups stay until resolver_goes_on(), then have what is said by then. */
void resolver_hangs(void);
void resolver_goes_on(void);
/* How often it was asked, and how many wait for it. */
unsigned resolver_asked(void);
unsigned resolver_waiting(void);
/* Waits until it was asked so often. */
void resolver_until_asked(unsigned n);

#endif
