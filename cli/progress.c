#include "cli/progress.h"

#include <string.h>
#include <time.h>

#include "cli/print.h"
#include "cli/show.h"

enum { INTERVAL_MS = 500 };

static void pause_between(void) {
    nanosleep(&(struct timespec){.tv_nsec = INTERVAL_MS * 1000000L}, NULL);
}

/* How much of the text fits the terminal with a row to spare, and in how many rows: lines that are too wide take several. */
static size_t fit_rows(const struct buf *text, const struct terminal *terminal, unsigned *ret_rows) {
    const uint8_t *bytes = buf_data(text);
    size_t fits = 0;
    unsigned rows = 0, column = 0;
    bool in_sequence = false;

    *ret_rows = 0;
    for (size_t i = 0; i < text->size; i++) {
        if (in_sequence) {
            in_sequence = bytes[i] != 'm';
        } else if (bytes[i] == 033) {
            in_sequence = true;
        } else if (bytes[i] == '\n') {
            if (++rows >= terminal->height)
                break;
            column = 0;
            fits = i + 1;
            *ret_rows = rows;
        } else if ((bytes[i] & 0xc0) != 0x80 && ++column > terminal->width) {
            rows++;
            column = 1;
        }
    }
    return fits;
}

int progress_show(progress_fn redraw, void *user, struct status *st) {
    unsigned drawn = 0;

    for (;;) {
        struct terminal terminal = terminal_get();
        struct buf frame = {0}, out = {0};
        bool goes_on = redraw(user, &terminal, &frame, st);

        if (st->code) {
            buf_clear(&frame);
            return -(int)st->code;
        }
        if (drawn)
            buf_printf(&out, "\033[%uA\r\033[J", drawn);
        if (terminal.is_terminal && goes_on)
            buf_add(&out, buf_data(&frame), fit_rows(&frame, &terminal, &drawn));
        else if (!goes_on)
            buf_add(&out, buf_data(&frame), frame.size);
        terminal_write(&out);
        buf_clear(&frame);
        if (!goes_on)
            return 0;
        pause_between();
    }
}

void progress_add_bar(const struct terminal *terminal, double progress, unsigned width, struct buf *out) {
    unsigned full;

    if (!(progress >= 0 && progress <= 1))
        return;
    full = (unsigned)(progress * width + 0.5);
    buf_printf(out, "[");
    terminal_begin(terminal, STYLE_GOOD, out);
    for (unsigned i = 0; i < full; i++)
        buf_add_u8(out, '#');
    terminal_end(terminal, STYLE_GOOD, out);
    for (unsigned i = full; i < width; i++)
        buf_add_u8(out, '.');
    buf_printf(out, "] %3d%%  ", (int)(progress * 100));
}

/* ------------------------------------------------------------------ a job */

struct waiting {
    struct connection *connection;
    const char *job;
    bool is_shown;
    struct arena *arena;         /* of the end */
    Trestle__V1__JobDetail *end; /* NULL: not yet */
};

static bool redraw_job(void *user, const struct terminal *terminal, struct buf *out, struct status *st) {
    struct waiting *waiting = user;
    struct arena arena = {0};
    Trestle__V1__JobDetail *job;
    Trestle__V1__Graph *graph;

    if (inspection_job(waiting->connection, waiting->job, &arena, &job, st) == 0 &&
        inspection_graph(waiting->connection, waiting->job, &arena, &graph, st) == 0) {
        if (terminal->is_terminal && waiting->is_shown)
            show_add_progress(terminal, job, graph, out);
        if (state_is_terminal(job->summary->state))
            inspection_job(waiting->connection, waiting->job, waiting->arena, &waiting->end, st);
    }
    arena_clear(&arena);
    return !st->code && !waiting->end;
}

int progress_wait_for_job(struct connection *connection, const char *job, bool is_shown, struct arena *arena,
                          Trestle__V1__JobDetail **ret, struct status *st) {
    struct waiting waiting = {.connection = connection, .job = job, .is_shown = is_shown, .arena = arena};
    int r = progress_show(redraw_job, &waiting, st);

    if (r == 0)
        *ret = waiting.end;
    return r;
}
