/* A job's graph of fused stages, drawn as text and for Graphviz.
 *
 * As text it is a tree. A stage stands below what it reads; one that several others feed stands below the last of them. Edges name the stages
 * that they lead to by their numbers.
 *
 *      o 0 Read/Impulse  impulse, done
 *      |   -> 1: 1 element, 1 B
 *      o 1 Read/Split+Map  executable, running 45%
 *      |     Read/Split
 *      |     Map
 *      |   -> 2: 1,000 elements, 12.0 KiB
 *      |   -> 3: 20 elements, 240 B (side input)
 *      |-o 2 Group  group_by_key, waiting
 *      |     -> 4: 0 elements, 0 B
 *      o 3 ...
 */
#ifndef CLI_GRAPH_H
#define CLI_GRAPH_H

#include "cli/inspection.h"
#include "cli/terminal.h"

void graph_add_text(const struct terminal *terminal, const Trestle__V1__Graph *graph, struct buf *out);
void graph_add_dot(const Trestle__V1__Graph *graph, struct buf *out);

#endif
