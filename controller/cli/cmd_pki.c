/* The small CA: controller/net/pki.h. */
#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli.h"
#include "controller/net/pki.h"

enum { CA_DAYS = 3650, NODE_DAYS = 825 };

static bool read_days(const struct cli *cli, uint32_t *days)
{
    const char *text = cli_value(cli, "days");
    unsigned long n;
    char *end;

    if (text == NULL)
        return true;
    n = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && n > 0 && n <= PKI_DAYS_MAX) {
        *days = (uint32_t)n;
        return true;
    }
    cli_usage(cli, "--days: expected 1 to %d, found '%s'", PKI_DAYS_MAX, text);
    return false;
}

/* Nothing here asks a controller: what fails was refused, or badly asked for. */
static enum cli_exit failed(const struct cli *cli, const struct err *err)
{
    fprintf(cli->errors, "ringfence: %s\n", err->text);
    return err->code == ERR_INVAL ? CLI_USAGE : CLI_NO;
}

enum cli_exit cli_pki_init(struct cli *cli)
{
    const char *dir = cli_value(cli, "dir"), *cluster = cli_value(cli, "cluster");
    uint32_t days = CA_DAYS;
    struct err err = {0};

    if (dir == NULL || cluster == NULL)
        return cli_usage(cli, "pki init: expected --dir DIR and --cluster NAME");
    if (!read_days(cli, &days))
        return CLI_USAGE;
    if (pki_init(dir, cluster, days, &err) != 0)
        return failed(cli, &err);
    fprintf(cli->out, "%s/ca.crt and %s/ca.key: the CA of cluster %s\n", dir, dir, cluster);
    return CLI_OK;
}

enum cli_exit cli_pki_issue(struct cli *cli)
{
    const char *dir = cli_value(cli, "dir"), *role = cli_operand(cli, 0),
               *name = cli_operand(cli, 1);
    enum identity_role as = IDENTITY_CONTROLLER;
    uint32_t days = NODE_DAYS;
    struct err err = {0};

    if (dir == NULL)
        return cli_usage(cli, "pki issue: expected --dir DIR");
    if (strcmp(role, "agent") == 0)
        as = IDENTITY_AGENT;
    else if (strcmp(role, "controller") != 0)
        return cli_usage(cli, "pki issue: expected controller or agent, found '%s'", role);
    if (!read_days(cli, &days))
        return CLI_USAGE;
    if (pki_issue(dir, as, name, days, &err) != 0)
        return failed(cli, &err);
    fprintf(cli->out, "%s/%s-%s.crt and .key\n", dir, role, name);
    return CLI_OK;
}
