#include "tests/unit/base/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    (void)remove(path);
    return 0;
}

void tree_make(char ret_path[TREE_PATH], const char *parent)
{
    int n = snprintf(ret_path, TREE_PATH, "%s/rf-test-XXXXXX", parent);

    assert_in_range(n, 1, TREE_PATH - 1);
    assert_non_null(mkdtemp(ret_path));
}

void tree_copy(const char *from, const char *to)
{
    char command[512];
    int n = snprintf(command, sizeof command, "cp -r --no-preserve=mode %s %s", from, to);

    assert_in_range(n, 1, sizeof command - 1);
    assert_int_equal(tree_remove(to), 0);
    assert_int_equal(system(command), 0);
}

int tree_remove(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return access(path, F_OK) == 0 ? -1 : 0;
}
