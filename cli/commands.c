#include <string.h>

#include "base/buf.h"
#include "base/distance.h"
#include "cli/command.h"

static const struct command *const commands[] = {
    &command_serve,  &command_jobs,   &command_show,       &command_logs,  &command_metrics,
    &command_graph,  &command_stacks, &command_submit,     &command_drain, &command_cancel,
    &command_doctor, &command_token,  &command_completion,
};

const struct command *const *command_list(size_t *ret_count) {
    *ret_count = ARRAY_COUNT(commands);
    return commands;
}

const struct command *command_find(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

const char *command_suggest(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (text_is_near(commands[i]->name, name))
            return commands[i]->name;
    return NULL;
}

/* ------------------------------------------------------------------ help */

static void add_text(struct buf *out, const char *text) {
    buf_add(out, text, strlen(text));
}

/* "  LEFT      RIGHT", the right column where the table's longest left one lets it begin. */
static void add_row(struct buf *out, int width, const char *left, const char *right) {
    CLEANUP(freep) char *row = xasprintf("  %-*s  %s\n", width, left, right);

    add_text(out, row);
}

static char *usage_of(const struct command *command) {
    char *text = xasprintf("trestle %s", command->name);

    for (size_t i = 0; i < MAX_OPERANDS && command->operands[i]; i++) {
        CLEANUP(freep) char *before = text;

        text = xasprintf("%s %s", before, command->operands[i]);
    }
    if (command->flag_count) {
        CLEANUP(freep) char *before = text;

        text = xasprintf("%s [FLAGS]", before);
    }
    return text;
}

/* "-f, --follow", "--listen ADDRESS". The caller frees. */
static char *flag_usage(const struct flag *flag) {
    char letter[] = {'-', flag->letter, ',', ' ', '\0'};

    return xasprintf("%s%s%s%s", flag->letter ? letter : "", flag->name, flag->value ? " " : "",
                     flag->value ? flag->value : "");
}

/* What it is for, and what it is where it is not given. The caller frees. */
static char *flag_meaning(const struct flag *flag) {
    const char *preset = flag_default(flag);

    if (!preset && !flag->variable)
        return xstrdup(flag->doc);
    return xasprintf("%s (%s%s%s%s)", flag->doc, flag->variable ? "$" : "", flag->variable ? flag->variable : "",
                     flag->variable && preset ? ", else " : "", preset ? preset : "");
}

static char *finish(struct buf *out) {
    char *text = xmemdup0(buf_data(out), out->size);

    buf_clear(out);
    return text;
}

char *command_help_all(void) {
    enum { WIDTH = 28 };
    struct buf out = {0};

    add_text(&out, "Trestle runs Apache Beam pipelines of any SDK.\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        CLEANUP(freep) char *usage = usage_of(commands[i]);

        add_row(&out, WIDTH, usage, commands[i]->summary);
    }
    add_row(&out, WIDTH, "trestle help [COMMAND]", "this, or what a command does and takes");
    add_row(&out, WIDTH, "trestle --version", "which one this is");
    add_text(
        &out,
        "\nJOB is a job's id, the beginning or the end of one, a job's name, or latest.\n"
        "Exit codes: 0: done; 1: refused or failed; 2: wrong usage; 3: the job that was waited for ended otherwise\n"
        "than it was to; 4: there is no such job; 5: nobody answers at the endpoint.\n");
    return finish(&out);
}

/* Those that are shared, or those that are not, below a title. */
static void add_flags(struct buf *out, const struct command *command, bool is_shared, const char *title) {
    enum { WIDTH = 22 };
    bool is_first = true;

    for (size_t i = 0; i < command->flag_count; i++) {
        const struct flag *flag = &command->flags[i];
        CLEANUP(freep) char *left = flag_usage(flag);
        CLEANUP(freep) char *right = flag_meaning(flag);

        if (flag->is_shared != is_shared)
            continue;
        if (is_first)
            add_text(out, title);
        is_first = false;
        add_row(out, WIDTH, left, right);
    }
}

char *command_help(const struct command *command) {
    CLEANUP(freep) char *usage = usage_of(command);
    CLEANUP(freep) char *summary = xasprintf("%s\n\n  %s\n", usage, command->summary);
    struct buf out = {0};

    add_text(&out, summary);
    if (command->more)
        add_text(&out, command->more);
    add_flags(&out, command, false, "\nFlags:\n");
    add_flags(&out, command, true, "\nFlags of the connection:\n");
    return finish(&out);
}
