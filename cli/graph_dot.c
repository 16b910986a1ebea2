#include "cli/format.h"
#include "cli/graph.h"

/* Inside of a quoted string of the DOT language, where \n, \l and the like are Graphviz's own. */
static void add_quoted(struct buf *out, const char *text) {
    struct buf printable = {0};

    add_printable(&printable, text);
    for (size_t i = 0; i < printable.size; i++) {
        char c = (char)buf_data(&printable)[i];

        if (c == '\n')
            buf_printf(out, "\\n");
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else
            buf_add_u8(out, (uint8_t)c);
    }
    buf_clear(&printable);
}

/* A state's colour, of Graphviz's set of names. */
static const char *colour_of(const Trestle__V1__Stage *stage) {
    switch (style_of_state(stage->state)) {
    case STYLE_GOOD:
        return "palegreen";
    case STYLE_BOLD:
        return "lightyellow";
    default:
        return "white";
    }
}

static void add_stage(const Trestle__V1__Stage *stage, struct buf *out) {
    buf_printf(out, "  s%u [fillcolor=%s, label=\"%u ", stage->index, colour_of(stage), stage->index);
    add_quoted(out, stage->name);
    buf_printf(out, "\\n");
    add_quoted(out, stage->kind);
    if (stage->environment[0]) {
        buf_printf(out, " in ");
        add_quoted(out, stage->environment);
    }
    buf_printf(out, ", ");
    add_quoted(out, stage->state);
    buf_printf(out, "\\n");
    for (size_t i = 0; i < stage->n_transforms; i++) {
        add_quoted(out, stage->transforms[i]->name[0] ? stage->transforms[i]->name : stage->transforms[i]->id);
        buf_printf(out, "\\l"); /* the line stands at the left */
    }
    buf_printf(out, "\"];\n");
}

static void add_edge(const Trestle__V1__Edge *edge, struct buf *out) {
    CLEANUP(freep) char *elements = format_count(edge->elements);

    buf_printf(out, "  s%u -> s%u [label=\"%s\", tooltip=\"", edge->from_stage, edge->to_stage, elements);
    add_quoted(out, edge->pcollection_name[0] ? edge->pcollection_name : edge->pcollection);
    buf_printf(out, "\"%s];\n", edge->is_side_input ? ", style=dashed" : "");
}

void graph_add_dot(const Trestle__V1__Graph *graph, struct buf *out) {
    buf_printf(out, "digraph stages {\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n"
                    "  edge [fontname=\"sans-serif\"];\n");
    for (size_t i = 0; i < graph->n_stages; i++)
        add_stage(graph->stages[i], out);
    for (size_t i = 0; i < graph->n_edges; i++)
        add_edge(graph->edges[i], out);
    buf_printf(out, "}\n");
}
