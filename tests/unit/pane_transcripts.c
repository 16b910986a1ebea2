/* Plays transcripts of triggers against a pane_group. They come on standard input, as tests/sdk/triggers/cases.py writes them; the first
 * argument names the file of those that are expected to differ.
 *
 * Elements come under two keys, and each key must fire what the transcript says. Windows are EMIT_ALWAYS and FIRE_ALWAYS, as Python has it;
 * the output watermark follows the input watermark as far as the holds allow. A transcript marked `error` must not be met. Closes with
 * `N passed, N failed, N skipped`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "engine/panes.h"
#include "engine/trigger.h"
#include "tests/unit/trigger_builder.h"

static const char *const keys[] = {"a", "b"};

/* One pane that was fired, or one that is expected. */
struct outcome {
    unsigned key;
    char *attributes; /* " name=value name=value ... " */
    bool is_found;
};

typedef VEC(struct outcome) outcome_vec;

struct transcript {
    struct arena arena;
    const char *name;
    const char *problem; /* the first one */
    bool is_wrong_on_purpose;
    struct windowing windowing;
    const struct coder *input;
    struct pane_group *group;
    struct pane_clock clock;
    outcome_vec fired, expected;
};

static void set_problem(struct transcript *t, char *problem) {
    if (!t->problem)
        t->problem = arena_string(&t->arena, problem);
    free(problem);
}

/* ---- triggers ---- */

static const struct {
    const char *name;
    enum trigger_kind kind;
} kinds[] = {
    {"default", TRIGGER_DEFAULT},
    {"count", TRIGGER_ELEMENT_COUNT},
    {"delay", TRIGGER_AFTER_PROCESSING_TIME},
    {"repeat", TRIGGER_REPEAT},
    {"after_end_of_window", TRIGGER_AFTER_END_OF_WINDOW},
    {"after_each", TRIGGER_AFTER_EACH},
    {"or_finally", TRIGGER_OR_FINALLY},
    {"after_any", TRIGGER_AFTER_ANY},
    {"after_all", TRIGGER_AFTER_ALL},
};

/* NULL for `-` and for what is unknown. */
static struct trigger *parse_trigger(struct transcript *t, const char **at) {
    size_t size = strcspn(*at, "(),"), kind = 0;
    struct trigger *children[2] = {NULL, NULL};
    unsigned count = 0;

    while (kind < ARRAY_COUNT(kinds) && (strlen(kinds[kind].name) != size || memcmp(kinds[kind].name, *at, size) != 0))
        kind++;
    *at += size;
    if (kind == ARRAY_COUNT(kinds)) {
        if (size != 1)
            set_problem(t, xstrdup("an unknown trigger"));
        return NULL;
    }
    if (**at != '(')
        return make_trigger(&t->arena, kinds[kind].kind, NULL, NULL);
    if (kinds[kind].kind == TRIGGER_ELEMENT_COUNT || kinds[kind].kind == TRIGGER_AFTER_PROCESSING_TIME) {
        char *end;
        long long number = strtoll(*at + 1, &end, 10);

        *at = end + 1;
        return kinds[kind].kind == TRIGGER_ELEMENT_COUNT ? make_count(&t->arena, number)
                                                         : make_delay(&t->arena, number);
    }
    do {
        ++*at;
        if (count == ARRAY_COUNT(children)) {
            set_problem(t, xstrdup("a trigger of more than two"));
            return NULL;
        }
        children[count++] = parse_trigger(t, at);
    } while (**at == ',');
    ++*at;
    return make_trigger(&t->arena, kinds[kind].kind, children[0], children[1]);
}

/* ---- outcomes ---- */

static void clear_outcomes(outcome_vec *outcomes) {
    vec_foreach (outcome, outcomes)
        free(outcome->attributes);
    outcomes->count = 0;
}

static int compare_numbers(const void *left, const void *right) {
    long a = strtol(*(char *const *)left, NULL, 10), b = strtol(*(char *const *)right, NULL, 10);

    return a < b ? -1 : a > b;
}

/* The values in order of number, "1,2,3". */
static char *values_text(const struct pane_firing *firing) {
    char **values = xcalloc(firing->count + 1, sizeof(*values));
    struct buf text = {0};
    size_t count = 0;
    char *result;

    for (const struct group_chunk *chunk = firing->values; chunk; chunk = chunk->next) {
        struct cursor at = cursor_of(group_chunk_values(chunk), chunk->size), value;

        while (cursor_left(&at) && cursor_prefixed(&at, &value))
            values[count++] = xmemdup0(value.at, cursor_left(&value));
    }
    qsort(values, count, sizeof(*values), compare_numbers);
    for (size_t i = 0; i < count; i++) {
        buf_add(&text, ",", i > 0);
        buf_add(&text, values[i], strlen(values[i]));
        free(values[i]);
    }
    result = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    free(values);
    return result;
}

static void on_pane(void *user, const struct pane_firing *firing) {
    struct transcript *t = user;
    const struct pane *pane = &firing->pane;
    CLEANUP(freep) char *values = values_text(firing);
    event_time start = TIME_MIN, end = TIME_GLOBAL_WINDOW_END;
    struct cursor window = cursor_of(firing->window.data, firing->window.size);
    struct outcome outcome = {.key = firing->key.data[1] != *keys[0]};

    if (firing->window.size && interval_window_decode(&window, &start, &end) == CODER_OK)
        end--;
    outcome.attributes = xasprintf(" early=%d final=%d index=%" PRId64 " late=%d nonspeculative_index=%" PRId64
                                   " timestamp=%" PRId64 " values=%s window=%" PRId64 "..%" PRId64 " ",
                                   pane->timing == PANE_EARLY, pane->is_last, pane->index, pane->timing == PANE_LATE,
                                   pane->nonspeculative_index, firing->timestamp, values, start, end);
    vec_push(&t->fired, outcome);
}

static bool is_met(const struct outcome *fired, const char *expected) {
    CLEANUP(freep) char *words = xstrdup(expected);
    bool met = true;
    char *rest = NULL;

    for (char *word = strtok_r(words, " ", &rest); word && met; word = strtok_r(NULL, " ", &rest)) {
        CLEANUP(freep) char *wanted = xasprintf(" %s ", word);

        met = strstr(fired->attributes, wanted) != NULL;
    }
    return met;
}

/* What was expected and what was fired since the last step are the same, in any order. */
static void settle(struct transcript *t) {
    vec_foreach (expected, &t->expected) {
        vec_foreach (fired, &t->fired)
            if (!expected->is_found && !fired->is_found && fired->key == expected->key &&
                is_met(fired, expected->attributes))
                expected->is_found = fired->is_found = true;
        if (!expected->is_found)
            set_problem(t, xasprintf("key %s did not fire %s", keys[expected->key], expected->attributes));
    }
    vec_foreach (fired, &t->fired)
        if (!fired->is_found)
            set_problem(t, xasprintf("key %s fired%s", keys[fired->key], fired->attributes));
    clear_outcomes(&t->fired);
    clear_outcomes(&t->expected);
}

/* ---- steps ---- */

static void ensure_group(struct transcript *t) {
    const struct coder *bytes = coder_create(&t->arena, CODER_BYTES, NULL, NULL), *window;

    if (t->group || t->problem)
        return;
    window = coder_create(&t->arena, t->windowing.fn == WINDOW_FN_GLOBAL ? CODER_GLOBAL_WINDOW : CODER_INTERVAL_WINDOW,
                          NULL, NULL);
    t->input = coder_create(&t->arena, CODER_WINDOWED_VALUE, coder_create(&t->arena, CODER_KV, bytes, bytes), window);
    if (trigger_check(t->windowing.trigger, NULL) < 0)
        set_problem(t, xstrdup("the trigger is refused"));
    else
        t->group = pane_group_create(t->input, &t->windowing, true, NULL);
}

static void advance(struct transcript *t) {
    pane_group_advance(t->group, &t->clock, on_pane, t);
    t->clock.output_watermark =
        MAX(t->clock.output_watermark, MIN(t->clock.input_watermark, pane_group_hold(t->group)));
}

static void add_element(const struct transcript *t, struct buf *out, const char *key, const char *word) {
    event_time time = strtoll(word, NULL, 10), start = time;
    struct buf window = {0};

    if (t->windowing.fn == WINDOW_FN_FIXED)
        start = time - time % t->windowing.size_ms;
    if (t->windowing.fn != WINDOW_FN_GLOBAL)
        interval_window_encode(&window, start, start + t->windowing.size_ms);
    windowed_value_write_header(out, time, buf_data(&window), window.size, &PANE_NO_FIRING);
    buf_add_prefixed(out, key, strlen(key));
    buf_add_prefixed(out, word, strlen(word));
    buf_clear(&window);
}

static void step_input(struct transcript *t, char *words) {
    struct run run = {0};
    struct buf bytes = {0};
    char *rest = NULL;

    settle(t);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest), run.count += 2)
        for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
            add_element(t, &bytes, keys[i], word);
    run.bytes = buf_finish(&bytes);
    pane_group_add(t->group, &run, &t->clock, on_pane, t);
    run_clear(&run);
    advance(t);
}

static void step_watermark(struct transcript *t, char *words) {
    settle(t);
    t->clock.input_watermark = strtoll(words, NULL, 10);
    advance(t);
}

static void step_clock(struct transcript *t, char *words) {
    settle(t);
    t->clock.processing_time = strtoll(words, NULL, 10);
    advance(t);
}

static void step_expect(struct transcript *t, char *words) {
    for (unsigned i = 0; i < ARRAY_COUNT(keys); i++) {
        struct outcome outcome = {.key = i, .attributes = xstrdup(words)};

        vec_push(&t->expected, outcome);
    }
}

static void set_windows(struct transcript *t, char *words) {
    char *size = strchr(words, ' ');

    t->windowing.size_ms = size ? strtoll(size, NULL, 10) : 0;
    t->windowing.fn = *words == 'f' ? WINDOW_FN_FIXED : *words == 's' ? WINDOW_FN_SESSIONS : WINDOW_FN_GLOBAL;
    t->windowing.needs_merge = t->windowing.fn == WINDOW_FN_SESSIONS;
}

static void set_trigger(struct transcript *t, char *words) {
    const char *at = words;

    t->windowing.trigger = parse_trigger(t, &at);
}

static void set_combiner(struct transcript *t, char *words) {
    if (strcmp(words, "earliest") == 0)
        t->windowing.timestamp_combiner = OUTPUT_TIME_EARLIEST;
    else if (strcmp(words, "latest") == 0)
        t->windowing.timestamp_combiner = OUTPUT_TIME_LATEST;
    else if (strcmp(words, "end_of_window") == 0)
        t->windowing.timestamp_combiner = OUTPUT_TIME_END_OF_WINDOW;
    else
        set_problem(t, xasprintf("the timestamp combiner %s", words));
}

static void set_accumulation(struct transcript *t, char *words) {
    t->windowing.accumulation = *words == 'a' ? ACCUMULATION_ACCUMULATING : ACCUMULATION_DISCARDING;
}

static void set_lateness(struct transcript *t, char *words) {
    t->windowing.allowed_lateness_ms = strtoll(words, NULL, 10);
}

static void set_error(struct transcript *t, char *words) {
    (void)words;
    t->is_wrong_on_purpose = true;
}

static const struct {
    const char *word;
    void (*take)(struct transcript *t, char *words);
    bool is_step; /* not asked for once something went wrong */
} lines[] = {
    {"windows", set_windows, false},   {"trigger", set_trigger, false},
    {"combiner", set_combiner, false}, {"accumulation", set_accumulation, false},
    {"lateness", set_lateness, false}, {"error", set_error, false},
    {"input", step_input, true},       {"watermark", step_watermark, true},
    {"clock", step_clock, true},       {"expect", step_expect, true},
};

static void take_line(struct transcript *t, char *line) {
    size_t size = strcspn(line, " ");

    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        if (strlen(lines[i].word) != size || memcmp(lines[i].word, line, size) != 0)
            continue;
        if (lines[i].is_step)
            ensure_group(t);
        if (!lines[i].is_step || !t->problem)
            lines[i].take(t, line + size + (line[size] == ' '));
        return;
    }
    set_problem(t, xasprintf("an unknown line \"%s\"", line));
}

/* ---- all of them ---- */

/* NAME -> why, of the file of differences. */
static void read_differences(const char *path, struct map *differences) {
    FILE *file = fopen(path, "r");
    char line[1024];

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    while (fgets(line, sizeof(line), file)) {
        size_t size = strcspn(line, " \n");

        if (*line != '#' && size)
            map_set(differences, line, size, xstrdup(line + size + 1));
    }
    fclose(file);
}

/* What is wrong, or NULL. */
static const char *verdict(const struct transcript *t, const char *difference) {
    if (t->is_wrong_on_purpose)
        return t->problem ? NULL : "it is wrong, and was met";
    if (difference)
        return t->problem ? NULL : "it is listed as different, and was met";
    return t->problem;
}

/* The second of a name is NAME#2. */
static void transcript_begin(struct transcript *t, const char *name, struct map *seen) {
    unsigned *count = map_get_string(seen, name);

    *t = (struct transcript){.clock = {TIME_MIN, TIME_MIN, 0}};
    t->windowing.close_always = t->windowing.on_time_always = true;
    if (!count) {
        count = xcalloc(1, sizeof(*count));
        map_set_string(seen, name, count);
    }
    ++*count;
    t->name = *count == 1 ? arena_string(&t->arena, name) : arena_printf(&t->arena, "%s#%u", name, *count);
}

static void transcript_end(struct transcript *t) {
    clear_outcomes(&t->fired);
    clear_outcomes(&t->expected);
    vec_free(&t->fired);
    vec_free(&t->expected);
    pane_group_destroy(t->group);
    arena_clear(&t->arena);
}

int main(int argc, char **argv) {
    struct map differences = {0}, seen = {0};
    unsigned passed = 0, failed = 0;
    struct transcript t = {0};
    char line[4096];

    if (argc != 2) {
        fprintf(stderr, "usage: pane_transcripts DIFFERENCES <TRANSCRIPTS\n");
        return EXIT_FAILURE;
    }
    read_differences(argv[1], &differences);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "case ", 5) == 0) {
            transcript_begin(&t, line + 5, &seen);
        } else if (strcmp(line, "end") == 0) {
            const char *difference = map_get_string(&differences, t.name), *wrong;

            settle(&t);
            wrong = verdict(&t, difference);
            if (wrong)
                printf("FAILED  %s: %s\n", t.name, wrong);
            failed += wrong != NULL;
            passed += wrong == NULL;
            transcript_end(&t);
        } else {
            take_line(&t, line);
        }
    }
    map_clear(&differences, free);
    map_clear(&seen, free);
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
