#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "providers/postgres/files.h"
#include "providers/postgres/process.h"

/* Where cgroup v2 is mounted: a line "... - cgroup2 cgroup2 ..." of mountinfo, field 5. */
static bool find_mount(char *path, size_t size)
{
    AUTO(auto_free) char *text = NULL;
    char *save = NULL;

    if (pg_file_read("/proc/self/mountinfo", 1 << 20, &text, NULL) != 0)
        return false;
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char root[256], mount[256];

        if (strstr(line, " - cgroup2 ") == NULL ||
            sscanf(line, "%*d %*d %*s %255s %255s", root, mount) != 2 ||
            strcmp(root, "/") != 0)
            continue;
        return (size_t)snprintf(path, size, "%s", mount) < size;
    }
    return false;
}

/* Our own place in it: the line "0::/path" of /proc/self/cgroup. */
static bool find_own(char *path, size_t size)
{
    AUTO(auto_free) char *text = NULL;
    const char *at;
    size_t len;

    if (pg_file_read("/proc/self/cgroup", 1 << 16, &text, NULL) != 0)
        return false;
    at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (at == NULL)
        return false;
    at = strchr(at, '/');
    if (at == NULL || strncmp(at, "/..", 3) == 0)
        return false; /* outside of what this namespace shows */
    len = strcspn(at, "\n");
    if (len >= size)
        return false;
    memcpy(path, at, len);
    path[len] = '\0';
    return true;
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u;

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* ".../ringfence-GROUP-COMPONENT-INSTANCE-HASH", whatever characters the names have. The
 * hash is of the data directory: whatever is in this cgroup may be killed, and two agents
 * below one parent may use the same names. */
static bool cgroup_path(const struct pg *pg, char *path, size_t size)
{
    char mount[256], own[512];
    char name[256];
    int n;

    if (!find_mount(mount, sizeof mount) || !find_own(own, sizeof own))
        return false;
    n = snprintf(name, sizeof name, "ringfence-%s-%s-%s-%016" PRIx64, pg->spec->group,
                 pg->spec->component, pg->spec->instance, hash_of(pg->spec->data));
    if (n < 0 || (size_t)n >= sizeof name)
        return false;
    for (char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            *c = '_';
    n = snprintf(path, size, "%s%s/%s", mount, strcmp(own, "/") == 0 ? "" : own, name);
    return n > 0 && (size_t)n < size;
}

bool pg_cgroup(const struct pg *pg, char *path, size_t size)
{
    return cgroup_path(pg, path, size) && access(path, W_OK) == 0;
}

bool pg_cgroup_make(const struct pg *pg, char *path, size_t size)
{
    if (!cgroup_path(pg, path, size))
        return false;
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

void pg_cgroup_remove(const struct pg *pg)
{
    char path[512];

    if (cgroup_path(pg, path, sizeof path))
        (void)rmdir(path);
}

bool pg_cgroup_let_go(const struct pg *pg)
{
    char path[512];

    return !cgroup_path(pg, path, sizeof path) || rmdir(path) == 0 || errno != EBUSY;
}
