/* `ringfence login`: how the controllers are reached, and as whom, under a name. */
#include "controller/cli/cli.h"
#include "controller/cli/show.h"

enum cli_exit cli_login(struct cli *cli)
{
    const char *profile = cli->profile;
    char path[PATH_MAX], name[SHOW_TEXT_SIZE], version[SHOW_TEXT_SIZE];
    enum cli_exit result;
    json_t *there = NULL;
    struct err err = {0};

    if (profile == NULL || cli->http.remote == NULL)
        return cli_usage(cli, "login: expected --profile NAME, --url, --ca, --cert and "
                              "--key");
    /* What does not work now is not kept for a night in which it has to. */
    result = cli_ask(cli, "GET", "/api/v1/version", NULL, &there);
    if (result != CLI_OK)
        return result;
    if (remote_save(cli->http.remote, profile, path, &err) != 0) {
        json_decref(there);
        return cli_fail(cli, &err);
    }
    fprintf(cli->out, "controller %s answers (version %s); %s: profile %s\n",
            show_member(there, "name", name), show_member(there, "version", version), path,
            profile);
    json_decref(there);
    return CLI_OK;
}
