/* tests/unit/base/tree.h -- a directory for a test, and away with it again.
 *
 * Owner:  the caller removes what it has made.
 * Errors: tree_make() and tree_copy() fail the test; tree_remove() says it, for a teardown.
 */
#ifndef RF_TEST_TREE_H
#define RF_TEST_TREE_H

enum { TREE_PATH = 64 };

/* A new directory below `parent`, of which nobody else knows. */
void tree_make(char ret_path[TREE_PATH], const char *parent);
/* What is in `from`, at `to`, and nothing else: what was there before is removed. */
void tree_copy(const char *from, const char *to);
/* Remove a directory with all that is in it; a path that is not there is fine.
 *   -1  something of it is still there */
int tree_remove(const char *path);

#endif
