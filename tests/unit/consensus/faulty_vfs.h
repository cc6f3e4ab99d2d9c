/* tests/unit/consensus/faulty_vfs.h -- an SQLite VFS over the default one that fails.
 *
 * Writes, truncations and syncs are the steps; the chosen step does not happen, and then:
 */
#ifndef RF_TEST_CONSENSUS_FAULTY_VFS_H
#define RF_TEST_CONSENSUS_FAULTY_VFS_H

enum faulty_mode {
    FAULTY_NONE,
    FAULTY_IO,    /* that step and every later one: EIO */
    FAULTY_FULL,  /* no room: every write fails, syncs work */
    FAULTY_KILL,  /* the process dies; what was written stays */
    FAULTY_POWER, /* everything that was not synced is undone, then the process dies */
    FAULTY_STALL  /* the step does not come back */
};

#define FAULTY_NAME "faulty"

/* Register once; then set before each use. `step` counts from 1. */
void faulty_register(void);
void faulty_set(enum faulty_mode mode, unsigned step);
/* Every file is again what the disk has of it. As Linux does, a sync that failed leaves the
 * bytes readable, and later syncs do not bring them to the disk: only writing them again
 * does. Known from the first faulty_set() with another mode than FAULTY_NONE on. */
void faulty_power_cut(void);
/* Steps since faulty_set(). */
unsigned faulty_steps(void);

#endif
