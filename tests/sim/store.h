/* tests/sim/store.h -- the disks of the controllers outlive their processes. */
#ifndef RF_SIM_STORE_H
#define RF_SIM_STORE_H

void store_begin(void);
void store_end(void);

#endif
