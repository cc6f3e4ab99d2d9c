/* chaos/ground.c -- making it, and the faults of the network. */
#include "chaos/ground.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos/base.h"
#include "chaos/cgroup.h"
#include "chaos/process.h"
#include "chaos/tap.h"

enum { MAC_TEXT = 18 };

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
    static const char *const tools[] = {"/usr/sbin/ip", "/usr/bin/setpriv"};

    if (geteuid() != 0)
        return "it makes network namespaces and cgroups: run it as root";
    if (cgroup_mount() == NULL)
        return "no cgroup v2 hierarchy is mounted (try: mount -t cgroup2 none /mnt)";
    if (access("/proc/self/ns/net", F_OK) != 0 || access("/proc/self/ns/ipc", F_OK) != 0)
        return "this kernel has no network or IPC namespaces";
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (access(tools[i], X_OK) != 0)
            return "ip or setpriv is missing: run deploy/install-deps";
    return tap_missing();
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

static void say_mac(enum site s, char text[MAC_TEXT])
{
    unsigned char mac[WAN_MAC_SIZE];

    wan_mac(s, mac);
    snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
             mac[3], mac[4], mac[5]);
}

/* Who is where is written down in each site: nobody has to ask, and no answer can be lost.
 */
static char *neighbours_of(enum site s)
{
    char *text = text_new("%s", "");

    for (enum site other = EAST; other < SITE_COUNT; other++) {
        AUTO(auto_free) char *before = text;
        char mac[MAC_TEXT];

        say_mac(other, mac);
        text = other == s ? text_new("%s", before)
                          : text_new("%sneigh add %s lladdr %s dev eth0 nud permanent\n",
                                     before, site_address(other), mac);
    }
    return text;
}

/* Its end of the network has an address; without IPv6 nothing but what we send passes. */
static void plug_in(const struct ground *g, enum site s)
{
    AUTO(auto_free) char *network = text_new("rf-%s-%s", g->id, site_name(s));
    AUTO(auto_free) char *path = text_new("%s/%s.links", g->dir, site_name(s));
    AUTO(auto_free) char *neighbours = neighbours_of(s);
    AUTO(auto_free) char *text = NULL;
    char mac[MAC_TEXT];

    say_mac(s, mac);
    text = text_new("link set dev eth0 address %s mtu %d txqueuelen %d addrgenmode none\n"
                    "addr add %s/16 dev eth0\n"
                    "link set dev eth0 up\n"
                    "%s",
                    mac, WAN_MTU, WAN_DEVICE_QUEUE, site_address(s), neighbours);
    file_write(path, 0644, text);
    run_here((const char *[]){"/usr/sbin/ip", "-n", network, "-batch", path, NULL});
}

static void connect_sites(struct ground *g, uint64_t seed)
{
    AUTO(auto_free) char *cgroup = text_new("%s/wan", g->cgroup);
    AUTO(auto_free) char *log = text_new("%s/log/wan.log", g->dir);
    struct wan_plan plan = {
        .sites = SITE_COUNT, .seed = seed, .cgroup = cgroup, .log = log};

    make_dir(cgroup, 0755, 0, 0);
    for (enum site s = EAST; s < SITE_COUNT; s++)
        plan.networks[s] = g->network[s];
    wan_start(&g->wan, &plan);
}

void ground_make(struct ground *g, const char *id, uint64_t seed)
{
    AUTO(auto_free) char *logs = text_new("/var/tmp/ringfence-lab/%s/log", id);

    *g = (struct ground){0};
    snprintf(g->id, sizeof g->id, "%s", id);
    snprintf(g->dir, sizeof g->dir, "/var/tmp/ringfence-lab/%s", id);
    snprintf(g->cgroup, sizeof g->cgroup, "%s/ringfence-lab-%s", cgroup_mount(), id);
    make_dir("/var/tmp/ringfence-lab", 0755, 0, 0);
    make_dir(g->dir, 0755, 0, 0);
    make_dir(logs, 0755, 0, 0);
    make_dir(g->cgroup, 0755, 0, 0);
    for (enum site s = EAST; s < SITE_COUNT; s++) {
        AUTO(auto_free) char *cgroup = text_new("%s/%s", g->cgroup, site_name(s));

        make_dir(cgroup, 0755, 0, 0);
        g->network[s] = add_network(g, site_name(s));
        g->ipc[s] = new_ipc_namespace();
    }
    connect_sites(g, seed);
    for (enum site s = EAST; s < SITE_COUNT; s++)
        plug_in(g, s);
}

void ground_keep_network(const struct ground *g) { wan_outlive(&g->wan); }

void ground_enter(const struct ground *g, enum site s)
{
    if (setns(g->network[s], CLONE_NEWNET) != 0)
        die("enter the network of %s: %s", site_name(s), strerror(errno));
}

/* In a mount namespace of its own, which follows what is mounted outside. */
static bool lay_over(const struct ground *g, const char *file)
{
    char from[96], to[64];

    snprintf(from, sizeof from, "%s/%s", g->dir, file);
    snprintf(to, sizeof to, "/etc/%s", file);
    return mount(from, to, NULL, MS_BIND, NULL) == 0;
}

static bool take_names(const struct ground *g)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 &&
           lay_over(g, "resolv.conf") && lay_over(g, "nsswitch.conf");
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
           setns(g->ipc[s], CLONE_NEWIPC) == 0 && (!g->own_names || take_names(g));
}

void ground_kill_site(const struct ground *g, enum site s)
{
    AUTO(auto_free) char *path = text_new("%s/%s", g->cgroup, site_name(s));

    cgroup_kill(path);
}

void ground_spread(const struct ground *g, unsigned rtt_ms)
{
    struct wan_link far = {.delay_us = rtt_ms * 1000 / 2};
    struct wan_change changes[SITE_REGIONS * SITE_REGIONS];
    unsigned n = 0;

    for (enum site a = EAST; a < SITE_REGIONS; a++)
        for (enum site b = EAST; b < SITE_REGIONS; b++)
            if (a != b)
                changes[n++] = (struct wan_change){(uint8_t)a, (uint8_t)b, far};
    wan_set_base(&g->wan, changes, n);
}

void ground_link(const struct ground *g, enum site from, enum site to,
                 const struct wan_link *rules)
{
    wan_set(&g->wan, &(struct wan_change){(uint8_t)from, (uint8_t)to, *rules}, 1);
}

void ground_cut(const struct ground *g, enum site a, enum site b)
{
    struct wan_link cut = {.cut = true};
    /* Both directions end at one instant. */
    struct wan_change changes[] = {{(uint8_t)a, (uint8_t)b, cut},
                                   {(uint8_t)b, (uint8_t)a, cut}};

    wan_set(&g->wan, changes, ARRAY_LEN(changes));
}

void ground_heal(const struct ground *g) { wan_heal(&g->wan); }

struct wan_count ground_count(const struct ground *g, enum site from, enum site to)
{
    return wan_count(&g->wan, from, to);
}
