/* Holds model/coder, model/window and engine/timers to examples of encoded values, which come on standard input: a line each, as
 * tests/sdk/coders/cases.py writes them.
 *
 *      NAME \t CODER \t CONTEXT \t HEX \t FACTS
 *
 *  - coder_skip() takes exactly the example, with or without bytes behind it, and says CODER_SHORT to every proper prefix. A coder that the
 *    runner does not know, and bytes of the outer context, are in a length prefix, as translate/ has it.
 *  - What our decoders read is FACTS, and our encoders write the example from it. The runner decodes windows, windowed values, timers and
 *    the places of an iterable's values; of all other values, whatever their coder, it knows only where they end, so that the skipping is
 *    all there is to hold to.
 *
 * Each example lies right in front of a page that may not be read. Closes with `N passed, N failed, N skipped`. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/timers.h"
#include "model/iterable.h"

enum { MAX_EXAMPLE = 1 << 16, MAX_DEPTH = 20, TAIL = 16 };

/* A case fails with the first sentence that is not NULL. */
typedef const char *sentence;

static struct arena arena;
static uint8_t *fence; /* the first byte that may not be read */

static void fence_create(void) {
    uint8_t *room =
        mmap(NULL, 2 * MAX_EXAMPLE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED || mprotect(room + MAX_EXAMPLE, MAX_EXAMPLE, PROT_NONE) < 0) {
        perror("coder_cases");
        exit(EXIT_FAILURE);
    }
    fence = room + MAX_EXAMPLE;
}

/* The bytes again, right in front of the fence. */
static struct cursor at_the_fence(const uint8_t *bytes, size_t size) {
    if (size)
        memcpy(fence - size, bytes, size);
    return cursor_of(fence - size, size);
}

/* ---- reading lines ---- */

/* A coder of the expression at *text, or NULL: the runner does not know it, or one of its components. */
static const struct coder *parse_coder(const char **text, unsigned depth) {
    size_t size = strcspn(*text, "(),");
    const char *urn = arena_copy(&arena, *text, size);
    const struct coder *components[2] = {NULL, NULL};
    unsigned wanted = 0, given = 0;
    bool is_known = true;
    int kind = coder_kind_of_urn(urn, &wanted);

    *text += size;
    if (**text == '(' && depth < MAX_DEPTH) {
        do {
            const struct coder *component;

            ++*text;
            component = parse_coder(text, depth + 1);
            is_known &= component != NULL;
            if (given < ARRAY_COUNT(components))
                components[given] = component;
            given++;
        } while (**text == ',');
        *text += **text == ')';
    }
    if (kind < 0 || !is_known || given != wanted)
        return NULL;
    return coder_create(&arena, (enum coder_kind)kind, components[0], components[1]);
}

static bool parse_hex(const char *text, struct buf *out) {
    for (; text[0] && text[1]; text += 2) {
        char digits[3] = {text[0], text[1], 0}, *end;

        buf_add_u8(out, (uint8_t)strtoul(digits, &end, 16));
        if (end != digits + 2)
            return false;
    }
    return !*text && out->size < MAX_EXAMPLE / 2;
}

/* ---- boundaries ---- */

static sentence check_skip(const struct coder *coder, const uint8_t *bytes, size_t size) {
    struct cursor at = at_the_fence(bytes, size);

    if (coder_skip(coder, &at) != CODER_OK)
        return "coder_skip does not take the example";
    if (at.at != fence)
        return "coder_skip ends inside the example";
    for (size_t prefix = 0; prefix < size; prefix++) {
        at = at_the_fence(bytes, prefix);
        if (coder_skip(coder, &at) != CODER_SHORT)
            return "a proper prefix is not CODER_SHORT";
    }
    for (unsigned fill = 0; fill < 256; fill += 0x55) {
        struct buf longer = {0};
        bool ok;

        if (size)
            buf_add(&longer, bytes, size);
        for (unsigned i = 0; i < TAIL; i++)
            buf_add_u8(&longer, (uint8_t)fill);
        at = at_the_fence(buf_data(&longer), longer.size);
        ok = coder_skip(coder, &at) == CODER_OK && cursor_left(&at) == TAIL;
        buf_clear(&longer);
        if (!ok)
            return "coder_skip does not stop behind the example";
    }
    return NULL;
}

/* ---- values ---- */

static void add_text(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_text(struct buf *out, const char *format, ...) {
    char text[200];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_add(out, text, (size_t)size);
}

static void add_hex(struct buf *out, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        add_text(out, "%02x", bytes[i]);
}

/* Moves *at behind one window; its text goes to `facts`, its encoding to `again`. */
static bool read_window(const struct coder *coder, struct cursor *at, struct buf *facts, struct buf *again) {
    const uint8_t *begin = at->at;
    event_time start, end;

    switch (coder->kind) {
    case CODER_GLOBAL_WINDOW:
        add_text(facts, "global");
        return true;
    case CODER_INTERVAL_WINDOW:
        if (interval_window_decode(at, &start, &end) != CODER_OK)
            return false;
        add_text(facts, "%" PRId64 "..%" PRId64, start, end);
        interval_window_encode(again, start, end);
        return true;
    case CODER_CUSTOM_WINDOW: /* the runner passes these on as they stand */
        if (!cursor_skip(at, 8))
            return false;
        buf_add(again, begin, 8);
        return read_window(coder->components[0], at, facts, again);
    default:
        return false;
    }
}

static sentence check_window(const struct coder *coder, struct cursor at, struct buf *facts, struct buf *again) {
    struct cursor whole = at;
    event_time max;

    if (window_max_timestamp(coder, &whole, &max) != CODER_OK || cursor_left(&whole))
        return "window_max_timestamp does not take the example";
    add_text(facts, "max=%" PRId64 " window=", max);
    return read_window(coder, &at, facts, again) && !cursor_left(&at) ? NULL : "the window is not read";
}

static bool read_windows(const struct coder *coder, struct cursor at, uint32_t count, struct buf *facts,
                         struct buf *again) {
    add_text(facts, " window=");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            add_text(facts, ",");
        if (!read_window(coder, &at, facts, again))
            return false;
    }
    return cursor_left(&at) == 0;
}

static sentence check_windowed_value(const struct coder *coder, struct cursor at, struct buf *facts,
                                     struct buf *again) {
    static const char *const timings[] = {"EARLY", "ON_TIME", "LATE", "UNKNOWN"};
    struct windowed_value value;
    struct buf windows = {0};
    struct cursor pane_at;
    struct pane pane;
    bool ok;

    if (windowed_value_read(coder, &at, &value) != CODER_OK || cursor_left(&at))
        return "windowed_value_read does not take the example";
    add_text(facts, "timestamp=%" PRId64, value.timestamp);
    ok = read_windows(coder->components[1], value.windows, value.window_count, facts, &windows);
    pane_at = value.pane;
    if (!ok || pane_decode(&pane_at, &pane) != CODER_OK || cursor_left(&pane_at)) {
        buf_clear(&windows);
        return "windows or pane are not read";
    }
    add_text(facts, " pane=%d/%d/%s/%" PRId64 "/%" PRId64, pane.is_first, pane.is_last, timings[pane.timing],
             pane.index, pane.nonspeculative_index);
    if (value.window_count == 1) {
        windowed_value_write_header(again, value.timestamp, buf_data(&windows), windows.size, &pane);
    } else {
        buf_add_be64(again, time_to_wire(value.timestamp));
        buf_add_be32(again, value.window_count);
        buf_add(again, buf_data(&windows), windows.size);
        pane_encode(again, &pane);
    }
    buf_add(again, value.value.at, cursor_left(&value.value));
    buf_clear(&windows);
    return NULL;
}

static struct timer *only_timer(const struct timer_set *set) {
    struct timer *timer = NULL;

    map_foreach (entry, &set->by_identity)
        timer = entry->value;
    return set->by_identity.count == 1 ? timer : NULL;
}

static void add_timer_facts(const struct timer *timer, const struct coder *coder, struct buf *facts, bool is_clear) {
    struct cursor at = cursor_of(timer->bytes.data + timer->key_size, timer->bytes.size - timer->key_size), tag;
    struct buf window = {0};

    add_text(facts, "key=");
    add_hex(facts, timer->bytes.data, timer->key_size);
    if (cursor_prefixed(&at, &tag)) {
        add_text(facts, " tag=");
        add_hex(facts, tag.at, cursor_left(&tag));
    }
    read_windows(coder->components[1], cursor_of(timer->bytes.data + timer->window_at, timer->window_size), 1, facts,
                 &window);
    buf_clear(&window);
    add_text(facts, " clear=%d", is_clear);
    if (!is_clear)
        add_text(facts, " fire=%" PRId64 " hold=%" PRId64, timer->fire_ms, timer->hold_ms);
}

/* A record that sets is read into a timer, whose bytes go back to the SDK. One that clears must remove the timer which a record for the
 * same key, tag and window has set. */
static sentence check_timer(const struct coder *coder, struct cursor at, struct buf *facts, struct buf *again) {
    struct plan_timer_family family = {.family_id = "family", .coder = coder};
    struct plan_stage stage = {.timer_families = &family, .timer_family_count = 1};
    struct slice record = slice_of_static(at.at, cursor_left(&at));
    bool is_clear = record.data[record.size - 1] == 1;
    struct timer_set set = {0};
    sentence wrong = NULL;
    struct buf setting = {0};

    if (is_clear) {
        struct pane pane = PANE_NO_FIRING;

        buf_add(&setting, record.data, record.size - 1);
        buf_add_u8(&setting, 0);
        buf_add_be64(&setting, time_to_wire(1));
        buf_add_be64(&setting, time_to_wire(1));
        pane_encode(&setting, &pane);
    } else {
        buf_add(&setting, record.data, record.size);
    }
    timer_set_apply(&set, &stage, 0, &(struct timer_rules){.allowed_lateness_ms = TIME_MAX},
                    slice_of_static(buf_data(&setting), setting.size), NULL);
    if (!only_timer(&set)) {
        wrong = "the record sets no timer";
    } else {
        add_timer_facts(only_timer(&set), coder, facts, is_clear);
        if (is_clear) {
            timer_set_apply(&set, &stage, 0, &(struct timer_rules){0}, record, NULL);
            wrong = set.by_identity.count ? "the record clears no timer" : NULL;
            buf_add(again, record.data, record.size);
        } else {
            buf_add(again, only_timer(&set)->bytes.data, only_timer(&set)->bytes.size);
        }
    }
    timer_set_clear(&set);
    buf_clear(&setting);
    return wrong;
}

/* The values as the reader of iterables finds them, written as a grouping writes them; batches are read, and never written. */
static sentence check_iterable(const struct coder *coder, struct cursor at, struct buf *facts, struct buf *again) {
    struct cursor whole = at;
    struct iterable iterable = iterable_begin(&at);
    bool has_batches = iterable.has_batches;
    struct buf values = {0};
    uint32_t count = 0;
    int more;

    (void)facts;
    while ((more = iterable_next(&iterable, &at)) > 0) {
        const uint8_t *begin = at.at;

        if (coder_skip(coder->components[0], &at) != CODER_OK) {
            buf_clear(&values);
            return "a value is not where the reader of iterables says";
        }
        buf_add(&values, begin, (size_t)(at.at - begin));
        count++;
    }
    if (has_batches) {
        buf_add(again, whole.at, cursor_left(&whole));
    } else {
        buf_add_be32(again, count);
        buf_add(again, buf_data(&values), values.size);
    }
    buf_clear(&values);
    /* What goes on in a state request is for harnesses to read. */
    return more == 0 && cursor_left(&at) ? "the reader of iterables ends inside the example" : NULL;
}

typedef sentence (*value_check)(const struct coder *coder, struct cursor at, struct buf *facts, struct buf *again);

static const value_check value_checks[] = {
    [CODER_ITERABLE] = check_iterable,
    [CODER_STATE_BACKED_ITERABLE] = check_iterable,
    [CODER_GLOBAL_WINDOW] = check_window,
    [CODER_INTERVAL_WINDOW] = check_window,
    [CODER_CUSTOM_WINDOW] = check_window,
    [CODER_TIMER] = check_timer,
    [CODER_WINDOWED_VALUE] = check_windowed_value,
};

static sentence check_value(const struct coder *coder, const struct buf *bytes, const char *expected) {
    struct buf facts = {0}, again = {0};
    sentence wrong = NULL;

    if (!value_checks[coder->kind])
        return *expected ? "there is no decoder for these facts" : NULL;
    wrong = value_checks[coder->kind](coder, at_the_fence(buf_data(bytes), bytes->size), &facts, &again);
    buf_add_u8(&facts, 0);
    if (!wrong && strcmp((const char *)buf_data(&facts), expected) != 0)
        wrong = arena_printf(&arena, "read as \"%s\" instead of \"%s\"", (const char *)buf_data(&facts), expected);
    if (!wrong &&
        (again.size != bytes->size || (again.size && memcmp(buf_data(&again), buf_data(bytes), again.size) != 0)))
        wrong = "encoded again, the bytes differ";
    buf_clear(&facts);
    buf_clear(&again);
    return wrong;
}

/* ---- cases ---- */

struct totals {
    unsigned passed, failed, skipped;
};

static sentence check_wrapped(const struct buf *bytes) {
    const struct coder *inner = coder_create(&arena, CODER_BYTES, NULL, NULL);
    struct buf wrapped = {0};
    sentence wrong;

    buf_add_prefixed(&wrapped, buf_data(bytes), bytes->size);
    wrong = check_skip(coder_create(&arena, CODER_LENGTH_PREFIX, inner, NULL), buf_data(&wrapped), wrapped.size);
    buf_clear(&wrapped);
    return wrong;
}

static void run_case(char *line, struct totals *totals) {
    const char *name = strsep(&line, "\t"), *expression = strsep(&line, "\t"), *context = strsep(&line, "\t");
    const char *hex = strsep(&line, "\t"), *facts = strsep(&line, "\t"), *how = "";
    struct buf bytes = {0};
    const struct coder *coder;
    sentence wrong = NULL;
    unsigned ignored;

    if (!facts || !parse_hex(hex, &bytes)) {
        printf("FAILED  %s: not a case\n", name);
        totals->failed++;
    } else {
        bool is_opaque = coder_kind_of_urn(arena_copy(&arena, expression, strcspn(expression, "(")), &ignored) < 0;

        coder = parse_coder(&expression, 0);
        if (!coder && !is_opaque) {
            printf("skipped %s: a component is unknown, and would be wrapped inside the bytes\n", name);
            totals->skipped++;
        } else {
            if (!coder || strcmp(context, "outer") == 0) {
                how = coder ? " (outer context: in a length prefix)" : " (unknown: in a length prefix)";
                wrong = check_wrapped(&bytes);
            } else {
                wrong = check_skip(coder, buf_data(&bytes), bytes.size);
                if (!wrong)
                    wrong = check_value(coder, &bytes, facts);
            }
            printf("%s %s%s%s%s\n", wrong ? "FAILED " : "ok     ", name, how, wrong ? ": " : "", wrong ? wrong : "");
            *(wrong ? &totals->failed : &totals->passed) += 1;
        }
    }
    buf_clear(&bytes);
    arena_clear(&arena);
}

int main(void) {
    struct totals totals = {0};
    char *line = NULL;
    size_t capacity = 0;

    fence_create();
    while (getline(&line, &capacity, stdin) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        run_case(line, &totals);
    }
    free(line);
    printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
    return totals.failed || !totals.passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
