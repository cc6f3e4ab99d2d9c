/* fencing/gate/gate_lock.h -- one writer per gate, for life (I3).
 *
 * A record lock of fcntl(): it ends with the process however that ends, and is not handed
 * to children. flock() would be: providers that outlive a killed agent would keep its
 * successor out. Such a lock is lost when the process closes *any* descriptor of the file,
 * so nobody but this module opens it, and a process opens a gate once.
 *
 * Owner:   close the descriptor to give it up.
 * Errors:  ERR_BUSY with the pid of the holder.
 */
#ifndef RF_FENCING_GATE_LOCK_H
#define RF_FENCING_GATE_LOCK_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

/* Lock run_dir/`name`; waits up to `wait_ms`. */
MUST_USE int gate_lock(int *ret_fd, const char *run_dir, const char *name, uint32_t wait_ms,
                       struct err *err);

#endif
