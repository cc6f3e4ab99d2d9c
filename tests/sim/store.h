/* tests/sim/store.h -- the disks of the controllers outlive their processes. */
#ifndef RF_SIM_STORE_H
#define RF_SIM_STORE_H

#include <stdbool.h>
#include <stdint.h>

void store_begin(void);
/* What the disk had is gone; its controller is down. */
void store_lose(uint8_t node);
void store_end(void);
/* Of any disk: that entry is, or its snapshot's last one was, of that term. */
bool store_has_term(uint64_t index, uint64_t term);

#endif
