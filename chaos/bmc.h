/* chaos/bmc.h -- the hosts' power: a BMC for each data region, by openipmi's ipmi_sim, on
 * the management network (the client's site), where no fault of a region reaches it.
 *
 * The controllers drive it with Debian's fence_ipmilan over IPMI 2.0. Its chassis is the
 * region's cgroup: off kills every process in it, and the status is whether any is left.
 *
 * Owner:   bmc_start() to the end of the laboratory, which ends the simulators.
 * Errors:  die().
 */
#ifndef RF_CHAOS_BMC_H
#define RF_CHAOS_BMC_H

#include <stdbool.h>

#include "chaos/ground.h"
#include "chaos/process.h"

/* Why this machine cannot have them, or NULL. */
const char *bmc_missing(void);
/* Files in the laboratory's directory, and the simulators of east and west. */
void bmc_start(const struct ground *g, struct process of[2]);
/* From now on the BMC says off of a host that it was told to switch off, and does nothing:
 * it is wired to another one; or it is wired as it should be. */
void bmc_lie(const struct ground *g, enum site s, bool lies);
/* `fencers` of a controller's file; malloc'ed. The fencer of a site is "bmc-SITE". */
char *bmc_fencers(const struct ground *g);

#endif
