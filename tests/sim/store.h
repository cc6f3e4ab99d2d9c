/* tests/sim/store.h -- the disks of the controllers outlive their processes. */
#ifndef RF_SIM_STORE_H
#define RF_SIM_STORE_H

#include <stdint.h>

void store_begin(void);
/* What the disk had is gone; its controller is down. */
void store_lose(uint8_t node);
void store_end(void);

#endif
