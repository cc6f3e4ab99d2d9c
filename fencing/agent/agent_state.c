#include "fencing/agent/agent_state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_name[] = "agent.state", lock_name[] = "lock";

enum { VERSION = 2, VERSION_PLAIN = 1, HEX_SIZE = 2 * INCARNATION_BYTES + 1 };

/* ---- text -----------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(const char *text, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * n] == 0;
}

static void hex(const uint8_t *data, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", data[i]);
}

/* An earlier version can go on with what it understands: without ports beside a server's
 * own nothing is written that it does not know. */
static int version_of(const struct epoch_table *t)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->of[i].also.count > 0)
            return VERSION;
    return VERSION_PLAIN;
}

static int format_group(const struct epoch_record *r, struct buf *out, struct err *err)
{
    int status = durable_printf(out, err, "group %s %" PRIu64 " %" PRIu64 " %u %d",
                                r->group, r->highest, r->fenced, r->port, r->tried ? 1 : 0);

    for (unsigned i = 0; status == 0 && i < r->also.count; i++)
        status = durable_printf(out, err, " %u", r->also.of[i]);
    return status == 0 ? durable_printf(out, err, "\n") : status;
}

static int format(const struct agent_contents *c, struct buf *out, struct err *err)
{
    char random[HEX_SIZE];

    hex(c->incarnation.bytes, INCARNATION_BYTES, random);
    if (durable_printf(out, err, "ringfence-agent-state %d\ncluster %s\nagent %s\n",
                       version_of(&c->epochs), c->cluster, c->agent) != 0 ||
        durable_printf(out, err, "incarnation %s\n", random) != 0)
        return err->code;
    for (unsigned i = 0; i < c->epochs.count; i++)
        if (format_group(&c->epochs.of[i], out, err) != 0)
            return err->code;
    return 0;
}

static bool copy_word(char *out, size_t size, const char *word)
{
    return word != NULL && (size_t)snprintf(out, size, "%s", word) < size;
}

/* Ascending, as they were written. */
static bool parse_also(char *line, struct epoch_record *r)
{
    uint64_t port;

    while (line != NULL) {
        uint8_t n = r->also.count;

        if (n == AGENT_ALSO_MAX || !durable_number(&line, UINT16_MAX, &port) || port == 0 ||
            port == r->port || (n > 0 && r->also.of[n - 1] >= port))
            return false;
        r->also.of[r->also.count++] = (uint16_t)port;
    }
    return true;
}

static bool parse_group(char *line, struct epoch_table *t)
{
    struct epoch_record r = {0};
    uint64_t port, tried;

    if (t->count == AGENT_GROUPS_MAX ||
        !copy_word(r.group, sizeof r.group, durable_word(&line)) ||
        !durable_number(&line, UINT64_MAX, &r.highest) ||
        !durable_number(&line, UINT64_MAX, &r.fenced) ||
        !durable_number(&line, UINT16_MAX, &port) || !durable_number(&line, 1, &tried))
        return false;
    /* I3: of two records the older one might be found first. */
    for (unsigned i = 0; i < t->count; i++)
        if (strcmp(t->of[i].group, r.group) == 0)
            return false;
    r.port = (uint16_t)port;
    if (!parse_also(line, &r))
        return false;
    r.tried = tried == 1;
    t->of[t->count++] = r;
    return true;
}

/* I10: a line that this version does not know is an error, never skipped. */
static bool parse_line(char *line, struct agent_contents *c)
{
    const char *key = durable_word(&line);

    if (key == NULL || line == NULL)
        return false;
    if (strcmp(key, "group") == 0)
        return parse_group(line, &c->epochs);
    if (strcmp(key, "cluster") == 0)
        return copy_word(c->cluster, sizeof c->cluster, line);
    if (strcmp(key, "agent") == 0)
        return copy_word(c->agent, sizeof c->agent, line);
    return strcmp(key, "incarnation") == 0 && strlen(line) == HEX_SIZE - 1 &&
           unhex(line, c->incarnation.bytes, INCARNATION_BYTES);
}

static int parse(char *text, struct agent_contents *ret, struct err *err)
{
    struct agent_contents c = {0};
    char *save = NULL, *line = strtok_r(text, "\n", &save);
    const char *magic = durable_word(&line);
    uint64_t version;

    if (magic == NULL || strcmp(magic, "ringfence-agent-state") != 0 ||
        !durable_number(&line, UINT64_MAX, &version))
        return err_set(err, ERR_CORRUPT, "not the state of an agent");
    if (version != VERSION && version != VERSION_PLAIN)
        return err_set(err, ERR_UNSUPPORTED,
                       "it has format %" PRIu64 ", this version knows %d: install the "
                       "version that wrote it, or a newer one",
                       version, VERSION);
    while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
        char shown[64];

        snprintf(shown, sizeof shown, "%s", line);
        if (!parse_line(line, &c))
            return err_set(err, ERR_CORRUPT, "the line '%s' is not understood", shown);
    }
    *ret = c;
    return 0;
}

/* ---- the directory --------------------------------------------------------------------
 */

static int lock_dir(struct agent_state *s, struct err *err)
{
    char pid[24] = "?", text[24];
    ssize_t n;

    s->lock = openat(s->dir.fd, lock_name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0)
        return err_errno(err, errno, "open %s/%s", s->path, lock_name);
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        n = pread(s->lock, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 1] = 0;
        pid[strcspn(pid, "\n")] = 0;
        return err_set(err, ERR_BUSY,
                       "state_dir %s is in use by another ringfence-agent (pid %s): one "
                       "directory serves one agent; stop that one first, or configure "
                       "another state_dir",
                       s->path, pid);
    }
    n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    /* Only for the text above; a full disk may well refuse it. */
    if (ftruncate(s->lock, 0) != 0 || pwrite(s->lock, text, (size_t)n, 0) != n)
        return 0;
    return 0;
}

static int open_dir(struct agent_state *s, const char *path, struct err *err)
{
    if (strlen(path) >= sizeof s->path)
        return err_set(err, ERR_INVAL, "state_dir is longer than %d", AGENT_PATH_SIZE - 1);
    snprintf(s->path, sizeof s->path, "%s", path);
    s->dir.path = s->path;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make state_dir %s", path);
    s->dir.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->dir.fd >= 0 ? 0 : err_errno(err, errno, "open state_dir %s", path);
}

static int read_contents(const struct agent_state *s, struct agent_contents *ret,
                         struct err *err)
{
    AUTO(buf_free) struct buf text = {0};
    int status = durable_read(&s->dir, file_name, &text, err);

    if (status == ERR_NOTFOUND) {
        *ret = (struct agent_contents){0};
        return 0;
    }
    if (status == 0) {
        status = parse((char *)text.data, ret, err);
        if (status != 0)
            (void)err_wrap(err, "%s/%s", s->path, file_name);
    }
    if (status == ERR_CORRUPT)
        return err_set(err, ERR_CORRUPT,
                       "%.300s: its epochs and fence marks cannot be trusted. Fence this "
                       "host's instances, move the file away and start again: the agent "
                       "enrols as a new incarnation",
                       err->text);
    return status;
}

static int check_owner(const struct agent_state *s, const struct agent_contents *c,
                       const struct agent_contents *self, struct err *err)
{
    if (c->cluster[0] == 0 ||
        (strcmp(c->cluster, self->cluster) == 0 && strcmp(c->agent, self->agent) == 0))
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "state_dir %s belongs to agent %s of cluster %s, this is agent %s of "
                   "cluster %s: correct `name`, `cluster` or `state_dir`",
                   s->path, c->agent, c->cluster, self->agent, self->cluster);
}

int agent_state_open(struct agent_state *s, const char *path,
                     struct agent_contents *ret_contents, const struct agent_contents *self,
                     struct err *err)
{
    struct err own;
    struct agent_contents c = {0};
    int status;

    err = err != NULL ? err : &own;
    *s = (struct agent_state){.dir = {.fd = -1}, .lock = -1};
    status = open_dir(s, path, err);
    if (status == 0)
        status = lock_dir(s, err);
    if (status == 0)
        status = read_contents(s, &c, err);
    if (status == 0)
        status = check_owner(s, &c, self, err);
    if (status != 0) {
        agent_state_close(s);
        return status;
    }
    memcpy(c.cluster, self->cluster, sizeof c.cluster);
    memcpy(c.agent, self->agent, sizeof c.agent);
    *ret_contents = c;
    return 0;
}

void agent_state_close(struct agent_state *s)
{
    auto_close(&s->dir.fd);
    auto_close(&s->lock);
    s->dir.fd = s->lock = -1;
}

int agent_state_begin(struct agent_contents *c, const uint8_t boot[AGENT_ID_SIZE],
                      const uint8_t gate[AGENT_ID_SIZE], bool adopted, bool *ret_kept,
                      struct err *err)
{
    uint8_t *b = c->incarnation.bytes;
    uint8_t fresh[AGENT_ID_SIZE];
    bool kept = adopted && incarnation_is_set(&c->incarnation) &&
                memcmp(b, boot, AGENT_ID_SIZE) == 0 &&
                memcmp(b + AGENT_ID_SIZE, gate, AGENT_ID_SIZE) == 0;

    if (!kept) {
        if (getrandom(fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh)
            return err_errno(err, errno, "random bytes for the incarnation");
        memcpy(b, boot, AGENT_ID_SIZE);
        memcpy(b + AGENT_ID_SIZE, gate, AGENT_ID_SIZE);
        memcpy(b + (size_t)2 * AGENT_ID_SIZE, fresh, AGENT_ID_SIZE);
        for (unsigned i = 0; i < c->epochs.count; i++)
            c->epochs.of[i].tried = false;
    }
    *ret_kept = kept;
    return 0;
}

int agent_state_write(const struct agent_state *s, const struct agent_contents *c,
                      struct err *err)
{
    AUTO(buf_free) struct buf text = {.limit = DURABLE_MAX};
    struct err own;
    int status = format(c, &text, err != NULL ? err : &own);

    return status != 0 ? status : durable_write(&s->dir, file_name, &text, err);
}

int agent_boot_id(uint8_t ret_id[AGENT_ID_SIZE], struct err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    char text[40] = "", digits[2 * AGENT_ID_SIZE + 1] = "";
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned n = 0;

    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        return err_errno(err, errno, "%s", path);
    for (const char *p = text; *p != 0 && n < 2 * AGENT_ID_SIZE; p++)
        if (isxdigit((unsigned char)*p))
            digits[n++] = *p;
    return unhex(digits, ret_id, AGENT_ID_SIZE) ? 0 : err_set(err, ERR_IO, "%s", path);
}
