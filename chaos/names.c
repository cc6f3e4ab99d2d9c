/* chaos/names.c */
#include "chaos/names.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "chaos/base.h"

static const char resolver_path[] = "/usr/sbin/dnsmasq";

static const char *const hosts[SITE_REGIONS] = {
    [EAST] = "east.lab.test", [WEST] = "west.lab.test", [WITNESS] = "witness.lab.test"};

const char *names_missing(void)
{
    if (access(resolver_path, X_OK) != 0)
        return "names cannot be looked up here: dnsmasq is not installed "
               "(deploy/install-deps does)";
    return NULL;
}

const char *names_host(enum site s, bool by_name)
{
    return by_name ? hosts[s] : site_address(s);
}

static char *record_of(enum site s)
{
    return text_new("--host-record=%s,%s", hosts[s], site_address(s));
}

static void start(const struct ground *g, struct process *resolver)
{
    AUTO(auto_free) char *log = text_new("%s/log/names.log", g->dir);
    AUTO(auto_free) char *at = text_new("--listen-address=%s", site_address(CLIENT));
    AUTO(auto_free) char *east = record_of(EAST);
    AUTO(auto_free) char *west = record_of(WEST);
    AUTO(auto_free) char *witness = record_of(WITNESS);

    /* Nothing of this machine's: no file, no other resolver. Each question is logged. */
    process_start(resolver, g,
                  &(struct program){.site = CLIENT,
                                    .log = log,
                                    .argv = (const char *[]){
                                        resolver_path, "--keep-in-foreground",
                                        "--conf-file=/dev/null", "--no-resolv",
                                        "--no-hosts", "--pid-file", "--user=root",
                                        "--bind-interfaces", "--except-interface=lo", at,
                                        "--local=/lab.test/", "--log-queries",
                                        "--log-facility=-", east, west, witness, NULL}});
}

void names_start(struct ground *g, struct process *resolver)
{
    AUTO(auto_free) char *conf = text_new("%s/resolv.conf", g->dir);
    AUTO(auto_free) char *servers = text_new("nameserver %s\n", site_address(CLIENT));
    AUTO(auto_free) char *order = text_new("%s/nsswitch.conf", g->dir);

    start(g, resolver);
    file_write(conf, 0644, servers);
    file_write(order, 0644,
               "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
               "services: files\nprotocols: files\n");
    g->own_names = true;
}

void names_hang(struct process *resolver) { process_signal(resolver, SIGSTOP); }

void names_refuse(struct process *resolver) { process_signal(resolver, SIGKILL); }

void names_back(const struct ground *g, struct process *resolver)
{
    process_signal(resolver, SIGCONT);
    if (!process_running(resolver))
        start(g, resolver);
}
