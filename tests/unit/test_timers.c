#include "engine/timers.h"
#include "tests/unit/fixtures.h"

static struct plan_timer_family families[2] = {
    {.family_id = "event"},
    {.family_id = "processing", .is_processing_time = true},
};
static const struct plan_stage stage = {.timer_families = families, .timer_family_count = 2};

static struct arena coders;

static void setup(void) {
    const struct coder *key = coder_create(&coders, CODER_BYTES, NULL, NULL);
    const struct coder *window = coder_create(&coders, CODER_GLOBAL_WINDOW, NULL, NULL);

    families[0].coder = families[1].coder = coder_create(&coders, CODER_TIMER, key, window);
}

static void teardown(void) {
    arena_clear(&coders);
}

/* One record in the global window; fire < 0: a clear. */
static void add_record(struct buf *out, const char *key, const char *tag, event_time fire) {
    struct pane pane = PANE_NO_FIRING;

    buf_add_prefixed(out, key, strlen(key));
    buf_add_prefixed(out, tag, strlen(tag));
    buf_add_be32(out, 1);
    buf_add_u8(out, fire < 0);
    if (fire < 0)
        return;
    buf_add_be64(out, time_to_wire(fire));
    buf_add_be64(out, time_to_wire(fire));
    pane_encode(out, &pane);
}

static void apply(struct timer_set *set, unsigned family, struct buf *records) {
    struct slice bytes = buf_finish(records);

    timer_set_apply(set, &stage, family, &(struct timer_rules){0}, bytes, NULL);
    slice_unref(&bytes);
}

static event_time until(void *upto, struct slice key) {
    (void)key;
    return *(event_time *)upto;
}

/* "key@fire ..." in the order taken. */
static void check_taken(struct timer_set *set, enum timer_domain domain, event_time upto, const char *want) {
    struct buf text = {0};
    timer_vec due = {0};

    timer_set_take_due(set, domain, upto, until, &upto, &due);
    vec_foreach (timer, &due) {
        CLEANUP(freep)
        char *piece = xasprintf("%.*s@%lld ", (int)(*timer)->key_size - 1, (*timer)->bytes.data + 1,
                                (long long)(*timer)->fire_ms);

        buf_add(&text, piece, strlen(piece));
        timer_free(*timer);
    }
    buf_add_u8(&text, 0);
    ck_assert_str_eq((const char *)buf_data(&text), want);
    buf_clear(&text);
    vec_free(&due);
}

START_TEST(each_key_gives_its_earliest_timers_first)
{
    struct timer_set set = {0};
    struct buf records = {0};

    add_record(&records, "a", "1", 30);
    add_record(&records, "a", "2", 10);
    add_record(&records, "b", "1", 20);
    add_record(&records, "a", "3", 10);
    apply(&set, 0, &records);
    ck_assert_int_eq(timer_set_earliest(&set, TIMER_EVENT_TIME), 10);
    check_taken(&set, TIMER_EVENT_TIME, 15, "a@10 a@10 ");
    check_taken(&set, TIMER_EVENT_TIME, 100, "b@20 a@30 ");
    check_taken(&set, TIMER_EVENT_TIME, 100, "");
    ck_assert_int_eq(timer_set_earliest(&set, TIMER_EVENT_TIME), TIMER_NEVER);
    timer_set_clear(&set);
}
END_TEST

START_TEST(a_set_replaces_and_a_clear_removes)
{
    struct timer_set set = {0};
    struct buf records = {0};

    add_record(&records, "a", "t", 10);
    add_record(&records, "a", "t", 50);
    add_record(&records, "a", "gone", 5);
    add_record(&records, "a", "gone", -1);
    add_record(&records, "a", "never was", -1);
    apply(&set, 0, &records);
    ck_assert_uint_eq(set.counts[TIMER_EVENT_TIME], 1);
    check_taken(&set, TIMER_EVENT_TIME, 100, "a@50 ");
    timer_set_clear(&set);
}
END_TEST

START_TEST(families_with_the_same_tag_are_apart_and_so_are_domains)
{
    struct timer_set set = {0};
    struct buf records = {0};

    add_record(&records, "a", "t", 10);
    apply(&set, 0, &records);
    add_record(&records, "a", "t", 20);
    apply(&set, 1, &records);
    check_taken(&set, TIMER_PROCESSING_TIME, 19, "");
    check_taken(&set, TIMER_PROCESSING_TIME, 20, "a@20 ");
    check_taken(&set, TIMER_EVENT_TIME, 20, "a@10 ");
    timer_set_clear(&set);
}
END_TEST

START_TEST(a_window_takes_its_timers_with_it)
{
    struct timer_set set = {0};
    struct buf records = {0};

    for (int i = 0; i < 20; i++) {
        char tag[8];

        snprintf(tag, sizeof(tag), "%d", i);
        add_record(&records, "a", tag, 100 - i);
    }
    add_record(&records, "b", "stays", 1);
    apply(&set, 0, &records);
    timer_set_remove_window(&set,
                            slice_of_literal("\x01"
                                             "a"),
                            SLICE_EMPTY);
    check_taken(&set, TIMER_EVENT_TIME, 1000, "b@1 ");
    timer_set_clear(&set);
}
END_TEST

START_TEST(what_would_fire_behind_its_window_and_lateness_fires_with_it_but_in_the_global_one)
{
    const struct coder *interval = coder_create(&coders, CODER_INTERVAL_WINDOW, NULL, NULL);
    struct timer_set set = {0};
    struct buf records = {0};

    add_record(&records, "g", "", TIME_MAX);
    add_record(&records, "g", "at the end of the window", TIME_GLOBAL_WINDOW_END);
    apply(&set, 0, &records);
    check_taken(&set, TIMER_EVENT_TIME, TIME_GLOBAL_WINDOW_END, "g@9223371950454775 ");
    check_taken(&set, TIMER_EVENT_TIME, TIME_MAX, "g@9223372036854775 ");

    families[0].coder = coder_create(&coders, CODER_TIMER, families[0].coder->components[0], interval);
    for (event_time fire = 108; fire <= 111; fire++) { /* set and set again in [0, 100), whose last time is 99 */
        struct pane pane = PANE_NO_FIRING;
        struct slice bytes;

        buf_add_prefixed(&records, "w", 1);
        buf_add_prefixed(&records, "", 0);
        buf_add_be32(&records, 1);
        interval_window_encode(&records, 0, 100);
        buf_add_u8(&records, 0);
        buf_add_be64(&records, time_to_wire(fire));
        buf_add_be64(&records, time_to_wire(fire));
        pane_encode(&records, &pane);
        bytes = buf_finish(&records);
        timer_set_apply(&set, &stage, 0, &(struct timer_rules){.allowed_lateness_ms = 10}, bytes, NULL);
        slice_unref(&bytes);
        ck_assert_uint_eq(set.counts[TIMER_EVENT_TIME], 1);
        ck_assert_int_eq(timer_set_earliest(&set, TIMER_EVENT_TIME), MIN(fire, 109));
    }
    timer_set_clear(&set);
}
END_TEST

START_TEST(many_timers_of_one_key_fire_in_order)
{
    struct timer_set set = {0};
    struct buf records = {0};
    event_time last = -1, upto = TIME_MAX;
    timer_vec due = {0};

    for (int i = 0; i < 500; i++) {
        char tag[8];

        snprintf(tag, sizeof(tag), "%d", i);
        add_record(&records, "k", tag, i * 7919 % 500);
    }
    apply(&set, 0, &records);
    for (int i = 0; i < 500; i++) {
        timer_set_take_due(&set, TIMER_EVENT_TIME, upto, until, &upto, &due);
        ck_assert_uint_eq(due.count, (size_t)i + 1);
        ck_assert_int_gt(due.items[i]->fire_ms, last);
        last = due.items[i]->fire_ms;
    }
    vec_foreach (timer, &due)
        timer_free(*timer);
    vec_free(&due);
    timer_set_clear(&set);
}
END_TEST

static event_time until_but_not_of_a(void *upto, struct slice key) {
    return key.data[1] == 'a' ? TIMER_NOT_NOW : *(event_time *)upto;
}

START_TEST(a_key_that_may_not_fire_keeps_its_timers_and_its_place)
{
    struct timer_set set = {0};
    struct buf records = {0};
    event_time upto = 100;
    timer_vec due = {0};

    add_record(&records, "a", "1", 10);
    add_record(&records, "b", "1", 20);
    add_record(&records, "b", "2", 40);
    add_record(&records, "c", "1", 200);
    apply(&set, 0, &records);
    timer_set_take_due(&set, TIMER_EVENT_TIME, upto, until_but_not_of_a, &upto, &due);
    ck_assert_uint_eq(due.count, 1);
    timer_free(due.items[0]);
    vec_free(&due);
    ck_assert_int_eq(timer_set_earliest(&set, TIMER_EVENT_TIME), 10);
    check_taken(&set, TIMER_EVENT_TIME, 100, "a@10 b@40 ");
    ck_assert_int_eq(timer_set_earliest(&set, TIMER_EVENT_TIME), 200);
    timer_set_clear(&set);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("timers");
    TCase *tc = tcase_create("timers");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, each_key_gives_its_earliest_timers_first);
    tcase_add_test(tc, a_set_replaces_and_a_clear_removes);
    tcase_add_test(tc, families_with_the_same_tag_are_apart_and_so_are_domains);
    tcase_add_test(tc, a_window_takes_its_timers_with_it);
    tcase_add_test(tc, what_would_fire_behind_its_window_and_lateness_fires_with_it_but_in_the_global_one);
    tcase_add_test(tc, many_timers_of_one_key_fire_in_order);
    tcase_add_test(tc, a_key_that_may_not_fire_keeps_its_timers_and_its_place);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
