/* chaos/bmc.c */
#include "chaos/bmc.h"

#include <unistd.h>

#include "chaos/base.h"

enum { FIRST_PORT = 6230 };

#define PASSWORD "opens-it"
static const char simulator[] = "/usr/bin/ipmi_sim", agent[] = "/usr/sbin/fence_ipmilan";

/* What ipmi_sim asks and orders: get|set|check PARAMETER [VALUE] ... */
static const char chassis[] =
    "#!/bin/sh\n"
    "region=%s\n"
    "off=${0%%/*}/said-off; lies=${0%%/*}/lies\n"
    "is_on() { [ ! -e $off ] && grep -q 'populated 1' $region/cgroup.events; }\n"
    "switch_off() { if [ -e $lies ]; then : >$off; else echo 1 >$region/cgroup.kill; fi; "
    "}\n"
    "operation=$1; shift\n"
    "while [ $# -gt 0 ]; do\n"
    "  parameter=$1; shift\n"
    "  case \"$operation $parameter\" in\n"
    "  'get power') if is_on; then echo power:1; else echo power:0; fi ;;\n"
    "  'get boot') echo boot:default ;;\n"
    "  'set power') if [ \"$1\" = 0 ]; then switch_off; fi; shift ;;\n"
    "  'set '*) shift ;;\n"
    "  esac\n"
    "done\n";

static const char lan[] =
    "name \"%s\"\n"
    "set_working_mc 0x20\n"
    "  startlan 1\n"
    "    addr %s %u\n"
    "    priv_limit admin\n"
    "    allowed_auths_admin none md2 md5 straight\n"
    "    guid a123456789abcdefa123456789abcdef\n"
    "  endlan\n"
    "  chassis_control \"%s\"\n"
    "  user 1 true \"\" \"test\" user 10 none md2 md5 straight\n"
    "  user 2 true \"admin\" \"" PASSWORD "\" admin 10 none md2 md5 straight\n";

static const char controller[] = "mc_setbmc 0x20\n"
                                 "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n"
                                 "sel_enable 0x20 1000 0x0a\n"
                                 "mc_enable 0x20\n";

const char *bmc_missing(void)
{
    if (access(simulator, X_OK) != 0 || access(agent, X_OK) != 0)
        return "hosts cannot be switched off here: ipmi_sim or fence_ipmilan is not "
               "installed (deploy/install-deps does)";
    return NULL;
}

static void start_one(const struct ground *g, enum site s, struct process *p)
{
    AUTO(auto_free) char *dir = text_new("%s/bmc-%s", g->dir, site_name(s));
    AUTO(auto_free) char *region = text_new("%s/%s", g->cgroup, site_name(s));
    AUTO(auto_free) char *hook = text_new("%s/chassis", dir);
    AUTO(auto_free) char *hook_text = text_new(chassis, region);
    AUTO(auto_free) char *conf = text_new("%s/lan.conf", dir);
    AUTO(auto_free)
    char *conf_text =
        text_new(lan, site_name(s), site_address(CLIENT), FIRST_PORT + (unsigned)s, hook);
    AUTO(auto_free) char *emu = text_new("%s/sim.emu", dir);
    AUTO(auto_free) char *log = text_new("%s/log/bmc-%s.log", g->dir, site_name(s));

    make_dir(dir, 0700, 0, 0);
    file_write(hook, 0700, hook_text);
    file_write(conf, 0600, conf_text);
    file_write(emu, 0600, controller);
    process_start(p, g,
                  &(struct program){.site = CLIENT,
                                    .log = log,
                                    .argv = (const char *[]){simulator, "-n", "-c", conf,
                                                             "-f", emu, "-s", dir, NULL}});
}

void bmc_start(const struct ground *g, struct process of[2])
{
    AUTO(auto_free) char *secret = text_new("%s/bmc-password", g->dir);

    file_write(secret, 0600, PASSWORD "\n");
    for (enum site s = EAST; s <= WEST; s++)
        start_one(g, s, &of[s]);
}

void bmc_lie(const struct ground *g, enum site s, bool lies)
{
    AUTO(auto_free) char *flag = text_new("%s/bmc-%s/lies", g->dir, site_name(s));
    AUTO(auto_free) char *said = text_new("%s/bmc-%s/said-off", g->dir, site_name(s));

    (void)unlink(said);
    if (lies)
        file_write(flag, 0600, "");
    else
        (void)unlink(flag);
}

char *bmc_fencers(const struct ground *g)
{
    static const char one[] =
        "  - name: bmc-%s\n"
        "    agent: fence_ipmilan\n"
        "    options: {ip: %s, ipport: %u, username: admin, lanplus: 1, cipher: 3,"
        " power_wait: 0, power_timeout: 2}\n"
        "    secrets: {password: %s/bmc-password}\n"
        "    deadline: 10s\n";
    AUTO(auto_free)
    char *east = text_new(one, site_name(EAST), site_address(CLIENT),
                          FIRST_PORT + (unsigned)EAST, g->dir);
    AUTO(auto_free)
    char *west = text_new(one, site_name(WEST), site_address(CLIENT),
                          FIRST_PORT + (unsigned)WEST, g->dir);

    return text_new("fencers:\n%s%s", east, west);
}
