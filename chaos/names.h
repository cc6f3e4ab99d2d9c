/* chaos/names.h -- hosts by name, and a resolver that can be taken away.
 *
 * dnsmasq at the clients' site, where no fault of a region reaches it, knows the names of
 * the regions and nothing else. With `lab: {names: true}` the controllers' addresses are
 * names in every file, and each program has a mount namespace in which /etc/resolv.conf and
 * /etc/nsswitch.conf are the laboratory's (ground_move_in()): nothing else knows the names,
 * so whoever finds a controller has asked it. The servers' addresses are numbers anyway:
 * agents take no others.
 *
 * Owner:   names_start() to the end of the laboratory, which ends the resolver.
 * Threads: the main one.
 * Errors:  die().
 */
#ifndef RF_CHAOS_NAMES_H
#define RF_CHAOS_NAMES_H

#include <stdbool.h>

#include "chaos/ground.h"
#include "chaos/process.h"

/* Why this machine cannot have it, or NULL. */
const char *names_missing(void);
/* From now on programs that are started have the laboratory's resolver. */
void names_start(struct ground *g, struct process *resolver);
/* "east.lab.test" with `by_name`, else "10.77.1.2". */
const char *names_host(enum site s, bool by_name);

/* It takes questions and answers none: their packets are as good as dropped. */
void names_hang(struct process *resolver);
/* It is gone: its host refuses the questions. */
void names_refuse(struct process *resolver);
/* It answers, whatever it was before. */
void names_back(const struct ground *g, struct process *resolver);

#endif
