#include "controller/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/buf.h"
#include "controller/base/units.h"
#include "controller/config/config_private.h"

static int read_file(const char *path, struct buf *b, struct err *err)
{
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    if (fstat(fd, &st) != 0)
        return err_errno(err, errno, "%s", path);
    if (S_ISDIR(st.st_mode))
        return err_set(err, ERR_INVAL, "%s: expected a file, found a directory", path);
    for (;;) {
        ssize_t n;
        int status = buf_reserve(b, 4096, err);

        if (status != 0)
            return err_wrap(err, "%s", path);
        n = read(fd, b->data + b->len, 4096);
        if (n < 0)
            return err_errno(err, errno, "%s", path);
        if (n == 0)
            return 0;
        b->len += (size_t)n;
    }
}

/* libcyaml reports through a callback; the first line says what is wrong. */
static void on_cyaml_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
    char *line = ctx;

    if (level == CYAML_LOG_ERROR && line[0] == '\0')
        vsnprintf(line, ERR_TEXT_SIZE, fmt, args);
}

static cyaml_config_t cyaml_settings(char line[ERR_TEXT_SIZE])
{
    return (cyaml_config_t){.log_fn = on_cyaml_log,
                            .log_ctx = line,
                            .log_level = CYAML_LOG_ERROR,
                            .mem_fn = cyaml_mem,
                            .flags = CYAML_CFG_DEFAULT};
}

static int build(struct config *c, const struct buf *text, struct err *err)
{
    char line[ERR_TEXT_SIZE] = "";
    cyaml_config_t settings = cyaml_settings(line);
    cyaml_err_t failure =
        cyaml_load_data(text->data, text->len, &settings, c->schema, &c->data, NULL);

    if (failure == CYAML_OK)
        return 0;
    line[strcspn(line, "\n")] = '\0';
    return err_set(err, failure == CYAML_ERR_OOM ? ERR_NOMEM : ERR_INVAL, "%s: %s", c->path,
                   line[0] != '\0' ? line : cyaml_strerror(failure));
}

static struct config *config_new(const char *path, const cyaml_schema_value_t *schema)
{
    struct config *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->schema = schema;
    c->path = strdup(path);
    if (c->path == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

int config_load(const char *path, const cyaml_schema_value_t *schema,
                struct config **ret_config, struct err *err)
{
    AUTO(config_free) struct config *c = NULL;
    AUTO(buf_free) struct buf text = {.limit = CONFIG_FILE_MAX + 4096};
    int status = read_file(path, &text, err);

    if (status != 0)
        return status;
    c = config_new(path, schema);
    if (c == NULL)
        return err_set(err, ERR_NOMEM, "%s", path);
    status = config_walk(c, (const char *)text.data, text.len, err);
    if (status == 0)
        status = build(c, &text, err);
    if (status == 0)
        *ret_config = TAKE(c);
    return status;
}

void config_free(struct config **config)
{
    struct config *c = *config;
    char line[ERR_TEXT_SIZE] = "";
    cyaml_config_t settings = cyaml_settings(line);

    if (c == NULL)
        return;
    if (c->data != NULL)
        cyaml_free(&settings, c->schema, c->data, 0);
    for (int i = 0; i < c->count; i++) {
        free(c->nodes[i].name);
        free(c->nodes[i].text);
    }
    free(c->nodes);
    free(c->path);
    free(c);
    *config = NULL;
}

const void *config_data(const struct config *c) { return c->data; }

const char *config_path(const struct config *c) { return c->path; }

static const struct config_node *find(const struct config *c, const char *key)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->nodes[i].key, key) == 0)
            return &c->nodes[i];
    return NULL;
}

/* Line of the key, or of what it would stand in. */
static unsigned line_of(const struct config *c, const char *key)
{
    char above[CONFIG_KEY_SIZE];

    snprintf(above, sizeof above, "%s", key);
    for (;;) {
        const struct config_node *node = find(c, above);
        char *dot = strrchr(above, '.'), *bracket = strrchr(above, '[');
        char *cut = dot > bracket ? dot : bracket;

        if (node != NULL || above[0] == '\0')
            return node != NULL ? node->line : 1;
        *(cut != NULL ? cut : above) = '\0';
    }
}

int config_bad(const struct config *c, const char *key, struct err *err, const char *fmt,
               ...)
{
    char why[ERR_TEXT_SIZE];
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return err_set(err, ERR_INVAL, "%s:%u: %s%s%s", c->path, line_of(c, key), key,
                   key[0] != '\0' ? ": " : "", why);
}

bool config_has(const struct config *c, const char *key) { return find(c, key) != NULL; }

const char *config_text(const struct config *c, const char *key)
{
    const struct config_node *node = find(c, key);

    return node != NULL ? node->text : NULL;
}

/* *ret_text NULL where the key is not in the file. */
static int unit_text(const struct config *c, const char *key, const char **ret_text,
                     struct err *err)
{
    const struct config_node *node = find(c, key);

    if (node != NULL && node->kind != CONFIG_SCALAR)
        return config_bad(c, key, err, "expected a single value, found a %s",
                          node->kind == CONFIG_LIST ? "list" : "mapping");
    *ret_text = node != NULL ? node->text : NULL;
    return 0;
}

#define CONVERTER(name, type, parse)                                                       \
    int name(const struct config *c, const char *key, type *ret, struct err *err)          \
    {                                                                                      \
        const char *text = NULL;                                                           \
        struct err why;                                                                    \
        int status = unit_text(c, key, &text, err);                                        \
                                                                                           \
        if (status != 0 || text == NULL)                                                   \
            return status;                                                                 \
        if (parse(text, ret, &why) != 0)                                                   \
            return config_bad(c, key, err, "%s", why.text);                                \
        return 0;                                                                          \
    }

CONVERTER(config_duration, uint32_t, units_parse_duration)
CONVERTER(config_size, uint64_t, units_parse_size)
CONVERTER(config_share, uint32_t, units_parse_share)
#undef CONVERTER

static const struct config_node *child(const struct config *c, const char *key, size_t i)
{
    const struct config_node *parent = find(c, key);
    int at = parent != NULL ? (int)(parent - c->nodes) : c->count;

    for (int k = at + 1; k < c->count; k++)
        if (c->nodes[k].parent == at && i-- == 0)
            return &c->nodes[k];
    return NULL;
}

size_t config_child_count(const struct config *c, const char *key)
{
    size_t n = 0;

    while (child(c, key, n) != NULL)
        n++;
    return n;
}

const char *config_child_name(const struct config *c, const char *key, size_t i)
{
    const struct config_node *node = child(c, key, i);

    return node != NULL ? node->name : NULL;
}

bool config_is_mapping(const struct config *c, const char *key)
{
    const struct config_node *node = find(c, key);

    return node != NULL && node->kind == CONFIG_MAPPING;
}
