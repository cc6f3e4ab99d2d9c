#include "controller/net/names_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/text.h"

static const char head[] = "ringfence-names 1\n";

/* Without the port; "?" for a family that we do not speak. */
static void say_host(const struct sockaddr_storage *sa, char text[INET6_ADDRSTRLEN])
{
    const void *ip = &((const struct sockaddr_in *)sa)->sin_addr;

    if (sa->ss_family == AF_INET6)
        ip = &((const struct sockaddr_in6 *)sa)->sin6_addr;
    if (inet_ntop(sa->ss_family, ip, text, INET6_ADDRSTRLEN) == NULL)
        (void)snprintf(text, INET6_ADDRSTRLEN, "?");
}

void names_text_say(const struct names_answer *a, char text[NAMES_ADDRESSES_TEXT])
{
    char all[NAMES_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 2)] = "";
    size_t n = 0;

    for (unsigned i = 0; i < a->count; i++) {
        char host[INET6_ADDRSTRLEN];

        say_host(&a->of[i], host);
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "", host);
    }
    text_set(text, NAMES_ADDRESSES_TEXT, "%s", all);
}

bool names_text_same_host(const struct sockaddr_storage *a,
                          const struct sockaddr_storage *b)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)a,
                             *b4 = (const struct sockaddr_in *)b;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a,
                              *b6 = (const struct sockaddr_in6 *)b;

    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0 &&
           a6->sin6_scope_id == b6->sin6_scope_id;
}

static bool has(const struct names_answer *a, const struct sockaddr_storage *one)
{
    for (unsigned i = 0; i < a->count; i++)
        if (names_text_same_host(&a->of[i], one))
            return true;
    return false;
}

bool names_text_same(const struct names_answer *a, const struct names_answer *b)
{
    for (unsigned i = 0; i < a->count; i++)
        if (!has(b, &a->of[i]))
            return false;
    for (unsigned i = 0; i < b->count; i++)
        if (!has(a, &b->of[i]))
            return false;
    return true;
}

/* ---- the file ------------------------------------------------------------------------ */

int names_text_begin(struct buf *b, struct err *err)
{
    return buf_append(b, head, sizeof head - 1, err);
}

int names_text_add(struct buf *b, const struct names_line *line, struct err *err)
{
    char text[ADDRESS_HOST_SIZE + 32 + NAMES_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1)];
    int n = snprintf(text, sizeof text, "%s %" PRIu64, line->host, line->wall_ms);

    for (unsigned i = 0; i < line->answer.count; i++) {
        char host[INET6_ADDRSTRLEN];

        say_host(&line->answer.of[i], host);
        n += snprintf(text + n, sizeof text - (size_t)n, " %s", host);
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "\n");
    return buf_append(b, text, (size_t)n, err);
}

static bool read_answer(char *rest, struct names_answer *ret)
{
    struct names_answer answer = {0};
    char *at = NULL;

    for (char *word = strtok_r(rest, " ", &at); word != NULL;
         word = strtok_r(NULL, " ", &at)) {
        struct address one = {0};

        if (answer.count == NAMES_ADDRESSES_MAX || strlen(word) >= sizeof one.host)
            return false;
        (void)snprintf(one.host, sizeof one.host, "%s", word);
        if (address_numeric(&answer.of[answer.count++], &one, NULL) != 0)
            return false;
    }
    *ret = answer;
    return answer.count > 0;
}

static bool read_line(char *text, struct names_line *ret)
{
    struct names_line line = {0};
    char *space = strchr(text, ' '), *end;

    if (space == NULL || space == text || space - text >= (long)sizeof line.host)
        return false;
    memcpy(line.host, text, (size_t)(space - text));
    if (space[1] < '0' || space[1] > '9')
        return false;
    line.wall_ms = strtoull(space + 1, &end, 10);
    if (*end != ' ' || !read_answer(end + 1, &line.answer))
        return false;
    *ret = line;
    return true;
}

static int read_lines(const char *path, char *text, struct names_line lines[NAMES_MAX],
                      unsigned *ret_count, struct err *err)
{
    unsigned n = 0;
    char *at = NULL, *line;

    if (strncmp(text, head, sizeof head - 1) != 0)
        return err_set(err, ERR_BADMSG, "%s: not a file of names", path);
    for (line = strtok_r(text + sizeof head - 1, "\n", &at); line != NULL;
         line = strtok_r(NULL, "\n", &at), n++)
        if (n == NAMES_MAX || !read_line(line, &lines[n])) /* the head is the first */
            return err_set(err, ERR_BADMSG, "%s: damaged: line %u", path, n + 2);
    *ret_count = n;
    return 0;
}

int names_text_read(const char *path, struct names_line ret_lines[NAMES_MAX],
                    unsigned *ret_count, struct err *err)
{
    AUTO(auto_free) char *text = NULL;
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n;

    if (fd < 0 && errno == ENOENT) {
        *ret_count = 0;
        return 0;
    }
    if (fd < 0)
        return err_errno(err, errno, "read %s", path);
    text = calloc(1, NAMES_FILE_MAX + 1);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "read %s", path);
    n = read(fd, text, NAMES_FILE_MAX);
    if (n < 0)
        return err_errno(err, errno, "read %s", path);
    if (n == NAMES_FILE_MAX || memchr(text, 0, (size_t)n) != NULL)
        return err_set(err, ERR_BADMSG, "%s: not a file of names", path);
    return read_lines(path, text, ret_lines, ret_count, err);
}
