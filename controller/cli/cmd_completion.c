/* Completion for shells, printed from the one table of commands: it knows what this program
 * knows, and asks no controller. */
#include <string.h>

#include "controller/cli/commands_completion.h"

static const struct help_option no_options[] = {{0}};

static enum cli_exit cli_completion(struct cli *cli);

const struct cli_command completion_command = {
    {"completion", "bash|zsh",
     "print what makes the shell complete commands, options and files",
     "For bash: `ringfence completion bash > "
     "/usr/share/bash-completion/completions/ringfence`, or `source <(ringfence completion "
     "bash)` in ~/.bashrc. For zsh: `ringfence completion zsh > "
     "/usr/local/share/zsh/site-functions/_ringfence`, or the same `source` behind "
     "`compinit`.",
     no_options},
    1,
    1,
    cli_completion};

static bool is_option(const struct help_option *o) { return o->name != NULL; }

static size_t first_word(const char *name) { return strcspn(name, " "); }

/* The i-th command is the first one of its family, or alone. */
static bool is_first(unsigned i)
{
    const char *name = cli_command_at(i)->help.name;

    for (unsigned k = 0; k < i; k++) {
        const char *other = cli_command_at(k)->help.name;

        if (first_word(other) == first_word(name) &&
            strncmp(other, name, first_word(name)) == 0)
            return false;
    }
    return true;
}

/* ---- bash -----------------------------------------------------------------------------
 */

static void bash_words(const struct help_option *options, FILE *out)
{
    for (const struct help_option *o = options; is_option(o); o++)
        fprintf(out, " --%s", o->name);
}

/* The tables of options, one after the other: the program's, then each command's. */
static const struct help_option *table_at(unsigned i)
{
    if (i == 0)
        return cli_help()->options;
    return cli_command_at(i - 1) != NULL ? cli_command_at(i - 1)->help.options : NULL;
}

/* The same option is the same in every command, or the test fails. */
static bool came_before(const struct help_option *option, unsigned table)
{
    for (unsigned i = 0; i < table; i++)
        for (const struct help_option *o = table_at(i); is_option(o); o++)
            if (strcmp(o->name, option->name) == 0)
                return true;
    return false;
}

/* The patterns of all options that take an argument of this kind: "FILE", "DIR"; NULL: any
 * argument. */
static void argument_patterns(const char *kind, FILE *out)
{
    bool any = false;

    for (unsigned i = 0; table_at(i) != NULL; i++)
        for (const struct help_option *o = table_at(i); is_option(o); o++) {
            if (o->argument == NULL || came_before(o, i) ||
                (kind != NULL && strcmp(o->argument, kind) != 0))
                continue;
            fprintf(out, "%s--%s", any ? "|" : "", o->name);
            any = true;
            if (o->letter != 0)
                fprintf(out, "|-%c", o->letter);
        }
}

/* Second words of a family: "init issue". */
static void family_words(const char *name, FILE *out)
{
    size_t len = first_word(name);

    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const char *other = cli_command_at(i)->help.name;

        if (strncmp(other, name, len) == 0 && other[len] == ' ')
            fprintf(out, " %s", other + len + 1);
    }
}

/* What the first operand may be, where the table says so: "bash|zsh" */
static void operand_words(const char *operands, FILE *out)
{
    size_t len = first_word(operands);

    if (strspn(operands, "abcdefghijklmnopqrstuvwxyz|") < len)
        return;
    for (size_t i = 0; i < len; i++)
        fputc(operands[i] == '|' ? ' ' : operands[i], out);
}

static bool takes_file(const char *operands)
{
    return strncmp(operands, "FILE", 4) == 0 || strncmp(operands, "[FILE", 5) == 0;
}

static void bash_tables(FILE *out)
{
    fputs("    local commands='", out);
    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const char *name = cli_command_at(i)->help.name;

        if (is_first(i))
            fprintf(out, "%s%.*s", i > 0 ? " " : "", (int)first_word(name), name);
    }
    fputs("'\n    local global='", out);
    bash_words(cli_help()->options, out);
    fputs("'\n", out);
}

static void bash_cases(FILE *out)
{
    fputs("    case $command in\n", out);
    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const struct help_command *h = &cli_command_at(i)->help;

        if (h->name[first_word(h->name)] == ' ' && is_first(i)) {
            fprintf(out, "    %.*s) words='", (int)first_word(h->name), h->name);
            family_words(h->name, out);
            fputs("' ;;\n", out);
        }
        fprintf(out, "    '%s') options='", h->name);
        bash_words(h->options, out);
        fputs("' words='", out);
        operand_words(h->operands, out);
        fprintf(out, "' files=%d ;;\n", takes_file(h->operands));
    }
    fputs("    esac\n", out);
}

/* Words in front of the one that is completed: options and their arguments are passed over;
 * of the others the first one or two are the command. */
static void find_command(FILE *out)
{
    fputs("    case $word in\n    ", out);
    argument_patterns(NULL, out);
    fputs(") skip=1 ;;\n"
          "    =) skip=1 ;;\n"
          "    -*) ;;\n"
          "    *) case \" $families \" in\n"
          "        *\" $command \"*) command=\"$command $word\" ;;\n"
          "        *) command=${command:-$word} ;;\n"
          "        esac ;;\n"
          "    esac\n",
          out);
}

static void families(FILE *out)
{
    const char *between = "";

    fputs("    local families='", out);
    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const char *name = cli_command_at(i)->help.name;

        if (!is_first(i) || name[first_word(name)] != ' ')
            continue;
        fprintf(out, "%s%.*s", between, (int)first_word(name), name);
        between = " ";
    }
    fputs("'\n", out);
}

static void print_bash(FILE *out)
{
    fputs("# bash completion for ringfence, as `ringfence completion bash` prints it.\n"
          "_ringfence() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local command= words= options= files=0 skip=0 i word\n",
          out);
    bash_tables(out);
    families(out);
    fputs("    COMPREPLY=()\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "    word=${COMP_WORDS[i]}\n"
          "    if [ $skip = 1 ] && [ \"$word\" != = ]; then skip=0; continue; fi\n",
          out);
    find_command(out);
    fputs("    done\n"
          "    [ \"$current\" = = ] && current=\n"
          "    [ \"$before\" = = ] && before=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    case $before in\n    ",
          out);
    argument_patterns("FILE", out);
    fputs("|--socket)\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n    ",
          out);
    argument_patterns("DIR", out);
    fputs(")\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n    ",
          out);
    argument_patterns(NULL, out);
    fputs(") return ;;\n    esac\n", out);
    bash_cases(out);
    fputs("    [ -z \"$command\" ] && words=$commands\n"
          "    case $current in\n"
          "    -*) words=\"$options $global\" ;;\n"
          "    *) if [ $files = 1 ]; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        COMPREPLY=($(compgen -f -- \"$current\")); return\n"
          "    fi ;;\n"
          "    esac\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
          "}\n"
          "complete -F _ringfence ringfence\n",
          out);
}

/* ---- zsh ------------------------------------------------------------------------------
 */

/* Within single quotes, before the colon of a description. */
static void zsh_text(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text == '\n' ? ' ' : *text, out);
    }
}

static void zsh_options(const struct help_option *options, FILE *out)
{
    for (const struct help_option *o = options; is_option(o); o++) {
        fprintf(out, " '--%s:", o->name);
        zsh_text(o->text, out);
        fputc('\'', out);
    }
}

static void zsh_family(const char *name, FILE *out)
{
    size_t len = first_word(name);

    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const struct help_command *h = &cli_command_at(i)->help;

        if (strncmp(h->name, name, len) != 0 || h->name[len] != ' ')
            continue;
        fprintf(out, " '%s:", h->name + len + 1);
        zsh_text(h->summary, out);
        fputc('\'', out);
    }
}

static void zsh_commands(FILE *out)
{
    fputs("    commands=(", out);
    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const struct help_command *h = &cli_command_at(i)->help;
        size_t len = first_word(h->name);

        if (!is_first(i))
            continue;
        fprintf(out, " '%.*s:", (int)len, h->name);
        zsh_text(h->name[len] == ' ' ? "several commands, by their second word"
                                     : h->summary,
                 out);
        fputc('\'', out);
    }
    fputs(")\n    global=(", out);
    zsh_options(cli_help()->options, out);
    fputs(")\n", out);
}

static void zsh_cases(FILE *out)
{
    fputs("    case $command in\n", out);
    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const struct help_command *h = &cli_command_at(i)->help;

        if (h->name[first_word(h->name)] == ' ' && is_first(i)) {
            fprintf(out, "    %.*s) choices=(", (int)first_word(h->name), h->name);
            zsh_family(h->name, out);
            fputs(") ;;\n", out);
        }
        fprintf(out, "    '%s') options=(", h->name);
        zsh_options(h->options, out);
        fputs(") choices=(", out);
        operand_words(h->operands, out);
        fprintf(out, ") files=%d ;;\n", takes_file(h->operands));
    }
    fputs("    esac\n", out);
}

static void print_zsh(FILE *out)
{
    fputs("#compdef ringfence\n"
          "# zsh completion for ringfence, as `ringfence completion zsh` prints it.\n"
          "_ringfence() {\n"
          "    local command= files=0 skip=0 i word\n"
          "    local -a commands global options choices\n",
          out);
    zsh_commands(out);
    families(out);
    fputs("    for ((i = 2; i < CURRENT; i++)); do\n"
          "    word=$words[i]\n"
          "    if [ $skip = 1 ]; then skip=0; continue; fi\n",
          out);
    find_command(out);
    fputs("    done\n"
          "    case $words[CURRENT-1] in\n    ",
          out);
    argument_patterns("FILE", out);
    fputs("|--socket) _files; return ;;\n    ", out);
    argument_patterns("DIR", out);
    fputs(") _files -/; return ;;\n    ", out);
    argument_patterns(NULL, out);
    fputs(") return 1 ;;\n    esac\n", out);
    zsh_cases(out);
    fputs("    [ -z \"$command\" ] && choices=($commands)\n"
          "    if [[ $words[CURRENT] = -* ]]; then\n"
          "    options+=($global)\n"
          "    _describe -o option options\n"
          "    elif [ $files = 1 ]; then _files\n"
          "    else _describe word choices\n"
          "    fi\n"
          "}\n"
          "if [ \"$funcstack[1]\" = _ringfence ]; then _ringfence \"$@\"\n"
          "else compdef _ringfence ringfence\n"
          "fi\n",
          out);
}

static enum cli_exit cli_completion(struct cli *cli)
{
    const char *shell = cli_operand(cli, 0);

    if (strcmp(shell, "bash") == 0)
        print_bash(cli->out);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(cli->out);
    else
        return cli_usage(cli,
                         "completion: there is one for bash and one for zsh, and none "
                         "for '%s'",
                         shell);
    return CLI_OK;
}
