/* metrics: a job's metrics, by transform. */
#include <stdlib.h>
#include <string.h>

#include "cli/find_job.h"
#include "cli/print.h"
#include "cli/table.h"

static const struct flag flags[] = {
    {.name = "--all", .letter = 'a', .doc = "the system's metrics too, not the user's alone"},
    CONNECTION_FLAGS,
};

static bool is_users(const Trestle__V1__JobMetric *metric) {
    return metric->namespace_[0] != '\0';
}

static void add_metrics(const struct terminal *terminal, const Trestle__V1__JobMetricList *list, bool has_all,
                        struct buf *out) {
    static const struct column columns[] = {
        {.title = "TRANSFORM", .may_shrink = true}, {.title = "METRIC", .may_shrink = true},    {.title = "TYPE"},
        {.title = "COMMITTED", .may_shrink = true}, {.title = "ATTEMPTED", .may_shrink = true},
    };
    struct table table;
    size_t shown = 0;

    table_init(&table, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < list->n_metrics; i++) {
        const Trestle__V1__JobMetric *metric = list->metrics[i];

        if (!has_all && !is_users(metric))
            continue;
        shown++;
        table_add_copy(&table, STYLE_PLAIN, metric->transform[0] ? metric->transform : metric->pcollection);
        table_add(&table, STYLE_BOLD,
                  is_users(metric) ? xasprintf("%s:%s", metric->namespace_, metric->name) : xstrdup(metric->name));
        table_add_copy(&table, STYLE_PLAIN, metric->type);
        table_add_copy(&table, STYLE_PLAIN, metric->committed);
        table_add_copy(&table, STYLE_PLAIN, metric->attempted);
    }
    if (shown)
        table_print(&table, terminal, 0, out);
    else
        terminal_add(terminal, STYLE_DIM,
                     has_all ? "no metrics yet\n" : "no metrics of the user's; --all shows the system's\n", out);
}

static int print_metrics(const struct arguments *arguments, struct connection *connection, struct arena *arena,
                         struct status *st) {
    struct terminal terminal = terminal_get();
    Trestle__V1__JobSummary *job;
    Trestle__V1__JobMetricList *list;
    struct buf out = {0};

    if (find_job(connection, arguments->operands[0], arena, &job, st) < 0 ||
        inspection_metrics(connection, job->id, arena, &list, st) < 0)
        return EXIT_FAILURE;
    if (arguments_value(arguments, "--json")) {
        print_json(&list->base);
    } else {
        add_metrics(&terminal, list, arguments_value(arguments, "--all"), &out);
        terminal_write(&out);
    }
    return EXIT_SUCCESS;
}

static int run_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    struct arena arena = {0};
    int result = print_metrics(arguments, connection, &arena, st);

    arena_clear(&arena);
    return result;
}

static int run(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, run_connected, st);
}

const struct command command_metrics = {
    .name = "metrics",
    .operands = {"JOB"},
    .summary = "a job's metrics",
    .more =
        "  COMMITTED counts what is in effect, ATTEMPTED also bundles that run or failed. --json has all of them.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
