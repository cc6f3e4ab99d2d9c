/* Ports beside a server's own, and exceptions, in the log and the state. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

#include "controller/core/entry.h"

static struct world w;

/* The group as it is, to be declared again. */
static struct entry declared(void)
{
    struct entry e = entry_of(ENTRY_DECLARE);

    e.declare.spec = *world_group(&w);
    return e;
}

static void list_port(struct entry *e, uint8_t instance, uint16_t port)
{
    struct instance *i = &e->declare.spec.instances[instance];

    i->also[i->also_count++].port = port;
}

/* In place, while it serves: nothing of the lease or of any proof moves. */
static void they_change_in_place(void **state)
{
    struct entry e;
    struct group before;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    before = *world_group(&w);
    e = declared();
    list_port(&e, EAST, 6432);
    e.declare.spec.exception_count = 1;
    snprintf(e.declare.spec.exceptions[0].address, EXCEPTION_SIZE, "10.0.9.7");
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->instances[EAST].also_count, 1);
    assert_int_equal(world_group(&w)->instances[EAST].also[0].port, 6432);
    assert_string_equal(world_group(&w)->exceptions[0].address, "10.0.9.7");
    assert_int_equal(world_group(&w)->epoch, before.epoch);
    assert_true(world_group(&w)->index > before.index); /* agents are told */
    assert_memory_equal(&world_group(&w)->instances[WEST].proof,
                        &before.instances[WEST].proof, sizeof before.instances[0].proof);

    e = declared();
    e.declare.spec.instances[EAST].also_count = 0;
    e.declare.spec.exception_count = 0;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->instances[EAST].also_count, 0);
    assert_int_equal(world_group(&w)->exception_count, 0);
}

/* Another group, its servers on the same hosts, at 5433. */
static struct entry billing(void)
{
    struct entry e = declared();

    snprintf(e.group, NAME_SIZE, "billing");
    snprintf(e.declare.spec.name, NAME_SIZE, "billing");
    for (unsigned i = 0; i < 2; i++) {
        struct instance *n = &e.declare.spec.instances[i];

        n->port = 5433;
        n->also_count = 0;
        n->system_id = 0;
        snprintf(n->data, PATH_SIZE, "/srv/b");
    }
    return e;
}

/* I1, I3: one gate cannot give a port two leases. */
static void a_port_of_a_host_has_one_group(void **state)
{
    struct entry e;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    e = declared();
    list_port(&e, EAST, 6432);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);

    e = billing();
    list_port(&e, EAST, 6432);
    assert_int_equal(world_apply(&w, &e), REFUSE_OTHER_GROUP);
    assert_non_null(strstr(w.result.text, "names port 6432, which group orders has"));
    e = billing();
    list_port(&e, EAST, 5432); /* its server's own */
    assert_int_equal(world_apply(&w, &e), REFUSE_OTHER_GROUP);
    e = billing();
    e.declare.spec.instances[EAST].port = 6432;
    assert_int_equal(world_apply(&w, &e), REFUSE_OTHER_GROUP);
    e = billing();
    list_port(&e, WEST, 6432); /* of the other host */
    list_port(&e, EAST, 6433);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);

    e = declared(); /* and the first one may not take it now */
    list_port(&e, EAST, 6433);
    assert_int_equal(world_apply(&w, &e), REFUSE_OTHER_GROUP);
}

static void assert_told(const struct group *from, const struct group *to, const char *text)
{
    char told[DECLARE_TEXT_SIZE];

    declare_summary(from, to, told, sizeof told);
    assert_string_equal(told, text);
}

/* In the words of the file, for the audit trail. */
static void the_audit_trail_says_what_changed(void **state)
{
    struct group from, to;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    from = to = *world_group(&w);
    to.instances[EAST].also_count = 2;
    to.instances[EAST].also[0].port = 6432;
    to.instances[EAST].also[1].port = 6433;
    assert_told(&from, &to, "also_ports of pg-east none -> 6432 6433");
    assert_told(&to, &from, "also_ports of pg-east 6432 6433 -> none");
    to = from;
    to.exception_count = 2;
    snprintf(to.exceptions[0].address, EXCEPTION_SIZE, "10.0.9.7");
    snprintf(to.exceptions[1].address, EXCEPTION_SIZE, "::1");
    assert_told(&from, &to, "exception 10.0.9.7 added, exception ::1 added");
    assert_told(&to, &from, "exception 10.0.9.7 removed, exception ::1 removed");
    from = to;
    snprintf(from.exceptions[1].address, EXCEPTION_SIZE, "10.0.9.7");
    snprintf(from.exceptions[0].address, EXCEPTION_SIZE, "::1");
    assert_told(&from, &to, "order of exceptions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_change_in_place),
        cmocka_unit_test(a_port_of_a_host_has_one_group),
        cmocka_unit_test(the_audit_trail_says_what_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
