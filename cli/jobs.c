/* jobs: the table of jobs, the newest first. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "jobserver/job.h"
#include "wire/json.h"

enum { DEFAULT_LIMIT = 20, PAGE = 1000, MAX_STATES = 16, MAX_LIMIT = 1000000 };

static const struct flag flags[] = {
    {.name = "--state",
     .value = "STATE,...",
     .doc = "those in one of these states",
     .choices = "RUNNING DONE FAILED CANCELLED STOPPED STARTING DRAINING DRAINED CANCELLING"},
    {.name = "--limit", .value = "N", .doc = "at most so many (20)"},
    {.name = "--all", .letter = 'a', .doc = "however many there are"},
    {.name = "--quiet", .letter = 'q', .doc = "the ids alone, one a line"},
    {.name = "--watch", .letter = 'w', .doc = "on a terminal: again and again, until interrupted"},
    CONNECTION_FLAGS,
};

/* What is asked for, and the answers. */
struct listing {
    struct connection *connection;
    char *state_text; /* cut into `states` */
    char *states[MAX_STATES];
    size_t state_count;
    uint32_t limit;
    struct arena arena;
    VEC(Trestle__V1__JobSummary *) jobs;
    uint32_t total;
};

static int set_states(struct listing *listing, const char *text, struct status *st) {
    char *rest = NULL;

    if (!text)
        return 0;
    listing->state_text = xstrdup(text);
    for (char *at = listing->state_text; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    for (char *state = strtok_r(listing->state_text, ",", &rest); state; state = strtok_r(NULL, ",", &rest)) {
        if (job_state_of_name(state) == JOB_UNSPECIFIED)
            return status_set(st, STATUS_INVALID_ARGUMENT, "--state: \"%s\" is not a job's state; they are %s", state,
                              flags[0].choices);
        if (listing->state_count == MAX_STATES)
            return status_set(st, STATUS_INVALID_ARGUMENT, "--state: names more states than there are");
        listing->states[listing->state_count++] = state;
    }
    return 0;
}

static void forget(struct listing *listing) {
    vec_free(&listing->jobs);
    arena_clear(&listing->arena);
}

/* Page by page, up to the limit. */
static int fetch(struct listing *listing, struct status *st) {
    Trestle__V1__ListJobsRequest request = TRESTLE__V1__LIST_JOBS_REQUEST__INIT;
    Trestle__V1__ListJobsResponse *response;
    int r;

    forget(listing);
    request.states = listing->states;
    request.n_states = listing->state_count;
    do {
        request.limit = MIN(listing->limit - (uint32_t)listing->jobs.count, (uint32_t)PAGE);
        r = inspection_list_jobs(listing->connection, &request, &listing->arena, &response, st);
        if (r < 0)
            return r;
        for (size_t i = 0; i < response->n_jobs; i++)
            vec_push(&listing->jobs, response->jobs[i]);
        if (!request.before_id[0])
            listing->total = response->total;
        if (response->n_jobs)
            request.before_id = response->jobs[response->n_jobs - 1]->id;
    } while (response->has_more && response->n_jobs && listing->jobs.count < listing->limit);
    return 0;
}

static void print_all_json(const struct listing *listing) {
    Trestle__V1__ListJobsResponse response = TRESTLE__V1__LIST_JOBS_RESPONSE__INIT;

    response.jobs = listing->jobs.items;
    response.n_jobs = listing->jobs.count;
    response.total = listing->total;
    response.has_more = listing->total > listing->jobs.count;
    print_json(&response.base);
}

static void add_listing(const struct listing *listing, const struct terminal *terminal, struct buf *out) {
    if (listing->jobs.count == 0) {
        terminal_add(terminal, STYLE_DIM, listing->state_count ? "no such jobs\n" : "no jobs yet\n", out);
        return;
    }
    add_jobs(terminal, listing->jobs.items, listing->jobs.count, out);
    if (listing->total > listing->jobs.count && terminal->is_terminal)
        buf_printf(out, "%zu of %u jobs; --all shows the others\n", listing->jobs.count, listing->total);
}

static bool redraw(void *user, const struct terminal *terminal, struct buf *out, struct status *st) {
    struct listing *listing = user;

    if (fetch(listing, st) == 0)
        add_listing(listing, terminal, out);
    return st->code == STATUS_OK;
}

static void print(const struct arguments *arguments, struct listing *listing) {
    struct terminal terminal = terminal_get();
    struct buf out = {0};

    if (arguments_value(arguments, "--quiet"))
        vec_foreach (job, &listing->jobs)
            buf_printf(&out, "%s\n", (*job)->id);
    else
        add_listing(listing, &terminal, &out);
    terminal_write(&out);
}

static int list(const struct arguments *arguments, struct listing *listing, struct status *st) {
    bool as_json = arguments_value(arguments, "--json");

    if (set_states(listing, arguments_value(arguments, "--state"), st) < 0 ||
        arguments_number(arguments, "--limit", MAX_LIMIT, &listing->limit, st) < 0)
        return EXIT_USAGE;
    if (arguments_value(arguments, "--watch") && !as_json && terminal_get().is_terminal)
        return progress_show(redraw, listing, st) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (fetch(listing, st) < 0)
        return EXIT_FAILURE;
    if (as_json)
        print_all_json(listing);
    else
        print(arguments, listing);
    return EXIT_SUCCESS;
}

static int run_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    struct listing listing = {
        .connection = connection,
        .limit = arguments_value(arguments, "--all") ? MAX_LIMIT : DEFAULT_LIMIT,
    };
    int result = list(arguments, &listing, st);

    forget(&listing);
    free(listing.state_text);
    return result;
}

static int run(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, run_connected, st);
}

const struct command command_jobs = {
    .name = "jobs",
    .summary = "list jobs, the newest first",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
