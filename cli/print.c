#include "cli/print.h"

#include <string.h>

#include "base/clock.h"
#include "cli/format.h"
#include "cli/table.h"
#include "jobserver/job.h"
#include "wire/json.h"

void print_json(const ProtobufCMessage *message) {
    struct buf out = {0};

    json_add_message(&out, message);
    buf_printf(&out, "\n");
    terminal_write(&out);
}

void print_job_state(bool as_json, const char *job, const char *state) {
    struct buf out = {0};

    if (as_json) {
        buf_printf(&out, "{\"job_id\":");
        json_add_string(&out, job);
        buf_printf(&out, ",\"state\":");
        json_add_string(&out, state);
        buf_printf(&out, "}\n");
    } else {
        buf_printf(&out, "%s: %s\n", job, state);
    }
    terminal_write(&out);
}

char *describe_state(const Trestle__V1__JobSummary *job) {
    return job->queue_place ? xasprintf("%s (queued, place %u)", job->state, job->queue_place) : xstrdup(job->state);
}

char *describe_duration(const Trestle__V1__JobSummary *job, int64_t now) {
    int64_t from = job->started_ms ? job->started_ms : job->submitted_ms;
    int64_t to = job->ended_ms ? job->ended_ms : now;

    return from ? format_duration(MAX(to - from, (int64_t)0)) : xstrdup("-");
}

void add_jobs(const struct terminal *terminal, Trestle__V1__JobSummary *const *jobs, size_t count, struct buf *out) {
    static const struct column columns[] = {
        {.title = "JOB"},
        {.title = "NAME", .may_shrink = true, .may_go = true},
        {.title = "STATE"},
        {.title = "DONE", .is_number = true},
        {.title = "SUBMITTED", .may_go = true},
        {.title = "TIME", .is_number = true},
        {.title = "SDK", .may_shrink = true, .may_go = true},
        {.title = "ERROR", .may_shrink = true},
    };
    int64_t now = wall_clock_ms();
    struct table table;

    table_init(&table, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < count; i++) {
        const Trestle__V1__JobSummary *job = jobs[i];

        table_add_copy(&table, STYLE_BOLD, job->id);
        table_add_copy(&table, STYLE_PLAIN, job->name);
        table_add(&table, style_of_state(job->state), describe_state(job));
        table_add(&table, STYLE_PLAIN, format_progress(job->progress));
        table_add(&table, STYLE_PLAIN, format_time(job->submitted_ms, false));
        table_add(&table, STYLE_PLAIN, describe_duration(job, now));
        table_add_copy(&table, STYLE_PLAIN, job->sdk);
        table_add_copy(&table, STYLE_BAD, job->error);
    }
    table_print(&table, terminal, 0, out);
}

bool state_is_terminal(const char *state) {
    return job_state_is_terminal(job_state_of_name(state));
}
