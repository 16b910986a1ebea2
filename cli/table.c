#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "cli/format.h"

enum { GAP = 2, MIN_COLUMN = 8, GOOD_COLUMN = 24 };

void table_init(struct table *table, const struct column *columns, size_t count) {
    *table = (struct table){.columns = columns, .column_count = count};
}

void table_add_copy(struct table *table, enum style style, const char *text) {
    struct buf line = {0};

    add_printable(&line, text);
    buf_add_u8(&line, '\0');
    vec_push(&table->cells, ((struct cell){.text = xstrdup((const char *)buf_data(&line)), .style = style}));
    for (char *at = vec_last(&table->cells)->text; *at; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    buf_clear(&line);
}

void table_add(struct table *table, enum style style, char *text) {
    table_add_copy(table, style, text);
    free(text);
}

/* Widths of what is shown; a column that is left out has none. */
static size_t sum_of(const size_t *widths, size_t count) {
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += widths[i] ? widths[i] + GAP : 0;
    return sum ? sum - GAP : 0;
}

static size_t excess_over_good(const struct table *table, const size_t *widths, size_t limit) {
    size_t sum = sum_of(widths, table->column_count);

    for (size_t i = 0; i < table->column_count; i++)
        if (table->columns[i].may_shrink && widths[i] > GOOD_COLUMN)
            sum -= widths[i] - GOOD_COLUMN;
    return sum > limit ? sum - limit : 0;
}

static void leave_out(const struct table *table, size_t *widths, size_t limit) {
    for (size_t i = table->column_count; i > 0 && excess_over_good(table, widths, limit); i--)
        if (table->columns[i - 1].may_go)
            widths[i - 1] = 0;
}

static void shrink(const struct table *table, size_t *widths, size_t limit) {
    size_t count = table->column_count;

    while (sum_of(widths, count) > limit) {
        size_t widest = count;

        for (size_t i = 0; i < count; i++)
            if (table->columns[i].may_shrink && widths[i] > MAX((size_t)MIN_COLUMN, strlen(table->columns[i].title)) &&
                (widest == count || widths[i] > widths[widest]))
                widest = i;
        if (widest == count)
            return;
        widths[widest]--;
    }
}

static void add_cell(const struct table *table, const struct terminal *terminal, size_t column, size_t width,
                     enum style style, const char *text, struct buf *out) {
    CLEANUP(freep) char *shown = text_cut(text, width);
    int blanks = (int)(width - text_columns(shown));

    if (table->columns[column].is_number)
        buf_printf(out, "%*s", blanks, "");
    terminal_begin(terminal, style, out);
    buf_printf(out, "%s", shown);
    terminal_end(terminal, style, out);
    if (column + 1 < table->column_count)
        buf_printf(out, "%*s", (table->columns[column].is_number ? 0 : blanks) + GAP, "");
}

/* The caller frees. */
static size_t *find_widths(const struct table *table, const struct terminal *terminal, unsigned indent) {
    size_t count = table->column_count;
    size_t *widths = xcalloc(count, sizeof(*widths));
    size_t limit = terminal->width > indent ? terminal->width - indent : 0;

    for (size_t i = 0; i < count; i++)
        widths[i] = strlen(table->columns[i].title);
    for (size_t i = 0; i < table->cells.count; i++)
        widths[i % count] = MAX(widths[i % count], text_columns(table->cells.items[i].text));
    if (terminal->width) {
        leave_out(table, widths, limit);
        shrink(table, widths, limit);
    }
    return widths;
}

void table_print(struct table *table, const struct terminal *terminal, unsigned indent, struct buf *out) {
    size_t count = table->column_count;
    CLEANUP(freep) size_t *widths = find_widths(table, terminal, indent);

    buf_printf(out, "%*s", (int)indent, "");
    for (size_t i = 0; i < count; i++)
        if (widths[i])
            add_cell(table, terminal, i, widths[i], STYLE_DIM, table->columns[i].title, out);
    buf_printf(out, "\n");
    for (size_t i = 0; i < table->cells.count; i++) {
        const struct cell *cell = &table->cells.items[i];

        buf_printf(out, "%*s", i % count == 0 ? (int)indent : 0, "");
        if (widths[i % count])
            add_cell(table, terminal, i % count, widths[i % count], cell->style, cell->text, out);
        if ((i + 1) % count == 0)
            buf_printf(out, "\n");
    }
    vec_foreach (cell, &table->cells) {
        free(cell->text);
    }
    vec_free(&table->cells);
}
