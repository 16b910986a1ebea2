#include "prometheus.h"

#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

#define NAME "[a-zA-Z_:][a-zA-Z0-9_:]*"
#define LABEL "[a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\\\\n]|\\\\[\\\\\"n])*\""
#define SAMPLE "^(" NAME ")(\\{" LABEL "(," LABEL ")*\\})? ([^ ]+)$"

struct checker {
    struct map families; /* name -> "type" */
    struct map helped;
    struct map series;
    regex_t sample;
    char family[200]; /* whose samples are expected */
    char type[20];
    double last_bucket; /* of a histogram */
    double infinite_bucket, count;
};

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static const char *end_family(struct checker *c) {
    if (strcmp(c->type, "histogram") == 0 && (c->infinite_bucket < 0 || c->infinite_bucket != c->count))
        return "the histogram before has no +Inf bucket, or it is not the count";
    return NULL;
}

static const char *take_comment(struct checker *c, const char *line) {
    char name[200] = "", rest[200] = "";
    bool is_help = strncmp(line, "# HELP ", 7) == 0;

    if (!is_help && strncmp(line, "# TYPE ", 7) != 0)
        return "a comment that is neither HELP nor TYPE";
    if (sscanf(line + 7, "%199s %199[^\n]", name, rest) != 2)
        return "name or text is missing";
    if (is_help)
        return map_set_string(&c->helped, name, c) ? "a second HELP" : NULL;
    if (!map_has_string(&c->helped, name))
        return "TYPE comes before HELP";
    if (map_set_string(&c->families, name, c))
        return "a second TYPE";
    if (strcmp(rest, "counter") != 0 && strcmp(rest, "gauge") != 0 && strcmp(rest, "histogram") != 0)
        return "an unknown type";
    if ((strcmp(rest, "counter") == 0) != ends_with(name, "_total"))
        return "counters, and they alone, end in _total";
    strcpy(c->family, name);
    snprintf(c->type, sizeof(c->type), "%s", rest);
    c->last_bucket = c->infinite_bucket = c->count = -1;
    return NULL;
}

static const char *take_histogram(struct checker *c, const char *line, const char *name, double value) {
    const char *suffix = name + strlen(c->family);

    if (strcmp(suffix, "_bucket") == 0) {
        if (value < c->last_bucket)
            return "buckets are not cumulative";
        c->last_bucket = value;
        if (strstr(line, "le=\"+Inf\""))
            c->infinite_bucket = value;
        else if (!strstr(line, "le=\"") || c->infinite_bucket >= 0)
            return "a bucket without an end, or behind +Inf";
        return NULL;
    }
    if (strcmp(suffix, "_count") == 0)
        c->count = value;
    return strcmp(suffix, "_count") == 0 || strcmp(suffix, "_sum") == 0 ? NULL : "no sample of a histogram";
}

static const char *take_sample(struct checker *c, const char *line) {
    regmatch_t match[8];
    char name[200];
    char *end;
    double value;

    if (regexec(&c->sample, line, 8, match, 0) != 0)
        return "no sample";
    snprintf(name, sizeof(name), "%.*s", (int)match[1].rm_eo, line);
    value = strtod(line + match[6].rm_so, &end);
    if (*end)
        return "the value is no number";
    CLEANUP(freep) char *series = xmemdup0(line, (size_t)match[6].rm_so - 1);
    if (map_set_string(&c->series, series, c))
        return "the series is there twice";
    if (strcmp(c->type, "histogram") == 0 && strncmp(name, c->family, strlen(c->family)) == 0)
        return take_histogram(c, line, name, value);
    if (strcmp(name, c->family) != 0)
        return "a sample of another family than the one begun";
    return strcmp(c->type, "counter") == 0 && value < 0 ? "a counter below zero" : NULL;
}

char *prometheus_check(const char *text) {
    struct checker c = {.last_bucket = -1};
    const char *why = text[0] && text[strlen(text) - 1] == '\n' ? NULL : "the last line has no end";
    char *copy = xstrdup(text), *rest = NULL, *wrong = NULL;

    if (regcomp(&c.sample, SAMPLE, REG_EXTENDED) != 0)
        abort();
    for (char *line = strtok_r(copy, "\n", &rest); line && !why; line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '#' && strncmp(line, "# HELP ", 7) == 0)
            why = end_family(&c);
        if (!why)
            why = line[0] == '#' ? take_comment(&c, line) : take_sample(&c, line);
        if (why)
            wrong = xasprintf("%s: %s", line, why);
    }
    if (!why && (why = end_family(&c)))
        wrong = xstrdup(why);
    if (why && !wrong)
        wrong = xstrdup(why);
    regfree(&c.sample);
    map_clear(&c.families, NULL);
    map_clear(&c.helped, NULL);
    map_clear(&c.series, NULL);
    free(copy);
    return wrong;
}

char *prometheus_ask_promtool(const char *text) {
    FILE *file = tmpfile(), *promtool = NULL;
    char said[4096] = "";
    size_t size;
    int status;

    if (!file || fputs(text, file) < 0 || fseek(file, 0, SEEK_SET) < 0)
        abort();
    CLEANUP(freep)
    char *command = xasprintf("! command -v promtool >/dev/null || promtool check metrics <&%d 2>&1", fileno(file));
    promtool = popen(command, "r");
    if (!promtool)
        abort();
    size = fread(said, 1, sizeof(said) - 1, promtool);
    status = pclose(promtool);
    fclose(file);
    return size || status ? xasprintf("promtool ended with %d: %s", status, said) : NULL;
}

double prometheus_value(const char *text, const char *series) {
    size_t size = strlen(series);

    for (const char *at = text; (at = strstr(at, series)); at += size)
        if ((at == text || at[-1] == '\n') && at[size] == ' ')
            return strtod(at + size, NULL);
    return -1;
}
