#include "cli/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/format.h"

static const char *const sequences[] = {
    [STYLE_PLAIN] = "",        [STYLE_BOLD] = "\033[1m",     [STYLE_DIM] = "\033[2m",
    [STYLE_GOOD] = "\033[32m", [STYLE_WARNING] = "\033[33m", [STYLE_BAD] = "\033[31m",
};

struct terminal terminal_get(void) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct terminal terminal = {.is_terminal = isatty(STDOUT_FILENO) == 1};
    struct winsize size = {0};

    if (!terminal.is_terminal)
        return terminal;
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    terminal.width = size.ws_col ? size.ws_col : 80;
    terminal.height = size.ws_row ? size.ws_row : 24;
    terminal.has_colour = !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
    return terminal;
}

void terminal_begin(const struct terminal *terminal, enum style style, struct buf *out) {
    if (terminal->has_colour)
        buf_printf(out, "%s", sequences[style]);
}

void terminal_end(const struct terminal *terminal, enum style style, struct buf *out) {
    if (terminal->has_colour && style != STYLE_PLAIN)
        buf_printf(out, "\033[0m");
}

void terminal_add(const struct terminal *terminal, enum style style, const char *text, struct buf *out) {
    terminal_begin(terminal, style, out);
    add_printable(out, text);
    terminal_end(terminal, style, out);
}

enum style style_of_state(const char *state) {
    static const struct {
        const char *state;
        enum style style;
    } styles[] = {
        {"RUNNING", STYLE_BOLD},      {"DONE", STYLE_GOOD},          {"DRAINED", STYLE_GOOD}, {"FAILED", STYLE_BAD},
        {"CANCELLED", STYLE_WARNING}, {"CANCELLING", STYLE_WARNING}, {"running", STYLE_BOLD}, {"done", STYLE_GOOD},
        {"lost", STYLE_BAD},          {"waiting", STYLE_DIM},
    };

    for (size_t i = 0; i < ARRAY_COUNT(styles); i++)
        if (strcmp(styles[i].state, state) == 0)
            return styles[i].style;
    return STYLE_PLAIN;
}

void terminal_write(struct buf *out) {
    if (out->size)
        fwrite(buf_data(out), 1, out->size, stdout);
    fflush(stdout);
    buf_clear(out);
}
