/* The engine under a seeded simulator.
 *
 *   sim [--seeds N] [--first SEED]     N seeds in a row (default 200, from 1)
 *   sim --seed SEED [--verbose]        one of them again; with its plan and every action
 *   sim --streaming ...                the same with streaming plans (stream.h), whose seeds are their own
 *   sim --check-reference              the model of streaming against cases that were worked out by hand
 *
 * A seed gives a random plan, random engine options, a random schedule and random faults. Every seed runs twice and must do the same
 * both times. A failing seed prints the line that runs it alone. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream_cases.h"
#include "stream_check.h"
#include "stream_reference.h"
#include "world.h"

static const char *program;
static bool is_streaming;
static volatile uint64_t current_seed;

static void name_the_seed(int signal_number) {
    char line[300];
    int size = snprintf(line, sizeof(line), "FAILED  %s%s --seed %" PRIu64 " --verbose   (signal %d)\n", program,
                        is_streaming ? " --streaming" : "", current_seed, signal_number);

    if (size > 0 && write(STDOUT_FILENO, line, (size_t)size) < 0)
        _exit(3);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void result_clear(struct world_result *result, size_t stages) {
    free(result->message);
    free(result->violation);
    recordings_free(result->recordings, stages);
}

static char *compare_recording(const struct sim_plan *sim, size_t stage, const struct recording *expected,
                               const struct recording *actual) {
    size_t common = MIN(expected->texts.count, actual->texts.count), i = 0;

    while (i < common && strcmp(expected->texts.items[i], actual->texts.items[i]) == 0)
        i++;
    if (i == expected->texts.count && i == actual->texts.count)
        return NULL;
    return xasprintf(
        "%s recorded %zu elements instead of %zu; the first that differs is \"%.200s\" instead of \"%.200s\"",
        sim->plan.stages[stage].name, actual->texts.count, expected->texts.count,
        i < actual->texts.count ? actual->texts.items[i] : "(none)",
        i < expected->texts.count ? expected->texts.items[i] : "(none)");
}

static char *compare_recordings(const struct sim_plan *sim, const struct world_result *result) {
    struct recording *expected;
    char *difference = NULL;

    if (sim->stream)
        difference = stream_check(sim, result->recordings, result->was_drained);
    if (difference || (sim->stream && (!sim->stream->is_exact || result->was_drained)))
        return difference;
    expected = sim->stream ? stream_reference_run(sim) : reference_run(sim);

    for (size_t i = 0; !difference && i < sim->plan.stage_count; i++)
        difference = compare_recording(sim, i, &expected[i], &result->recordings[i]);
    recordings_free(expected, sim->plan.stage_count);
    return difference;
}

/* What is wrong with the seed, the caller's, or NULL. */
static char *run_seed(uint64_t seed, bool is_verbose, enum world_end *ret_end) {
    struct rng rng = {mix64(seed)};
    struct sim_plan *sim = is_streaming ? stream_plan_create(&rng) : sim_plan_create(&rng);
    struct world_result first, second;
    char *wrong = NULL;

    if (is_verbose)
        sim_plan_print(sim);
    world_run(sim, seed, is_verbose, &first);
    if (first.violation)
        wrong = xstrdup(first.violation);
    else if (first.end == WORLD_DONE)
        wrong = compare_recordings(sim, &first);
    if (!wrong) {
        world_run(sim, seed, false, &second);
        if (second.trace != first.trace)
            wrong = xstrdup("the same events gave different actions in a second run");
        result_clear(&second, sim->plan.stage_count);
    }
    if (is_verbose)
        printf("%" PRIu64 " steps, %s\n", first.steps, first.message ? first.message : "no error");
    *ret_end = first.end;
    result_clear(&first, sim->plan.stage_count);
    sim_plan_destroy(sim);
    return wrong;
}

static uint64_t number(const char *text) {
    char *end;
    uint64_t value = strtoull(text, &end, 0);

    if (*end || end == text) {
        fprintf(stderr, "%s: \"%s\" is not a number\n", program, text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv) {
    uint64_t seeds = 200, first = 1, failed = 0, ends[4] = {0};
    bool is_verbose = false;

    program = argv[0];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            is_verbose = true;
        } else if (strcmp(argv[i], "--streaming") == 0) {
            is_streaming = true;
        } else if (strcmp(argv[i], "--check-reference") == 0) {
            return stream_cases_run() != 0;
        } else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
            seeds = number(argv[++i]);
        } else if (i + 1 < argc && strcmp(argv[i], "--first") == 0) {
            first = number(argv[++i]);
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            first = number(argv[++i]);
            seeds = 1;
        } else {
            fprintf(stderr,
                    "usage: %s [--streaming] [--seeds N] [--first SEED] [--seed SEED] [--verbose]\n"
                    "       %s --check-reference\n",
                    program, program);
            return 2;
        }
    }
    signal(SIGABRT, name_the_seed);
    signal(SIGSEGV, name_the_seed);
    for (uint64_t i = 0; i < seeds; i++) {
        enum world_end end;
        char *wrong;

        current_seed = first + i;
        wrong = run_seed(first + i, is_verbose, &end);
        ends[end]++;
        if (wrong) {
            failed++;
            printf("FAILED  %s%s --seed %" PRIu64 " --verbose   # %s\n", program, is_streaming ? " --streaming" : "",
                   first + i, wrong);
        }
        free(wrong);
    }
    printf("jobs done %" PRIu64 ", failed by their faults %" PRIu64 ", cancelled %" PRIu64 "\n", ends[WORLD_DONE],
           ends[WORLD_FAILED], ends[WORLD_CANCELLED]);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", seeds - failed, failed);
    return failed != 0;
}
