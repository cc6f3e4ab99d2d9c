/* `fencers` of ringfenced.yaml: devices that take a host's power. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/daemon/settings_private.h"

static const cyaml_schema_field_t fencer_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct file_fencer, name, 1,
                           NAME_SIZE - 1),
    CYAML_FIELD_STRING_PTR("agent", CYAML_FLAG_POINTER, struct file_fencer, agent, 1,
                           POWER_AGENT_SIZE - 1),
    CONFIG_FREE_MAPPING("options", CYAML_FLAG_OPTIONAL),
    CONFIG_FREE_MAPPING("secrets", CYAML_FLAG_OPTIONAL),
    CONFIG_UNIT("deadline", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t settings_fencer_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_fencer, fencer_fields),
};

_Static_assert((int)NAME_SIZE == (int)POWER_NAME_SIZE, "a fencer's name is a name");

struct pairs {
    const char *what; /* "options" */
    struct power_pair *of;
    uint8_t *count;
    size_t max;
};

static int take_pair(const struct config *c, const char *list, const char *name,
                     struct power_pair *ret, struct err *err)
{
    char key[2 * CONFIG_KEY_SIZE];
    const char *value;

    (void)snprintf(key, sizeof key, "%s.%s", list, name);
    value = config_text(c, key);
    if (value == NULL)
        return config_bad(c, key, err, "a single value is expected");
    if (strlen(name) >= sizeof ret->key)
        return config_bad(c, key, err, "a name of at most %zu bytes is expected",
                          sizeof ret->key - 1);
    if (strlen(value) >= sizeof ret->value)
        return config_bad(c, key, err, "%zu bytes: at most %zu are expected", strlen(value),
                          sizeof ret->value - 1);
    (void)snprintf(ret->key, sizeof ret->key, "%s", name);
    (void)snprintf(ret->value, sizeof ret->value, "%s", value);
    return 0;
}

static int take_pairs(const struct config *c, const char *place, const struct pairs *p,
                      struct err *err)
{
    char list[CONFIG_KEY_SIZE];
    size_t count;

    (void)snprintf(list, sizeof list, "%s.%s", place, p->what);
    count = config_child_count(c, list);
    if (config_has(c, list) && !config_is_mapping(c, list))
        return config_bad(c, list, err,
                          "parameters of the agent are expected, like "
                          "{ip: 10.0.1.9}");
    if (count > p->max)
        return config_bad(c, list, err, "%zu: at most %zu are expected", count, p->max);
    for (size_t i = 0; i < count; i++)
        if (take_pair(c, list, config_child_name(c, list, i), &p->of[i], err) != 0)
            return err->code;
    *p->count = (uint8_t)count;
    return 0;
}

static int take_fencer(const struct config *c, const struct file_fencer *f,
                       const char *place, struct power_device *d, struct err *err)
{
    const struct pairs options = {"options", d->options, &d->option_count,
                                  POWER_OPTION_MAX},
                       secrets = {"secrets", d->secrets, &d->secret_count,
                                  POWER_SECRET_MAX};
    char key[CONFIG_KEY_SIZE], part[POWER_PART_SIZE];
    struct err why = {0};

    (void)snprintf(key, sizeof key, "%s.name", place);
    if (settings_take_name(c, key, f->name, d->name, err) != 0)
        return err->code;
    (void)snprintf(d->agent, sizeof d->agent, "%s", f->agent);
    d->deadline_ms = POWER_DEADLINE_DEFAULT_MS;
    (void)snprintf(key, sizeof key, "%s.deadline", place);
    if (config_duration(c, key, &d->deadline_ms, err) != 0 ||
        take_pairs(c, place, &options, err) != 0 ||
        take_pairs(c, place, &secrets, err) != 0)
        return err->code;
    if (power_device_verify(d, part, &why) == 0)
        return 0;
    (void)snprintf(key, sizeof key, "%s.%s", place, part);
    return config_bad(c, key, err, "%s", why.text);
}

int settings_take_fencers(const struct config *c, const struct file_fencer *fencers,
                          uint32_t count, struct settings *s, struct err *err)
{
    char place[CONFIG_KEY_SIZE / 2];

    if (count == 0)
        return 0;
    s->fencers = calloc(count, sizeof *s->fencers);
    if (s->fencers == NULL)
        return err_set(err, ERR_NOMEM, "%s", config_path(c));
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(place, sizeof place, "fencers[%u]", i);
        if (take_fencer(c, &fencers[i], place, &s->fencers[i], err) != 0)
            return err->code;
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(s->fencers[k].name, s->fencers[i].name) == 0)
                return config_bad(c, place, err,
                                  "has the name of fencers[%u]: each is used once", k);
        s->fencer_count++;
    }
    return 0;
}
