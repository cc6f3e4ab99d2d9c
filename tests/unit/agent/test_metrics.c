/* What an agent's /metrics say of its groups: a sample for each, and what it counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/buf.h"
#include "fencing/agent/endpoints.h"

enum { ORDERS = 0, CARTS = 2, NEW = 5 };

static Rf__Observation seen = RF__OBSERVATION__INIT;
static char problem[KEEPER_PROBLEM_SIZE]; /* of orders */

/* Instead of the agent's own: three groups in slots that are not next to each other. The
 * newest has not been looked at yet. */
bool steps_view(struct steps *st, uint8_t slot, struct steps_view *ret)
{
    (void)st;
    *ret = (struct steps_view){.seen = slot == NEW ? NULL : &seen};
    if (slot == ORDERS)
        memcpy(ret->problem, problem, sizeof problem);
    (void)snprintf(ret->group, sizeof ret->group, "%s",
                   slot == ORDERS  ? "orders"
                   : slot == CARTS ? "carts"
                                   : "new");
    return slot == ORDERS || slot == CARTS || slot == NEW;
}

void board_view(struct board *b, uint8_t slot, struct keeper_view *ret)
{
    (void)b;
    (void)slot;
    *ret = (struct keeper_view){0};
}

void board_health(struct board *b, struct board_health *ret)
{
    (void)b;
    *ret = (struct board_health){0};
}

static void assert_page(const char *const *lines, size_t n)
{
    static const struct agent_settings settings = {.name = "pg-east", .region = "east"};
    const struct endpoints_parts parts = {.settings = &settings};
    AUTO(buf_free) struct buf page = {0};
    struct err err;

    assert_int_equal(metrics_write(&page, &parts, &err), 0);
    assert_int_equal(buf_append(&page, (const uint8_t *)"", 1, &err), 0);
    for (size_t i = 0; i < n; i++)
        if (strstr((const char *)page.data, lines[i]) == NULL)
            fail_msg("%s is not in\n%s", lines[i], (const char *)page.data);
}

/* A problem is the group's own, and goes when it is mended. */
static void a_problem_is_a_sample_of_its_group(void **state)
{
    static const char *const with[] = {
        "# TYPE ringfence_agent_instance_problem gauge\n",
        "\nringfence_agent_instance_problem{group=\"orders\"} 1\n",
        "\nringfence_agent_instance_problem{group=\"carts\"} 0\n",
        "\nringfence_agent_instance_problem{group=\"new\"} 0\n",
    };
    static const char *const without[] = {
        "\nringfence_agent_instance_problem{group=\"orders\"} 0\n",
    };

    (void)state;
    (void)snprintf(problem, sizeof problem, "28P01: password authentication failed");
    assert_page(with, ARRAY_LEN(with));
    problem[0] = '\0';
    assert_page(without, ARRAY_LEN(without));
}

/* As many as the server counts; none of a server that nobody has looked at yet. */
static void checksum_failures_are_counted(void **state)
{
    static const char *const none[] = {
        "# TYPE ringfence_agent_server_checksum_failures_total counter\n",
        "\nringfence_agent_server_checksum_failures_total{group=\"orders\"} 0\n",
    };
    static const char *const some[] = {
        "\nringfence_agent_server_checksum_failures_total{group=\"orders\"} 7\n",
        "\nringfence_agent_server_checksum_failures_total{group=\"carts\"} 7\n",
        "\nringfence_agent_server_checksum_failures_total{group=\"new\"} 0\n",
    };

    (void)state;
    assert_page(none, ARRAY_LEN(none));
    seen.checksum_failures = 7;
    assert_page(some, ARRAY_LEN(some));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_is_a_sample_of_its_group),
        cmocka_unit_test(checksum_failures_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
