#include "providers/postgres/passfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST, PORT, DATABASE, USER, FIELDS };

static void drop_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

/* The four fields before the password, `\` before `:` and `\` taken away. */
static bool split(char *line, char *ret_fields[FIELDS])
{
    char *from = line, *to = line;

    for (int n = 0; n < FIELDS; n++) {
        ret_fields[n] = to;
        while (*from != ':') {
            if (*from == '\\' && from[1] != '\0')
                from++;
            if (*from == '\0')
                return false;
            *to++ = *from++;
        }
        from++;
        *to++ = '\0';
    }
    return true;
}

static bool is(const char *field, const char *wanted)
{
    return strcmp(field, "*") == 0 || strcmp(field, wanted) == 0;
}

int pg_passfile_look(struct pg_passfile *ret, const char *path, const char *host,
                     uint32_t port, const char *user, struct err *err)
{
    AUTO(drop_file) FILE *file = fopen(path, "re");
    AUTO(auto_free) char *line = NULL;
    bool replication = false, postgres = false;
    char port_text[16], *f[FIELDS];
    size_t room = 0;

    if (file == NULL)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    *ret = (struct pg_passfile){0};
    (void)snprintf(port_text, sizeof port_text, "%" PRIu32, port);
    for (unsigned n = 1; getline(&line, &room, file) >= 0; n++) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        if (!split(line, f)) {
            ret->bad_line = ret->bad_line != 0 ? ret->bad_line : n;
            continue;
        }
        if (!is(f[USER], user))
            continue;
        ret->of_user++;
        if (!is(f[HOST], host) || (port != 0 && !is(f[PORT], port_text)))
            continue;
        replication = replication || is(f[DATABASE], "replication");
        postgres = postgres || is(f[DATABASE], "postgres");
    }
    ret->fits = replication && postgres;
    if (line != NULL)
        explicit_bzero(line, room);
    return 0;
}
