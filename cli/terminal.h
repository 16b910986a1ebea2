/* What standard output is, and how words are set off on it. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Plain data. All zero: not a terminal, as wide as can be, without colour. */
struct terminal {
    bool is_terminal;
    bool has_colour;
    unsigned width;  /* columns; 0: no limit */
    unsigned height; /* rows; 0: no limit */
};

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARNING, STYLE_BAD };

/* Of standard output now: its width may change. Colour: on a terminal, unless $NO_COLOR is set (https://no-color.org) or $TERM is dumb. */
struct terminal terminal_get(void);
/* Begins and ends a style; nothing where there is no colour. */
void terminal_begin(const struct terminal *terminal, enum style style, struct buf *out);
void terminal_end(const struct terminal *terminal, enum style style, struct buf *out);
/* Text in a style, made printable. */
void terminal_add(const struct terminal *terminal, enum style style, const char *text, struct buf *out);
/* How a job's or a stage's state looks. */
enum style style_of_state(const char *state);

/* Writes what `out` holds to standard output, and empties it. */
void terminal_write(struct buf *out);

#endif
