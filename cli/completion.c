/* completion: what a shell has to know to complete the words of `trestle`, made of the table of commands. JOB is completed with the ids of a running
 * daemon's jobs. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/terminal.h"

#define JOB_IDS "trestle jobs --all --quiet 2>/dev/null"

static bool takes_path(const char *what) {
    return what && (strcmp(what, "FILE") == 0 || strcmp(what, "DIR") == 0);
}

/* What the first operand is called, or "". */
static const char *operand_of(const struct command *command) {
    return command->operands[0] ? command->operands[0] : "";
}

/* Puts a backslash before each character of `special`. */
static void add_escaped(struct buf *out, const char *text, const char *special) {
    for (; *text; text++) {
        if (strchr(special, *text))
            buf_add_u8(out, '\\');
        buf_add_u8(out, (uint8_t)*text);
    }
}

/* Inside of single quotes, where nothing is special but the quote. */
static void add_quoted(struct buf *out, const char *text) {
    for (; *text; text++)
        if (*text == '\'')
            buf_printf(out, "'\\''");
        else
            buf_add_u8(out, (uint8_t)*text);
}

/* ------------------------------------------------------------------ bash */

/* "--level | -l" of a flag. */
static void add_bash_names(const struct flag *flag, struct buf *out) {
    buf_printf(out, "%s", flag->name);
    if (flag->letter)
        buf_printf(out, " | -%c", flag->letter);
}

static void add_bash_command(const struct command *command, struct buf *out) {
    buf_printf(out, "    %s)\n      case \"$before\" in\n", command->name);
    for (size_t i = 0; i < command->flag_count; i++) {
        const struct flag *flag = &command->flags[i];

        if (!flag->value)
            continue;
        buf_printf(out, "        ");
        add_bash_names(flag, out);
        if (takes_path(flag->value))
            buf_printf(out, ") compopt -o default; return ;;\n");
        else
            buf_printf(out, ") _trestle_words '%s'; return ;;\n", flag->choices ? flag->choices : "");
    }
    buf_printf(out, "      esac\n      flags='--help");
    for (size_t i = 0; i < command->flag_count; i++)
        buf_printf(out, " %s", command->flags[i].name);
    buf_printf(out, "'\n      operand='%s' ;;\n", operand_of(command));
}

static void add_bash(const struct command *const *commands, size_t count, struct buf *out) {
    buf_printf(
        out, "# bash completion for trestle: source <(trestle completion bash)\n"
             "_trestle_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$current\")); }\n\n"
             "_trestle() {\n"
             "  local current=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD - 1]}\" flags= operand=\n"
             "  # readline takes --flag=value for three words\n"
             "  if [ \"$current\" = = ]; then current=; else\n"
             "    [ \"$before\" != = ] || before=\"${COMP_WORDS[COMP_CWORD - 2]}\"\n"
             "  fi\n"
             "  COMPREPLY=()\n"
             "  if [ \"$COMP_CWORD\" = 1 ] || [ \"${COMP_WORDS[1]}\" = help ]; then\n"
             "    _trestle_words 'help --version");
    for (size_t i = 0; i < count; i++)
        buf_printf(out, " %s", commands[i]->name);
    buf_printf(out, "'\n    return\n  fi\n  case \"${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; i < count; i++)
        add_bash_command(commands[i], out);
    buf_printf(out, "  esac\n"
                    "  case \"$current:$operand\" in\n"
                    "    -*) _trestle_words \"$flags\" ;;\n"
                    "    *:JOB) _trestle_words \"latest $(" JOB_IDS ")\" ;;\n"
                    "    *:SHELL) _trestle_words 'bash zsh fish' ;;\n"
                    "    *:FILE) compopt -o default ;;\n"
                    "  esac\n"
                    "}\n"
                    "complete -F _trestle trestle\n");
}

/* ------------------------------------------------------------------ zsh */

/* What follows the name of a flag's value, or of an operand. */
static void add_zsh_action(const char *what, const char *choices, struct buf *out) {
    if (choices)
        buf_printf(out, "(%s)", choices);
    else if (takes_path(what))
        buf_printf(out, "_files");
    else if (strcmp(what, "JOB") == 0)
        buf_printf(out, "_trestle_jobs");
    else if (strcmp(what, "SHELL") == 0)
        buf_printf(out, "(bash zsh fish)");
    else
        buf_printf(out, " ");
}

static void add_zsh_flag(const struct flag *flag, struct buf *out) {
    struct buf doc = {0};

    add_escaped(&doc, flag->doc, "[]:\\");
    buf_add_u8(&doc, '\0');
    if (flag->letter)
        buf_printf(out, " \\\n        '(-%c %s)'{-%c,%s}'[", flag->letter, flag->name, flag->letter, flag->name);
    else
        buf_printf(out, " \\\n        '%s%s[", flag->is_repeatable ? "*" : "", flag->name);
    add_quoted(out, (const char *)buf_data(&doc));
    buf_printf(out, "]");
    if (flag->value) {
        buf_printf(out, ":%s:", flag->value);
        add_zsh_action(flag->value, flag->choices, out);
    }
    buf_printf(out, "'");
    buf_clear(&doc);
}

static void add_zsh(const struct command *const *commands, size_t count, struct buf *out) {
    buf_printf(out, "#compdef trestle\n"
                    "_trestle_jobs() { compadd latest $(" JOB_IDS ") }\n\n"
                    "_trestle() {\n  local -a commands=(\n");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "    '%s:", commands[i]->name);
        add_quoted(out, commands[i]->summary);
        buf_printf(out, "'\n");
    }
    buf_printf(out, "    'help:what a command does and takes'\n  )\n"
                    "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
                    "  local command=$words[2]\n"
                    "  shift words; (( CURRENT-- ))\n"
                    "  case $command in\n"
                    "    help) _describe command commands ;;\n");
    for (size_t i = 0; i < count; i++) {
        const char *operand = operand_of(commands[i]);

        buf_printf(out, "    %s)\n      _arguments '--help[what the command does and takes]'", commands[i]->name);
        for (size_t j = 0; j < commands[i]->flag_count; j++)
            add_zsh_flag(&commands[i]->flags[j], out);
        if (operand[0]) {
            buf_printf(out, " \\\n        '1:%s:", operand);
            add_zsh_action(operand, NULL, out);
            buf_printf(out, "'");
        }
        buf_printf(out, " ;;\n");
    }
    buf_printf(out, "  esac\n}\n"
                    "if [ \"$funcstack[1]\" = _trestle ]; then _trestle \"$@\"; else compdef _trestle trestle; fi\n");
}

/* ------------------------------------------------------------------ fish */

static void add_fish_text(struct buf *out, const char *option, const char *text) {
    buf_printf(out, " %s '", option);
    add_escaped(out, text, "'\\");
    buf_printf(out, "'");
}

static void add_fish_flag(const struct command *command, const struct flag *flag, struct buf *out) {
    buf_printf(out, "complete -c trestle -n '__fish_seen_subcommand_from %s' -l %s", command->name, flag->name + 2);
    if (flag->letter)
        buf_printf(out, " -s %c", flag->letter);
    if (flag->value)
        buf_printf(out, takes_path(flag->value) ? " -rF" : " -x");
    if (flag->choices)
        add_fish_text(out, "-a", flag->choices);
    add_fish_text(out, "-d", flag->doc);
    buf_printf(out, "\n");
}

static void add_fish(const struct command *const *commands, size_t count, struct buf *out) {
    buf_printf(out, "# fish completion for trestle: trestle completion fish | source\n"
                    "complete -c trestle -f\n"
                    "complete -c trestle -n __fish_use_subcommand -a help -d 'what a command does and takes'\n");
    for (size_t i = 0; i < count; i++) {
        const char *operand = operand_of(commands[i]);

        buf_printf(out, "complete -c trestle -n __fish_use_subcommand -a %s", commands[i]->name);
        add_fish_text(out, "-d", commands[i]->summary);
        buf_printf(out, "\n");
        if (operand[0])
            buf_printf(out, "complete -c trestle -n '__fish_seen_subcommand_from %s' %s\n", commands[i]->name,
                       strcmp(operand, "JOB") == 0     ? "-a 'latest (" JOB_IDS ")'"
                       : strcmp(operand, "SHELL") == 0 ? "-a 'bash zsh fish'"
                                                       : "-F");
        for (size_t j = 0; j < commands[i]->flag_count; j++)
            add_fish_flag(commands[i], &commands[i]->flags[j], out);
    }
}

/* ------------------------------------------------------------------ the command */

static int run(const struct arguments *arguments, struct status *st) {
    static const struct {
        const char *name;
        void (*add)(const struct command *const *commands, size_t count, struct buf *out);
    } shells[] = {{"bash", add_bash}, {"zsh", add_zsh}, {"fish", add_fish}};
    size_t count;
    const struct command *const *commands = command_list(&count);
    struct buf out = {0};

    for (size_t i = 0; i < ARRAY_COUNT(shells); i++)
        if (strcmp(shells[i].name, arguments->operands[0]) == 0) {
            shells[i].add(commands, count, &out);
            terminal_write(&out);
            return EXIT_SUCCESS;
        }
    status_set(st, STATUS_INVALID_ARGUMENT, "there is no completion for \"%s\"; there is for bash, zsh and fish",
               arguments->operands[0]);
    return EXIT_USAGE;
}

const struct command command_completion = {
    .name = "completion",
    .operands = {"SHELL"},
    .summary = "what bash, zsh or fish has to know to complete these commands",
    .more = "  bash: source <(trestle completion bash)\n  zsh:  source <(trestle completion zsh)\n"
            "  fish: trestle completion fish | source\n",
    .run = run,
};
