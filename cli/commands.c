#include <string.h>

#include "base/buf.h"
#include "cli/command.h"

static const struct command *const commands[] = {
    &command_serve,
    &command_drain,
    &command_cancel,
    &command_token,
};

const struct command *command_find(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
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
    add_text(&out, "\nExit codes: 0: done; 1: refused or failed; 2: wrong usage.\n");
    return finish(&out);
}

char *command_help(const struct command *command) {
    enum { WIDTH = 22 };
    CLEANUP(freep) char *usage = usage_of(command);
    CLEANUP(freep) char *summary = xasprintf("%s\n\n  %s\n", usage, command->summary);
    struct buf out = {0};

    add_text(&out, summary);
    if (command->more)
        add_text(&out, command->more);
    if (command->flag_count)
        add_text(&out, "\nFlags:\n");
    for (size_t i = 0; i < command->flag_count; i++) {
        const struct flag *flag = &command->flags[i];
        const char *preset = flag_default(flag);
        CLEANUP(freep)
        char *left = xasprintf("%s%s%s", flag->name, flag->value ? " " : "", flag->value ? flag->value : "");
        CLEANUP(freep)
        char *right = xasprintf("%s%s%s%s", flag->doc, preset ? " (" : "", preset ? preset : "", preset ? ")" : "");

        add_row(&out, WIDTH, left, right);
    }
    return finish(&out);
}
