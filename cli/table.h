/* Rows of text in columns that are as wide as their widest text.
 *
 * On a terminal that is too narrow the columns that may go do so, until 24 characters are left to each of those that may shrink; these do,
 * the widest one first, down to 8 characters or their title. Elsewhere nothing is cut, for programs that read it. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/vec.h"
#include "cli/terminal.h"

struct column {
    const char *title;
    bool is_number; /* stands at the right */
    bool may_shrink;
    bool may_go; /* left out where a terminal is too narrow for all, the last one first */
};

struct cell {
    char *text; /* owned, one line */
    enum style style;
};

struct table {
    const struct column *columns; /* borrowed */
    size_t column_count;
    VEC(struct cell) cells; /* row by row */
};

void table_init(struct table *table, const struct column *columns, size_t count);
/* The next cell; the text is taken over, and made printable in one line. */
void table_add(struct table *table, enum style style, char *text);
/* The same, copied. */
void table_add_copy(struct table *table, enum style style, const char *text);
/* Titles and rows, each with `indent` blanks in front; empties the table. */
void table_print(struct table *table, const struct terminal *terminal, unsigned indent, struct buf *out);

#endif
