/* Which orders a standby takes that is to refuse, or refuses, the log of its upstream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fencing/agent/steps_rules.h"

/* I3: by an order that names the fence_begin which the assignment has too. Whatever was
 * begun before it is ended; from then on no older order counts, whoever repeats it. */
static void a_standby_is_severed_for_a_fence(void **state)
{
    Rf__Assignment a = RF__ASSIGNMENT__INIT;
    Rf__StepRequest rq = RF__STEP_REQUEST__INIT;
    struct order_facts f = {.a = &a, .request = &rq, .now = {1000}, .view = {.epoch = 3}};
    const char *why;

    (void)state;
    a.role = RF__ROLE__ROLE_STANDBY;
    a.epoch = 3;
    rq.kind = RF__STEP_KIND__STEP_SEVER;
    rq.step = 50;
    rq.epoch = 3;
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT); /* no fence is known here */
    a.fence_index = 49;
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT);
    a.fence_index = 50;
    assert_int_equal(order_judge(&f, &why), ORDER_RUN);
    f.busy = true;
    f.running = 45;
    f.running_epoch = 3;
    assert_int_equal(order_judge(&f, &why), ORDER_CANCEL);
    f.running_epoch = UINT64_MAX; /* a stop of its own */
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT);
    f.running = 50;
    f.running_epoch = 3;
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT);
    f.busy = false;
    f.last_step = 50;
    assert_int_equal(order_judge(&f, &why), ORDER_RUN); /* looked at again by a new life */
    rq.kind = RF__STEP_KIND__STEP_FOLLOW;
    rq.step = 45;
    assert_int_equal(order_judge(&f, &why), ORDER_DROP);
    a.role = RF__ROLE__ROLE_PRIMARY;
    rq.kind = RF__STEP_KIND__STEP_SEVER;
    rq.step = 50;
    assert_int_equal(order_judge(&f, &why), ORDER_REFUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_standby_is_severed_for_a_fence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
