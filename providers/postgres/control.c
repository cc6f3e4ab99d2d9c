#include "providers/postgres/control.h"

#include <stdlib.h>
#include <string.h>

#include "providers/postgres/child.h"
#include "providers/postgres/files.h"

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

/* "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)" */
static int ask_bin_major(struct pg *pg, struct mono deadline, struct err *err)
{
    struct pg_tool tool = {
        .program = "postgres",
        .args = {"--version"},
        .unmarked = true,
    };
    AUTO(auto_free) char *text = NULL;
    const char *number;

    if (pg_run_ok(pg, &tool, deadline, &text, err) != 0)
        return err->code;
    number = strstr(text, "(PostgreSQL) ");
    if (number != NULL)
        pg->bin_major = (unsigned)strtoul(number + strlen("(PostgreSQL) "), NULL, 10);
    return 0;
}

void pg_version_learn(struct pg *pg, struct mono deadline)
{
    struct err err;

    if (pg->bin_major == 0 && ask_bin_major(pg, deadline, &err) != 0)
        return; /* asked again when it matters */
}

int pg_version_fits(struct pg *pg, struct mono deadline, struct err *err)
{
    AUTO(auto_free) char *path = pg_path(pg, "PG_VERSION");
    AUTO(auto_free) char *text = NULL;
    unsigned data;

    if (path == NULL)
        return err_set(err, ERR_NOMEM, "path");
    if (pg_file_read(path, 64, &text, err) != 0)
        return err->code;
    if (pg->bin_major == 0 && ask_bin_major(pg, deadline, err) != 0)
        return err->code;
    data = (unsigned)strtoul(text, NULL, 10);
    if (data == pg->bin_major)
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "%s is of PostgreSQL %u, bin_dir %s of %u: correct postgres.bin_dir in "
                   "agent.yaml",
                   pg->spec->data, data, pg->spec->bin_dir, pg->bin_major);
}
