#include "cli/trace.h"

#include <stdlib.h>
#include <string.h>

enum { FOLD = 4 }; /* lines; a longer run is folded */

/* What a line is. PYTHON_CODE follows its frame; CAUSE is next to frames. */
enum line_kind { LINE_TEXT, LINE_CAUSE, LINE_OWN, LINE_FOREIGN };
enum language { LANGUAGE_NONE, LANGUAGE_PYTHON, LANGUAGE_JAVA, LANGUAGE_GO };

struct line {
    const char *text;
    size_t size; /* without its newline */
    enum line_kind kind;
    enum language frame; /* NONE: it is none */
};

/* Goes through a text line by line. */
struct reader {
    const char *rest;
    enum language frame; /* of the lines just before */
    enum line_kind kind; /* of that frame */
};

static bool holds(const char *text, size_t size, const char *part) {
    return memmem(text, size, part, strlen(part)) != NULL;
}

static bool begins(const char *text, size_t size, const char *with) {
    return size >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static bool holds_any(const char *text, size_t size, const char *const *parts) {
    for (; *parts; parts++)
        if (holds(text, size, *parts))
            return true;
    return false;
}

/* ------------------------------------------------------------------ frames */

/* File "PATH", line N, in NAME */
static bool is_python_frame(const char *text, size_t size, enum line_kind *ret) {
    static const char *const foreign[] = {"site-packages", "dist-packages", "/apache_beam/",        "\"apache_beam/",
                                          "/lib/python3",  "\"<frozen ",    "/concurrent/futures/", NULL};
    const char *end;

    if (!begins(text, size, "File \""))
        return false;
    end = memmem(text, size, "\", line ", 8);
    if (!end)
        return false;
    *ret = holds_any(text, (size_t)(end - text), foreign) ? LINE_FOREIGN : LINE_OWN;
    return true;
}

/* at MODULE/CLASS.METHOD(FILE:N) */
static bool is_java_frame(const char *text, size_t size, enum line_kind *ret) {
    static const char *const foreign[] = {"java.",    "javax.",
                                          "jdk.",     "sun.",
                                          "com.sun.", "org.apache.beam.",
                                          "kotlin.",  "scala.",
                                          "io.grpc.", "org.springframework.",
                                          NULL};
    const char *module, *name = text + 3;

    if (!begins(text, size, "at ") || text[size - 1] != ')' || !memchr(text, '(', size))
        return false;
    module = memchr(text, '/', (size_t)((const char *)memchr(text, '(', size) - text));
    if (module)
        name = module + 1;
    *ret = holds(text, size, "$DoFnInvoker") ? LINE_FOREIGN : LINE_OWN;
    for (size_t i = 0; foreign[i]; i++)
        if (begins(name, size - (size_t)(name - text), foreign[i]))
            *ret = LINE_FOREIGN;
    return true;
}

/* /PATH.go:N +0x1b */
static bool is_go_frame(const char *text, size_t size, enum line_kind *ret) {
    static const char *const foreign[] = {
        "github.com/apache/beam", "/usr/local/go", "/usr/lib/go", "/go/src/", "/go/pkg/", "golang.org/toolchain", NULL};

    if (!begins(text, size, "/") || !holds(text, size, ".go:"))
        return false;
    *ret = holds_any(text, size, foreign) ? LINE_FOREIGN : LINE_OWN;
    return true;
}

static const struct {
    enum language language;
    bool (*is_frame)(const char *text, size_t size, enum line_kind *ret);
} frames[] = {
    {LANGUAGE_PYTHON, is_python_frame},
    {LANGUAGE_JAVA, is_java_frame},
    {LANGUAGE_GO, is_go_frame},
};

/* ------------------------------------------------------------------ lines */

/* Java's causes stand before their frames. */
static bool is_java_cause(const char *next) {
    enum line_kind kind;

    next += strspn(next, " \t");
    return *next && is_java_frame(next, strcspn(next, "\n"), &kind);
}

/* A line that is no frame. */
static enum line_kind kind_of_text(const struct reader *reader, const char *text, size_t size) {
    bool is_indented = *text == ' ' || *text == '\t';

    if (reader->frame == LANGUAGE_PYTHON && is_indented)
        return reader->kind; /* the frame's line of code */
    if (begins(text, size, "Traceback (most recent call last):"))
        return LINE_FOREIGN;
    if (size == 0 || is_indented)
        return LINE_TEXT;
    if (reader->frame == LANGUAGE_PYTHON || begins(text, size, "panic: ") || is_java_cause(reader->rest))
        return LINE_CAUSE;
    return LINE_TEXT;
}

/* False: there is no more. */
static bool next_line(struct reader *reader, struct line *ret) {
    const char *text = reader->rest;
    size_t size = strcspn(text, "\n"), indent = strspn(text, " \t|");

    if (!*text)
        return false;
    *ret = (struct line){.text = text, .size = size};
    reader->rest = text + size + (text[size] == '\n');
    for (size_t i = 0; i < ARRAY_COUNT(frames) && indent > 0 && indent < size; i++)
        if (frames[i].is_frame(text + indent, size - indent, &ret->kind)) {
            ret->frame = reader->frame = frames[i].language;
            reader->kind = ret->kind;
            return true;
        }
    ret->kind = kind_of_text(reader, text, size);
    if (*text != ' ' && *text != '\t')
        reader->frame = LANGUAGE_NONE;
    return true;
}

/* ------------------------------------------------------------------ what failed */

static void set(char **text, char *to) {
    free(*text);
    *text = to;
}

/* The frame as a place: "PATH, line N, in NAME". */
static char *place_of(const struct line *line) {
    const char *text = line->text + strspn(line->text, " \t|"), *end = line->text + line->size, *quote;

    switch (line->frame) {
    case LANGUAGE_PYTHON:
        text += strlen("File \"");
        quote = memchr(text, '"', (size_t)(end - text));
        return xasprintf("%.*s%.*s", (int)(quote - text), text, (int)(end - quote - 1), quote + 1);
    case LANGUAGE_JAVA:
        text += strlen("at ");
        quote = memchr(text, '(', (size_t)(end - text));
        return xasprintf("%.*s %.*s", (int)(quote - text), text, (int)(end - quote), quote);
    default:
        return xasprintf("%.*s", (int)strcspn(text, " \n"), text);
    }
}

static void take_cause(struct trace *trace, const struct line *line) {
    static const char wrapped[] = "Caused by: ";
    const char *text = line->text, *end = line->text + line->size;
    const char *step = memmem(text, line->size, " [while running '", 17);

    if (begins(text, line->size, wrapped))
        text += strlen(wrapped);
    set(&trace->cause, xmemdup0(text, (size_t)((step ? step : end) - text)));
}

/* Python's innermost frame is a trace's last, Java's and Go's the first below its cause. */
void trace_read(const char *text, struct trace *ret) {
    struct reader reader = {.rest = text};
    const char *step = strstr(text, "[while running '");
    bool is_innermost_known = false;
    struct line line;

    *ret = (struct trace){.cause = xstrdup(""), .where = xstrdup(""), .step = xstrdup("")};
    if (step && strstr(step, "']"))
        set(&ret->step, xmemdup0(step + 16, (size_t)(strstr(step, "']") - step) - 16));
    while (next_line(&reader, &line)) {
        if (line.kind == LINE_CAUSE) {
            take_cause(ret, &line);
            is_innermost_known = false;
        }
        if (!line.frame || line.kind != LINE_OWN || (line.frame != LANGUAGE_PYTHON && is_innermost_known))
            continue;
        set(&ret->where, place_of(&line));
        is_innermost_known = true;
    }
}

void trace_finish(struct trace *trace) {
    free(trace->cause);
    free(trace->where);
    free(trace->step);
    *trace = (struct trace){0};
}

/* ------------------------------------------------------------------ the text */

static void add_line(const struct terminal *terminal, const struct line *line, struct buf *out) {
    static const enum style styles[] = {
        [LINE_TEXT] = STYLE_PLAIN, [LINE_CAUSE] = STYLE_BAD, [LINE_OWN] = STYLE_BOLD, [LINE_FOREIGN] = STYLE_DIM};
    CLEANUP(freep) char *text = xmemdup0(line->text, line->size);

    terminal_add(terminal, styles[line->kind], text, out);
    buf_printf(out, "\n");
}

static size_t count_foreign(struct reader reader) {
    struct line line;
    size_t count = 0;

    while (next_line(&reader, &line) && line.kind == LINE_FOREIGN)
        count++;
    return count;
}

void add_trace(const struct terminal *terminal, const char *text, struct buf *out) {
    struct reader reader = {.rest = text};
    struct line line;

    for (;;) {
        size_t foreign = count_foreign(reader);

        if (terminal->is_terminal && foreign > FOLD) {
            CLEANUP(freep) char *folded = xasprintf("  ... %zu lines of the SDK and the interpreter", foreign);

            for (size_t i = 0; i < foreign; i++)
                next_line(&reader, &line);
            terminal_add(terminal, STYLE_DIM, folded, out);
            buf_printf(out, "\n");
        } else if (next_line(&reader, &line)) {
            add_line(terminal, &line, out);
        } else {
            return;
        }
    }
}
