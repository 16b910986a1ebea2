/* Writes trestle.1: the file that is its argument, with the line "@COMMANDS@" in it replaced by the commands of the table, and "@CONNECTION@" by the
 * flags that those share which ask a daemon, as mdoc(7). Run when building. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/command.h"

/* A dot or an apostrophe that begins a line would make it a request, and a backslash is one anywhere. A sentence begins a line. */
static void add_text(struct buf *out, const char *text) {
    bool begins_line = true;

    for (const char *begin = text; *text; text++) {
        if (*text == ' ' && text > begin && text[-1] == '.') {
            buf_add_u8(out, '\n');
            begins_line = true;
            continue;
        }
        if (begins_line && (*text == '.' || *text == '\''))
            buf_printf(out, "\\&");
        if (*text == '\\')
            buf_printf(out, "\\e");
        else if (*text == '-')
            buf_printf(out, "\\-");
        else if (!(begins_line && *text == ' '))
            buf_add_u8(out, (uint8_t)*text);
        begins_line = *text == '\n' || (begins_line && *text == ' ');
    }
}

static void add_flag(const struct flag *flag, struct buf *out) {
    const char *preset = flag_default(flag);

    buf_printf(out, ".It ");
    if (flag->letter)
        buf_printf(out, "Fl %c , ", flag->letter);
    buf_printf(out, "Fl \\-%s", flag->name + 2);
    if (flag->value)
        buf_printf(out, " Ar %s", flag->value);
    buf_printf(out, "\n");
    add_text(out, flag->doc);
    if (flag->variable)
        buf_printf(out, "\n.Pq Ev %s", flag->variable);
    if (preset)
        buf_printf(out, "\n.Pq default: %s", preset);
    buf_printf(out, "\n");
}

static bool has_shared_flags(const struct command *command) {
    for (size_t i = 0; i < command->flag_count; i++)
        if (command->flags[i].is_shared)
            return true;
    return false;
}

/* Those that are shared, or those that are not. */
static void add_flags(const struct command *command, bool is_shared, struct buf *out) {
    bool is_first = true;

    for (size_t i = 0; i < command->flag_count; i++) {
        if (command->flags[i].is_shared != is_shared)
            continue;
        if (is_first)
            buf_printf(out, ".Bl -tag -width Ds\n");
        is_first = false;
        add_flag(&command->flags[i], out);
    }
    if (!is_first)
        buf_printf(out, ".El\n");
}

static void add_command(const struct command *command, struct buf *out) {
    buf_printf(out, ".Ss trestle %s", command->name);
    for (size_t i = 0; i < MAX_OPERANDS && command->operands[i]; i++)
        buf_printf(out, " %s", command->operands[i]);
    buf_printf(out, "\n");
    add_text(out, command->summary);
    buf_printf(out, ".\n");
    if (command->more) {
        buf_printf(out, ".Pp\n");
        add_text(out, command->more);
    }
    add_flags(command, false, out);
    if (has_shared_flags(command))
        buf_printf(out, ".Pp\nFlags of the connection: see\n.Sx CONNECTION .\n");
}

static void add_commands(struct buf *out) {
    size_t count;
    const struct command *const *commands = command_list(&count);

    for (size_t i = 0; i < count; i++)
        add_command(commands[i], out);
}

static void add_connection(struct buf *out) {
    add_flags(&command_jobs, true, out);
}

static void add_line(const char *line, struct buf *out) {
    if (strcmp(line, "@COMMANDS@\n") == 0)
        add_commands(out);
    else if (strcmp(line, "@CONNECTION@\n") == 0)
        add_connection(out);
    else
        buf_add(out, line, strlen(line));
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    struct buf out = {0};
    char line[1024];

    if (!file) {
        perror(argc == 2 ? argv[1] : "one file is needed");
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof(line), file))
        add_line(line, &out);
    fclose(file);
    fwrite(buf_data(&out), 1, out.size, stdout);
    buf_clear(&out);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
