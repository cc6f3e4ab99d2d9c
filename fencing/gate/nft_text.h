/* fencing/gate/nft_text.h -- reading and writing the language of nftables.
 *
 * Pure:    no I/O.
 */
#ifndef RF_FENCING_NFT_TEXT_H
#define RF_FENCING_NFT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "fencing/gate/gate.h"

/* Room for every port with all its peers. */
enum { NFT_TEXT_MAX = 512 << 10 };

/* A transaction in the making. What does not fit is our own mistake. */
struct nft_text {
    char bytes[NFT_TEXT_MAX];
    size_t len;
};

void nft_say(struct nft_text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "4" or "6" for the set of peers it belongs to, and the address as text. */
char nft_addr(const struct gate_addr *addr, char text[46]);

/* "1d2h3m4s5ms" in milliseconds, from `text` up to the first other character. */
uint64_t nft_duration_ms(const char *text);

/* In the listing of a set: is `port` there, and in how many milliseconds does it expire?
 * UINT64_MAX: never. */
bool nft_find_timed(const char *listing, uint16_t port, uint64_t *ret_ms);

#endif
