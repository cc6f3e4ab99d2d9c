#include "fencing/agent/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGEST_SIZE = 32, SUM_LINE = 7 + 2 * DIGEST_SIZE + 1 };

void (*durable_before_step)(int step);

static void step(int n)
{
    if (durable_before_step != NULL)
        durable_before_step(n);
}

static int sum_line(const struct buf *text, char line[SUM_LINE + 1], struct err *err)
{
    uint8_t digest[DIGEST_SIZE];
    unsigned n = 0;

    if (EVP_Digest(text->data, text->len, digest, &n, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_NOMEM, "sha256");
    memcpy(line, "sha256 ", 7);
    for (unsigned i = 0; i < DIGEST_SIZE; i++)
        snprintf(line + 7 + (size_t)2 * i, 3, "%02x", digest[i]);
    line[SUM_LINE - 1] = '\n';
    line[SUM_LINE] = 0;
    return 0;
}

int durable_printf(struct buf *b, struct err *err, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line)
        return err_set(err, ERR_FULL, "a line too long for a state file");
    return buf_append(b, line, (size_t)n, err);
}

char *durable_word(char **line)
{
    char *word = *line;
    char *end;

    if (word == NULL || *word == 0)
        return NULL;
    end = strchr(word, ' ');
    *line = end != NULL ? end + 1 : NULL;
    if (end != NULL)
        *end = 0;
    return word;
}

bool durable_number(char **line, uint64_t max, uint64_t *ret)
{
    const char *word = durable_word(line);
    char *end = NULL;
    unsigned long long n;

    if (word == NULL || strspn(word, "0123456789") != strlen(word) || word[0] == 0)
        return false;
    errno = 0;
    n = strtoull(word, &end, 10);
    if (errno != 0 || *end != 0 || n > max)
        return false;
    *ret = n;
    return true;
}

static int write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? ENOSPC : errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int failed(const struct durable_dir *dir, const char *name, int errno_value,
                  const char *what, struct err *err)
{
    if (errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG)
        return err_set(err, ERR_FULL,
                       "%s %s/%s: no room on the disk: make room; until then nothing that "
                       "would have to be remembered is done",
                       what, dir->path, name);
    return err_errno(err, errno_value, "%s %s/%s", what, dir->path, name);
}

static int write_temporary(const struct durable_dir *dir, const char *tmp,
                           const struct buf *text, struct err *err)
{
    AUTO(auto_close) int fd = -1;
    char line[SUM_LINE + 1];
    int status;

    if (sum_line(text, line, err) != 0)
        return ERR_NOMEM;
    step(0);
    fd = openat(dir->fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(dir, tmp, errno, "create", err);
    step(1);
    status = write_all(fd, text->data, text->len);
    step(2);
    if (status == 0)
        status = write_all(fd, line, SUM_LINE);
    if (status != 0)
        return failed(dir, tmp, status, "write", err);
    step(3);
    return fsync(fd) == 0 ? 0 : failed(dir, tmp, errno, "sync", err);
}

int durable_write(const struct durable_dir *dir, const char *name, const struct buf *text,
                  struct err *err)
{
    struct err own;
    char tmp[64];
    int status;

    err = err != NULL ? err : &own;
    snprintf(tmp, sizeof tmp, "%.50s.new", name);
    status = write_temporary(dir, tmp, text, err);
    if (status != 0) {
        unlinkat(dir->fd, tmp, 0);
        return status;
    }
    step(4);
    if (renameat(dir->fd, tmp, dir->fd, name) != 0)
        return failed(dir, name, errno, "rename", err);
    step(5);
    return fsync(dir->fd) == 0 ? 0 : failed(dir, name, errno, "sync the directory of", err);
}

static int read_all(int fd, struct buf *b, struct err *err)
{
    for (;;) {
        ssize_t n;

        if (buf_reserve(b, 4096, err) != 0)
            return err_wrap(err, "state file");
        n = read(fd, b->data + b->len, 4096);
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "read");
        if (n == 0)
            return 0;
        if (n > 0)
            b->len += (size_t)n;
        if (b->len > DURABLE_MAX)
            return err_set(err, ERR_CORRUPT, "more than %d bytes", DURABLE_MAX);
    }
}

static int verify(struct buf *b, struct err *err)
{
    char line[SUM_LINE + 1];

    if (b->len < SUM_LINE)
        return err_set(err, ERR_CORRUPT, "cut short");
    b->len -= SUM_LINE;
    if (sum_line(b, line, err) != 0)
        return ERR_NOMEM;
    if (memcmp(b->data + b->len, line, SUM_LINE) != 0)
        return err_set(err, ERR_CORRUPT, "its checksum does not fit");
    b->data[b->len] = 0;
    if (memchr(b->data, 0, b->len) != NULL)
        return err_set(err, ERR_CORRUPT, "it is not text");
    return 0;
}

int durable_read(const struct durable_dir *dir, const char *name, struct buf *ret_text,
                 struct err *err)
{
    struct err own;
    AUTO(auto_close) int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
    AUTO(buf_free) struct buf b = {.limit = DURABLE_MAX + 8192};

    err = err != NULL ? err : &own;
    if (fd < 0)
        return failed(dir, name, errno, "open", err);
    if (read_all(fd, &b, err) != 0 || verify(&b, err) != 0)
        return err_wrap(err, "%s/%s is damaged", dir->path, name);
    *ret_text = b;
    b = (struct buf){0};
    return 0;
}
