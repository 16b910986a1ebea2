#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "cli/graph.h"

enum { MAX_DEPTH = 40 }; /* of branches in branches: more would not fit a line */

/* While it is drawn. Stages are meant by their places in the graph's list; the list's end is none. */
struct drawing {
    const struct terminal *terminal;
    const Trestle__V1__Graph *graph;
    struct buf *out;
    bool has_environments; /* several; one alone is not worth a word */
    bool *is_drawn;
    unsigned *missing;        /* of each stage: edges from stages that are not drawn yet */
    char bars[MAX_DEPTH + 1]; /* the branches that go on below: '|', or ' ' */
    unsigned depth;
};

static size_t place_of(const Trestle__V1__Graph *graph, uint32_t index) {
    if (index < graph->n_stages && graph->stages[index]->index == index)
        return index;
    for (size_t i = 0; i < graph->n_stages; i++)
        if (graph->stages[i]->index == index)
            return i;
    return graph->n_stages;
}

static void add_bars(const struct drawing *drawing) {
    for (unsigned i = 0; i < drawing->depth; i++)
        buf_printf(drawing->out, "%c ", drawing->bars[i]);
}

/* ------------------------------------------------------------------ a stage */

static void add_head(const struct drawing *drawing, const Trestle__V1__Stage *stage) {
    CLEANUP(freep) char *progress = format_progress(stage->progress);
    struct buf *out = drawing->out;

    buf_printf(out, "o %u ", stage->index);
    terminal_add(drawing->terminal, STYLE_BOLD, stage->name, out);
    buf_printf(out, "  ");
    add_printable(out, stage->kind);
    if (drawing->has_environments && stage->environment[0]) {
        buf_printf(out, " in ");
        add_printable(out, stage->environment);
    }
    buf_printf(out, ", ");
    terminal_add(drawing->terminal, style_of_state(stage->state), stage->state, out);
    if (strcmp(stage->state, "running") == 0 && stage->progress >= 0)
        buf_printf(out, " %s", progress);
    if (stage->bundles_failed)
        buf_printf(out, ", %llu bundles failed", (unsigned long long)stage->bundles_failed);
    buf_printf(out, "\n");
}

/* `bar`: whether something stands below the stage in its own column. */
static void begin_detail(const struct drawing *drawing, char bar) {
    add_bars(drawing);
    buf_printf(drawing->out, "%c   ", bar);
}

static void add_transforms(const struct drawing *drawing, const Trestle__V1__Stage *stage, char bar) {
    for (size_t i = 0; i < stage->n_transforms; i++) {
        const Trestle__V1__Transform *transform = stage->transforms[i];
        CLEANUP(freep) char *time = format_duration((int64_t)transform->time_ms);

        begin_detail(drawing, bar);
        buf_printf(drawing->out, "  ");
        add_printable(drawing->out, transform->name[0] ? transform->name : transform->id);
        if (transform->time_ms)
            buf_printf(drawing->out, "  (%s)", time);
        buf_printf(drawing->out, "\n");
    }
}

static void add_edges(const struct drawing *drawing, const Trestle__V1__Stage *stage, char bar) {
    const Trestle__V1__Graph *graph = drawing->graph;

    for (size_t i = 0; i < graph->n_edges; i++) {
        const Trestle__V1__Edge *edge = graph->edges[i];
        CLEANUP(freep) char *elements = format_count(edge->elements);
        CLEANUP(freep) char *bytes = format_bytes(edge->bytes);

        if (edge->from_stage != stage->index)
            continue;
        begin_detail(drawing, bar);
        buf_printf(drawing->out, "-> %u: %s element%s, %s%s\n", edge->to_stage, elements,
                   edge->elements == 1 ? "" : "s", bytes, edge->is_side_input ? " (side input)" : "");
    }
}

/* ------------------------------------------------------------------ the tree */

/* Counts `by` on to what is missing of the stages that `stage` feeds. */
static void count_missing(struct drawing *drawing, const Trestle__V1__Stage *stage, int by) {
    const Trestle__V1__Graph *graph = drawing->graph;

    for (size_t i = 0; i < graph->n_edges; i++)
        if (graph->edges[i]->from_stage == stage->index)
            drawing->missing[place_of(graph, graph->edges[i]->to_stage)] += (unsigned)by;
}

/* A stage that this one feeds, and whose producers are all drawn; other than `but`. */
static size_t find_child(const struct drawing *drawing, const Trestle__V1__Stage *stage, size_t but) {
    const Trestle__V1__Graph *graph = drawing->graph;

    for (size_t i = 0; i < graph->n_edges; i++) {
        size_t to = graph->n_stages;

        if (graph->edges[i]->from_stage == stage->index)
            to = place_of(graph, graph->edges[i]->to_stage);
        if (to < graph->n_stages && to != but && !drawing->is_drawn[to] && drawing->missing[to] == 0)
            return to;
    }
    return graph->n_stages;
}

/* The stage at `place`, and what hangs below it: all but the last child as branches, the last one in the same column. */
static void draw(struct drawing *drawing, size_t place) {
    const size_t none = drawing->graph->n_stages;

    while (place < none) {
        const Trestle__V1__Stage *stage = drawing->graph->stages[place];
        size_t child;
        char bar;

        drawing->is_drawn[place] = true;
        count_missing(drawing, stage, -1);
        child = find_child(drawing, stage, none);
        bar = child < none ? '|' : ' ';
        add_head(drawing, stage);
        add_transforms(drawing, stage, bar);
        add_edges(drawing, stage, bar);
        while (drawing->depth < MAX_DEPTH && find_child(drawing, stage, child) < none) {
            add_bars(drawing);
            buf_printf(drawing->out, "|-");
            drawing->bars[drawing->depth++] = '|';
            draw(drawing, child);
            drawing->depth--;
            child = find_child(drawing, stage, none);
        }
        if (child < none)
            add_bars(drawing);
        place = child;
    }
}

static bool has_environments(const Trestle__V1__Graph *graph) {
    const char *first = "";

    for (size_t i = 0; i < graph->n_stages; i++) {
        const char *environment = graph->stages[i]->environment;

        if (first[0] && environment[0] && strcmp(first, environment) != 0)
            return true;
        if (!first[0])
            first = environment;
    }
    return false;
}

void graph_add_text(const struct terminal *terminal, const Trestle__V1__Graph *graph, struct buf *out) {
    struct drawing drawing = {
        .terminal = terminal,
        .graph = graph,
        .out = out,
        .has_environments = has_environments(graph),
        .is_drawn = xcalloc(graph->n_stages + 1, sizeof(bool)),
        .missing = xcalloc(graph->n_stages + 1, sizeof(unsigned)),
    };

    for (size_t i = 0; i < graph->n_stages; i++)
        count_missing(&drawing, graph->stages[i], 1);
    for (size_t i = 0; i < graph->n_stages; i++)
        if (!drawing.is_drawn[i] && drawing.missing[i] == 0)
            draw(&drawing, i);
    free(drawing.is_drawn);
    free(drawing.missing);
}
