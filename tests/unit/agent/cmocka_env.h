/* tests/unit/agent/cmocka_env.h -- cmocka needs these before its own header. */
#ifndef RF_TEST_AGENT_CMOCKA_ENV_H
#define RF_TEST_AGENT_CMOCKA_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define EACH(row, table)                                                                   \
    for ((row) = (table); (row) < (table) + sizeof(table) / sizeof *(table); (row)++)

#endif
