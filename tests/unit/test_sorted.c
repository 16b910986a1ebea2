/* Input in the order of time, with event-time timers between the elements. */
#include "engine/sorted.h"

#include "engine/shards.h"
#include "tests/unit/keyed_bench.h"

/* What the next bundle of shard 0 gives: "key@time=value ..." of elements, then "key!time ..." of timers. */
static char *next(struct keyed_bench *b, size_t max_bytes) {
    struct claim *claim = xcalloc(1, sizeof(*claim));
    struct worker_slot worker = {.number = 1, .slots = 1};
    struct buf text = {0};
    char *copy;

    sorted_prepare(b->engine, b->keyed, 1);
    shards_claim(b->engine, b->keyed, &worker, claim, max_bytes, 1);
    vec_foreach (item, &claim->items) {
        struct cursor at = cursor_of(item->run.bytes.data, item->run.bytes.size);

        while (cursor_left(&at)) {
            struct windowed_value value;
            struct cursor key, of_key;

            ck_assert_int_eq(windowed_value_read(b->f.global, &at, &value), CODER_OK);
            ck_assert(cursor_prefixed(&value.value, &key) && cursor_prefixed(&value.value, &of_key));
            CLEANUP(freep)
            char *piece = xasprintf("%.*s@%lld=%.*s ", (int)cursor_left(&key), key.at, (long long)value.timestamp,
                                    (int)cursor_left(&of_key), of_key.at);
            buf_add(&text, piece, strlen(piece));
        }
    }
    vec_foreach (timer, &claim->timers) {
        CLEANUP(freep)
        char *piece = xasprintf("%.*s!%lld ", (int)(*timer)->key_size - 1, (*timer)->bytes.data + 1,
                                (long long)(*timer)->fire_ms);
        buf_add(&text, piece, strlen(piece));
    }
    copy = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    claim_release(b->keyed, claim);
    return copy;
}

static void expect(struct keyed_bench *b, const char *want) {
    CLEANUP(freep) char *text = next(b, 1 << 20);

    ck_assert_str_eq(text, want);
}

static void bench_open(struct keyed_bench *b, size_t families) {
    keyed_bench_open(b, 1);
    b->stages[1].requires_time_sorted_input = true;
    b->stages[1].timer_family_count = families;
}

START_TEST(nothing_is_given_before_the_input_is_complete)
{
    struct keyed_bench b;
    struct worker_slot worker = {.number = 1, .slots = 1};

    bench_open(&b, 1);
    keyed_bench_deliver(&b, 1, "k", "v");
    ck_assert(!shards_have_work(b.engine, b.keyed, &worker));
    sorted_prepare(b.engine, b.keyed, 1);
    ck_assert(!shards_have_work(b.engine, b.keyed, &worker));
    b.engine->stages[0].is_done = true;
    sorted_prepare(b.engine, b.keyed, 1);
    ck_assert(shards_have_work(b.engine, b.keyed, &worker));
    keyed_bench_close(&b);
}
END_TEST

START_TEST(what_sorting_takes_is_charged_and_given_back)
{
    struct account *account = account_create("test", NULL, 0);
    struct keyed_bench b;
    size_t before;

    bench_open(&b, 0);
    b.engine->options.account = account;
    for (int i = 0; i < 100; i++)
        keyed_bench_deliver(&b, i, "k", "v");
    before = account_used(account);
    b.engine->stages[0].is_done = true;
    sorted_prepare(b.engine, b.keyed, 1);
    ck_assert_uint_ge(account_used(account), before + 100 * (sizeof(event_time) + sizeof(struct slice)));
    free(next(&b, 1 << 20));
    ck_assert_uint_eq(account_used(account), 0);
    keyed_bench_close(&b);
    account_unref(account);
}
END_TEST

START_TEST(without_timers_all_goes_out_at_once_by_key_and_time)
{
    struct keyed_bench b;

    bench_open(&b, 0);
    keyed_bench_deliver(&b, 30, "a", "3");
    keyed_bench_deliver(&b, 10, "b", "1");
    keyed_bench_deliver(&b, 10, "a", "1");
    keyed_bench_deliver(&b, 20, "a", "2");
    keyed_bench_deliver(&b, 20, "a", "2 again");
    keyed_bench_deliver(&b, 5, "b", "0");
    b.engine->stages[0].is_done = true;
    expect(&b, "b@5=0 b@10=1 a@10=1 a@20=2 a@20=2 again a@30=3 ");
    ck_assert(!sorted_is_pending(b.keyed->shards));
    ck_assert_uint_eq(b.keyed->shard_count, 0);
    ck_assert_uint_eq(b.keyed->shard_bytes, 0);
    keyed_bench_close(&b);
}
END_TEST

START_TEST(a_bundle_holds_no_more_than_it_should_and_the_next_goes_on)
{
    struct keyed_bench b;
    struct buf all = {0};

    bench_open(&b, 0);
    for (int i = 9; i >= 0; i--)
        keyed_bench_deliver(&b, i, "k", "v");
    b.engine->stages[0].is_done = true;
    for (int i = 0; i < 10; i++) {
        CLEANUP(freep) char *text = next(&b, 1);

        buf_add(&all, text, strlen(text));
    }
    buf_add_u8(&all, 0);
    ck_assert_str_eq((const char *)buf_data(&all), "k@0=v k@1=v k@2=v k@3=v k@4=v k@5=v k@6=v k@7=v k@8=v k@9=v ");
    buf_clear(&all);
    keyed_bench_close(&b);
}
END_TEST

START_TEST(a_timer_fires_before_the_elements_behind_it)
{
    struct keyed_bench b;

    bench_open(&b, 1);
    keyed_bench_deliver(&b, 30, "a", "3");
    keyed_bench_deliver(&b, 10, "a", "1");
    keyed_bench_deliver(&b, 20, "a", "2");
    keyed_bench_deliver(&b, 20, "a", "2 again");
    keyed_bench_deliver(&b, 10, "b", "1");
    b.engine->stages[0].is_done = true;
    expect(&b, "a@10=1 b@10=1 ");
    keyed_bench_set_timer(&b, "a", "x", 15);
    keyed_bench_set_timer(&b, "a", "at a time of elements: these come first", 20);
    keyed_bench_set_timer(&b, "b", "y", 500);
    expect(&b, "a!15 b!500 ");
    expect(&b, "a@20=2 a@20=2 again ");
    expect(&b, "a!20 ");
    keyed_bench_set_timer(&b, "a", "behind the time", 1);
    expect(&b, "a!1 ");
    expect(&b, "a@30=3 ");
    expect(&b, "");
    keyed_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sorted");
    TCase *tc = tcase_create("sorted");

    tcase_add_test(tc, nothing_is_given_before_the_input_is_complete);
    tcase_add_test(tc, what_sorting_takes_is_charged_and_given_back);
    tcase_add_test(tc, without_timers_all_goes_out_at_once_by_key_and_time);
    tcase_add_test(tc, a_bundle_holds_no_more_than_it_should_and_the_next_goes_on);
    tcase_add_test(tc, a_timer_fires_before_the_elements_behind_it);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
