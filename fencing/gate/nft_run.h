/* fencing/gate/nft_run.h -- commands to nftables, in its own language, through libnftables.
 *
 * A text is one transaction: all of it happens, or nothing.
 *
 * Owner:   nft_run_close() what nft_run_open() handed over.
 * Threads: one at a time per runner.
 * Errors:  ERR_NOTFOUND where nftables says that something does not exist, ERR_IO else.
 */
#ifndef RF_FENCING_NFT_RUN_H
#define RF_FENCING_NFT_RUN_H

#include <stdbool.h>

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct nft_run;

MUST_USE int nft_run_open(struct nft_run **ret_run, struct err *err);
void nft_run_close(struct nft_run *run);

MUST_USE int nft_run(struct nft_run *run, const char *text, struct err *err);
/* What it answers; malloc'd. */
MUST_USE int nft_run_text(struct nft_run *run, const char *text, char **ret_said,
                          struct err *err);
/* The same as JSON. */
MUST_USE int nft_run_json(struct nft_run *run, const char *text, char **ret_json,
                          struct err *err);

/* Make the `inet` table, or take over the one that its dead owner left behind, so that
 * neither `nft flush ruleset` nor our own death removes it. Linux 6.9 and later; the runner
 * stays its owner until it is closed.
 *   ERR_UNSUPPORTED  an older kernel
 *   ERR_BUSY         somebody alive owns it */
MUST_USE int nft_run_own_table(struct nft_run *run, const char *table, struct err *err);

/* How often the rules of this network namespace have been changed, by anybody: one more
 * with each transaction that changed something. Some ten microseconds. */
MUST_USE int nft_run_generation(uint32_t *ret_generation, struct err *err);

#endif
