/* chaos/pooler.c */
#include "chaos/pooler.h"

#include <unistd.h>

#include "chaos/base.h"

static const char program[] = "/usr/sbin/pgbouncer";

/* pg_hba.conf lets the server's user in as the superuser of its own name. A client comes by
 * no Unix socket: that of a pooler is as ungated as the server's. A server that could not
 * be logged in to is asked again soon. */
static const char file[] = "[databases]\n"
                           "* = host=%s/%s/pg port=5432 user=postgres dbname=postgres\n"
                           "[pgbouncer]\n"
                           "listen_addr = *\n"
                           "listen_port = %d\n"
                           "unix_socket_dir =\n"
                           "auth_type = any\n"
                           "pool_mode = session\n"
                           "server_login_retry = 1\n";

const char pooler_client_settings[] =
    "hostaddr=127.0.0.1 port=6432 dbname=postgres user=writer "
    "target_session_attrs=read-write connect_timeout=2 tcp_user_timeout=2000 "
    "sslmode=disable gssencmode=disable";

const char *pooler_missing(void)
{
    if (access(program, X_OK) != 0)
        return "there is no pooler here: pgbouncer is not installed (deploy/install-deps "
               "does)";
    return NULL;
}

void pooler_start(const struct ground *g, enum site s, struct process *p)
{
    AUTO(auto_free) char *path = text_new("%s/%s/pgbouncer.ini", g->dir, site_name(s));
    AUTO(auto_free) char *text = text_new(file, g->dir, site_name(s), POOLER_PORT);
    AUTO(auto_free) char *log = text_new("%s/log/pgbouncer-%s.log", g->dir, site_name(s));

    if (process_running(p))
        return;
    file_write(path, 0644, text);
    process_start(
        p, g,
        &(struct program){.site = s,
                          .log = log,
                          .argv = (const char *[]){"/usr/bin/setpriv", "--reuid",
                                                   "postgres", "--regid", "postgres",
                                                   "--clear-groups", program, path, NULL}});
}
