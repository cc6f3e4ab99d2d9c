#include "controller/base/help.h"

#include <string.h>

/* ---- parsing --------------------------------------------------------------------------
 */

static const struct help_option *find_long(const struct help_option *list, const char *name,
                                           size_t len)
{
    for (; list != NULL && list->name != NULL; list++)
        if (strlen(list->name) == len && memcmp(list->name, name, len) == 0)
            return list;
    return NULL;
}

static const struct help_option *find_short(const struct help_option *list, char letter)
{
    for (; list != NULL && list->name != NULL; list++)
        if (list->letter != 0 && list->letter == letter)
            return list;
    return NULL;
}

struct reader {
    const struct help_option *options, *more;
    const struct help_words *words;
    int at;
    struct help_parsed *parsed;
    struct err *err;
};

static int keep_value(struct reader *r, const struct help_option *o, const char *value)
{
    struct help_parsed *p = r->parsed;

    if (p->value_count == HELP_VALUES_MAX)
        return err_set(r->err, ERR_INVAL, "more than %d options", HELP_VALUES_MAX);
    p->values[p->value_count].option = o;
    p->values[p->value_count++].value = value;
    return 0;
}

/* `inline_value`: what stood behind "--name=" or "-x", NULL for nothing. */
static int take_option(struct reader *r, const struct help_option *o,
                       const char *inline_value)
{
    if (o->argument == NULL)
        return inline_value == NULL
                   ? keep_value(r, o, "")
                   : err_set(r->err, ERR_INVAL, "--%s takes no argument", o->name);
    if (inline_value != NULL)
        return keep_value(r, o, inline_value);
    if (r->at == r->words->count)
        return err_set(r->err, ERR_INVAL, "--%s needs an argument: %s", o->name,
                       o->argument);
    return keep_value(r, o, r->words->argv[r->at++]);
}

static int take_word(struct reader *r, const char *word)
{
    const struct help_option *o;
    const char *equals;

    if (word[1] == '-') {
        equals = strchr(word, '=');
        size_t len = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;

        o = find_long(r->options, word + 2, len);
        if (o == NULL)
            o = find_long(r->more, word + 2, len);
        if (o == NULL)
            return err_set(r->err, ERR_INVAL, "unknown option '%s'", word);
        return take_option(r, o, equals != NULL ? equals + 1 : NULL);
    }
    o = find_short(r->options, word[1]);
    if (o == NULL)
        o = find_short(r->more, word[1]);
    if (o == NULL)
        return err_set(r->err, ERR_INVAL, "unknown option '%s'", word);
    return take_option(r, o, word[2] != '\0' ? word + 2 : NULL);
}

static int take_operand(struct reader *r, const char *word)
{
    if (r->parsed->operand_count == HELP_OPERANDS_MAX)
        return err_set(r->err, ERR_INVAL, "too many operands, from '%s' on", word);
    r->parsed->operands[r->parsed->operand_count++] = word;
    return 0;
}

int help_parse(const struct help_option *options, const struct help_option *more,
               const struct help_words *words, struct help_parsed *ret_parsed,
               int *ret_used, struct err *err)
{
    struct reader r = {options, more, words, 0, ret_parsed, err};
    bool only_operands = false;
    int status = 0;

    *ret_parsed = (struct help_parsed){0};
    while (status == 0 && r.at < words->count) {
        const char *word = words->argv[r.at];
        bool is_option = !only_operands && word[0] == '-' && word[1] != '\0';

        if (!is_option && words->stop_at_operand)
            break;
        r.at++;
        if (is_option && strcmp(word, "--") == 0)
            only_operands = true;
        else
            status = is_option ? take_word(&r, word) : take_operand(&r, word);
    }
    if (ret_used != NULL)
        *ret_used = r.at;
    return status;
}

const char *help_value(const struct help_parsed *p, const char *name)
{
    const char *value = NULL;

    for (unsigned i = 0; i < p->value_count; i++)
        if (strcmp(p->values[i].option->name, name) == 0)
            value = p->values[i].value;
    return value;
}

/* ---- --help ---------------------------------------------------------------------------
 */

enum { INDENT = 26, WIDTH = 88 };

/* Words of `text` from column `column` on, wrapped, further lines indented. */
static void print_wrapped(FILE *out, const char *text, int column, int indent)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " \n");

        if (*text == '\n' && text[1] == '\n') {
            fprintf(out, "\n\n%*s", indent, "");
            column = indent;
            text += 2;
            continue;
        }
        if (len == 0) {
            text++;
            continue;
        }
        if (column > indent && column + 1 + (int)len > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", (int)len, text);
        text += len;
    }
    fputc('\n', out);
}

/* A term in the left column and its explanation in the right one. */
static void print_term(FILE *out, const char *term, const char *text)
{
    int used = fprintf(out, "  %s", term);

    if (used > INDENT - 2)
        fprintf(out, "\n%*s", INDENT, "");
    else
        fprintf(out, "%*s", INDENT - used, "");
    print_wrapped(out, text, INDENT, INDENT);
}

static void option_term(const struct help_option *o, char *term, size_t size)
{
    char letter[8] = "";

    if (o->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(term, size, "%s--%s%s%s", letter, o->name, o->argument != NULL ? " " : "",
             o->argument != NULL ? o->argument : "");
}

static void print_options(FILE *out, const char *title, const struct help_option *o)
{
    char term[80];

    if (o == NULL || o->name == NULL)
        return;
    fprintf(out, "\n%s:\n", title);
    for (; o->name != NULL; o++) {
        option_term(o, term, sizeof term);
        print_term(out, term, o->text);
    }
}

static void print_pairs(FILE *out, const char *title, const struct help_pair *p)
{
    if (p == NULL || p->name == NULL)
        return;
    fprintf(out, "\n%s:\n", title);
    for (; p->name != NULL; p++)
        print_term(out, p->name, p->text);
}

static void print_command(const struct help *h, const struct help_command *c, FILE *out)
{
    fprintf(out, "usage: %s [OPTIONS] %s%s%s\n\n", h->program, c->name,
            c->operands[0] != '\0' ? " " : "", c->operands);
    print_wrapped(out, c->summary, 0, 0);
    if (c->text != NULL) {
        fputc('\n', out);
        print_wrapped(out, c->text, 0, 0);
    }
    print_options(out, "options", c->options);
    print_options(out, "options of every command", h->options);
    print_pairs(out, "exit status", h->exit_codes);
}

void help_print(const struct help *h, const struct help_command *command, FILE *out)
{
    if (command != NULL) {
        print_command(h, command, out);
        return;
    }
    fprintf(out, "usage: %s [OPTIONS]%s%s\n\n", h->program,
            h->operands[0] != '\0' ? " " : "", h->operands);
    print_wrapped(out, h->summary, 0, 0);
    if (h->commands != NULL)
        fputs("\ncommands:\n", out);
    for (unsigned i = 0; h->commands != NULL && h->commands[i] != NULL; i++) {
        char term[80];

        snprintf(term, sizeof term, "%s %s", h->commands[i]->name,
                 h->commands[i]->operands);
        print_term(out, term, h->commands[i]->summary);
    }
    print_options(out, "options", h->options);
    print_pairs(out, "exit status", h->exit_codes);
    print_pairs(out, "environment", h->environment);
    print_pairs(out, "files", h->files);
    if (h->commands != NULL)
        fprintf(out, "\n`%s COMMAND --help` says more about one command.\n", h->program);
}

/* ---- man pages ------------------------------------------------------------------------
 */

/* A line must not begin with a control character; dashes are minus signs. */
static void troff(FILE *out, const char *text)
{
    bool at_start = true;

    for (; *text != '\0'; text++) {
        if (text[0] == '\n' && text[1] == '\n') {
            fputs("\n.PP\n", out);
            text++;
            at_start = true;
            continue;
        }
        if (at_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
        at_start = *text == '\n';
    }
    fputc('\n', out);
}

static void troff_term(FILE *out, const char *term, const char *text)
{
    fputs(".TP\n.B ", out);
    troff(out, term);
    troff(out, text);
}

static void troff_options(FILE *out, const struct help_option *o)
{
    char term[80];

    for (; o != NULL && o->name != NULL; o++) {
        option_term(o, term, sizeof term);
        troff_term(out, term, o->text);
    }
}

static void troff_pairs(FILE *out, const char *title, const struct help_pair *p)
{
    if (p == NULL || p->name == NULL)
        return;
    fprintf(out, ".SH %s\n", title);
    for (; p->name != NULL; p++)
        troff_term(out, p->name, p->text);
}

static void troff_command(FILE *out, const struct help_command *c)
{
    fputs(".SS ", out);
    troff(out, c->name);
    if (c->operands[0] != '\0') {
        fputs(".I ", out);
        troff(out, c->operands);
        fputs(".PP\n", out);
    }
    troff(out, c->summary);
    if (c->text != NULL) {
        fputs(".PP\n", out);
        troff(out, c->text);
    }
    troff_options(out, c->options);
}

void help_print_man(const struct help *h, FILE *out)
{
    fprintf(out, ".TH %s %s \"\" \"Ringfence " RF_VERSION "\"\n", h->program, h->section);
    fprintf(out, ".SH NAME\n%s \\- ", h->program);
    troff(out, h->summary);
    fprintf(out, ".SH SYNOPSIS\n.B %s\n[\\fIOPTIONS\\fR] ", h->program);
    troff(out, h->operands);
    fputs(".SH DESCRIPTION\n", out);
    troff(out, h->text);
    if (h->commands != NULL)
        fputs(".SH COMMANDS\n", out);
    for (unsigned i = 0; h->commands != NULL && h->commands[i] != NULL; i++)
        troff_command(out, h->commands[i]);
    fputs(".SH OPTIONS\n", out);
    troff_options(out, h->options);
    troff_pairs(out, "EXIT STATUS", h->exit_codes);
    troff_pairs(out, "ENVIRONMENT", h->environment);
    troff_pairs(out, "FILES", h->files);
    if (h->see_also != NULL) {
        fputs(".SH SEE ALSO\n", out);
        troff(out, h->see_also);
    }
}

static bool only_prints(const struct help *h, const struct help_parsed *p)
{
    if (help_value(p, "help") != NULL)
        help_print(h, NULL, stdout);
    else if (help_value(p, "man") != NULL)
        help_print_man(h, stdout);
    else if (help_value(p, "version") != NULL)
        printf("%s %s\n", h->program, RF_VERSION);
    else
        return false;
    return true;
}

int help_begin(const struct help *h, int argc, char *const *argv,
               struct help_parsed *ret_parsed)
{
    const struct help_words words = {argv + 1, argc - 1, false};
    struct err err = {0};
    int used;

    *ret_parsed = (struct help_parsed){0};
    if (help_parse(h->options, NULL, &words, ret_parsed, &used, &err) != 0 ||
        ret_parsed->operand_count > 0) {
        fprintf(stderr, "%s: %s; see %s --help\n", h->program,
                err.code != 0 ? err.text : "no operands are expected", h->program);
        return HELP_EXIT_USAGE;
    }
    return only_prints(h, ret_parsed) ? 0 : -1;
}
