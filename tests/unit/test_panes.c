#include "engine/panes.h"

#include "engine/trigger.h"
#include "tests/unit/fixtures.h"
#include "tests/unit/trigger_builder.h"

/* A group of KV<bytes, bytes> in interval windows, and a text of what it fired. */
struct subject {
    struct fixture f;
    struct account *account;
    struct windowing windowing;
    struct pane_group *group;
    struct pane_clock clock;
    struct buf fired;
};

static struct subject subject_create(void) {
    struct subject s = {.f = fixture_create(), .account = account_create("panes", NULL, 0)};

    s.windowing = (struct windowing){.fn = WINDOW_FN_FIXED,
                                     .accumulation = ACCUMULATION_DISCARDING,
                                     .timestamp_combiner = OUTPUT_TIME_END_OF_WINDOW};
    s.windowing.trigger = make_trigger(&s.f.arena, TRIGGER_DEFAULT, NULL, NULL);
    s.clock = (struct pane_clock){TIME_MIN, TIME_MIN, 0};
    return s;
}

static void subject_end(struct subject *s) {
    pane_group_destroy(s->group);
    buf_clear(&s->fired);
    ck_assert_uint_eq(account_used(s->account), 0);
    account_unref(s->account);
    arena_clear(&s->f.arena);
}

static void add_text(struct subject *s, char *text) {
    buf_add(&s->fired, text, strlen(text));
    free(text);
}

/* "key [end@timestamp INDEX/NONSPECULATIVE early first last: values] " */
static void note(void *user, const struct pane_firing *firing) {
    static const char *const timings[] = {"early", "on-time", "late", "unknown"};
    struct subject *s = user;
    const struct pane *pane = &firing->pane;
    uint64_t count = 0;

    add_text(s, xasprintf("%.*s[%lld", (int)firing->key.size - 1, firing->key.data + 1, (long long)firing->window_end));
    if (firing->timestamp != firing->window_end)
        add_text(s, xasprintf("@%lld", (long long)firing->timestamp));
    add_text(s, xasprintf(" %lld/%lld %s%s%s:", (long long)pane->index, (long long)pane->nonspeculative_index,
                          timings[pane->timing], pane->is_first ? " first" : "", pane->is_last ? " last" : ""));
    for (const struct group_chunk *chunk = firing->values; chunk; chunk = chunk->next) {
        struct cursor at = cursor_of(group_chunk_values(chunk), chunk->size), value;

        for (; cursor_left(&at); count++) {
            ck_assert(cursor_prefixed(&at, &value));
            add_text(s, xasprintf(" %.*s", (int)cursor_left(&value), value.at));
        }
    }
    ck_assert_uint_eq(count, firing->count);
    add_text(s, xstrdup("] "));
}

static void ready(struct subject *s) {
    if (!s->group)
        s->group = pane_group_create(s->f.interval, &s->windowing, true, s->account);
}

/* What was fired since the last time. */
static void check_fired(struct subject *s, const char *expected) {
    CLEANUP(freep) char *text = xmemdup0(buf_data(&s->fired), s->fired.size ? s->fired.size - 1 : 0);

    ck_assert_str_eq(text, expected);
    buf_clear(&s->fired);
}

static void add_run(struct subject *s, struct buf *bytes, uint64_t count) {
    struct run run = {.bytes = buf_finish(bytes), .count = count};

    ready(s);
    pane_group_add(s->group, &run, &s->clock, note, s);
    run_clear(&run);
}

/* Elements "KEYtime" in the window of `size` milliseconds, in sessions in the window that begins with them: "a3 b5". */
static void add_sized(struct subject *s, event_time size, const char *elements) {
    CLEANUP(freep) char *text = xstrdup(elements);
    struct buf bytes = {0};
    uint64_t count = 0;
    char *save = NULL;

    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save), count++) {
        event_time time = atoll(word + 1), start = s->windowing.needs_merge ? time : time / size * size;
        struct buf window = {0};
        char key[] = {*word, '\0'};

        interval_window_encode(&window, start, start + size);
        add_kv(&bytes, time, &window, key, word + 1);
        buf_clear(&window);
    }
    add_run(s, &bytes, count);
}

static void add(struct subject *s, const char *elements) {
    add_sized(s, 10, elements);
}

/* The output watermark follows as far as the holds allow, as a stage's does. */
static void watermark(struct subject *s, event_time time) {
    ready(s);
    s->clock.input_watermark = time;
    pane_group_advance(s->group, &s->clock, note, s);
    s->clock.output_watermark = MAX(s->clock.output_watermark, MIN(time, pane_group_hold(s->group)));
}

static void processing_time(struct subject *s, event_time time) {
    ready(s);
    s->clock.processing_time = time;
    pane_group_advance(s->group, &s->clock, note, s);
}

static struct trigger *count(struct subject *s, int64_t n) {
    return make_count(&s->f.arena, n);
}

static struct trigger *repeat(struct subject *s, struct trigger *child) {
    return make_trigger(&s->f.arena, TRIGGER_REPEAT, child, NULL);
}

static struct trigger *early_late(struct subject *s, struct trigger *early, struct trigger *late) {
    return make_trigger(&s->f.arena, TRIGGER_AFTER_END_OF_WINDOW, early, late);
}

/* ---- time of windows ---- */

START_TEST(a_window_fires_once_the_watermark_is_past_it)
{
    struct subject s = subject_create();

    add(&s, "a1 b2 a3 a12");
    watermark(&s, 9); /* the window's last millisecond: MODEL 1.3 */
    check_fired(&s, "");
    ck_assert_int_eq(pane_group_hold(s.group), 9);
    ck_assert_int_eq(pane_group_next_event(s.group), 9);
    watermark(&s, 10);
    check_fired(&s, "a[9 0/0 on-time first last: 1 3] b[9 0/0 on-time first last: 2]");
    ck_assert_int_eq(pane_group_hold(s.group), 19);
    ck_assert(!pane_group_is_empty(s.group));
    watermark(&s, TIME_MAX);
    check_fired(&s, "a[19 0/0 on-time first last: 12]");
    ck_assert(pane_group_is_empty(s.group));
    ck_assert_int_eq(pane_group_hold(s.group), TIME_MAX);
    ck_assert_int_eq(pane_group_next_event(s.group), TIME_MAX);
    subject_end(&s);
}
END_TEST

START_TEST(windows_fire_in_order_of_time_and_keys_as_they_came)
{
    struct subject s = subject_create();

    add(&s, "c21 b11 a1 c11 b1");
    watermark(&s, 100);
    check_fired(&s, "a[9 0/0 on-time first last: 1] b[9 0/0 on-time first last: 1] b[19 0/0 on-time first last: 11] "
                    "c[19 0/0 on-time first last: 11] c[29 0/0 on-time first last: 21]");
    subject_end(&s);
}
END_TEST

START_TEST(the_global_window_fires_at_the_end_of_time)
{
    struct subject s = subject_create();
    struct buf bytes = {0};

    s.windowing.fn = WINDOW_FN_GLOBAL;
    s.windowing.allowed_lateness_ms = INT64_MAX;
    s.group = pane_group_create(s.f.global, &s.windowing, true, s.account);
    add_kv(&bytes, 5, NULL, "a", "x");
    add_run(&s, &bytes, 1);
    watermark(&s, TIME_GLOBAL_WINDOW_END);
    check_fired(&s, "");
    watermark(&s, TIME_MAX);
    check_fired(&s, "a[9223371950454775 0/0 on-time first last: x]");
    ck_assert(pane_group_is_empty(s.group));
    subject_end(&s);
}
END_TEST

START_TEST(late_elements_are_dropped_when_their_window_has_expired)
{
    struct subject s = subject_create();

    s.windowing.allowed_lateness_ms = 5;
    watermark(&s, 14);
    add(&s, "a1"); /* until 9 + 5 */
    check_fired(&s, "a[9 0/0 late first: 1]");
    watermark(&s, 15);
    add(&s, "a1 a11");
    ck_assert_uint_eq(pane_group_dropped_late(s.group), 1);
    watermark(&s, 100);
    check_fired(&s, "a[19 0/0 on-time first last: 11]");
    subject_end(&s);
}
END_TEST

START_TEST(late_elements_fire_with_their_run)
{
    struct subject s = subject_create();

    s.windowing.allowed_lateness_ms = 100;
    s.windowing.accumulation = ACCUMULATION_ACCUMULATING;
    add(&s, "a1");
    watermark(&s, 20);
    check_fired(&s, "a[9 0/0 on-time first: 1]");
    add(&s, "a2 a3");
    check_fired(&s, "a[9 1/1 late: 1 2 3]");
    watermark(&s, 200);
    check_fired(&s, "");
    ck_assert(pane_group_is_empty(s.group));
    subject_end(&s);
}
END_TEST

START_TEST(one_step_past_the_end_and_the_lateness_makes_one_pane)
{
    struct subject s = subject_create();

    s.windowing.allowed_lateness_ms = 100;
    s.windowing.close_always = s.windowing.on_time_always = true;
    add(&s, "a1");
    watermark(&s, 1000);
    check_fired(&s, "a[9 0/0 on-time first last: 1]");
    subject_end(&s);
}
END_TEST

/* ---- panes ---- */

START_TEST(early_on_time_and_late_panes_are_numbered)
{
    struct subject s = subject_create();

    s.windowing.trigger = early_late(&s, count(&s, 2), count(&s, 1));
    s.windowing.allowed_lateness_ms = 100;
    add(&s, "a1");
    check_fired(&s, "");
    add(&s, "a2 a3");
    check_fired(&s, "a[9 0/-1 early first: 1 2 3]");
    add(&s, "a4 a5");
    check_fired(&s, "a[9 1/-1 early: 4 5]");
    add(&s, "a6");
    watermark(&s, 10);
    check_fired(&s, "a[9 2/0 on-time: 6]");
    add(&s, "a7");
    check_fired(&s, "a[9 3/1 late: 7]");
    add(&s, "a8");
    check_fired(&s, "a[9 4/2 late: 8]");
    watermark(&s, 110);
    check_fired(&s, "");
    subject_end(&s);
}
END_TEST

START_TEST(accumulating_panes_carry_what_came_before)
{
    struct subject s = subject_create();

    s.windowing.trigger = early_late(&s, count(&s, 2), NULL);
    s.windowing.accumulation = ACCUMULATION_ACCUMULATING;
    s.windowing.on_time_always = true;
    add(&s, "a1 a2");
    add(&s, "a3 a4");
    check_fired(&s, "a[9 0/-1 early first: 1 2] a[9 1/-1 early: 1 2 3 4]");
    watermark(&s, 10); /* nothing new, but on time: MODEL 5.9 */
    check_fired(&s, "a[9 2/0 on-time last: 1 2 3 4]");
    subject_end(&s);
}
END_TEST

START_TEST(an_empty_pane_comes_on_time_only_when_asked_for)
{
    for (int always = 0; always < 2; always++) {
        struct subject s = subject_create();

        s.windowing.trigger = early_late(&s, count(&s, 1), count(&s, 1));
        s.windowing.on_time_always = always;
        s.windowing.allowed_lateness_ms = 50;
        add(&s, "a1");
        check_fired(&s, "a[9 0/-1 early first: 1]");
        watermark(&s, 20);
        check_fired(&s, always ? "a[9 1/0 on-time:]" : "");
        add(&s, "a2");
        /* MODEL 2.10: a pane that is not sent has no number. */
        check_fired(&s, always ? "a[9 2/1 late: 2]" : "a[9 1/0 late: 2]");
        subject_end(&s);
    }
}
END_TEST

START_TEST(an_empty_last_pane_comes_only_when_asked_for_and_holds_until_then)
{
    struct subject s = subject_create();

    s.windowing.allowed_lateness_ms = 50;
    s.windowing.close_always = true;
    add(&s, "a1");
    watermark(&s, 20);
    check_fired(&s, "a[9 0/0 on-time first: 1]");
    ck_assert_int_eq(pane_group_hold(s.group), 59);
    watermark(&s, 59);
    check_fired(&s, "");
    watermark(&s, 60);
    check_fired(&s, "a[9 1/1 late last:]");
    ck_assert_int_eq(pane_group_hold(s.group), TIME_MAX);
    ck_assert(pane_group_is_empty(s.group));
    subject_end(&s);
}
END_TEST

START_TEST(what_a_trigger_left_comes_with_the_last_pane)
{
    struct subject s = subject_create();

    s.windowing.trigger = repeat(&s, count(&s, 3));
    s.windowing.allowed_lateness_ms = 50;
    add(&s, "a1 a2 a3 a4");
    check_fired(&s, "a[9 0/-1 early first: 1 2 3 4]");
    add(&s, "a5");
    watermark(&s, 20); /* MODEL 5.7: not due, so no pane on time */
    check_fired(&s, "");
    watermark(&s, 60);
    check_fired(&s, "a[9 1/0 on-time last: 5]");
    subject_end(&s);
}
END_TEST

START_TEST(never_fires_only_when_the_window_goes)
{
    struct subject s = subject_create();

    s.windowing.trigger = make_trigger(&s.f.arena, TRIGGER_NEVER, NULL, NULL);
    s.windowing.allowed_lateness_ms = 50;
    add(&s, "a1");
    watermark(&s, 59);
    check_fired(&s, "");
    watermark(&s, 60);
    check_fired(&s, "a[9 0/0 on-time first last: 1]");
    subject_end(&s);
}
END_TEST

START_TEST(behind_the_output_watermark_there_is_no_pane_on_time)
{
    struct subject s = subject_create();

    s.windowing.allowed_lateness_ms = 50;
    watermark(&s, 20);
    add(&s, "a1");
    check_fired(&s, "a[9 0/0 late first: 1]");
    s.clock.output_watermark = 5; /* held by another key */
    add(&s, "b1");
    check_fired(&s, "b[9 0/0 on-time first: 1]");
    subject_end(&s);
}
END_TEST

START_TEST(a_finished_trigger_closes_its_window_until_it_goes)
{
    struct subject s = subject_create();
    size_t used;

    s.windowing.trigger = count(&s, 2);
    s.windowing.allowed_lateness_ms = 50;
    s.windowing.close_always = s.windowing.on_time_always = true;
    add(&s, "a1 a2 a3");
    check_fired(&s, "a[9 0/-1 early first last: 1 2 3]");
    ck_assert(pane_group_is_empty(s.group));
    ck_assert_int_eq(pane_group_hold(s.group), TIME_MAX);
    add(&s, "a4 b5 a6");
    ck_assert_uint_eq(pane_group_dropped_closed(s.group), 2);
    watermark(&s, 30);
    add(&s, "a7 b8");
    ck_assert_uint_eq(pane_group_dropped_closed(s.group), 3);
    check_fired(&s, "b[9 0/0 on-time first last: 5 8]");
    used = account_used(s.account);
    watermark(&s, 60);
    check_fired(&s, "");
    ck_assert_uint_lt(account_used(s.account), used);
    add(&s, "a1");
    ck_assert_uint_eq(pane_group_dropped_late(s.group), 1);
    subject_end(&s);
}
END_TEST

/* ---- processing time ---- */

START_TEST(processing_time_fires_when_it_is_asked_for)
{
    struct subject s = subject_create();

    s.windowing.trigger = repeat(&s, make_delay(&s.f.arena, 100));
    add(&s, "a1");
    ck_assert_int_eq(pane_group_next_wake(s.group), 100);
    s.clock.processing_time = 30;
    add(&s, "a2 b3");
    ck_assert_int_eq(pane_group_next_wake(s.group), 100);
    processing_time(&s, 99);
    check_fired(&s, "");
    processing_time(&s, 100);
    check_fired(&s, "a[9 0/-1 early first: 1 2]");
    ck_assert_int_eq(pane_group_next_wake(s.group), 130);
    processing_time(&s, 500);
    check_fired(&s, "b[9 0/-1 early first: 3]");
    ck_assert_int_eq(pane_group_next_wake(s.group), TIME_MAX);
    add(&s, "a4");
    ck_assert_int_eq(pane_group_next_wake(s.group), 600);
    watermark(&s, 10);
    check_fired(&s, "a[9 1/0 on-time last: 4]");
    ck_assert_int_eq(pane_group_next_wake(s.group), TIME_MAX);
    subject_end(&s);
}
END_TEST

START_TEST(time_that_alone_is_not_enough_does_not_wake_again)
{
    struct subject s = subject_create();

    s.windowing.trigger = make_trigger(&s.f.arena, TRIGGER_AFTER_ALL, count(&s, 2), make_delay(&s.f.arena, 10));
    add(&s, "a1");
    processing_time(&s, 10);
    check_fired(&s, "");
    ck_assert_int_eq(pane_group_next_wake(s.group), TIME_MAX);
    add(&s, "a2");
    check_fired(&s, "a[9 0/-1 early first last: 1 2]");
    subject_end(&s);
}
END_TEST

/* ---- holds and timestamps ---- */

START_TEST(the_timestamp_combiner_says_the_time_of_a_pane_and_the_hold)
{
    static const struct {
        enum timestamp_combiner combiner;
        event_time hold;
        const char *fired;
    } cases[] = {
        {OUTPUT_TIME_EARLIEST, 2, "a[9@2 0/0 on-time first last: 5 2 7]"},
        {OUTPUT_TIME_LATEST, 7, "a[9@7 0/0 on-time first last: 5 2 7]"},
        {OUTPUT_TIME_END_OF_WINDOW, 9, "a[9 0/0 on-time first last: 5 2 7]"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct subject s = subject_create();

        s.windowing.timestamp_combiner = cases[i].combiner;
        add(&s, "a5");
        add(&s, "a2 a7");
        ck_assert_int_eq(pane_group_hold(s.group), cases[i].hold);
        watermark(&s, 10);
        check_fired(&s, cases[i].fired);
        subject_end(&s);
    }
}
END_TEST

START_TEST(elements_behind_the_output_watermark_do_not_set_the_time)
{
    struct subject s = subject_create();

    s.windowing.timestamp_combiner = OUTPUT_TIME_EARLIEST;
    s.windowing.allowed_lateness_ms = 100;
    watermark(&s, 5);
    add(&s, "a2 a3 a7 a8");
    watermark(&s, 11);
    check_fired(&s, "a[9@7 0/0 on-time first: 2 3 7 8]");
    add(&s, "a4"); /* MODEL 3.9: only late data, under any combiner */
    check_fired(&s, "a[9 1/1 late: 4]");
    ck_assert_int_eq(pane_group_hold(s.group), TIME_MAX);
    subject_end(&s);
}
END_TEST

START_TEST(late_data_that_waits_holds_until_its_window_goes)
{
    struct subject s = subject_create();

    s.windowing.trigger = early_late(&s, NULL, count(&s, 3));
    s.windowing.timestamp_combiner = OUTPUT_TIME_LATEST;
    s.windowing.allowed_lateness_ms = 100;
    add(&s, "a5");
    watermark(&s, 20);
    check_fired(&s, "a[9@5 0/0 on-time first: 5]");
    add(&s, "a4");
    ck_assert_int_eq(pane_group_hold(s.group), 109);
    watermark(&s, 110);
    check_fired(&s, "a[9 1/1 late last: 4]");
    subject_end(&s);
}
END_TEST

START_TEST(each_early_pane_has_its_own_time)
{
    struct subject s = subject_create();

    s.windowing.trigger = repeat(&s, count(&s, 1));
    s.windowing.timestamp_combiner = OUTPUT_TIME_EARLIEST;
    add(&s, "a3");
    ck_assert_int_eq(pane_group_hold(s.group), TIME_MAX);
    add(&s, "a5");
    check_fired(&s, "a[9@3 0/-1 early first: 3] a[9@5 1/-1 early: 5]");
    subject_end(&s);
}
END_TEST

/* ---- sessions ---- */

static struct subject sessions_create(void) {
    struct subject s = subject_create();

    s.windowing.fn = WINDOW_FN_SESSIONS;
    s.windowing.size_ms = 10;
    s.windowing.needs_merge = true;
    return s;
}

START_TEST(sessions_grow_and_touching_ones_stay_apart)
{
    struct subject s = sessions_create();

    add(&s, "a0 a5 b3");
    add(&s, "a10 a25"); /* 5..20 with 0..15; 25..35 alone */
    add(&s, "a20");     /* begins where the first ends, overlaps the second */
    watermark(&s, 100);
    check_fired(&s, "b[12 0/0 on-time first last: 3] a[19 0/0 on-time first last: 0 5 10] "
                    "a[34 0/0 on-time first last: 25 20]");
    ck_assert(pane_group_is_empty(s.group));
    subject_end(&s);
}
END_TEST

START_TEST(an_element_between_two_sessions_makes_them_one)
{
    struct subject s = sessions_create();

    s.windowing.timestamp_combiner = OUTPUT_TIME_EARLIEST;
    add(&s, "a0");
    add(&s, "a15");
    ck_assert_int_eq(pane_group_hold(s.group), 0);
    add(&s, "a8");
    ck_assert_int_eq(pane_group_hold(s.group), 0);
    watermark(&s, 24);
    check_fired(&s, "");
    watermark(&s, 25);
    check_fired(&s, "a[24@0 0/0 on-time first last: 0 15 8]");
    subject_end(&s);
}
END_TEST

START_TEST(a_hold_at_the_end_of_the_window_moves_with_it)
{
    struct subject s = sessions_create();

    add(&s, "a0");
    ck_assert_int_eq(pane_group_hold(s.group), 9);
    add(&s, "a5");
    ck_assert_int_eq(pane_group_hold(s.group), 14);
    subject_end(&s);
}
END_TEST

/* What came on time and waits is still to come on time. */
START_TEST(a_hold_moves_with_a_window_that_grows_after_its_end)
{
    struct subject s = sessions_create();

    s.windowing.trigger = make_trigger(&s.f.arena, TRIGGER_NEVER, NULL, NULL);
    s.windowing.allowed_lateness_ms = 50;
    add(&s, "a0");
    watermark(&s, 20);
    ck_assert_int_eq(s.clock.output_watermark, 9);
    add(&s, "a5");
    ck_assert_int_eq(pane_group_hold(s.group), 14);
    watermark(&s, 21);
    ck_assert_int_eq(s.clock.output_watermark, 14);
    watermark(&s, 65);
    check_fired(&s, "a[14 0/0 on-time first last: 0 5]");
    subject_end(&s);
}
END_TEST

START_TEST(merging_makes_no_hold_for_what_came_late)
{
    struct subject s = sessions_create();

    s.windowing.trigger = make_trigger(&s.f.arena, TRIGGER_NEVER, NULL, NULL);
    s.windowing.allowed_lateness_ms = 50;
    watermark(&s, 20);
    add(&s, "a0");
    add(&s, "a5");
    ck_assert_int_eq(pane_group_hold(s.group), 64);
    watermark(&s, 65);
    check_fired(&s, "a[14 0/0 late first last: 0 5]");
    subject_end(&s);
}
END_TEST

START_TEST(a_session_keeps_its_panes_only_while_its_window_stays)
{
    struct subject s = sessions_create();

    s.windowing.trigger = early_late(&s, count(&s, 2), count(&s, 3));
    s.windowing.allowed_lateness_ms = 100;
    s.windowing.accumulation = ACCUMULATION_ACCUMULATING;
    add(&s, "a1 a2");
    check_fired(&s, "a[11 0/-1 early first: 1 2]");
    add(&s, "a3");
    add(&s, "a4");
    check_fired(&s, "a[13 0/-1 early first: 1 2 3 4]");
    add(&s, "a2 a3"); /* inside: the window is the same */
    check_fired(&s, "a[13 1/-1 early: 1 2 3 4 2 3]");
    add(&s, "a5");
    watermark(&s, 100);
    check_fired(&s, "a[14 0/0 on-time first: 1 2 3 4 2 3 5]");
    add(&s, "a1");
    add(&s, "a3 a4");
    check_fired(&s, "a[14 1/1 late: 1 2 3 4 2 3 5 1 3 4]");
    subject_end(&s);
}
END_TEST

START_TEST(merging_adds_up_what_the_triggers_counted)
{
    struct subject s = sessions_create();

    s.windowing.trigger = repeat(&s, count(&s, 3));
    add(&s, "a0");
    add(&s, "a15");
    check_fired(&s, "");
    add(&s, "a8");
    check_fired(&s, "a[24 0/-1 early first: 0 15 8]");
    subject_end(&s);
}
END_TEST

START_TEST(merging_keeps_the_earlier_delay)
{
    struct subject s = sessions_create();

    s.windowing.trigger = repeat(&s, make_delay(&s.f.arena, 100));
    add(&s, "a0");
    s.clock.processing_time = 50;
    add(&s, "a15");
    add(&s, "a8");
    ck_assert_int_eq(pane_group_next_wake(s.group), 100);
    processing_time(&s, 100);
    check_fired(&s, "a[24 0/-1 early first: 0 15 8]");
    ck_assert_int_eq(pane_group_next_wake(s.group), TIME_MAX);
    subject_end(&s);
}
END_TEST

START_TEST(expiry_of_an_element_is_judged_before_merging)
{
    struct subject s = sessions_create();

    add(&s, "a0 a9 a18");
    watermark(&s, 20);
    add(&s, "a5"); /* 5..15 is over, though 0..28 is open: MODEL 3.13 */
    ck_assert_uint_eq(pane_group_dropped_late(s.group), 1);
    watermark(&s, 28);
    check_fired(&s, "a[27 0/0 on-time first last: 0 9 18]");
    subject_end(&s);
}
END_TEST

START_TEST(near_a_closed_session_another_begins)
{
    struct subject s = sessions_create();

    s.windowing.trigger = count(&s, 2);
    add(&s, "a0 a0");
    check_fired(&s, "a[9 0/-1 early first last: 0 0]");
    add(&s, "a0"); /* the very window */
    ck_assert_uint_eq(pane_group_dropped_closed(s.group), 1);
    add(&s, "a5");
    check_fired(&s, "");
    add(&s, "a0"); /* merges with 5..15, so it is in 0..15, which is open */
    check_fired(&s, "a[14 0/-1 early first last: 5 0]");
    ck_assert_uint_eq(pane_group_dropped_closed(s.group), 1);
    watermark(&s, 100);
    check_fired(&s, "");
    subject_end(&s);
}
END_TEST

/* Merging never loses what waits in an open window, even when the result is a window that was closed. */
START_TEST(merging_into_a_closed_window_opens_it)
{
    struct subject s = sessions_create();

    s.windowing.trigger = count(&s, 2);
    add(&s, "a0 a2");
    check_fired(&s, "a[11 0/-1 early first last: 0 2]");
    add(&s, "a2");
    add(&s, "a0");
    check_fired(&s, "a[11 0/-1 early first last: 2 0]");
    subject_end(&s);
}
END_TEST

START_TEST(many_keys_and_sessions_leave_nothing_behind)
{
    struct subject s = sessions_create();
    uint64_t random = 7;

    s.windowing.timestamp_combiner = OUTPUT_TIME_LATEST;
    s.windowing.allowed_lateness_ms = 30;
    s.windowing.trigger = early_late(&s, count(&s, 3), count(&s, 2));
    for (event_time t = 100; t < 3000; t += 10) {
        struct buf text = {0};

        for (int i = 0; i < 40; i++) {
            char word[32];

            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            snprintf(word, sizeof(word), "%c%lld ", (char)('a' + (random >> 60)),
                     (long long)(t - 60 + (event_time)(random >> 33) % 100));
            buf_add(&text, word, strlen(word));
        }
        buf_add_u8(&text, 0);
        add(&s, (const char *)buf_data(&text));
        watermark(&s, t);
        buf_clear(&text);
    }
    watermark(&s, TIME_MAX);
    ck_assert(pane_group_is_empty(s.group));
    ck_assert_int_eq(pane_group_hold(s.group), TIME_MAX);
    ck_assert_int_eq(pane_group_next_event(s.group), TIME_MAX);
    ck_assert_uint_gt(pane_group_dropped_late(s.group), 0);
    subject_end(&s);
}
END_TEST

/* ---- wire ---- */

static void write_pane(void *user, const struct pane_firing *firing) {
    pane_firing_write(firing, user);
}

START_TEST(a_pane_is_written_as_a_windowed_kv_of_an_iterable)
{
    struct subject s = subject_create();
    struct buf out = {0};
    struct windowed_value element;
    struct cursor at;
    static const uint8_t value[] = {1, 'a', 0, 0, 0, 2, 1, '1', 1, '3'};
    const struct coder *iterable = coder_create(&s.f.arena, CODER_ITERABLE, s.f.bytes, NULL);
    const struct coder *kv = coder_create(&s.f.arena, CODER_KV, s.f.bytes, iterable);
    const struct coder *windowed = coder_create(&s.f.arena, CODER_WINDOWED_VALUE, kv, s.f.interval->components[1]);

    add(&s, "a1 a3");
    s.clock.input_watermark = 10;
    pane_group_advance(s.group, &s.clock, write_pane, &out);
    at = cursor_of(buf_data(&out), out.size);
    ck_assert_int_eq(windowed_value_read(windowed, &at, &element), CODER_OK);
    ck_assert_uint_eq(cursor_left(&at), 0);
    ck_assert_int_eq(element.timestamp, 9);
    ck_assert_uint_eq(element.window_count, 1);
    ck_assert_uint_eq(*element.pane.at, 7);
    ck_assert_uint_eq(cursor_left(&element.value), sizeof(value));
    ck_assert_mem_eq(element.value.at, value, sizeof(value));
    buf_clear(&out);
    subject_end(&s);
}
END_TEST

START_TEST(without_keys_a_window_is_one_group_of_whole_elements)
{
    struct subject s = subject_create();
    struct buf out = {0};
    static const uint8_t value[] = {0, 0, 0, 2, 1, 'a', 1, '1', 1, 'b', 1, '3'};

    s.group = pane_group_create(s.f.interval, &s.windowing, false, s.account);
    add(&s, "a1 b3");
    s.clock.input_watermark = 10;
    pane_group_advance(s.group, &s.clock, write_pane, &out);
    ck_assert_uint_gt(out.size, sizeof(value));
    ck_assert_mem_eq(buf_data(&out) + out.size - sizeof(value), value, sizeof(value));
    buf_clear(&out);
    subject_end(&s);
}
END_TEST

START_TEST(an_element_in_two_windows_is_in_both)
{
    struct subject s = subject_create();
    struct buf bytes = {0};

    buf_add_be64(&bytes, time_to_wire(7));
    buf_add_be32(&bytes, 2);
    interval_window_encode(&bytes, 5, 15);
    interval_window_encode(&bytes, 0, 10);
    pane_encode(&bytes, &PANE_NO_FIRING);
    buf_add_prefixed(&bytes, "a", 1);
    buf_add_prefixed(&bytes, "x", 1);
    watermark(&s, 12); /* only one of them has expired */
    add_run(&s, &bytes, 1);
    ck_assert_uint_eq(pane_group_dropped_late(s.group), 1);
    watermark(&s, 15);
    check_fired(&s, "a[14 0/0 on-time first last: x]");
    subject_end(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("panes");
    TCase *tcase = tcase_create("panes");

    tcase_add_test(tcase, a_window_fires_once_the_watermark_is_past_it);
    tcase_add_test(tcase, windows_fire_in_order_of_time_and_keys_as_they_came);
    tcase_add_test(tcase, the_global_window_fires_at_the_end_of_time);
    tcase_add_test(tcase, late_elements_are_dropped_when_their_window_has_expired);
    tcase_add_test(tcase, late_elements_fire_with_their_run);
    tcase_add_test(tcase, one_step_past_the_end_and_the_lateness_makes_one_pane);
    tcase_add_test(tcase, early_on_time_and_late_panes_are_numbered);
    tcase_add_test(tcase, accumulating_panes_carry_what_came_before);
    tcase_add_test(tcase, an_empty_pane_comes_on_time_only_when_asked_for);
    tcase_add_test(tcase, an_empty_last_pane_comes_only_when_asked_for_and_holds_until_then);
    tcase_add_test(tcase, what_a_trigger_left_comes_with_the_last_pane);
    tcase_add_test(tcase, never_fires_only_when_the_window_goes);
    tcase_add_test(tcase, behind_the_output_watermark_there_is_no_pane_on_time);
    tcase_add_test(tcase, a_finished_trigger_closes_its_window_until_it_goes);
    tcase_add_test(tcase, processing_time_fires_when_it_is_asked_for);
    tcase_add_test(tcase, time_that_alone_is_not_enough_does_not_wake_again);
    tcase_add_test(tcase, the_timestamp_combiner_says_the_time_of_a_pane_and_the_hold);
    tcase_add_test(tcase, elements_behind_the_output_watermark_do_not_set_the_time);
    tcase_add_test(tcase, late_data_that_waits_holds_until_its_window_goes);
    tcase_add_test(tcase, each_early_pane_has_its_own_time);
    tcase_add_test(tcase, sessions_grow_and_touching_ones_stay_apart);
    tcase_add_test(tcase, an_element_between_two_sessions_makes_them_one);
    tcase_add_test(tcase, a_hold_at_the_end_of_the_window_moves_with_it);
    tcase_add_test(tcase, a_hold_moves_with_a_window_that_grows_after_its_end);
    tcase_add_test(tcase, merging_makes_no_hold_for_what_came_late);
    tcase_add_test(tcase, a_session_keeps_its_panes_only_while_its_window_stays);
    tcase_add_test(tcase, merging_adds_up_what_the_triggers_counted);
    tcase_add_test(tcase, merging_keeps_the_earlier_delay);
    tcase_add_test(tcase, expiry_of_an_element_is_judged_before_merging);
    tcase_add_test(tcase, near_a_closed_session_another_begins);
    tcase_add_test(tcase, merging_into_a_closed_window_opens_it);
    tcase_add_test(tcase, many_keys_and_sessions_leave_nothing_behind);
    tcase_add_test(tcase, a_pane_is_written_as_a_windowed_kv_of_an_iterable);
    tcase_add_test(tcase, without_keys_a_window_is_one_group_of_whole_elements);
    tcase_add_test(tcase, an_element_in_two_windows_is_in_both);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
