/* Places for requests that wait for the leader's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#include "controller/daemon/peers_private.h"

static struct passed places[PEERS_API_MAX];

static unsigned take_all(bool unknown)
{
    struct passed *q;
    unsigned n = 0;

    while ((q = peer_api_place(places, unknown)) != NULL) {
        assert_int_equal(q->id, 0);
        q->id = ++n;
        q->unknown = unknown;
    }
    return n;
}

/* However many come whom nobody knows: those who are known have the other places. */
static void the_unknown_keep_nobody_out(void **state)
{
    (void)state;
    memset(places, 0, sizeof places);
    assert_int_equal(take_all(true), PEERS_UNKNOWN_MAX);
    assert_int_equal(take_all(false), PEERS_API_MAX - PEERS_UNKNOWN_MAX);
    assert_null(peer_api_place(places, true));
    for (unsigned i = 0; i < PEERS_API_MAX; i++)
        if (places[i].unknown) {
            places[i] = (struct passed){0};
            break;
        }
    assert_non_null(peer_api_place(places, true));
}

static void where_all_is_taken_nobody_has_a_place(void **state)
{
    (void)state;
    memset(places, 0, sizeof places);
    assert_int_equal(take_all(false), PEERS_API_MAX);
    assert_int_equal(take_all(true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_unknown_keep_nobody_out),
        cmocka_unit_test(where_all_is_taken_nobody_has_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
