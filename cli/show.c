/* show: what there is to know of one job. */
#include "cli/show.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/find_job.h"
#include "cli/findings.h"
#include "cli/format.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/trace.h"

enum { JOB_BAR = 30, STAGE_BAR = 10, LABEL = 12 };

/* ------------------------------------------------------------------ summary */

static void add_heading(const struct terminal *terminal, const char *text, struct buf *out) {
    buf_printf(out, "\n");
    terminal_add(terminal, STYLE_BOLD, text, out);
    buf_printf(out, "\n");
}

static void add_field(const struct terminal *terminal, const char *label, const char *text, struct buf *out) {
    if (!text[0])
        return;
    buf_printf(out, "  ");
    terminal_add(terminal, STYLE_DIM, label, out);
    buf_printf(out, "%*s", (int)(LABEL - strlen(label)), "");
    add_printable(out, text);
    buf_printf(out, "\n");
}

static void add_time(const struct terminal *terminal, const char *label, int64_t ms, struct buf *out) {
    CLEANUP(freep) char *time = format_time(ms, false);
    CLEANUP(freep) char *ago = format_duration(MAX(wall_clock_ms() - ms, (int64_t)0));
    CLEANUP(freep) char *text = xasprintf("%s (%s ago)", time, ago);

    if (ms)
        add_field(terminal, label, text, out);
}

static void add_title(const struct terminal *terminal, const Trestle__V1__JobSummary *job, struct buf *out) {
    CLEANUP(freep) char *state = describe_state(job);
    CLEANUP(freep) char *duration = describe_duration(job, wall_clock_ms());

    terminal_add(terminal, STYLE_BOLD, job->name, out);
    buf_printf(out, " (");
    add_printable(out, job->id);
    buf_printf(out, ")\n  ");
    progress_add_bar(terminal, job->progress, JOB_BAR, out);
    terminal_add(terminal, style_of_state(job->state), state, out);
    buf_printf(out, ", %s%s\n", duration, job->is_streaming ? ", streaming" : "");
}

static void add_resources(const struct terminal *terminal, const Trestle__V1__JobDetail *job, struct buf *out) {
    CLEANUP(freep) char *memory = format_bytes(job->memory_bytes);
    CLEANUP(freep) char *peak = format_bytes(job->peak_memory_bytes);
    CLEANUP(freep) char *disk = format_bytes(job->disk_bytes);
    CLEANUP(freep) char *text = xasprintf("memory %s (at most %s), disk %s", memory, peak, disk);
    CLEANUP(freep)
    char *retries = xasprintf("%u bundle%s run again (trestle logs --level warning)", job->summary->retries,
                              job->summary->retries == 1 ? " was" : "s were");
    CLEANUP(freep) char *warnings = xasprintf("%u (trestle logs --level warning)", job->warnings);
    CLEANUP(freep) char *priority = xasprintf("%d", job->summary->priority);

    add_field(terminal, "Uses", text, out);
    if (job->summary->retries)
        add_field(terminal, "Retries", retries, out);
    if (job->warnings)
        add_field(terminal, "Warnings", warnings, out);
    if (job->summary->priority)
        add_field(terminal, "Priority", priority, out);
}

static const char *error_of(const Trestle__V1__JobDetail *job) {
    return job->error[0] ? job->error : job->summary->error;
}

/* Where it failed, as far as the stages tell; "": they do not. */
static const char *failed_stage(const Trestle__V1__Graph *graph) {
    for (size_t i = 0; i < graph->n_stages; i++)
        if (graph->stages[i]->bundles_failed && strcmp(graph->stages[i]->state, "done") != 0)
            return graph->stages[i]->name;
    return "";
}

/* What failed it, in short: the whole of it stands at the end. Not all SDKs name the step. */
static void add_failure(const struct terminal *terminal, const char *error, const Trestle__V1__Graph *graph,
                        struct buf *out) {
    CLEANUP(freep) char *headline = error_headline(error);
    struct trace trace;

    trace_read(error, &trace);
    add_field(terminal, "Error", trace.cause[0] ? trace.cause : headline, out);
    add_field(terminal, "Step", trace.step, out);
    if (error[0] && !trace.step[0])
        add_field(terminal, "Stage", failed_stage(graph), out);
    add_field(terminal, "Your code", trace.where, out);
    trace_finish(&trace);
}

static void add_summary(const struct terminal *terminal, const Trestle__V1__JobDetail *job,
                        const Trestle__V1__Graph *graph, struct buf *out) {
    add_title(terminal, job->summary, out);
    add_failure(terminal, error_of(job), graph, out);
    add_time(terminal, "Submitted", job->summary->submitted_ms, out);
    add_time(terminal, "Started", job->summary->started_ms, out);
    add_time(terminal, "Ended", job->summary->ended_ms, out);
    add_field(terminal, "SDK", job->summary->sdk, out);
    add_resources(terminal, job, out);
}

/* ------------------------------------------------------------------ stages */

static bool is_streaming(const Trestle__V1__Graph *graph) {
    for (size_t i = 0; i < graph->n_stages; i++)
        if (graph->stages[i]->is_streaming)
            return true;
    return false;
}

/* "2 running, 17 done, 1 failed", as far as there are any. */
static char *describe_bundle_counts(const Trestle__V1__Stage *stage) {
    const struct {
        uint64_t count;
        const char *what;
    } counts[] = {
        {stage->bundles_running, "running"}, {stage->bundles_done, "done"}, {stage->bundles_failed, "failed"}};
    struct buf out = {0};
    char *text;

    for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
        if (counts[i].count)
            buf_printf(&out, "%s%llu %s", out.size ? ", " : "", (unsigned long long)counts[i].count, counts[i].what);
    text = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

static void add_stages(const struct terminal *terminal, const Trestle__V1__Graph *graph, struct buf *out) {
    static const struct column columns[] = {
        {.title = "#", .is_number = true},
        {.title = "STAGE", .may_shrink = true},
        {.title = "STATE"},
        {.title = "DONE", .is_number = true},
        {.title = "BUNDLES"},
        {.title = "WAITING", .is_number = true},
        {.title = "IN", .is_number = true},
        {.title = "BYTES IN", .is_number = true, .may_go = true},
        {.title = "WAITS FOR", .may_shrink = true},
        {.title = "WATERMARK"},
    };
    bool has_watermarks = is_streaming(graph);
    struct table table;

    if (graph->n_stages == 0)
        return;
    add_heading(terminal, "Stages", out);
    table_init(&table, columns, ARRAY_COUNT(columns) - !has_watermarks);
    for (size_t i = 0; i < graph->n_stages; i++) {
        const Trestle__V1__Stage *stage = graph->stages[i];

        table_add(&table, STYLE_PLAIN, xasprintf("%u", stage->index));
        table_add_copy(&table, STYLE_PLAIN, stage->name);
        table_add_copy(&table, style_of_state(stage->state), stage->state);
        table_add(&table, STYLE_PLAIN, format_progress(stage->progress));
        table_add(&table, stage->bundles_failed ? STYLE_WARNING : STYLE_PLAIN, describe_bundle_counts(stage));
        table_add(&table, STYLE_PLAIN, format_count(stage->elements_waiting));
        table_add(&table, STYLE_PLAIN, format_count(stage->elements_in));
        table_add(&table, STYLE_PLAIN, format_bytes(stage->bytes_in));
        table_add_copy(&table, STYLE_PLAIN, stage->waits_for);
        if (has_watermarks)
            table_add_copy(&table, STYLE_PLAIN, stage->is_streaming ? stage->input_watermark : "");
    }
    table_print(&table, terminal, 2, out);
}

/* ------------------------------------------------------------------ workers, environments, error */

/* "2, one for 1m 04s, silent for 1m 03s, in Parse + Call (attempt 2)", of the bundle that has run the longest. */
static char *describe_bundles(const Trestle__V1__Worker *worker) {
    const Trestle__V1__RunningBundle *longest = NULL;

    for (size_t i = 0; i < worker->n_bundles; i++)
        if (!longest || worker->bundles[i]->running_ms > longest->running_ms)
            longest = worker->bundles[i];
    if (!longest)
        return xstrdup(strcmp(worker->state, "connected") == 0 ? "idle" : "");
    CLEANUP(freep) char *running = format_duration(longest->running_ms);
    CLEANUP(freep) char *silent = format_duration(longest->silent_ms);
    CLEANUP(freep) char *attempt = longest->attempt > 1 ? xasprintf(" (attempt %u)", longest->attempt) : xstrdup("");

    return xasprintf("%zu%s for %s%s%s, in %s%s", worker->n_bundles, worker->n_bundles > 1 ? ", one" : "", running,
                     longest->silent_ms >= 1000 ? ", silent for " : "", longest->silent_ms >= 1000 ? silent : "",
                     longest->stage, attempt);
}

static void add_workers(const struct terminal *terminal, const Trestle__V1__JobDetail *job, struct buf *out) {
    static const struct column columns[] = {
        {.title = "WORKER", .may_shrink = true},
        {.title = "ENVIRONMENT", .may_shrink = true, .may_go = true},
        {.title = "STATE"},
        {.title = "SLOTS", .is_number = true, .may_go = true},
        {.title = "BUNDLES", .may_shrink = true},
    };
    struct table table;

    if (job->n_workers == 0)
        return;
    add_heading(terminal, "Workers", out);
    table_init(&table, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < job->n_workers; i++) {
        table_add_copy(&table, STYLE_PLAIN, short_worker_id(job->workers[i]->id, job->summary->id));
        table_add_copy(&table, STYLE_PLAIN, job->workers[i]->environment);
        table_add_copy(&table, style_of_state(job->workers[i]->state), job->workers[i]->state);
        table_add(&table, STYLE_PLAIN, xasprintf("%u", job->workers[i]->slots));
        table_add(&table, STYLE_PLAIN, describe_bundles(job->workers[i]));
    }
    table_print(&table, terminal, 2, out);
}

static void add_environments(const struct terminal *terminal, const Trestle__V1__JobDetail *job, struct buf *out) {
    static const struct column columns[] = {
        {.title = "ENVIRONMENT", .may_shrink = true},
        {.title = "RUNS"},
        {.title = "SDK"},
        {.title = "OF", .may_shrink = true},
    };
    struct table table;

    if (job->n_environments == 0)
        return;
    add_heading(terminal, "Environments", out);
    table_init(&table, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < job->n_environments; i++) {
        table_add_copy(&table, STYLE_PLAIN, job->environments[i]->id);
        table_add_copy(&table, STYLE_PLAIN, job->environments[i]->way);
        table_add_copy(&table, STYLE_PLAIN, job->environments[i]->sdk);
        table_add_copy(&table, STYLE_PLAIN, job->environments[i]->about);
    }
    table_print(&table, terminal, 2, out);
}

static void add_standing_out(const struct terminal *terminal, const Trestle__V1__JobDetail *job,
                             const Trestle__V1__Graph *graph, const Trestle__V1__Server *server, struct buf *out) {
    struct buf findings = {0};

    add_findings(terminal, job, graph, server, &findings);
    if (findings.size)
        add_heading(terminal, "What stands out", out);
    buf_add(out, buf_data(&findings), findings.size);
    buf_clear(&findings);
}

/* Last, where a terminal shows it. */
static void add_error(const struct terminal *terminal, const char *error, struct buf *out) {
    if (!error[0])
        return;
    add_heading(terminal, "Error", out);
    add_trace(terminal, error, out);
}

void show_add_job(const struct terminal *terminal, const Trestle__V1__JobDetail *job, const Trestle__V1__Graph *graph,
                  const Trestle__V1__Server *server, struct buf *out) {
    add_summary(terminal, job, graph, out);
    add_stages(terminal, graph, out);
    add_workers(terminal, job, out);
    add_environments(terminal, job, out);
    add_standing_out(terminal, job, graph, server, out);
    add_error(terminal, error_of(job), out);
}

void show_add_progress(const struct terminal *terminal, const Trestle__V1__JobDetail *job,
                       const Trestle__V1__Graph *graph, struct buf *out) {
    static const struct column columns[] = {
        {.title = "STAGE", .may_shrink = true},
        {.title = "DONE"},
        {.title = "IN", .is_number = true},
        {.title = "WAITS FOR", .may_shrink = true},
    };
    struct table table;

    add_title(terminal, job->summary, out);
    table_init(&table, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < graph->n_stages; i++) {
        const Trestle__V1__Stage *stage = graph->stages[i];
        const struct terminal plain = {0};
        struct buf bar = {0};

        if (strcmp(stage->state, "running") != 0)
            continue;
        progress_add_bar(&plain, stage->progress, STAGE_BAR, &bar);
        buf_add_u8(&bar, '\0');
        table_add_copy(&table, STYLE_PLAIN, stage->name);
        table_add_copy(&table, STYLE_PLAIN, (const char *)buf_data(&bar));
        table_add(&table, STYLE_PLAIN, format_count(stage->elements_in));
        table_add_copy(&table, STYLE_PLAIN, stage->waits_for);
        buf_clear(&bar);
    }
    if (table.cells.count)
        table_print(&table, terminal, 2, out);
    add_findings(terminal, job, graph, NULL, out);
}

/* ------------------------------------------------------------------ the command */

static const struct flag flags[] = {
    {.name = "--follow", .letter = 'f', .doc = "until the job's end; on a terminal, as it goes"},
    CONNECTION_FLAGS,
};

static int print_job(struct connection *connection, const char *id, bool as_json, struct arena *arena,
                     struct status *st) {
    struct terminal terminal = terminal_get();
    Trestle__V1__JobDetail *job;
    Trestle__V1__Graph *graph;
    Trestle__V1__Server *server;
    struct buf out = {0};

    if (inspection_job(connection, id, arena, &job, st) < 0 ||
        inspection_graph(connection, id, arena, &graph, st) < 0 ||
        inspection_server(connection, arena, &server, st) < 0)
        return EXIT_FAILURE;
    if (as_json) {
        print_json(&job->base);
    } else {
        show_add_job(&terminal, job, graph, server, &out);
        terminal_write(&out);
    }
    return EXIT_SUCCESS;
}

static int run_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    bool as_json = arguments_value(arguments, "--json");
    Trestle__V1__JobSummary *job;
    Trestle__V1__JobDetail *end;
    struct arena arena = {0};
    int result = EXIT_FAILURE;

    if (find_job(connection, arguments->operands[0], &arena, &job, st) == 0 &&
        (!arguments_value(arguments, "--follow") ||
         progress_wait_for_job(connection, job->id, !as_json, &arena, &end, st) == 0))
        result = print_job(connection, job->id, as_json, &arena, st);
    arena_clear(&arena);
    return result;
}

static int run(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, run_connected, st);
}

const struct command command_show = {
    .name = "show",
    .operands = {"JOB"},
    .summary = "what there is to know of a job: its stages, workers, and what failed it",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
