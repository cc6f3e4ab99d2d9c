/* chaos/ground.c -- making it, and the faults of the network. */
#include "chaos/ground.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos/base.h"
#include "chaos/cgroup.h"
#include "chaos/process.h"

static const struct {
    const char *name, *address;
} sites[SITE_COUNT] = {
    [EAST] = {"east", "10.77.1.2"},
    [WEST] = {"west", "10.77.2.2"},
    [WITNESS] = {"witness", "10.77.3.2"},
    [CLIENT] = {"client", "10.77.4.2"},
};

const char *site_name(enum site s) { return sites[s].name; }

const char *site_address(enum site s) { return sites[s].address; }

const char *ground_missing(void)
{
    static const char *const tools[] = {"/usr/sbin/ip", "/usr/sbin/nft",
                                        "/usr/bin/setpriv"};

    if (geteuid() != 0)
        return "it makes network namespaces and cgroups: run it as root";
    if (cgroup_mount() == NULL)
        return "no cgroup v2 hierarchy is mounted (try: mount -t cgroup2 none /mnt)";
    if (access("/proc/self/ns/net", F_OK) != 0 || access("/proc/self/ns/ipc", F_OK) != 0)
        return "this kernel has no network or IPC namespaces";
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (access(tools[i], X_OK) != 0)
            return "ip, nft or setpriv is missing: run deploy/install-deps";
    return NULL;
}

static int open_namespace(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        die("namespace %s: %s", path, strerror(errno));
    return fd;
}

/* An IPC namespace lives as long as somebody holds it: we do, after its maker is gone. */
static int new_ipc_namespace(void)
{
    int ready[2], fd;
    char byte = 0, path[64];
    pid_t child;

    if (pipe2(ready, O_CLOEXEC) != 0)
        die("pipe: %s", strerror(errno));
    child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (child == 0) {
        byte = unshare(CLONE_NEWIPC) == 0 ? 1 : 0;
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    if (read(ready[0], &byte, 1) != 1 || byte == 0)
        die("cannot make an IPC namespace");
    snprintf(path, sizeof path, "/proc/%d/ns/ipc", (int)child);
    fd = open_namespace(path);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    return fd;
}

static int add_network(const struct ground *g, const char *site)
{
    AUTO(auto_free) char *name = text_new("rf-%s-%s", g->id, site);
    AUTO(auto_free) char *path = text_new("/run/netns/%s", name);

    run_here((const char *[]){"/usr/sbin/ip", "netns", "add", name, NULL});
    run_here((const char *[]){"/usr/sbin/ip", "-n", name, "link", "set", "lo", "up", NULL});
    return open_namespace(path);
}

static void plug_in(const struct ground *g, enum site s)
{
    AUTO(auto_free) char *bridge = text_new("rf-%s-bridge", g->id);
    AUTO(auto_free) char *site = text_new("rf-%s-%s", g->id, site_name(s));
    AUTO(auto_free) char *address = text_new("%s/16", site_address(s));
    const char *port = site_name(s), *ip = "/usr/sbin/ip";

    run_here((const char *[]){ip, "-n", bridge, "link", "add", port, "type", "veth", "peer",
                              "name", "eth0", "netns", site, NULL});
    run_here((const char *[]){ip, "-n", bridge, "link", "set", port, "master", "br0", "up",
                              NULL});
    run_here((const char *[]){ip, "-n", site, "addr", "add", address, "dev", "eth0", NULL});
    run_here((const char *[]){ip, "-n", site, "link", "set", "eth0", "up", NULL});
}

static void make_bridge(struct ground *g)
{
    AUTO(auto_free) char *bridge = text_new("rf-%s-bridge", g->id);
    static const char cuts[] = "add table bridge lab; add chain bridge lab cuts "
                               "{ type filter hook forward priority 0; policy accept; }";
    const char *ip = "/usr/sbin/ip";

    g->network[SITE_COUNT] = add_network(g, "bridge");
    run_here(
        (const char *[]){ip, "-n", bridge, "link", "add", "br0", "type", "bridge", NULL});
    run_here((const char *[]){ip, "-n", bridge, "link", "set", "br0", "up", NULL});
    run_here((const char *[]){ip, "netns", "exec", bridge, "/usr/sbin/nft", cuts, NULL});
}

void ground_make(struct ground *g, const char *id)
{
    *g = (struct ground){0};
    snprintf(g->id, sizeof g->id, "%s", id);
    snprintf(g->dir, sizeof g->dir, "/var/tmp/ringfence-lab/%s", id);
    snprintf(g->cgroup, sizeof g->cgroup, "%s/ringfence-lab-%s", cgroup_mount(), id);
    make_dir("/var/tmp/ringfence-lab", 0755, 0, 0);
    make_dir(g->dir, 0755, 0, 0);
    make_dir(g->cgroup, 0755, 0, 0);
    make_bridge(g);
    for (enum site s = EAST; s < SITE_COUNT; s++) {
        AUTO(auto_free) char *cgroup = text_new("%s/%s", g->cgroup, site_name(s));

        make_dir(cgroup, 0755, 0, 0);
        g->network[s] = add_network(g, site_name(s));
        g->ipc[s] = new_ipc_namespace();
        plug_in(g, s);
    }
}

void ground_enter(const struct ground *g, enum site s)
{
    if (setns(g->network[s], CLONE_NEWNET) != 0)
        die("enter the network of %s: %s", site_name(s), strerror(errno));
}

bool ground_move_in(const struct ground *g, enum site s)
{
    char path[192];
    int fd;
    bool moved;

    snprintf(path, sizeof path, "%s/%s/cgroup.procs", g->cgroup, site_name(s));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    moved = write(fd, "0", 1) == 1;
    close(fd);
    return moved && setns(g->network[s], CLONE_NEWNET) == 0 &&
           setns(g->ipc[s], CLONE_NEWIPC) == 0;
}

void ground_kill_site(const struct ground *g, enum site s)
{
    AUTO(auto_free) char *path = text_new("%s/%s", g->cgroup, site_name(s));

    cgroup_kill(path);
}

static void nft(const struct ground *g, const char *command)
{
    AUTO(auto_free) char *bridge = text_new("rf-%s-bridge", g->id);

    run_here((const char *[]){"/usr/sbin/ip", "netns", "exec", bridge, "/usr/sbin/nft",
                              command, NULL});
}

void ground_cut(const struct ground *g, enum site a, enum site b)
{
    const char *x = site_address(a), *y = site_address(b);
    /* One transaction: both directions end at one instant. */
    AUTO(auto_free)
    char *command = text_new("add rule bridge lab cuts ip saddr %s ip daddr %s drop; "
                             "add rule bridge lab cuts ip saddr %s ip daddr %s drop",
                             x, y, y, x);

    nft(g, command);
}

void ground_heal(const struct ground *g) { nft(g, "flush chain bridge lab cuts"); }
