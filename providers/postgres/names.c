#include "providers/postgres/names.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

int pg_name_check(const char *name, struct err *err)
{
    size_t len = strlen(name);

    if (len == 0 || len > PG_NAME_MAX)
        return err_set(err, ERR_INVAL,
                       "standby name '%.80s' has %zu characters, not 1 to %d", name, len,
                       PG_NAME_MAX);
    if (strcmp(name, "*") == 0)
        return err_set(err, ERR_INVAL,
                       "standby name '*' would let any standby acknowledge");
    for (size_t i = 0; i < len; i++)
        if (name[i] < ' ' || name[i] > '~')
            return err_set(err, ERR_INVAL,
                           "standby name has a character that is no plain "
                           "ASCII at position %zu",
                           i);
    return 0;
}

int pg_names_format(char *const *names, size_t n, char **ret_text, struct err *err)
{
    /* Each name: two quotes, every character doubled, comma and space. */
    AUTO(auto_free) char *text = malloc(32 + n * (2 * PG_NAME_MAX + 4));
    char *to = text;

    if (text == NULL)
        return err_set(err, ERR_NOMEM, "standby names");
    if (n > PG_NAMES_MAX)
        return err_set(err, ERR_INVAL, "%zu standby names, limit %d", n, PG_NAMES_MAX);
    *to = '\0';
    if (n > 0)
        to += sprintf(to, "FIRST %zu (", n);
    for (size_t i = 0; i < n; i++) {
        if (pg_name_check(names[i], err) != 0)
            return err->code;
        to = stpcpy(to, i == 0 ? "\"" : ", \"");
        for (const char *c = names[i]; *c != '\0'; c++) {
            if (*c == '"')
                *to++ = '"';
            *to++ = *c;
        }
        to = stpcpy(to, "\"");
    }
    if (n > 0)
        memcpy(to, ")", sizeof ")");
    *ret_text = TAKE(text);
    return 0;
}

/* A "quoted" name at `*text`, which is moved behind it. */
static bool parse_name(const char **text, char name[PG_NAME_MAX + 1])
{
    size_t len = 0;

    if (*(*text)++ != '"')
        return false;
    for (;; (*text)++) {
        if (**text == '\0')
            return false;
        if (**text == '"' && *++*text != '"')
            break;
        if (len == PG_NAME_MAX)
            return false;
        name[len++] = **text;
    }
    name[len] = '\0';
    return len > 0;
}

/* PostgreSQL takes more for the same, and a quoted `*` for everybody (I8). */
static bool is_ours(struct pg_names *names, const char *text)
{
    AUTO(auto_free) char *again = NULL;
    char *list[PG_NAMES_MAX];
    struct err err = {0};

    for (size_t i = 0; i < names->n; i++)
        list[i] = names->of[i];
    return pg_names_format(list, names->n, &again, &err) == 0 && again != NULL &&
           strcmp(again, text) == 0;
}

bool pg_names_parse(const char *text, struct pg_names *ret)
{
    const char *whole = text;
    struct pg_names names = {0};
    unsigned long wanted;
    char *after;

    if (*text == '\0') {
        *ret = names;
        return true;
    }
    if (strncmp(text, "FIRST ", 6) != 0)
        return false;
    wanted = strtoul(text + 6, &after, 10);
    if (strncmp(after, " (", 2) != 0)
        return false;
    for (text = after + 2;; text += 2) {
        if (names.n == PG_NAMES_MAX || !parse_name(&text, names.of[names.n]))
            return false;
        names.n++;
        if (strncmp(text, ", ", 2) != 0)
            break;
    }
    if (strcmp(text, ")") != 0 || wanted != names.n || !is_ours(&names, whole))
        return false;
    *ret = names;
    return true;
}

bool pg_names_have(const struct pg_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->of[i], name) == 0)
            return true;
    return false;
}
