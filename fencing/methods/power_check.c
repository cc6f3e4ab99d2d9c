/* Would it work? Asked while there is time to mend it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/findings.h"
#include "controller/base/text.h"
#include "controller/base/units.h"
#include "fencing/methods/metadata.h"
#include "fencing/methods/power.h"
#include "fencing/methods/secret.h"
#include "fencing/methods/tool.h"
#include "fencing/methods/words.h"

enum { KEY_ROOM = 128, WORDS_SIZE = 200 };

/* ---- the device in itself -------------------------------------------------------------
 */

/* What nobody may set, and why not. */
static const struct {
    const char *key, *why;
} ours_alone[] = {
    {"action", "it is Ringfence that says what is to be done"},
    {"option", "it is Ringfence that says what is to be done"},
    {"help", "the agent would print its help and do nothing"},
    {"version", "the agent would print its version and do nothing"},
    {"missing_as_off", "a machine that is not found has not been seen to be off"},
    {"network_fencing", "the agent would say off of a machine that still runs"},
    {"network-fencing", "the agent would say off of a machine that still runs"},
    {"verbose", "the agent would write what it sends, passwords too"},
    {"verbose_level", "the agent would write what it sends, passwords too"},
    {"debug", "the agent would write what it sends, passwords too"},
    {"debug_file", "the agent would write what it sends, passwords too"},
};

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            return true;
    return false;
}

static int verify_key(const char *key, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.";

    if (key[0] == '\0' || strspn(key, letters) != strlen(key))
        return err_set(err, ERR_INVAL,
                       "\"%s\": the name of a parameter of the agent is expected", key);
    for (size_t i = 0; i < ARRAY_LEN(ours_alone); i++)
        if (strcmp(key, ours_alone[i].key) == 0)
            return err_set(err, ERR_INVAL, "cannot be set: %s", ours_alone[i].why);
    return 0;
}

static bool is_in(const struct power_pair *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].key, key) == 0)
            return true;
    return false;
}

static int verify_pairs(const struct power_device *d, bool secrets,
                        char ret_key[POWER_PART_SIZE], struct err *err)
{
    const struct power_pair *pairs = secrets ? d->secrets : d->options;
    const size_t count = secrets ? d->secret_count : d->option_count;
    int status = 0;

    for (size_t i = 0; i < count && status == 0; i++) {
        const char *key = pairs[i].key;

        (void)snprintf(ret_key, POWER_PART_SIZE, "%s.%s", secrets ? "secrets" : "options",
                       key);
        status = verify_key(key, err);
        if (status == 0 &&
            (is_in(pairs, i, key) || (secrets && is_in(d->options, d->option_count, key))))
            status = err_set(err, ERR_INVAL, "is given twice");
        if (status == 0 && has_control(pairs[i].value))
            status =
                err_set(err, ERR_INVAL, "a line end or control character in the value");
        if (status == 0 && secrets && pairs[i].value[0] != '/')
            status = err_set(err, ERR_INVAL,
                             "the absolute path of the file that holds it is expected");
    }
    return status;
}

int power_device_verify(const struct power_device *d, char ret_key[POWER_PART_SIZE],
                        struct err *err)
{
    if (d->option_count > POWER_OPTION_MAX || d->secret_count > POWER_SECRET_MAX) {
        (void)snprintf(ret_key, POWER_PART_SIZE, "options");
        return err_set(err, ERR_INVAL, "at most %d options and %d secrets are expected",
                       POWER_OPTION_MAX, POWER_SECRET_MAX);
    }
    if (d->deadline_ms < POWER_DEADLINE_MIN_MS || d->deadline_ms > POWER_DEADLINE_MAX_MS) {
        char text[UNITS_TEXT_SIZE];

        (void)snprintf(ret_key, POWER_PART_SIZE, "deadline");
        units_format_duration(d->deadline_ms, text);
        return err_set(err, ERR_INVAL, "%s: 1s to 10min are expected", text);
    }
    if (has_control(d->agent) || (d->agent[0] != '/' && strchr(d->agent, '/') != NULL) ||
        d->agent[0] == '\0') {
        (void)snprintf(ret_key, POWER_PART_SIZE, "agent");
        return err_set(err, ERR_INVAL,
                       "the name of a fence agent, like fence_ipmilan, or an absolute path "
                       "is expected");
    }
    if (verify_pairs(d, false, ret_key, err) != 0)
        return err->code;
    return verify_pairs(d, true, ret_key, err);
}

/* ---- against the metadata -------------------------------------------------------------
 */

struct match {
    const struct power_device *d;
    const struct metadata *m;
    const char *place;
    struct findings *f;
};

static const char *key_of(const struct match *t, const char *part, const char *key,
                          char room[KEY_ROOM])
{
    (void)snprintf(room, KEY_ROOM, "%s.%s%s%s", t->place, part, key[0] != '\0' ? "." : "",
                   key);
    return room;
}

static bool is_given(const struct power_device *d, const char *key)
{
    return is_in(d->options, d->option_count, key) ||
           is_in(d->secrets, d->secret_count, key);
}

/* "password", "passwd", "snmp_priv_passwd", "secret_key", "session_token": what an agent
 * would not want in a file that many can read. One with a sibling that is a script gives a
 * secret too, and is none itself. */
static bool is_password(const struct metadata *m, const struct metadata_parameter *p)
{
    const char *name = p->name;
    static const char *const words[] = {"password",  "passwd",  "secret", "token",
                                        "community", "api_key", "apikey"};
    static const char *const not_secret[] = {"_script", "_file", "_path", "_url"};
    char script[METADATA_NAME_SIZE + 8];
    const size_t len = strlen(name);

    if (p->type != METADATA_STRING)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(not_secret); i++) {
        const size_t tail = strlen(not_secret[i]);

        if (len > tail && strcmp(name + len - tail, not_secret[i]) == 0)
            return false;
    }
    (void)snprintf(script, sizeof script, "%s_script", name);
    if (metadata_find(m, script) != NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(name, words[i]) != NULL)
            return true;
    return false;
}

static bool is_number(const char *text)
{
    const char *digits = text[0] == '-' ? text + 1 : text;

    return digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits) &&
           strlen(digits) <= 18;
}

static bool is_boolean(const char *text)
{
    static const char *const words[] = {"1", "yes", "on",  "true",
                                        "0", "no",  "off", "false"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool is_choice(const struct metadata *m, const struct metadata_parameter *p,
                      const char *text)
{
    for (unsigned i = 0; i < p->choice_count; i++)
        if (strcasecmp(m->choices[p->first_choice + i], text) == 0)
            return true;
    return p->choice_count == 0;
}

static void list_choices(const struct metadata *m, const struct metadata_parameter *p,
                         char *ret, size_t size)
{
    size_t used = 0;

    ret[0] = '\0';
    for (unsigned i = 0; i < p->choice_count && used < size; i++) {
        const int n = snprintf(ret + used, size - used, "%s%s", i > 0 ? ", " : "",
                               m->choices[p->first_choice + i]);

        used += n > 0 ? (size_t)n : 0;
    }
}

static void match_value(const struct match *t, const struct metadata_parameter *p,
                        const char *key, const char *value)
{
    const char *name = t->d->name, *agent = t->d->agent;
    char choices[200];

    switch (p->type) {
    case METADATA_STRING:
        return;
    case METADATA_INTEGER:
        if (!is_number(value))
            findings_error(t->f, key, "fencer %s: \"%s\": %s expects a whole number", name,
                           value, agent);
        return;
    case METADATA_SECONDS:
        if (!is_number(value) || value[0] == '-')
            findings_error(t->f, key,
                           "fencer %s: \"%s\": %s expects a number of seconds, without a "
                           "unit",
                           name, value, agent);
        return;
    case METADATA_BOOLEAN:
        if (!is_boolean(value))
            findings_error(t->f, key, "fencer %s: \"%s\": %s expects 1 or 0 (yes or no)",
                           name, value, agent);
        return;
    case METADATA_SELECT:
        list_choices(t->m, p, choices, sizeof choices);
        if (!is_choice(t->m, p, value))
            findings_error(t->f, key, "fencer %s: \"%s\": %s expects one of: %s", name,
                           value, agent, choices);
        return;
    }
}

/* NULL where the agent does not know it. */
static const struct metadata_parameter *match_name(const struct match *t, const char *key,
                                                   const char *at)
{
    const struct metadata_parameter *p = metadata_find(t->m, key);
    const struct metadata_parameter *newer = metadata_successor(t->m, key);

    if (p == NULL && newer == NULL)
        findings_error(t->f, at,
                       "fencer %s: %s knows no parameter \"%s\": `%s -o metadata` lists "
                       "them all",
                       t->d->name, t->d->agent, key, t->d->agent);
    else if (p == NULL || p->deprecated)
        findings_warn(t->f, at,
                      "fencer %s: \"%s\" is an old name: %s calls it \"%s\" now, or will "
                      "do without it one day",
                      t->d->name, key, t->d->agent, newer != NULL ? newer->name : key);
    return p != NULL ? p : newer;
}

static void match_option(const struct match *t, const struct power_pair *pair)
{
    char at[KEY_ROOM];
    const char *key = key_of(t, "options", pair->key, at);
    const struct metadata_parameter *p = match_name(t, pair->key, key);

    if (p == NULL)
        return;
    if (is_password(t->m, p))
        findings_error(t->f, key,
                       "fencer %s: a secret, in a file that is not meant for one: put it "
                       "into a file of its own, mode 0600, and that file's path under "
                       "`secrets`",
                       t->d->name);
    else
        match_value(t, p, key, pair->value);
}

static void match_secret(const struct match *t, const struct power_pair *pair)
{
    char at[KEY_ROOM];

    (void)match_name(t, pair->key, key_of(t, "secrets", pair->key, at));
}

/* Under its own name, an older one, or a newer one; a password may come from a script. */
static bool is_satisfied(const struct match *t, const struct metadata_parameter *p)
{
    const struct metadata_parameter *newer = metadata_successor(t->m, p->name);
    char script[METADATA_NAME_SIZE + 8];

    (void)snprintf(script, sizeof script, "%s_script", p->name);
    return is_given(t->d, p->name) || p->has_default ||
           (p->obsoletes[0] != '\0' && is_given(t->d, p->obsoletes)) ||
           (newer != NULL && is_given(t->d, newer->name)) || is_given(t->d, script);
}

static void match_required(const struct match *t)
{
    char at[KEY_ROOM];

    for (unsigned i = 0; i < t->m->count; i++) {
        const struct metadata_parameter *p = &t->m->parameters[i];

        if (!p->required || p->deprecated || strcmp(p->name, "action") == 0 ||
            is_satisfied(t, p))
            continue;
        findings_error(t->f, key_of(t, "options", "", at),
                       "fencer %s: %s requires the parameter \"%s\", which is not there",
                       t->d->name, t->d->agent, p->name);
    }
}

static void match_actions(const struct match *t)
{
    char room[KEY_ROOM];
    const char *at = key_of(t, "agent", "", room);

    if (!t->m->has_off || !t->m->has_status)
        findings_error(t->f, at,
                       "fencer %s: %s has no `%s`: an agent that can switch off, and says "
                       "afterwards whether it is off, is expected",
                       t->d->name, t->d->agent, !t->m->has_off ? "off" : "status");
    else if (t->m->is_fabric)
        findings_error(t->f, at,
                       "fencer %s: %s cuts a host off from its disks or its network, and "
                       "leaves it running: that is no proof that it acknowledges nothing. "
                       "One that takes its power is expected",
                       t->d->name, t->d->agent);
}

void power_device_match(const struct power_device *d, const struct metadata *m,
                        const char *place, struct findings *f)
{
    const struct match t = {d, m, place, f};

    match_actions(&t);
    for (unsigned i = 0; i < d->option_count; i++)
        match_option(&t, &d->options[i]);
    for (unsigned i = 0; i < d->secret_count; i++)
        match_secret(&t, &d->secrets[i]);
    match_required(&t);
}

/* ---- asking the agents ----------------------------------------------------------------
 */

struct answer {
    const char *agent; /* of the first device that has it */
    struct metadata *metadata;
    struct err why;
};

struct check {
    const struct power_device *devices;
    size_t count, answer_count;
    struct answer *answers; /* one for each agent */
    const char *place;
    bool starting;
    struct findings *f;
};

static int judge(struct answer *a, const struct tool_result *r, struct err *err)
{
    char said[TOOL_SAID_MAX + 1], words[WORDS_SIZE];

    switch (r->end) {
    case TOOL_LATE:
    case TOOL_STUCK:
        return err_set(err, ERR_TIMEOUT, "it gave no metadata within %d s",
                       POWER_METADATA_MS / 1000);
    case TOOL_NOMEM:
        return err_set(err, ERR_NOMEM, "its metadata");
    case TOOL_NOISY:
        return err_set(err, ERR_BADMSG, "it writes without end");
    case TOOL_SIGNALLED:
    case TOOL_EXITED:
        if (r->end == TOOL_EXITED && r->code == 0)
            break;
        text_set(said, sizeof said, "%s", r->said);
        words_last(said, words, sizeof words);
        return err_set(err, ERR_REFUSED, "%s %d: %s",
                       r->end == TOOL_EXITED ? "exit status" : "killed by signal", r->code,
                       words);
    }
    if (metadata_parse(&a->metadata, r->out, r->out_len, err) == 0)
        return 0;
    return err_wrap(err, "its metadata cannot be read");
}

static void on_metadata(void *owner, const struct tool_result *r)
{
    struct answer *a = owner;

    if (judge(a, r, &a->why) != 0)
        (void)err_wrap(&a->why, "%s", a->agent);
}

/* What went wrong is the answer then. */
static int ask_agent(uv_loop_t *loop, struct answer *a)
{
    char path[TOOL_PATH_SIZE];
    const char *const argv[] = {path, "-o", "metadata", NULL};
    const struct tool_spec spec = {
        .path = path, .argv = argv, .deadline_ms = POWER_METADATA_MS};
    struct tool *tool = NULL;

    if (tool_find(a->agent, path, &a->why) != 0)
        return a->why.code;
    return tool_start(&tool, loop, &spec, on_metadata, a, &a->why);
}

static struct answer *answer_of(const struct check *c, const char *agent)
{
    for (size_t i = 0; i < c->answer_count; i++)
        if (strcmp(c->answers[i].agent, agent) == 0)
            return &c->answers[i];
    return NULL;
}

static int ask_agents(struct check *c, struct err *err)
{
    uv_loop_t loop;
    int status = uv_loop_init(&loop);

    if (status != 0)
        return err_uv(err, status, "ask the fence agents for their metadata");
    for (size_t i = 0; i < c->count; i++) {
        struct answer *a;

        if (answer_of(c, c->devices[i].agent) != NULL)
            continue;
        a = &c->answers[c->answer_count++];
        a->agent = c->devices[i].agent;
        (void)!ask_agent(&loop, a);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    status = uv_loop_close(&loop);
    ASSERT(status == 0);
    return 0;
}

/* What this host says just now: another time it may say something else. */
static void say_host(const struct check *c, const char *key, const char *text)
{
    if (c->starting)
        findings_warn(c->f, key, "%s; until that is mended this fencer fences nobody",
                      text);
    else
        findings_error(c->f, key, "%s", text);
}

static void check_secrets(const struct check *c, const struct power_device *d,
                          const char *place)
{
    char secret[SECRET_SIZE], key[KEY_ROOM];

    for (unsigned i = 0; i < d->secret_count; i++) {
        struct err why = {0};

        (void)snprintf(key, sizeof key, "%s.secrets.%s", place, d->secrets[i].key);
        if (secret_read(d->secrets[i].value, secret, &why) == 0)
            secret_wipe(secret);
        else
            say_host(c, key, (err_wrap(&why, "fencer %s", d->name), why.text));
    }
}

static void check_device(const struct check *c, const struct power_device *d,
                         const char *place)
{
    const struct answer *a = answer_of(c, d->agent);
    char key[KEY_ROOM];
    struct err why;

    ASSERT(a != NULL);
    if (a->metadata != NULL) {
        power_device_match(d, a->metadata, place, c->f);
    } else {
        why = a->why;
        (void)err_wrap(&why, "fencer %s", d->name);
        (void)snprintf(key, sizeof key, "%s.agent", place);
        say_host(c, key, why.text);
    }
    check_secrets(c, d, place);
}

void power_devices_check(const struct power_device *devices, size_t count,
                         const char *place, bool starting, struct findings *f)
{
    struct check c = {
        .devices = devices, .count = count, .place = place, .starting = starting, .f = f};
    char at[KEY_ROOM], part[POWER_PART_SIZE], whole[KEY_ROOM + POWER_PART_SIZE];
    struct err err = {0};

    if (count == 0)
        return;
    c.answers = calloc(count, sizeof *c.answers);
    if (c.answers == NULL || ask_agents(&c, &err) != 0) {
        findings_error(f, place, "%s", c.answers == NULL ? "out of memory" : err.text);
        free(c.answers);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(at, sizeof at, "%s[%zu]", place, i);
        if (power_device_verify(&devices[i], part, &err) != 0) {
            (void)snprintf(whole, sizeof whole, "%s.%s", at, part);
            findings_error(f, whole, "%s", err.text);
        } else
            check_device(&c, &devices[i], at);
    }
    for (size_t i = 0; i < c.answer_count; i++)
        metadata_free(c.answers[i].metadata);
    free(c.answers);
}
