/* chaos/disks.c */
#include "chaos/disks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "chaos/base.h"
#include "chaos/process.h"

/* fs/ext4/ext4.h; no header of user space has it. Nothing is written back any more. */
#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
enum { EXT4_GOING_FLAGS_NOLOGFLUSH = 2 };

static const char mkfs[] = "/usr/sbin/mkfs.ext4", mount_program[] = "/usr/bin/mount";

/* As large as what a few scenarios write: a log of SQLite, a cluster and its WAL. */
static const struct {
    const char *name, *at; /* below the region's directory */
    const char *size;
} disks[] = {
    [DISK_SERVER] = {"server", "", "640M"},
    [DISK_CONTROLLER] = {"controller", "/controller", "64M"},
    [DISK_AGENT] = {"agent", "/agent", "16M"},
    [DISK_TAILS] = {"tails", "/tails", "512M"}, /* kept for good, of every scenario */
};

const char *disk_name(enum disk d) { return disks[d].name; }

char *disk_path(const struct ground *g, enum site s, enum disk d)
{
    return text_new("%s/%s%s", g->dir, site_name(s), disks[d].at);
}

static char *image_path(const struct ground *g, enum site s, enum disk d)
{
    return text_new("%s/disk-%s-%s", g->dir, site_name(s), disks[d].name);
}

static char *ballast_path(const struct ground *g, enum site s, enum disk d)
{
    return text_new("%s/%s%s/ballast", g->dir, site_name(s), disks[d].at);
}

const char *disks_missing(void)
{
    if (access(mkfs, X_OK) != 0 || access(mount_program, X_OK) != 0)
        return "disks cannot fail here: mkfs.ext4 or mount is not installed "
               "(deploy/install-deps does)";
    if (access("/dev/loop-control", F_OK) != 0)
        return "disks cannot fail here: this machine has no loop devices";
    return NULL;
}

/* noatime: a hanging disk is to keep writers waiting, and nobody who reads. */
static char *attach(const struct ground *g, enum site s, enum disk d)
{
    AUTO(auto_free) char *image = image_path(g, s, d);
    AUTO(auto_free) char *path = disk_path(g, s, d);
    char *output = NULL;

    if (run_at(g, s, false,
               (const char *[]){mount_program, "-o", "loop,noatime", image, path, NULL},
               &output) == 0) {
        auto_free(&output);
        return NULL;
    }
    return output;
}

void disk_make(const struct ground *g, enum site s, enum disk d)
{
    AUTO(auto_free) char *image = image_path(g, s, d);
    AUTO(auto_free) char *path = disk_path(g, s, d);
    AUTO(auto_free) char *lost = text_new("%s/lost+found", path);
    AUTO(auto_free) char *wrong = NULL;

    run_here((const char *[]){mkfs, "-q", "-F", "-m", "0", "-E",
                              "lazy_itable_init=1,lazy_journal_init=1", image,
                              disks[d].size, NULL});
    wrong = attach(g, s, d);
    if (wrong != NULL)
        die("mount a disk at %s: %s", path, wrong);
    if (rmdir(lost) != 0)
        die("%s: %s", lost, strerror(errno));
}

void disk_settle(const struct ground *g, enum site s)
{
    AUTO(auto_free) char *path = disk_path(g, s, DISK_SERVER);
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd) != 0)
        die("sync %s: %s", path, strerror(errno));
}

static char *failed(const char *what, const char *path)
{
    return text_new("%s %s: %s", what, path, strerror(errno));
}

/* Others write meanwhile: what they give back is taken again. */
char *disk_fill(const struct ground *g, enum site s, enum disk d)
{
    AUTO(auto_free) char *path = ballast_path(g, s, d);
    AUTO(auto_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct statvfs room;
    off_t end = 0;

    if (fd < 0)
        return failed("make", path);
    while (fstatvfs(fd, &room) == 0 && room.f_bavail > 0) {
        off_t piece = (off_t)(room.f_bavail * room.f_frsize);

        /* The tree that describes the file takes a block itself. */
        while (piece > 0 && fallocate(fd, 0, end, piece) != 0)
            piece = errno == ENOSPC ? piece / 2 : 0;
        if (piece == 0)
            break;
        end += piece;
    }
    return end > 0 ? NULL : failed("fill", path);
}

char *disk_clear(const struct ground *g, enum site s, enum disk d)
{
    AUTO(auto_free) char *path = ballast_path(g, s, d);

    return unlink(path) == 0 ? NULL : failed("remove", path);
}

static char *order(const char *path, unsigned long what, const void *with)
{
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && ioctl(fd, what, with) == 0 ? NULL : failed("the disk at", path);
}

char *disk_freeze(const struct ground *g, enum site s, enum disk d, bool frozen)
{
    AUTO(auto_free) char *path = disk_path(g, s, d);

    return order(path, frozen ? FIFREEZE : FITHAW, NULL);
}

char *disk_break(const struct ground *g, enum site s, enum disk d)
{
    static const uint32_t how = EXT4_GOING_FLAGS_NOLOGFLUSH;
    AUTO(auto_free) char *path = disk_path(g, s, d);

    return order(path, EXT4_IOC_SHUTDOWN, &how);
}

char *disk_replace(const struct ground *g, enum site s, enum disk d)
{
    /* The others are mounted within the server's. */
    unsigned end = d == DISK_SERVER ? DISK_COUNT : d + 1;
    char *wrong = NULL;

    for (unsigned i = end; i > (unsigned)d; i--) {
        AUTO(auto_free) char *path = disk_path(g, s, (enum disk)(i - 1));

        /* Not lazily: whoever had it open would go on with another copy of it. */
        if (umount2(path, 0) != 0)
            return failed("unmount", path);
    }
    for (unsigned i = d; i < end && wrong == NULL; i++)
        wrong = attach(g, s, (enum disk)i);
    return wrong;
}

/* The mounts below `dir`, the last that was made first. */
static char *last_mount(const char *dir)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    AUTO(auto_free) char *below = text_new("%s/", dir);
    char *path = NULL;
    const struct mntent *m;

    while (mounts != NULL && (m = getmntent(mounts)) != NULL)
        if (strncmp(m->mnt_dir, below, strlen(below)) == 0) {
            auto_free(&path);
            path = text_new("%s", m->mnt_dir);
        }
    if (mounts != NULL)
        endmntent(mounts);
    return path;
}

void disks_let_go(const char *dir)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    AUTO(auto_free) char *below = text_new("%s/", dir);
    const struct mntent *m;

    while (mounts != NULL && (m = getmntent(mounts)) != NULL)
        if (strncmp(m->mnt_dir, below, strlen(below)) == 0) {
            AUTO(auto_free) char *not_frozen = order(m->mnt_dir, FITHAW, NULL);

            (void)not_frozen; /* most are not */
        }
    if (mounts != NULL)
        endmntent(mounts);
}

void disks_remove(const char *dir)
{
    for (;;) {
        AUTO(auto_free) char *path = last_mount(dir);

        if (path == NULL)
            return;
        if (umount2(path, MNT_DETACH) != 0) {
            fprintf(stderr, "ringfence-lab: unmount %s: %s\n", path, strerror(errno));
            return;
        }
    }
}
