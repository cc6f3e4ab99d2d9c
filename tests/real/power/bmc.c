#include "tests/real/power/bmc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, STEP_MS = 5, PATH = TREE_PATH + 32 };

static const char *in_dir(const struct bmc *m, const char *name)
{
    static char path[PATH];

    snprintf(path, sizeof path, "%s/%s", m->bench.dir, name);
    return path;
}

static FILE *make(const struct bmc *m, const char *name)
{
    FILE *f = fopen(in_dir(m, name), "we");

    assert_non_null(f);
    return f;
}

/* The kernel's choice, free until somebody else is faster than the simulator. */
static uint16_t free_udp_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static bool is_bound(uint16_t port)
{
    char wanted[32], line[256];
    FILE *f = fopen("/proc/net/udp", "re");
    bool found = false;

    assert_non_null(f);
    snprintf(wanted, sizeof wanted, " 0100007F:%04X ", port);
    while (!found && fgets(line, sizeof line, f) != NULL)
        found = strstr(line, wanted) != NULL;
    fclose(f);
    return found;
}

static void write_files(struct bmc *m)
{
    FILE *f = make(m, "lan.conf");

    fprintf(f,
            "name \"victim\"\n"
            "set_working_mc 0x20\n"
            "  startlan 1\n"
            "    addr 127.0.0.1 %u\n"
            "    priv_limit admin\n"
            "    allowed_auths_admin none md2 md5 straight\n"
            "    guid a123456789abcdefa123456789abcdef\n"
            "  endlan\n"
            "  chassis_control \"%s\"\n"
            "  user 1 true \"\" \"test\" user 10 none md2 md5 straight\n"
            "  user 2 true \"admin\" \"opens-it\" admin 10 none md2 md5 straight\n",
            m->port, CHASSIS);
    fclose(f);
    f = make(m, "sim.emu");
    fputs("mc_setbmc 0x20\n"
          "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n"
          "sel_enable 0x20 1000 0x0a\n"
          "mc_enable 0x20\n",
          f);
    fclose(f);
    f = make(m, "victim.pid");
    fprintf(f, "%d\n", m->victim);
    fclose(f);
}

static pid_t fork_victim(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static pid_t fork_sim(const struct bmc *m)
{
    char conf[PATH], emu[PATH], log[PATH];
    pid_t pid;

    snprintf(conf, sizeof conf, "%s", in_dir(m, "lan.conf"));
    snprintf(emu, sizeof emu, "%s", in_dir(m, "sim.emu"));
    snprintf(log, sizeof log, "%s", in_dir(m, "sim.log"));
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int out = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("RF_CHASSIS_DIR", m->bench.dir, 1);
        if (dup2(null, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2)
            execl("/usr/bin/ipmi_sim", "ipmi_sim", "-n", "-c", conf, "-f", emu, "-s",
                  m->bench.dir, NULL);
        _exit(127);
    }
    return pid;
}

void bmc_open(struct bmc *m)
{
    struct bench *b = &m->bench;
    char port[8];

    bench_open(b, "");
    m->victim = fork_victim();
    m->port = free_udp_port();
    write_files(m);
    m->sim = fork_sim(m);
    for (int ms = 0; !is_bound(m->port); ms += STEP_MS) {
        if (ms >= PATIENCE_MS || waitpid(m->sim, NULL, WNOHANG) != 0)
            fail_msg("ipmi_sim does not come up: %s", bench_read(b, "sim.log"));
        (void)poll(NULL, 0, STEP_MS);
    }
    snprintf(port, sizeof port, "%u", m->port);
    b->device.option_count = 0;
    snprintf(b->device.agent, sizeof b->device.agent, "fence_ipmilan");
    bench_option(b, "ip", "127.0.0.1");
    bench_option(b, "ipport", port);
    bench_option(b, "username", "admin");
    bench_option(b, "lanplus", "1");
    bench_option(b, "cipher", "3");
    bench_option(b, "power_wait", "0");
    bench_option(b, "power_timeout", "2");
    bench_secret(b, "password", "opens-it");
}

static void end(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

void bmc_close(struct bmc *m)
{
    end(m->sim);
    end(m->victim);
    bench_close(&m->bench);
}

/* WNOWAIT: a second look sees the same. */
bool bmc_victim_lives(const struct bmc *m)
{
    siginfo_t info = {0};

    assert_int_equal(waitid(P_PID, (id_t)m->victim, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid == 0;
}

static bool calls(const struct bmc *m, const char *pid)
{
    char path[64], words[4096], port[8];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    snprintf(port, sizeof port, "%u", m->port);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, words, sizeof words - 1) : 0;
    auto_close(&fd);
    for (ssize_t i = 0; i < n; i++)
        if (words[i] == '\0')
            words[i] = ' ';
    words[n > 0 ? n : 0] = '\0';
    return strstr(words, "ipmitool") != NULL && strstr(words, port) != NULL;
}

unsigned bmc_callers(const struct bmc *m)
{
    DIR *proc = opendir("/proc");
    const struct dirent *e;
    unsigned count = 0;

    assert_non_null(proc);
    while ((e = readdir(proc)) != NULL)
        count += e->d_name[0] >= '1' && e->d_name[0] <= '9' && calls(m, e->d_name);
    closedir(proc);
    return count;
}
