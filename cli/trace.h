/* Traces of Python, Java and Go read for people: what failed, and which lines are the user's own rather than the SDK's or the interpreter's.
 * web/trace.js does the same for the page. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "cli/terminal.h"

/* Empty where the text does not say it; owned. */
struct trace {
    char *cause; /* "ValueError: no" */
    char *
        where; /* the user's innermost line: "/home/me/job.py, line 13, in parse", "shop.Parse.process (Parse.java:9)" */
    char *step; /* the transform's unique name */
};

void trace_read(const char *text, struct trace *ret);
void trace_finish(struct trace *trace);

/* The text, the user's own lines set off. On a terminal a longer run of others becomes a line that counts them. Ends with a newline. */
void add_trace(const struct terminal *terminal, const char *text, struct buf *out);

#endif
