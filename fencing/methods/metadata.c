#include "fencing/methods/metadata.h"

#include <ctype.h>
#include <expat.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/text.h"

struct reader {
    XML_Parser parser;
    struct metadata *m;
    struct metadata_parameter *in; /* of which the elements speak; NULL: of none */
    unsigned depth;
    struct err why; /* the first that was wrong; the parser is stopped then */
};

static void refuse(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void refuse(struct reader *r, const char *fmt, ...)
{
    char what[200];
    va_list args;

    if (r->why.code != 0)
        return;
    va_start(args, fmt);
    if (vsnprintf(what, sizeof what, fmt, args) >= (int)sizeof what)
        text_mark_cut(what, sizeof what);
    va_end(args);
    (void)err_set(&r->why, ERR_BADMSG, "line %lu: %s",
                  (unsigned long)XML_GetCurrentLineNumber(r->parser), what);
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static const char *attribute(const char **attributes, const char *name)
{
    for (; attributes[0] != NULL; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    return NULL;
}

static bool is_one(const char **attributes, const char *name)
{
    const char *value = attribute(attributes, name);

    return value != NULL && strcmp(value, "1") == 0;
}

/* Names go into messages, and are compared with what people write. */
static bool is_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.";
    const size_t len = strlen(text);

    return len > 0 && len < METADATA_NAME_SIZE && strspn(text, letters) == len;
}

/* ---- elements -------------------------------------------------------------------------
 */

static void take_root(struct reader *r, const char *element, const char **attributes)
{
    const char *name = attribute(attributes, "name");

    if (strcmp(element, "resource-agent") != 0) {
        refuse(r, "the root is <%.40s>, <resource-agent> is expected", element);
        return;
    }
    if (name != NULL && is_name(name))
        (void)snprintf(r->m->agent, sizeof r->m->agent, "%s", name);
}

static void take_parameter(struct reader *r, const char **attributes)
{
    const char *name = attribute(attributes, "name");
    const char *older = attribute(attributes, "obsoletes");
    struct metadata_parameter *p;

    if (name == NULL || !is_name(name)) {
        refuse(r, "a parameter without a name that is one");
        return;
    }
    if (metadata_find(r->m, name) != NULL) {
        refuse(r, "the parameter %s is described twice", name);
        return;
    }
    if (r->m->count == METADATA_PARAMETER_MAX) {
        refuse(r, "more than %d parameters", METADATA_PARAMETER_MAX);
        return;
    }
    p = &r->m->parameters[r->m->count++];
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    if (older != NULL && is_name(older))
        (void)snprintf(p->obsoletes, sizeof p->obsoletes, "%s", older);
    p->required = is_one(attributes, "required");
    p->deprecated = is_one(attributes, "deprecated");
    r->in = p;
}

static void take_content(struct reader *r, const char **attributes)
{
    static const struct {
        const char *word;
        enum metadata_type type;
    } types[] = {
        {"integer", METADATA_INTEGER}, {"second", METADATA_SECONDS},
        {"time", METADATA_SECONDS},    {"boolean", METADATA_BOOLEAN},
        {"select", METADATA_SELECT},
    };
    const char *word = attribute(attributes, "type");

    if (r->in == NULL)
        return;
    r->in->has_default = attribute(attributes, "default") != NULL;
    for (size_t i = 0; word != NULL && i < ARRAY_LEN(types); i++)
        if (strcmp(word, types[i].word) == 0)
            r->in->type = types[i].type;
}

static bool is_text(const char *text)
{
    while (*text != '\0' && !iscntrl((unsigned char)*text))
        text++;
    return *text == '\0';
}

static void take_choice(struct reader *r, const char **attributes)
{
    const char *value = attribute(attributes, "value");

    if (r->in == NULL || r->in->type != METADATA_SELECT || value == NULL)
        return;
    if (r->m->choice_count == METADATA_CHOICE_MAX || strlen(value) >= METADATA_NAME_SIZE ||
        !is_text(value)) {
        refuse(r, "more to choose from, or longer, than expected, for %s", r->in->name);
        return;
    }
    if (r->in->choice_count == 0)
        r->in->first_choice = r->m->choice_count;
    (void)snprintf(r->m->choices[r->m->choice_count++], METADATA_NAME_SIZE, "%s", value);
    r->in->choice_count++;
}

static void take_action(struct reader *r, const char **attributes)
{
    const char *name = attribute(attributes, "name");

    if (name == NULL)
        return;
    if (strcmp(name, "off") == 0)
        r->m->has_off = true;
    else if (strcmp(name, "status") == 0)
        r->m->has_status = true;
    else if (strcmp(name, "monitor") == 0)
        r->m->has_monitor = true;
    else if (strcmp(name, "on") == 0)
        r->m->is_fabric = is_one(attributes, "automatic");
}

static void XMLCALL on_element(void *owner, const char *element, const char **attributes)
{
    struct reader *r = owner;

    if (r->why.code != 0)
        return;
    if (++r->depth > METADATA_DEPTH_MAX)
        refuse(r, "nested more than %d deep", METADATA_DEPTH_MAX);
    else if (r->depth == 1)
        take_root(r, element, attributes);
    else if (strcmp(element, "parameter") == 0)
        take_parameter(r, attributes);
    else if (strcmp(element, "content") == 0)
        take_content(r, attributes);
    else if (strcmp(element, "option") == 0)
        take_choice(r, attributes);
    else if (strcmp(element, "action") == 0)
        take_action(r, attributes);
}

static void XMLCALL on_element_end(void *owner, const char *element)
{
    struct reader *r = owner;

    r->depth--;
    if (strcmp(element, "parameter") == 0)
        r->in = NULL;
}

/* Entities are declared in one, and each can be a thousand others. */
static void XMLCALL on_doctype(void *owner, const char *name, const char *sysid,
                               const char *pubid, int has_internal_subset)
{
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)has_internal_subset;
    refuse(owner, "a document type: no agent has one");
}

/* ---- */

static void free_parser(XML_Parser *parser)
{
    if (*parser != NULL)
        XML_ParserFree(*parser);
}

static void drop(struct metadata **m) { metadata_free(*m); }

int metadata_parse(struct metadata **ret_metadata, const char *text, size_t len,
                   struct err *err)
{
    static const XML_Memory_Handling_Suite heap = {malloc, realloc, free};
    AUTO(free_parser) XML_Parser parser = XML_ParserCreate_MM(NULL, &heap, NULL);
    AUTO(drop) struct metadata *m = calloc(1, sizeof *m);
    struct reader r = {.parser = parser, .m = m};

    if (parser == NULL || m == NULL)
        return err_set(err, ERR_NOMEM, "a fence agent's metadata");
    if (len > INT32_MAX / 2)
        return err_set(err, ERR_BADMSG, "%zu bytes", len);
    XML_SetUserData(parser, &r);
    XML_SetElementHandler(parser, on_element, on_element_end);
    XML_SetStartDoctypeDeclHandler(parser, on_doctype);
    if (XML_Parse(parser, text, (int)len, 1) != XML_STATUS_OK && r.why.code == 0) {
        enum XML_Error code = XML_GetErrorCode(parser);

        if (code == XML_ERROR_NO_MEMORY)
            return err_set(err, ERR_NOMEM, "a fence agent's metadata");
        refuse(&r, "no XML: %s", XML_ErrorString(code));
    }
    if (r.why.code != 0)
        return err_set(err, r.why.code, "%s", r.why.text);
    *ret_metadata = TAKE(m);
    return 0;
}

void metadata_free(struct metadata *m) { free(m); }

const struct metadata_parameter *metadata_find(const struct metadata *m, const char *name)
{
    for (unsigned i = 0; i < m->count; i++)
        if (strcmp(m->parameters[i].name, name) == 0)
            return &m->parameters[i];
    return NULL;
}

const struct metadata_parameter *metadata_successor(const struct metadata *m,
                                                    const char *name)
{
    for (unsigned i = 0; i < m->count; i++)
        if (strcmp(m->parameters[i].obsoletes, name) == 0)
            return &m->parameters[i];
    return NULL;
}
