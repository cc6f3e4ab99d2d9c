/* tests/unit/history/all_orders.h -- is there an order? By trying all of them.
 *
 * Nothing of chaos/linear is used or repeated here: no states are numbered, nothing is left
 * out, nothing is remembered. For a handful of operations of one key.
 */
#ifndef RF_ALL_ORDERS_H
#define RF_ALL_ORDERS_H

#include "chaos/operations.h"

enum { ALL_ORDERS_MAX = 8 };

bool all_orders_find(const struct operations *o);

#endif
