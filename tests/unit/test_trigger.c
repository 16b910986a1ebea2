#include "engine/trigger.h"

#include "tests/unit/fixtures.h"
#include "tests/unit/trigger_builder.h"

static struct arena arena;

/* A window that ends at 100, and its trigger. */
struct subject {
    struct trigger_program *program;
    int64_t state[TRIGGER_MAX_NODES + 1];
    struct trigger_clock clock;
};

static struct subject subject_of(const struct trigger *trigger, bool is_merging) {
    struct subject s = {.clock = {.window_end = 100, .input_watermark = 0, .processing_time = 1000}};

    ck_assert_int_eq(trigger_check(trigger, NULL), 0);
    s.program = trigger_program_create(trigger, is_merging);
    trigger_start(s.program, s.state);
    return s;
}

static void subject_end(struct subject *s) {
    trigger_program_destroy(s->program);
    arena_clear(&arena);
}

static void elements(struct subject *s, uint64_t count) {
    trigger_on_element(s->program, s->state, &s->clock, count);
}

static bool is_due(struct subject *s) {
    return trigger_should_fire(s->program, s->state, &s->clock);
}

static bool is_finished(struct subject *s) {
    return trigger_is_finished(s->program, s->state);
}

static void fire(struct subject *s) {
    ck_assert(is_due(s));
    trigger_on_fire(s->program, s->state, &s->clock);
}

static event_time next_time(struct subject *s) {
    return trigger_next_time(s->program, s->state, &s->clock);
}

/* Windows with these triggers become a new one. `s` is the first of them. */
static void merge(struct subject *s, const struct subject *other) {
    struct subject first = *s;
    const int64_t *sources[] = {first.state, other->state};

    trigger_start(s->program, s->state);
    trigger_on_merge(s->program, s->state, sources, 2, &s->clock);
}

static struct trigger *leaf(enum trigger_kind kind) {
    return make_trigger(&arena, kind, NULL, NULL);
}

static struct trigger *count(int64_t n) {
    return make_count(&arena, n);
}

static struct trigger *delay(int64_t ms) {
    return make_delay(&arena, ms);
}

static struct trigger *both(enum trigger_kind kind, struct trigger *first, struct trigger *second) {
    return make_trigger(&arena, kind, first, second);
}

static struct trigger *repeat(struct trigger *child) {
    return make_trigger(&arena, TRIGGER_REPEAT, child, NULL);
}

START_TEST(the_default_trigger_fires_behind_the_end_of_the_window_and_never_finishes)
{
    struct subject s = subject_of(leaf(TRIGGER_DEFAULT), false);

    ck_assert_uint_eq(s.program->words, 0);
    elements(&s, 1);
    ck_assert(!is_due(&s));
    s.clock.input_watermark = 100; /* MODEL 1.3: still early */
    ck_assert(!is_due(&s));
    s.clock.input_watermark = 101;
    fire(&s);
    ck_assert(!is_finished(&s));
    ck_assert(is_due(&s));
    subject_end(&s);
}
END_TEST

START_TEST(always_is_always_due_and_never_is_not)
{
    struct subject always = subject_of(leaf(TRIGGER_ALWAYS), false), never = subject_of(leaf(TRIGGER_NEVER), false);

    fire(&always);
    ck_assert(is_due(&always) && !is_finished(&always));
    never.clock.input_watermark = TIME_MAX;
    elements(&never, 5);
    ck_assert(!is_due(&never));
    ck_assert_uint_eq(always.program->words + never.program->words, 0);
    trigger_program_destroy(never.program);
    subject_end(&always);
}
END_TEST

START_TEST(a_count_fires_once_when_it_is_reached)
{
    struct subject s = subject_of(count(3), false);

    elements(&s, 2);
    ck_assert(!is_due(&s));
    elements(&s, 5);
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(counts_of_merged_windows_are_added)
{
    struct subject a = subject_of(count(3), true), b = a;

    elements(&a, 1);
    elements(&b, 1);
    merge(&a, &b);
    ck_assert(!is_due(&a));
    elements(&a, 1);
    ck_assert(is_due(&a));
    subject_end(&a);
}
END_TEST

START_TEST(a_repeated_trigger_starts_anew_as_a_whole)
{
    struct subject s = subject_of(repeat(both(TRIGGER_AFTER_ALL, count(2), count(3))), false);

    for (int i = 0; i < 3; i++) {
        elements(&s, 2);
        ck_assert(!is_due(&s));
        elements(&s, 1);
        fire(&s);
        ck_assert(!is_finished(&s));
        ck_assert(!is_due(&s));
    }
    subject_end(&s);
}
END_TEST

START_TEST(repeating_what_never_finishes_takes_no_state)
{
    struct subject s = subject_of(repeat(repeat(leaf(TRIGGER_ALWAYS))), true);

    ck_assert_uint_eq(s.program->words, 0);
    elements(&s, 1);
    fire(&s);
    merge(&s, &s);
    ck_assert(is_due(&s) && !is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(a_delay_runs_from_the_first_element_and_is_over_when_its_time_comes)
{
    struct subject s = subject_of(repeat(delay(50)), false);

    ck_assert_int_eq(next_time(&s), TIME_MAX);
    elements(&s, 1);
    ck_assert_int_eq(next_time(&s), 1050);
    s.clock.processing_time = 1049;
    elements(&s, 1);
    ck_assert(!is_due(&s));
    ck_assert_int_eq(next_time(&s), 1050);
    s.clock.processing_time = 1050;
    ck_assert_int_eq(next_time(&s), TIME_MAX);
    fire(&s);
    ck_assert(!is_due(&s));
    s.clock.processing_time = 2000;
    elements(&s, 1);
    ck_assert_int_eq(next_time(&s), 2050);
    subject_end(&s);
}
END_TEST

START_TEST(delays_are_done_in_order_and_alignment_leaves_what_is_aligned)
{
    struct trigger *trigger = delay(0);
    struct trigger_delay delays[] = {{.delay_ms = 5}, {.align = true, .period_ms = 60, .offset_ms = 7}};
    struct subject s;
    static const struct {
        event_time now, due;
    } cases[] = {{2, 7}, {3, 67}, {62, 67}, {63, 127}, {-58, -53}, {-57, 7}, {-59, -53}, {TIME_MAX - 1, TIME_MAX}};

    trigger->delays = delays;
    trigger->delay_count = 2;
    s = subject_of(trigger, false);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        trigger_start(s.program, s.state);
        s.clock.processing_time = cases[i].now;
        elements(&s, 1);
        ck_assert_int_eq(next_time(&s), cases[i].due);
    }
    subject_end(&s);
}
END_TEST

START_TEST(merged_delays_end_with_the_first)
{
    struct subject a = subject_of(delay(50), true), b = a, c = a;

    elements(&a, 1);
    b.clock.processing_time = 980;
    elements(&b, 1);
    merge(&a, &b);
    ck_assert_int_eq(next_time(&a), 1030);
    merge(&a, &c);
    ck_assert_int_eq(next_time(&a), 1030);
    subject_end(&a);
}
END_TEST

START_TEST(synchronized_processing_time_is_due_when_the_first_element_has_come)
{
    struct subject s = subject_of(leaf(TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME), false);

    ck_assert(!is_due(&s));
    elements(&s, 1);
    s.clock.is_arriving = true;
    ck_assert(!is_due(&s));
    ck_assert_int_eq(next_time(&s), s.clock.processing_time);
    s.clock.is_arriving = false;
    ck_assert_int_eq(next_time(&s), TIME_MAX);
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(all_waits_for_each_child)
{
    struct subject s = subject_of(both(TRIGGER_AFTER_ALL, count(2), delay(10)), false);

    elements(&s, 2);
    ck_assert(!is_due(&s));
    ck_assert_int_eq(next_time(&s), 1010);
    s.clock.processing_time = 1010;
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(all_with_a_child_that_never_finishes_finishes_at_once)
{
    struct subject s = subject_of(both(TRIGGER_AFTER_ALL, leaf(TRIGGER_ALWAYS), count(1)), false);

    elements(&s, 1);
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(any_takes_the_first_and_forgets_what_the_others_counted)
{
    struct subject s = subject_of(repeat(both(TRIGGER_AFTER_ANY, count(2), count(3))), false);

    elements(&s, 2);
    fire(&s);
    elements(&s, 1);
    ck_assert(!is_due(&s)); /* the second would have 3 */
    elements(&s, 1);
    ck_assert(is_due(&s));
    subject_end(&s);
}
END_TEST

START_TEST(merged_any_adds_up)
{
    struct subject a = subject_of(both(TRIGGER_AFTER_ANY, count(3), delay(9)), true), b = a;

    elements(&a, 1);
    elements(&b, 2);
    merge(&a, &b);
    ck_assert(!is_finished(&a));
    fire(&a);
    ck_assert(is_finished(&a));
    subject_end(&a);
}
END_TEST

START_TEST(each_goes_on_by_one_child_a_firing)
{
    struct subject s = subject_of(both(TRIGGER_AFTER_EACH, count(2), count(1)), false);

    elements(&s, 5);
    fire(&s);
    ck_assert(!is_finished(&s));
    ck_assert(!is_due(&s)); /* the second has seen nothing yet */
    elements(&s, 1);
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(each_ends_with_a_child_that_never_does)
{
    struct subject s = subject_of(both(TRIGGER_AFTER_EACH, repeat(count(1)), count(1)), false);

    for (int i = 0; i < 3; i++) {
        elements(&s, 1);
        fire(&s);
        ck_assert(!is_finished(&s));
    }
    subject_end(&s);
}
END_TEST

/* A finished first child in any source is finished in the result (a count's rule), so the second goes on with what both counted. */
START_TEST(merged_each_goes_on_where_the_first_unfinished_child_is)
{
    struct subject a = subject_of(both(TRIGGER_AFTER_EACH, count(2), count(3)), true), b = a;

    elements(&a, 2);
    fire(&a);
    elements(&a, 1);
    elements(&b, 1);
    merge(&a, &b);
    ck_assert(!is_finished(&a));
    ck_assert(!is_due(&a));
    elements(&a, 1);
    fire(&a);
    ck_assert(is_finished(&a));
    subject_end(&a);
}
END_TEST

START_TEST(until_watches_all_panes_and_ends_it)
{
    struct subject s = subject_of(both(TRIGGER_OR_FINALLY, repeat(count(2)), count(5)), false);

    for (int i = 0; i < 2; i++) {
        elements(&s, 2);
        fire(&s);
        ck_assert(!is_finished(&s));
    }
    elements(&s, 1);
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(the_end_of_main_ends_it_too)
{
    struct subject s = subject_of(both(TRIGGER_OR_FINALLY, count(1), count(5)), false);

    elements(&s, 1);
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(end_of_window_alone_fires_once)
{
    struct subject s = subject_of(both(TRIGGER_AFTER_END_OF_WINDOW, NULL, NULL), false);

    elements(&s, 1);
    s.clock.input_watermark = 100;
    ck_assert(!is_due(&s));
    s.clock.input_watermark = 101;
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(an_end_of_window_that_merging_moves_is_still_to_come)
{
    struct trigger *trigger = both(TRIGGER_AFTER_EACH, both(TRIGGER_AFTER_END_OF_WINDOW, NULL, NULL), count(1));
    struct subject a = subject_of(trigger, true), b = a;

    a.clock.input_watermark = 101;
    fire(&a);
    trigger_on_element(b.program, b.state, &a.clock, 1);
    merge(&a, &b); /* b has not fired: it does in the result, whose end has passed */
    ck_assert(is_due(&a));
    fire(&a);
    ck_assert(!is_due(&a));
    b = a;
    a.clock.window_end = 150;
    merge(&a, &b); /* both have fired, but the result ends later */
    ck_assert(!is_due(&a));
    a.clock.input_watermark = 151;
    ck_assert(is_due(&a));
    subject_end(&a);
}
END_TEST

START_TEST(early_firings_repeat_until_the_end_of_the_window)
{
    struct subject s = subject_of(both(TRIGGER_AFTER_END_OF_WINDOW, count(2), NULL), false);

    for (int i = 0; i < 2; i++) {
        elements(&s, 1);
        ck_assert(!is_due(&s));
        elements(&s, 1);
        fire(&s);
        ck_assert(!is_finished(&s));
    }
    s.clock.input_watermark = 101;
    fire(&s);
    ck_assert(is_finished(&s));
    subject_end(&s);
}
END_TEST

START_TEST(early_firings_made_of_several_start_anew_as_a_whole)
{
    struct trigger *early = both(TRIGGER_AFTER_ALL, count(1), delay(5));
    struct subject s = subject_of(both(TRIGGER_AFTER_END_OF_WINDOW, early, NULL), false);

    elements(&s, 1);
    s.clock.processing_time += 5;
    fire(&s);
    elements(&s, 1);
    ck_assert(!is_due(&s));
    s.clock.processing_time += 5;
    ck_assert(is_due(&s));
    subject_end(&s);
}
END_TEST

START_TEST(late_firings_begin_behind_the_on_time_one_and_repeat)
{
    struct subject s = subject_of(both(TRIGGER_AFTER_END_OF_WINDOW, NULL, count(2)), false);

    elements(&s, 5);
    ck_assert(!is_due(&s));
    s.clock.input_watermark = 101;
    fire(&s);
    ck_assert(!is_finished(&s));
    ck_assert(!is_due(&s));
    for (int i = 0; i < 2; i++) {
        elements(&s, 1);
        ck_assert(!is_due(&s));
        elements(&s, 1);
        fire(&s);
        ck_assert(!is_finished(&s));
    }
    subject_end(&s);
}
END_TEST

START_TEST(merging_an_early_window_with_a_late_one_is_early_again)
{
    struct subject late = subject_of(both(TRIGGER_AFTER_END_OF_WINDOW, count(3), count(1)), true), early = late;

    late.clock.input_watermark = 101;
    elements(&late, 1);
    fire(&late);
    elements(&early, 1);
    late.clock.window_end = 150;
    merge(&late, &early);
    ck_assert(!is_due(&late));
    elements(&late, 1);
    ck_assert(!is_due(&late)); /* the late trigger would be */
    late.clock.input_watermark = 151;
    ck_assert(is_due(&late));
    fire(&late);
    elements(&late, 1);
    ck_assert(is_due(&late));
    subject_end(&late);
}
END_TEST

START_TEST(merging_late_windows_adds_up_what_is_late)
{
    struct subject a = subject_of(both(TRIGGER_AFTER_END_OF_WINDOW, count(9), count(2)), true), b;

    a.clock.input_watermark = 101;
    elements(&a, 1);
    fire(&a);
    b = a;
    elements(&a, 1);
    elements(&b, 1);
    merge(&a, &b);
    ck_assert(!is_finished(&a));
    fire(&a);
    ck_assert(!is_due(&a));
    subject_end(&a);
}
END_TEST

START_TEST(what_cannot_be_run_is_refused)
{
    struct status st = {0};
    struct trigger *deep = count(1), *aligned = delay(0);

    for (int i = 0; i < TRIGGER_MAX_NODES - 1; i++)
        deep = repeat(deep);
    ck_assert_int_eq(trigger_check(deep, &st), 0);
    ck_assert_int_eq(trigger_check(repeat(deep), &st), -STATUS_UNIMPLEMENTED);
    ck_assert_str_eq(status_message(&st), "a trigger is made of more than 64 triggers");
    aligned->delays->align = true;
    ck_assert_int_eq(trigger_check(repeat(aligned), &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(status_message(&st), "a trigger is aligned to a period of 0 ms; it must be more than 0");
    ck_assert_int_eq(trigger_check(repeat(NULL), &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(trigger_check(both(TRIGGER_OR_FINALLY, count(1), NULL), &st), -STATUS_INVALID_ARGUMENT);
    status_clear(&st);
    arena_clear(&arena);
}
END_TEST

START_TEST(the_largest_tree_fits_its_bits)
{
    struct trigger *trigger = count(1);
    struct subject s;

    for (int i = 0; i < TRIGGER_MAX_NODES / 3; i++)
        trigger = both(TRIGGER_AFTER_END_OF_WINDOW, NULL, trigger);
    s = subject_of(trigger, false);
    s.clock.input_watermark = 101;
    for (int i = 0; i < TRIGGER_MAX_NODES / 3; i++)
        if (is_due(&s))
            fire(&s);
    ck_assert(!is_finished(&s));
    subject_end(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trigger");
    TCase *tcase = tcase_create("trigger");

    tcase_add_test(tcase, the_default_trigger_fires_behind_the_end_of_the_window_and_never_finishes);
    tcase_add_test(tcase, always_is_always_due_and_never_is_not);
    tcase_add_test(tcase, a_count_fires_once_when_it_is_reached);
    tcase_add_test(tcase, counts_of_merged_windows_are_added);
    tcase_add_test(tcase, a_repeated_trigger_starts_anew_as_a_whole);
    tcase_add_test(tcase, repeating_what_never_finishes_takes_no_state);
    tcase_add_test(tcase, a_delay_runs_from_the_first_element_and_is_over_when_its_time_comes);
    tcase_add_test(tcase, delays_are_done_in_order_and_alignment_leaves_what_is_aligned);
    tcase_add_test(tcase, merged_delays_end_with_the_first);
    tcase_add_test(tcase, synchronized_processing_time_is_due_when_the_first_element_has_come);
    tcase_add_test(tcase, all_waits_for_each_child);
    tcase_add_test(tcase, all_with_a_child_that_never_finishes_finishes_at_once);
    tcase_add_test(tcase, any_takes_the_first_and_forgets_what_the_others_counted);
    tcase_add_test(tcase, merged_any_adds_up);
    tcase_add_test(tcase, each_goes_on_by_one_child_a_firing);
    tcase_add_test(tcase, each_ends_with_a_child_that_never_does);
    tcase_add_test(tcase, merged_each_goes_on_where_the_first_unfinished_child_is);
    tcase_add_test(tcase, until_watches_all_panes_and_ends_it);
    tcase_add_test(tcase, the_end_of_main_ends_it_too);
    tcase_add_test(tcase, end_of_window_alone_fires_once);
    tcase_add_test(tcase, an_end_of_window_that_merging_moves_is_still_to_come);
    tcase_add_test(tcase, early_firings_repeat_until_the_end_of_the_window);
    tcase_add_test(tcase, early_firings_made_of_several_start_anew_as_a_whole);
    tcase_add_test(tcase, late_firings_begin_behind_the_on_time_one_and_repeat);
    tcase_add_test(tcase, merging_an_early_window_with_a_late_one_is_early_again);
    tcase_add_test(tcase, merging_late_windows_adds_up_what_is_late);
    tcase_add_test(tcase, what_cannot_be_run_is_refused);
    tcase_add_test(tcase, the_largest_tree_fits_its_bits);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
