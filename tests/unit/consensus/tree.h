/* tests/unit/consensus/tree.h -- clean up after a test. */
#ifndef RF_TEST_CONSENSUS_TREE_H
#define RF_TEST_CONSENSUS_TREE_H

/* Remove a directory with all that is in it; a path that is not there is fine. */
void tree_remove(const char *path);

#endif
