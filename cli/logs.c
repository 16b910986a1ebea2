/* logs: a job's messages, and, as they come, those to come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/find_job.h"
#include "cli/format.h"
#include "cli/print.h"

enum { PAGE = 1000, POLL_MS = 300, TIME_COLUMNS = 23 };

static const struct flag flags[] = {
    {.name = "--follow", .letter = 'f', .doc = "go on until the job's end"},
    {.name = "--level",
     .value = "LEVEL",
     .doc = "debug, detailed, basic, warning or error: what is less is left out (basic)",
     .choices = "debug detailed basic warning error"},
    {.name = "--tail", .letter = 'n', .value = "N", .doc = "the last ones only, at most 1000"},
    {.name = "--contains", .value = "TEXT", .doc = "those with this text in them"},
    CONNECTION_FLAGS,
};

struct reader {
    struct connection *connection;
    struct terminal terminal;
    bool as_json;
    Trestle__V1__ListMessagesRequest request;
    char level[16];
};

static int set_level(struct reader *reader, const char *text, struct status *st) {
    static const char *const levels[] = {"DEBUG", "DETAILED", "BASIC", "WARNING", "ERROR"};

    for (size_t i = 0; i < ARRAY_COUNT(levels); i++)
        if (!text || strcasecmp(levels[i], text) == 0) {
            snprintf(reader->level, sizeof(reader->level), "%s", text ? levels[i] : "BASIC");
            reader->request.min_importance = reader->level;
            return 0;
        }
    return status_set(st, STATUS_INVALID_ARGUMENT, "--level: \"%s\" is not one of: %s", text, flags[1].choices);
}

static enum style style_of(const char *importance) {
    if (strcmp(importance, "ERROR") == 0)
        return STYLE_BAD;
    return strcmp(importance, "WARNING") == 0 ? STYLE_WARNING : STYLE_PLAIN;
}

/* "TIME LEVEL TEXT", with the text's further lines below its first. */
static void add_message(const struct terminal *terminal, const Trestle__V1__Message *message, struct buf *out) {
    CLEANUP(freep) char *time = format_time(message->time_ms, true);
    CLEANUP(freep) char *state = xasprintf("the job is %s", message->state);
    bool is_state = message->state[0];
    const char *label = is_state ? "STATE" : message->importance;
    enum style style = is_state ? style_of_state(message->state) : style_of(message->importance);

    terminal_add(terminal, STYLE_DIM, time, out);
    buf_printf(out, "%*s", (int)(TIME_COLUMNS + 1 - MIN(strlen(time), (size_t)TIME_COLUMNS)), "");
    terminal_begin(terminal, style, out);
    buf_printf(out, "%-8s ", label);
    add_printable(out, is_state ? state : message->text);
    terminal_end(terminal, style, out);
    buf_printf(out, "\n");
}

static void print_messages(const struct reader *reader, const Trestle__V1__ListMessagesResponse *response) {
    struct buf out = {0};

    for (size_t i = 0; i < response->n_messages; i++)
        if (reader->as_json)
            print_json(&response->messages[i]->base);
        else
            add_message(&reader->terminal, response->messages[i], &out);
    terminal_write(&out);
}

/* All that there is after `after_seq`, which moves on. */
static int read_pages(struct reader *reader, struct status *st) {
    bool has_more = true;

    while (has_more) {
        struct arena arena = {0};
        Trestle__V1__ListMessagesResponse *response;
        int r = inspection_list_messages(reader->connection, &reader->request, &arena, &response, st);

        if (r < 0) {
            arena_clear(&arena);
            return r;
        }
        print_messages(reader, response);
        has_more = response->has_more && !reader->request.newest;
        reader->request.after_seq = MAX(reader->request.after_seq, response->last_seq);
        reader->request.newest = false;
        reader->request.limit = PAGE;
        arena_clear(&arena);
    }
    return 0;
}

static int is_over(struct reader *reader, bool *ret, struct status *st) {
    struct arena arena = {0};
    Trestle__V1__JobDetail *job;
    int r = inspection_job(reader->connection, reader->request.job_id, &arena, &job, st);

    if (r == 0)
        *ret = state_is_terminal(job->summary->state);
    arena_clear(&arena);
    return r;
}

/* What is read after the job was found to be over is all. */
static int follow(struct reader *reader, struct status *st) {
    bool over = false;
    int r = 0;

    while (r == 0 && !over && !ferror(stdout)) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        r = is_over(reader, &over, st);
        if (r == 0)
            r = read_pages(reader, st);
    }
    return r;
}

static int read_job(const struct arguments *arguments, struct reader *reader, struct status *st) {
    struct arena arena = {0};
    Trestle__V1__JobSummary *job;
    int r = find_job(reader->connection, arguments->operands[0], &arena, &job, st);

    if (r == 0) {
        reader->request.job_id = job->id;
        r = read_pages(reader, st);
    }
    if (r == 0 && arguments_value(arguments, "--follow"))
        r = follow(reader, st);
    arena_clear(&arena);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    struct reader reader = {
        .connection = connection,
        .terminal = terminal_get(),
        .as_json = arguments_value(arguments, "--json"),
        .request = TRESTLE__V1__LIST_MESSAGES_REQUEST__INIT,
    };
    const char *contains = arguments_value(arguments, "--contains");

    reader.request.limit = PAGE;
    if (contains)
        reader.request.contains = (char *)contains;
    if (set_level(&reader, arguments_value(arguments, "--level"), st) < 0 ||
        arguments_number(arguments, "--tail", PAGE, &reader.request.limit, st) < 0)
        return EXIT_USAGE;
    reader.request.newest = arguments_value(arguments, "--tail") != NULL;
    return read_job(arguments, &reader, st);
}

static int run(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, run_connected, st);
}

const struct command command_logs = {
    .name = "logs",
    .operands = {"JOB"},
    .summary = "a job's messages, the oldest first",
    .more = "  With --json a line holds one message.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
