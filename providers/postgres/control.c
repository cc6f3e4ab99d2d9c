#include "providers/postgres/control.h"

#include "providers/postgres/child.h"

int pg_control_read(const struct pg *pg, struct mono deadline, struct pg_control *ret,
                    struct err *err)
{
    struct pg_tool tool = {
        .program = "pg_controldata",
        .args = {"-D", pg->spec->data},
        .unmarked = true,
    };
    AUTO(auto_free) char *text = NULL;

    if (pg_run_ok(pg, &tool, deadline, &text, err) != 0)
        return err->code;
    return pg_control_parse(text, ret, err);
}
