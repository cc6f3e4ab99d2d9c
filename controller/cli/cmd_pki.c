/* The small CA: controller/net/pki.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controller/cli/audit_key.h"
#include "controller/cli/cli.h"
#include "controller/cli/table.h"
#include "controller/net/pki.h"

enum { CA_DAYS = 3650, NODE_DAYS = 825, USER_DAYS = 365, DAY_S = 86400, SOON_DAYS = 30 };

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
    fprintf(
        cli->out,
        "%s/ca.crt and %s/ca.key: the CA of cluster %s; %s/crl.pem: nothing is revoked\n",
        dir, dir, cluster, dir);
    return CLI_OK;
}

enum cli_exit cli_pki_issue(struct cli *cli)
{
    const char *dir = cli_value(cli, "dir"), *role = cli_operand(cli, 0),
               *name = cli_operand(cli, 1);
    enum identity_role as;
    uint32_t days;
    struct err err = {0};

    if (dir == NULL)
        return cli_usage(cli, "pki issue: expected --dir DIR");
    if (!identity_role_parse(&as, role))
        return cli_usage(cli, "pki issue: expected controller, agent or user, found '%s'",
                         role);
    days = as == IDENTITY_USER ? USER_DAYS : NODE_DAYS;
    if (!read_days(cli, &days))
        return CLI_USAGE;
    if (pki_issue(dir, as, name, days, &err) != 0 ||
        (as == IDENTITY_CONTROLLER && audit_key_issue(dir, name, &err) != 0))
        return failed(cli, &err);
    fprintf(cli->out, "%s/%s-%s.crt and .key%s\n", dir, role, name,
            as == IDENTITY_CONTROLLER
                ? ", and .audit.key, which signs exports of the audit trail"
                : "");
    return CLI_OK;
}

/* ---- renew ----------------------------------------------------------------------------
 */

static enum cli_exit renew_ca(struct cli *cli, const char *dir)
{
    const bool use = cli_value(cli, "use") != NULL, end = cli_value(cli, "finish") != NULL;
    uint32_t days = CA_DAYS;
    struct err err = {0};
    int status;

    if (use && end)
        return cli_usage(cli, "pki renew ca: --use and --finish are two steps");
    if (!read_days(cli, &days))
        return CLI_USAGE;
    if (use)
        status = pki_ca_use(dir, &err);
    else
        status = end ? pki_ca_finish(dir, &err) : pki_ca_prepare(dir, days, &err);
    if (status != 0)
        return failed(cli, &err);
    if (use)
        fprintf(cli->out,
                "the new CA signs from now on: `ringfence pki renew` each controller and "
                "agent and bring it its files; then `ringfence pki renew ca --finish`\n");
    else if (end)
        fprintf(cli->out,
                "%s/ca.crt has the new CA alone: bring it and %s/crl.pem to every node\n",
                dir, dir);
    else
        fprintf(
            cli->out,
            "%s/ca.crt has both CAs now: bring it and %s/crl.pem to every node, and "
            "see that each has taken it (`ringfence doctor`); then `ringfence pki renew "
            "ca --use`\n",
            dir, dir);
    return CLI_OK;
}

static enum cli_exit renew_crl(struct cli *cli, const char *dir)
{
    uint32_t days = PKI_CRL_DAYS;
    struct err err = {0};

    if (!read_days(cli, &days))
        return CLI_USAGE;
    if (pki_renew_crl(dir, days, &err) != 0)
        return failed(cli, &err);
    fprintf(cli->out, "%s/crl.pem: bring it to every node\n", dir);
    return CLI_OK;
}

static enum cli_exit renew_node(struct cli *cli, const char *dir)
{
    struct pki_renewal what = {.name = cli_operand(cli, 1),
                               .days = NODE_DAYS,
                               .keep_key = cli_value(cli, "keep-key") != NULL};
    const char *role = cli_operand(cli, 0);
    char old[PKI_SERIAL_SIZE];
    struct err err = {0};

    if (!identity_role_parse(&what.role, role))
        return cli_usage(
            cli, "pki renew: expected controller, agent, user, ca or crl, found '%s'",
            role);
    if (what.role == IDENTITY_USER)
        what.days = USER_DAYS;
    if (what.name == NULL)
        return cli_usage(cli, "pki renew %s: expected its name", role);
    if (!read_days(cli, &what.days))
        return CLI_USAGE;
    if (pki_renew(dir, &what, old, &err) != 0)
        return failed(cli, &err);
    if (what.keep_key)
        fprintf(cli->out,
                "%s/%s-%s.crt, for the key that it has: bring it to that node, which takes "
                "it by itself. The one before, serial %s, stays valid until it ends\n",
                dir, role, what.name, old);
    else
        fprintf(cli->out,
                "%s/%s-%s.crt and .key: bring both to that node, which takes them by "
                "itself. The one before, serial %s, stays valid until it ends; if its key "
                "may be known to others, then `ringfence pki revoke --dir %s %s`\n",
                dir, role, what.name, old, dir, old);
    return CLI_OK;
}

enum cli_exit cli_pki_renew(struct cli *cli)
{
    const char *dir = cli_value(cli, "dir"), *what = cli_operand(cli, 0);
    const bool is_ca = strcmp(what, "ca") == 0, is_crl = strcmp(what, "crl") == 0;

    if (dir == NULL)
        return cli_usage(cli, "pki renew: expected --dir DIR");
    if ((is_ca || is_crl) && cli_operand(cli, 1) != NULL)
        return cli_usage(cli, "pki renew %s: nothing is expected behind it", what);
    if (!is_ca && (cli_value(cli, "use") != NULL || cli_value(cli, "finish") != NULL))
        return cli_usage(cli, "pki renew: --use and --finish are of `pki renew ca`");
    if ((is_ca || is_crl) && cli_value(cli, "keep-key") != NULL)
        return cli_usage(cli,
                         "pki renew: --keep-key is of a controller, an agent or a user");
    if (is_ca)
        return renew_ca(cli, dir);
    return is_crl ? renew_crl(cli, dir) : renew_node(cli, dir);
}

enum cli_exit cli_pki_revoke(struct cli *cli)
{
    const char *dir = cli_value(cli, "dir"), *what = cli_operand(cli, 0);
    unsigned n = 0;
    struct err err = {0};

    if (dir == NULL)
        return cli_usage(cli, "pki revoke: expected --dir DIR");
    if (pki_revoke(dir, what, cli_value(cli, "superseded") != NULL, &n, &err) != 0)
        return failed(cli, &err);
    fprintf(cli->out,
            "%u certificate%s of '%s' revoked in %s/crl.pem: bring it to every node, where "
            "`crl` of `tls` names it\n",
            n, n == 1 ? "" : "s", what, dir);
    return CLI_OK;
}

/* ---- show -----------------------------------------------------------------------------
 */

static void day_text(int64_t at_s, char text[16])
{
    const time_t at = (time_t)at_s;
    struct tm tm;

    if (at_s == 0 || gmtime_r(&at, &tm) == NULL || strftime(text, 16, "%Y-%m-%d", &tm) == 0)
        text[0] = '\0';
}

/* Whole days that are left; below 0: it is over. */
static long long days_left(int64_t until_s)
{
    int64_t left = until_s - (int64_t)time(NULL);

    return left >= 0 ? left / DAY_S : -1 - (-left - 1) / DAY_S;
}

static const char *kind_of(const struct pki_entry *e)
{
    if (e->is_ca)
        return "ca";
    return e->has_identity ? identity_role_name(e->id.role) : "other";
}

/* What to know first of it. */
static const char *state_of(const struct pki_entry *e)
{
    const long long left = days_left(e->until_s);

    if (e->revoked_s != 0)
        return "revoked";
    if (left < 0)
        return "EXPIRED";
    if (e->from_s > (int64_t)time(NULL))
        return "not yet valid";
    if (left < SOON_DAYS && (e->newest || e->is_ca))
        return "ENDS SOON";
    if (e->is_ca)
        return e->signs ? "signs" : "trusted";
    return e->newest ? "in use" : "superseded";
}

static json_t *entry_json(const struct pki_entry *e)
{
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "kind", kind_of(e),
        "cluster", e->id.cluster, "name", e->id.name, "serial", e->serial, "state",
        state_of(e), "subject", e->subject, "issuer", e->issuer, "not_before_s",
        (json_int_t)e->from_s, "not_after_s", (json_int_t)e->until_s, "days_left",
        (json_int_t)days_left(e->until_s), "revoked", (int)(e->revoked_s != 0));

    if (out != NULL && e->revoked_s != 0)
        (void)json_object_set_new(out, "revoked_s", json_integer((json_int_t)e->revoked_s));
    return out;
}

static json_t *crl_json(const struct pki_crl *c)
{
    if (!c->there)
        return json_null();
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "issuer", c->issuer, "number",
                     (json_int_t)c->number, "revoked", (json_int_t)c->revoked,
                     "this_update_s", (json_int_t)c->from_s, "next_update_s",
                     (json_int_t)c->next_s, "expired",
                     (int)(c->next_s != 0 && days_left(c->next_s) < 0));
}

static void show_crl(const struct pki_crl *c, FILE *out)
{
    char next[16];

    if (!c->there) {
        fprintf(out, "no list of what is revoked: `ringfence pki renew crl` makes it\n");
        return;
    }
    day_text(c->next_s, next);
    fprintf(
        out, "revocation list %" PRIu64 " of %s: %u revoked; to be signed anew %s%s%s\n",
        c->number, c->issuer, c->revoked, next[0] != '\0' ? "by " : "whenever wanted", next,
        c->next_s != 0 && days_left(c->next_s) < 0
            ? ", which is OVER: `ringfence pki renew crl`"
            : "");
}

static void show_entries(const struct pki_entry *list, size_t n, FILE *out)
{
    static const char *const titles[] = {"KIND",  "NAME", "SERIAL", "FROM",
                                         "UNTIL", "DAYS", "STATE",  NULL};
    AUTO(table_free) struct table *t = NULL;

    /* A table has room for so many, one of them the titles; a CA may have issued more. */
    for (size_t i = 0; i < n; i++) {
        const struct pki_entry *e = &list[i];
        char from[16], until[16], days[24];
        const char *cells[] = {
            kind_of(e), e->is_ca || !e->has_identity ? e->subject : e->id.name,
            e->serial,  from,
            until,      days,
            state_of(e)};

        if (t == NULL && (t = table_new(titles)) == NULL)
            return;
        day_text(e->from_s, from);
        day_text(e->until_s, until);
        (void)snprintf(days, sizeof days, "%lld", days_left(e->until_s));
        table_add(t, cells);
        if ((i + 1) % (TABLE_ROWS - 1) == 0 || i + 1 == n) {
            table_print(t, "", out);
            table_free(&t);
            t = NULL;
        }
    }
}

static enum cli_exit show_file(struct cli *cli, const char *path)
{
    struct pki_entry e = {0};
    struct pki_crl crl = {0};
    bool is_cert = false;
    struct err err = {0};

    if (pki_look(path, &e, &crl, &is_cert, &err) != 0)
        return failed(cli, &err);
    e.newest = true; /* as far as the file knows */
    if (cli->json) {
        json_t *out = is_cert ? entry_json(&e) : crl_json(&crl);

        cli_print_json(cli, out);
        json_decref(out);
    } else if (is_cert) {
        show_entries(&e, 1, cli->out);
    } else {
        show_crl(&crl, cli->out);
    }
    return CLI_OK;
}

enum cli_exit cli_pki_show(struct cli *cli)
{
    const char *dir = cli_value(cli, "dir"), *file = cli_operand(cli, 0);
    AUTO(auto_free) struct pki_entry *list = NULL;
    struct pki_crl crl = {0};
    size_t n = 0;
    struct err err = {0};
    json_t *all;

    if ((dir == NULL) == (file == NULL))
        return cli_usage(cli, "pki show: expected --dir DIR, or a FILE");
    if (file != NULL)
        return show_file(cli, file);
    if (pki_list(dir, &list, &n, &crl, &err) != 0)
        return failed(cli, &err);
    if (!cli->json) {
        show_entries(list, n, cli->out);
        show_crl(&crl, cli->out);
        return CLI_OK;
    }
    all = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(all, entry_json(&list[i]));
    all = json_pack("{s:o, s:o}", "certificates", all, "crl", crl_json(&crl));
    cli_print_json(cli, all);
    json_decref(all);
    return CLI_OK;
}
