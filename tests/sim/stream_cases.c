#include "stream_cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream_check.h"
#include "stream_panes.h"
#include "stream_reference.h"

enum { PLANS = 500 };

#define LEAF(trigger_kind, ...) (&(struct trigger){.kind = trigger_kind, __VA_ARGS__})
#define NODE(trigger_kind, ...)                                                                                        \
    (&(struct trigger){.kind = trigger_kind,                                                                           \
                       .children = (struct trigger *[]){__VA_ARGS__},                                                  \
                       .child_count = sizeof((struct trigger *[]){__VA_ARGS__}) / sizeof(struct trigger *)})
#define COUNT(n) LEAF(TRIGGER_ELEMENT_COUNT, .element_count = n)
#define AFTER(ms)                                                                                                      \
    LEAF(TRIGGER_AFTER_PROCESSING_TIME, .delays = &(struct trigger_delay){.delay_ms = ms}, .delay_count = 1)
#define REPEAT(inner) NODE(TRIGGER_REPEAT, inner)

struct reference_case {
    const char *name;
    struct windowing windowing;
    /* "a5": an element "a" at 5; "w9": the watermark; "c9": the clock; "end" */
    const char *script;
    /* Panes: "[start,end) values @timestamp TIMING index/non-speculative index", with F and L for first and last. */
    const char *expected;
};

static const char *const timings[] = {"EARLY", "ON_TIME", "LATE"};

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void note_pane(void *user, const struct stream_pane *pane) {
    struct buf *out = user;
    VEC(char *) sorted = {0};
    char text[200];

    for (size_t i = 0; i < pane->value_count; i++)
        vec_push(&sorted, pane->values[i]);
    if (sorted.count)
        qsort(sorted.items, sorted.count, sizeof(char *), compare_texts);
    if (out->size)
        buf_add(out, "; ", 2);
    snprintf(text, sizeof(text), "[%" PRId64 ",%" PRId64 ") ", pane->window.start, pane->window.end);
    buf_add(out, text, strlen(text));
    vec_foreach (value, &sorted)
        buf_add(out, *value, strlen(*value));
    snprintf(text, sizeof(text), " @%" PRId64 " %s %" PRId64 "/%" PRId64 "%s%s", pane->timestamp,
             timings[pane->pane.timing], pane->pane.index, pane->pane.nonspeculative_index,
             pane->pane.is_first ? " F" : "", pane->pane.is_last ? " L" : "");
    buf_add(out, text, strlen(text));
    vec_free(&sorted);
}

static void play_word(struct stream_panes *panes, const struct windowing *windowing, const char *word) {
    struct stream_window windows[STREAM_MAX_WINDOWS];
    event_time time = strtoll(word + 1, NULL, 10);
    char value[2] = {word[0], 0};
    unsigned count;

    if (strcmp(word, "end") == 0) {
        stream_panes_watermark(panes, TIME_MAX);
    } else if (word[0] == 'w') {
        stream_panes_watermark(panes, time);
    } else if (word[0] == 'c') {
        stream_panes_clock(panes, time);
    } else {
        count = stream_assign(windowing, time, windows);
        for (unsigned i = count; i-- > 0;)
            stream_panes_element(panes, "k", value, time, windows[i]);
        stream_panes_settle(panes);
    }
}

static bool run_case(const struct reference_case *test) {
    struct buf out = {0};
    struct stream_panes *panes = stream_panes_create(&test->windowing, note_pane, &out);
    char *script = xstrdup(test->script), *rest = script, *word;
    bool is_right;

    while ((word = strsep(&rest, " ")))
        play_word(panes, &test->windowing, word);
    is_right = out.size == strlen(test->expected) && memcmp(buf_data(&out), test->expected, out.size) == 0;
    if (!is_right)
        printf("FAILED  %s: %.*s, not %s\n", test->name, (int)out.size, (const char *)buf_data(&out), test->expected);
    stream_panes_free(panes);
    buf_clear(&out);
    free(script);
    return is_right;
}

#define FIXED(...)                                                                                                     \
    { .fn = WINDOW_FN_FIXED, .size_ms = 10, .accumulation = ACCUMULATION_DISCARDING, __VA_ARGS__ }
#define SESSIONS(...)                                                                                                  \
    {                                                                                                                  \
        .fn = WINDOW_FN_SESSIONS, .size_ms = 10, .needs_merge = true, .accumulation = ACCUMULATION_DISCARDING,         \
        __VA_ARGS__                                                                                                    \
    }

/* The model keeps the rules that hold of every order of things. */
static bool model_keeps_rules(uint64_t seed) {
    struct rng rng = {mix64(seed)};
    struct sim_plan *sim = stream_plan_create(&rng);
    struct recording *recordings = NULL;
    char *wrong = NULL;

    if (sim->stream->is_exact) {
        recordings = stream_reference_run(sim);
        wrong = stream_check(sim, recordings, false);
        recordings_free(recordings, sim->plan.stage_count);
    }
    if (wrong)
        printf("FAILED  the model of --streaming --seed %" PRIu64 ": %s\n", seed, wrong);
    sim_plan_destroy(sim);
    free(wrong);
    return wrong == NULL;
}

static unsigned run_cases(void) {
    struct trigger *by_default = LEAF(TRIGGER_DEFAULT, .element_count = 0);
    struct trigger *early_late = NODE(TRIGGER_AFTER_END_OF_WINDOW, COUNT(2), COUNT(1));
    const struct reference_case cases[] = {
        {"the end of a window is its last millisecond, passed", FIXED(.trigger = by_default), "a1 b9 w9 x12 w10 w30",
         "[0,10) ab @9 ON_TIME 0/0 F L; [10,20) x @19 ON_TIME 0/0 F L"},
        {"the earliest element's time", FIXED(.trigger = by_default, .timestamp_combiner = OUTPUT_TIME_EARLIEST),
         "a7 b3 d5 w10", "[0,10) abd @3 ON_TIME 0/0 F L"},
        {"the latest element's time", FIXED(.trigger = by_default, .timestamp_combiner = OUTPUT_TIME_LATEST),
         "a7 b3 d5 w10", "[0,10) abd @7 ON_TIME 0/0 F L"},
        {"what is late by more than is allowed is dropped", FIXED(.trigger = by_default), "a1 w10 b2 w30",
         "[0,10) a @9 ON_TIME 0/0 F L"},
        {"late elements come out at the end of their window, one by one",
         FIXED(.trigger = by_default, .allowed_lateness_ms = 20, .timestamp_combiner = OUTPUT_TIME_EARLIEST),
         "a1 w15 b2 d3 w29 x4 w30 y5",
         "[0,10) a @1 ON_TIME 0/0 F; [0,10) b @9 LATE 1/1; [0,10) d @9 LATE 2/2; [0,10) x @9 LATE 3/3"},
        {"a window first seen when it is over begins late", FIXED(.trigger = by_default, .allowed_lateness_ms = 20),
         "w15 a1 w40", "[0,10) a @9 LATE 0/0 F"},
        {"early and late", FIXED(.trigger = early_late, .allowed_lateness_ms = 20, .on_time_always = true),
         "a1 b2 w12 d3 end", "[0,10) ab @9 EARLY 0/-1 F; [0,10)  @9 ON_TIME 1/0; [0,10) d @9 LATE 2/1"},
        {"what is new and what is old",
         {.fn = WINDOW_FN_FIXED,
          .size_ms = 10,
          .accumulation = ACCUMULATION_ACCUMULATING,
          .trigger = early_late,
          .close_always = true,
          .allowed_lateness_ms = 20},
         "a1 b2 d3 w12 w40",
         "[0,10) ab @9 EARLY 0/-1 F; [0,10) abd @9 ON_TIME 1/0; [0,10) abd @9 LATE 2/1 L"},
        {"one step past the end and past the lateness makes one pane",
         FIXED(.trigger = early_late, .close_always = true, .on_time_always = true, .allowed_lateness_ms = 20),
         "a1 b2 w40", "[0,10) ab @9 EARLY 0/-1 F; [0,10)  @9 ON_TIME 1/0 L"},
        {"a trigger that finishes closes its window", FIXED(.trigger = COUNT(2)), "a1 b2 d3 w40",
         "[0,10) ab @9 EARLY 0/-1 F L"},
        {"what a count does not reach comes at the end", FIXED(.trigger = REPEAT(COUNT(2))), "a1 b2 d3 w40",
         "[0,10) ab @9 EARLY 0/-1 F; [0,10) d @9 ON_TIME 1/0 L"},
        {"never", FIXED(.trigger = LEAF(TRIGGER_NEVER, .element_count = 0)), "a1 w40", "[0,10) a @9 ON_TIME 0/0 F L"},
        {"the plain end of a window drops what is late",
         FIXED(.trigger =
                   LEAF(TRIGGER_AFTER_END_OF_WINDOW, .children = (struct trigger *[]){NULL, NULL}, .child_count = 2),
               .allowed_lateness_ms = 20),
         "a1 w12 b2 w40", "[0,10) a @9 ON_TIME 0/0 F L"},
        {"processing time since the first element", FIXED(.trigger = REPEAT(AFTER(5))),
         "c100 a1 c103 b2 c104 c105 d3 w40", "[0,10) ab @9 EARLY 0/-1 F; [0,10) d @9 ON_TIME 1/0 L"},
        {"all of", FIXED(.trigger = NODE(TRIGGER_AFTER_ALL, COUNT(2), AFTER(5))), "a1 b2 c5 d3 w40",
         "[0,10) ab @9 EARLY 0/-1 F L"},
        {"each of", FIXED(.trigger = REPEAT(NODE(TRIGGER_AFTER_EACH, COUNT(1), COUNT(2)))), "a1 b2 d3 x4 w40",
         "[0,10) a @9 EARLY 0/-1 F; [0,10) bd @9 EARLY 1/-1; [0,10) x @9 EARLY 2/-1"},
        {"or finally counts across panes", FIXED(.trigger = NODE(TRIGGER_OR_FINALLY, REPEAT(COUNT(1)), COUNT(3))),
         "a1 b2 d3 x4 w40", "[0,10) a @9 EARLY 0/-1 F; [0,10) b @9 EARLY 1/-1; [0,10) d @9 EARLY 2/-1 L"},
        {"sessions that touch stay apart", SESSIONS(.trigger = by_default), "a0 b10 w40",
         "[10,20) b @19 ON_TIME 0/0 F L; [0,10) a @9 ON_TIME 0/0 F L"},
        {"a session joins two", SESSIONS(.trigger = by_default, .timestamp_combiner = OUTPUT_TIME_EARLIEST),
         "a0 b12 d5 w21 w22", "[0,22) abd @0 ON_TIME 0/0 F L"},
        {"counts of sessions that merge add up", SESSIONS(.trigger = REPEAT(COUNT(3))), "a0 b12 d5 w40",
         "[0,22) abd @21 EARLY 0/-1 F"},
        {"panes are counted anew in a session that grows", SESSIONS(.trigger = REPEAT(COUNT(1))), "a0 b5 d7 x6 w40",
         "[0,10) a @9 EARLY 0/-1 F; [0,15) b @14 EARLY 0/-1 F; [0,17) d @16 EARLY 0/-1 F; [0,17) x @16 EARLY 1/-1"},
        {"a session that has ended and grows is early again",
         SESSIONS(.trigger = NODE(TRIGGER_AFTER_END_OF_WINDOW, REPEAT(COUNT(1)), REPEAT(COUNT(1))),
                  .allowed_lateness_ms = 20),
         "w0 a1 w12 b9 w40", "[1,11) a @10 EARLY 0/-1 F; [1,19) b @18 EARLY 0/-1 F"},
        {"an element that is too late alone is dropped though a session would take it", SESSIONS(.trigger = by_default),
         "a5 w10 b1 b0 w40", "[1,15) ab @14 ON_TIME 0/0 F L"},
        {"sliding windows",
         {.fn = WINDOW_FN_SLIDING,
          .size_ms = 10,
          .period_ms = 5,
          .accumulation = ACCUMULATION_DISCARDING,
          .trigger = by_default},
         "a7 b12 w10 w40",
         "[0,10) a @9 ON_TIME 0/0 F L; [10,20) b @19 ON_TIME 0/0 F L; [5,15) ab @14 ON_TIME 0/0 F L"},
        {"the global window ends with the day before the end of time",
         {.accumulation = ACCUMULATION_DISCARDING, .trigger = by_default},
         "a1 w1000000 end",
         "[0,9223372036854775807) a @9223371950454775 ON_TIME 0/0 F L"},
    };
    unsigned failed = 0;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        failed += !run_case(&cases[i]);
    return failed;
}

unsigned stream_cases_run(void) {
    unsigned failed = run_cases();

    for (uint64_t seed = 1; seed <= PLANS; seed++)
        failed += !model_keeps_rules(seed);
    printf("%u failed\n", failed);
    return failed;
}
