/* A pane_group whose windows the SDK merges, and a stand-in for the SDK that merges those that overlap. */
#include "engine/mergebook.h"
#include "engine/panes.h"

#include "engine/trigger.h"
#include "tests/unit/fixtures.h"
#include "tests/unit/trigger_builder.h"

struct question {
    uint64_t nonce;
    uint32_t count;
    struct {
        event_time start, end;
    } windows[16];
};

struct subject {
    struct fixture f;
    struct account *account;
    struct windowing windowing;
    struct pane_group *group;
    struct pane_clock clock;
    struct buf fired;
    VEC(struct question) questions; /* without an answer */
    uint64_t asked, bundles;
};

static struct subject subject_create(enum window_fn_kind fn) {
    struct subject s = {.f = fixture_create(), .account = account_create("panes", NULL, 0)};

    s.windowing = (struct windowing){
        .fn = fn, .needs_merge = true, .accumulation = ACCUMULATION_DISCARDING, .allowed_lateness_ms = 0};
    s.windowing.trigger = make_trigger(&s.f.arena, TRIGGER_DEFAULT, NULL, NULL);
    s.windowing.timestamp_combiner = OUTPUT_TIME_END_OF_WINDOW;
    s.clock = (struct pane_clock){TIME_MIN, TIME_MIN, 0};
    return s;
}

static void subject_end(struct subject *s) {
    pane_group_destroy(s->group);
    buf_clear(&s->fired);
    vec_free(&s->questions);
    ck_assert_uint_eq(account_used(s->account), 0);
    account_unref(s->account);
    arena_clear(&s->f.arena);
}

static void add_text(struct subject *s, char *text) {
    buf_add(&s->fired, text, strlen(text));
    free(text);
}

/* "key[end INDEX timing: values] " */
static void note(void *user, const struct pane_firing *firing) {
    static const char *const timings[] = {"early", "on-time", "late", "unknown"};
    struct subject *s = user;

    add_text(s, xasprintf("%.*s[%lld %lld %s:", (int)firing->key.size - 1, firing->key.data + 1,
                          (long long)firing->window_end, (long long)firing->pane.index, timings[firing->pane.timing]));
    for (const struct group_chunk *chunk = firing->values; chunk; chunk = chunk->next) {
        struct cursor at = cursor_of(group_chunk_values(chunk), chunk->size), value;

        while (cursor_left(&at)) {
            ck_assert(cursor_prefixed(&at, &value));
            add_text(s, xasprintf(" %.*s", (int)cursor_left(&value), value.at));
        }
    }
    add_text(s, xstrdup("] "));
}

static void check_fired(struct subject *s, const char *expected) {
    CLEANUP(freep) char *text = xmemdup0(buf_data(&s->fired), s->fired.size ? s->fired.size - 1 : 0);

    ck_assert_str_eq(text, expected);
    buf_clear(&s->fired);
}

static void read_question(struct subject *s, struct cursor *at) {
    struct question question = {0};
    struct cursor nonce;

    at->at += 13; /* the header of a value in the global window */
    ck_assert(cursor_prefixed(at, &nonce) && cursor_be64(&nonce, &question.nonce));
    ck_assert(cursor_be32(at, &question.count) && question.count <= ARRAY_COUNT(question.windows));
    for (uint32_t i = 0; i < question.count; i++)
        ck_assert_int_eq(interval_window_decode(at, &question.windows[i].start, &question.windows[i].end), CODER_OK);
    vec_push(&s->questions, question);
    s->asked++;
}

static void read_questions(struct subject *s) {
    for (;;) {
        struct buf out = {0};
        uint64_t count = pane_group_write_questions(s->group, 1, &out);
        struct cursor at = cursor_of(buf_data(&out), out.size);

        while (cursor_left(&at))
            read_question(s, &at);
        buf_clear(&out);
        if (count == 0)
            break;
    }
}

/* Elements "KEYtime" in the window [time, time + 10): "a3 b5". */
static void add(struct subject *s, const char *elements) {
    CLEANUP(freep) char *text = xstrdup(elements);
    struct buf bytes = {0};
    struct run run = {0};
    char *save = NULL;

    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save), run.count++) {
        event_time time = atoll(word + 1);
        struct buf window = {0};
        char key[] = {*word, '\0'};

        interval_window_encode(&window, time, time + 10);
        add_kv(&bytes, time, &window, key, word + 1);
        buf_clear(&window);
    }
    if (!s->group)
        s->group = pane_group_create(s->f.interval, &s->windowing, true, s->account);
    run.bytes = buf_finish(&bytes);
    pane_group_add(s->group, &run, &s->clock, note, s);
    run_clear(&run);
    if (pane_group_merges(s->group))
        read_questions(s);
}

static int compare_starts(const void *left, const void *right) {
    const event_time *a = left, *b = right;

    return *a != *b ? (*a < *b ? -1 : 1) : (a[1] > b[1]) - (a[1] < b[1]);
}

/* Each window is consumed by one that covers all it overlaps with; those that overlap with none are said to be left alone. */
static void write_answer(struct question *question, struct buf *out) {
    struct buf alone = {0}, merged = {0};
    uint32_t alone_count = 0, merged_count = 0;

    qsort(question->windows, question->count, sizeof(question->windows[0]), compare_starts);
    for (uint32_t i = 0, next; i < question->count; i = next) {
        event_time end = question->windows[i].end;

        for (next = i + 1; next < question->count && question->windows[next].start < end; next++)
            end = MAX(end, question->windows[next].end);
        if (next == i + 1) {
            interval_window_encode(&alone, question->windows[i].start, end);
            alone_count++;
            continue;
        }
        merged_count++;
        interval_window_encode(&merged, question->windows[i].start, end);
        buf_add_be32(&merged, next - i);
        for (uint32_t j = i; j < next; j++)
            interval_window_encode(&merged, question->windows[j].start, question->windows[j].end);
    }
    windowed_value_write_header(out, TIME_MIN, NULL, 0, &PANE_NO_FIRING);
    buf_add_varint(out, sizeof(question->nonce));
    buf_add_be64(out, question->nonce);
    buf_add_be32(out, alone_count);
    buf_add(out, buf_data(&alone), alone.size);
    buf_add_be32(out, merged_count);
    buf_add(out, buf_data(&merged), merged.size);
    buf_clear(&alone);
    buf_clear(&merged);
}

/* Answers the oldest `count` questions in one bundle. */
static void answer(struct subject *s, size_t count) {
    struct buf out = {0};
    struct run_list list = {0};
    struct status st = {0};

    ck_assert_uint_le(count, s->questions.count);
    for (size_t i = 0; i < count; i++)
        write_answer(&s->questions.items[i], &out);
    s->questions.count -= count;
    memmove(s->questions.items, s->questions.items + count, s->questions.count * sizeof(s->questions.items[0]));
    run_list_push(&list, (struct run){.bytes = buf_finish(&out), .count = count});
    ck_assert_msg(merge_book_check(pane_group_merges(s->group), &list, count, ++s->bundles, &st) == 0, "%s",
                  status_message(&st));
    pane_group_answer(s->group, &list.runs.items[0], &s->clock, note, s);
    run_list_clear(&list);
    read_questions(s);
}

static void answer_all(struct subject *s) {
    while (s->questions.count)
        answer(s, s->questions.count);
}

/* As far as what is parked and the holds allow, as a stage's. */
static void watermark(struct subject *s, event_time time) {
    event_time parked = pane_group_parked_least(s->group), input = MIN(time, parked), hold;

    s->clock.input_watermark = MAX(s->clock.input_watermark, input);
    pane_group_advance(s->group, &s->clock, note, s);
    hold = pane_group_hold(s->group);
    s->clock.output_watermark = MAX(s->clock.output_watermark, MIN(s->clock.input_watermark, hold));
}

static struct trigger *repeated_count(struct subject *s, int64_t n) {
    return make_trigger(&s->f.arena, TRIGGER_REPEAT, make_count(&s->f.arena, n), NULL);
}

START_TEST(elements_wait_for_the_answer_and_hold_the_watermark)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    add(&s, "a1 a5 b30");
    ck_assert_uint_eq(s.questions.count, 2);
    ck_assert(pane_group_is_waiting(s.group) && !pane_group_is_empty(s.group));
    ck_assert_int_eq(pane_group_parked_least(s.group), 1);
    watermark(&s, TIME_MAX);
    check_fired(&s, "");
    answer(&s, 1);
    ck_assert_int_eq(pane_group_parked_least(s.group), 30);
    watermark(&s, TIME_MAX);
    check_fired(&s, "a[14 0 on-time: 1 5]");
    answer(&s, 1);
    ck_assert(!pane_group_is_waiting(s.group));
    ck_assert_int_eq(pane_group_parked_least(s.group), TIME_MAX);
    watermark(&s, TIME_MAX);
    check_fired(&s, "b[39 0 on-time: 30]");
    ck_assert(pane_group_is_empty(s.group));
    subject_end(&s);
}
END_TEST

START_TEST(what_comes_meanwhile_is_asked_about_next_with_what_the_windows_have_become)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    s.windowing.trigger = repeated_count(&s, 1);
    add(&s, "a1 a5");
    add(&s, "a14 a1");
    add(&s, "a50");
    ck_assert_uint_eq(s.questions.count, 1);
    ck_assert_int_eq(pane_group_parked_least(s.group), 1);
    answer(&s, 1);
    check_fired(&s, "a[14 0 early: 1 5]");
    ck_assert_uint_eq(s.questions.count, 1);
    ck_assert_uint_eq(s.questions.items[0].count, 4); /* [1, 15), the new ones, and [1, 11) anew */
    answer(&s, 1);
    check_fired(&s, "a[23 0 early: 14 1] a[59 0 early: 50]");
    ck_assert_uint_eq(s.questions.count, 0);
    subject_end(&s);
}
END_TEST

START_TEST(keys_with_the_same_windows_share_a_question_and_its_answer_is_remembered)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    s.windowing.trigger = repeated_count(&s, 1);
    add(&s, "a1 b1 a5 b5");
    ck_assert_uint_eq(s.questions.count, 1);
    answer(&s, 1);
    check_fired(&s, "a[14 0 early: 1 5] b[14 0 early: 1 5]");
    add(&s, "c1 c5");
    check_fired(&s, "c[14 0 early: 1 5]");
    ck_assert_uint_eq(s.asked, 1);
    ck_assert(!pane_group_is_waiting(s.group));
    subject_end(&s);
}
END_TEST

START_TEST(processing_time_waits_for_windows_that_are_asked_about)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    s.windowing.trigger = make_trigger(&s.f.arena, TRIGGER_REPEAT, make_delay(&s.f.arena, 5), NULL);
    add(&s, "a1 a30");
    answer_all(&s);
    s.clock.processing_time = 3;
    add(&s, "a2");
    s.clock.processing_time = 10;
    watermark(&s, 2);
    check_fired(&s, "");
    ck_assert_int_eq(pane_group_next_wake(s.group), TIME_MAX);
    answer_all(&s);
    check_fired(&s, "a[11 0 early: 1 2]");
    ck_assert_int_eq(pane_group_next_wake(s.group), 10); /* of [30, 40), which no element came for */
    watermark(&s, 2);
    check_fired(&s, "a[39 0 early: 30]");
    subject_end(&s);
}
END_TEST

START_TEST(a_window_whose_end_comes_while_it_is_asked_about_fires_afterwards)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    add(&s, "a1");
    answer_all(&s);
    add(&s, "a12"); /* [1, 11) is asked about too, and nothing holds 11 back */
    watermark(&s, 12);
    ck_assert_int_eq(s.clock.input_watermark, 12);
    ck_assert_int_eq(s.clock.output_watermark, 10);
    check_fired(&s, "");
    answer_all(&s);
    watermark(&s, 12);
    check_fired(&s, "a[10 0 on-time: 1]");
    ck_assert_int_eq(s.clock.output_watermark, 12);
    subject_end(&s);
}
END_TEST

START_TEST(expired_elements_are_dropped_before_they_are_asked_about)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    add(&s, "a20");
    answer_all(&s);
    watermark(&s, 15);
    add(&s, "a1");
    ck_assert_uint_eq(s.questions.count, 0);
    ck_assert_uint_eq(pane_group_dropped_late(s.group), 1);
    subject_end(&s);
}
END_TEST

START_TEST(closed_windows_are_not_asked_about)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    s.windowing.trigger = make_count(&s.f.arena, 2);
    add(&s, "a1 a2");
    answer_all(&s);
    check_fired(&s, "a[11 0 early: 1 2]");
    add(&s, "a3 a4");
    ck_assert_uint_eq(s.questions.items[0].count, 2);
    answer_all(&s);
    check_fired(&s, "a[13 0 early: 3 4]");
    subject_end(&s);
}
END_TEST

START_TEST(a_group_that_waits_can_be_destroyed)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);

    add(&s, "a1 a5 b30");
    answer(&s, 1);
    add(&s, "a7 b31");
    subject_end(&s);
}
END_TEST

START_TEST(old_questions_are_forgotten_and_late_answers_are_still_taken)
{
    struct subject s = subject_create(WINDOW_FN_CUSTOM);
    size_t most = 0;

    add(&s, "z1"); /* the first question, answered last */
    for (int i = 0; i < 6000; i++) {
        char text[32];
        struct question first = s.questions.items[0];

        snprintf(text, sizeof(text), "a%d", 100 + 20 * i);
        add(&s, text);
        s.questions.items[0] = s.questions.items[1];
        s.questions.items[1] = first;
        answer(&s, 1);
        if (i == 3000)
            most = account_used(s.account);
        s.clock.input_watermark = 100 + 20 * i;
        pane_group_advance(s.group, &s.clock, note, &s);
    }
    ck_assert_uint_lt(account_used(s.account), 2 * most);
    buf_clear(&s.fired);
    answer_all(&s);
    watermark(&s, TIME_MAX);
    ck_assert(pane_group_is_empty(s.group));
    subject_end(&s);
}
END_TEST

/* ---- at random ---- */

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int compare_panes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The panes in an order that does not depend on when answers came. */
static char *sorted_panes(struct subject *s) {
    VEC(char *) panes = {0};
    struct buf out = {0};
    char *text, *result;

    buf_add_u8(&s->fired, 0);
    text = xstrdup((const char *)buf_data(&s->fired));
    buf_clear(&s->fired);
    for (char *at = text, *end; (end = strstr(at, "] ")); at = end + 2) {
        *end = '\0';
        vec_push(&panes, at);
    }
    if (panes.count)
        qsort(panes.items, panes.count, sizeof(char *), compare_panes);
    vec_foreach (pane, &panes) {
        buf_add(&out, *pane, strlen(*pane));
        buf_add(&out, " ", 1);
    }
    result = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    vec_free(&panes);
    free(text);
    return result;
}

/* One element and one step of the watermark at a time, with all answers at once: what the SDK says of sessions comes to what the group itself
 * knows of them, pane by pane. */
START_TEST(sessions_by_answers_are_sessions)
{
    uint64_t random = (uint64_t)_i + 1;
    struct subject asking = subject_create(WINDOW_FN_CUSTOM), knowing = subject_create(WINDOW_FN_SESSIONS);
    struct subject *both[] = {&asking, &knowing};
    int64_t lateness = (int64_t)next_random(&random) % 3 * 15, early = (int64_t)next_random(&random) % 3;
    enum timestamp_combiner combiner = (enum timestamp_combiner)(next_random(&random) % 3);
    event_time now = 0;

    for (int i = 0; i < 2; i++) {
        both[i]->windowing.allowed_lateness_ms = lateness;
        both[i]->windowing.timestamp_combiner = combiner;
        both[i]->windowing.accumulation = random & 64 ? ACCUMULATION_DISCARDING : ACCUMULATION_ACCUMULATING;
        if (early)
            both[i]->windowing.trigger =
                make_trigger(&both[i]->f.arena, TRIGGER_AFTER_END_OF_WINDOW, make_count(&both[i]->f.arena, early),
                             make_count(&both[i]->f.arena, 1));
    }
    for (int round = 0; round < 60; round++) {
        CLEANUP(freep) char *wanted = NULL, *got = NULL;
        char text[64];

        now += (event_time)(next_random(&random) % 8);
        snprintf(text, sizeof(text), "%c%lld %c%lld", (int)('a' + next_random(&random) % 3),
                 (long long)(now + (event_time)(next_random(&random) % 40)), (int)('a' + next_random(&random) % 3),
                 (long long)(now + (event_time)(next_random(&random) % 40)));
        for (int i = 0; i < 2; i++) {
            add(both[i], text);
            answer_all(both[i]);
            watermark(both[i], round == 59 ? TIME_MAX : now + 10);
        }
        got = sorted_panes(&asking);
        wanted = sorted_panes(&knowing);
        ck_assert_str_eq(got, wanted);
        ck_assert_int_eq(asking.clock.output_watermark, knowing.clock.output_watermark);
    }
    for (int i = 0; i < 2; i++)
        subject_end(both[i]);
}
END_TEST

/* Answers come whenever they like: no element is lost or there twice, and the watermark tells the truth. */
START_TEST(every_element_is_in_one_pane_whenever_answers_come)
{
    uint64_t random = (uint64_t)_i + 1, added = 0, seen = 0;
    struct subject s = subject_create(WINDOW_FN_CUSTOM);
    event_time now = 0;

    if (_i % 2)
        s.windowing.trigger = repeated_count(&s, 1 + _i % 3);
    for (int round = 0; round < 200; round++) {
        char text[64];

        now += (event_time)(next_random(&random) % 8);
        snprintf(text, sizeof(text), "%c%lld %c%lld", (int)('a' + next_random(&random) % 4),
                 (long long)(now + (event_time)(next_random(&random) % 40)), (int)('a' + next_random(&random) % 4),
                 (long long)(now + (event_time)(next_random(&random) % 40)));
        add(&s, text);
        added += 2;
        if (s.questions.count && next_random(&random) % 3)
            answer(&s, 1 + next_random(&random) % s.questions.count);
        watermark(&s, now);
    }
    answer_all(&s);
    watermark(&s, TIME_MAX);
    ck_assert(pane_group_is_empty(s.group));
    for (size_t i = 0; i < s.fired.size; i++)
        seen += buf_data(&s.fired)[i] == ' ';
    for (size_t i = 0; i < s.fired.size; i++)
        seen -= 3 * (uint64_t)(buf_data(&s.fired)[i] == ']'); /* two before the values, one behind */
    ck_assert_uint_eq(seen, added);
    ck_assert_uint_eq(pane_group_dropped_late(s.group), 0);
    subject_end(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pane_ask");
    TCase *tcase = tcase_create("pane_ask");

    tcase_add_test(tcase, elements_wait_for_the_answer_and_hold_the_watermark);
    tcase_add_test(tcase, what_comes_meanwhile_is_asked_about_next_with_what_the_windows_have_become);
    tcase_add_test(tcase, keys_with_the_same_windows_share_a_question_and_its_answer_is_remembered);
    tcase_add_test(tcase, processing_time_waits_for_windows_that_are_asked_about);
    tcase_add_test(tcase, a_window_whose_end_comes_while_it_is_asked_about_fires_afterwards);
    tcase_add_test(tcase, expired_elements_are_dropped_before_they_are_asked_about);
    tcase_add_test(tcase, closed_windows_are_not_asked_about);
    tcase_add_test(tcase, a_group_that_waits_can_be_destroyed);
    tcase_add_test(tcase, old_questions_are_forgotten_and_late_answers_are_still_taken);
    tcase_add_loop_test(tcase, sessions_by_answers_are_sessions, 0, 200);
    tcase_add_loop_test(tcase, every_element_is_in_one_pane_whenever_answers_come, 0, 200);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
