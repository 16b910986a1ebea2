/* Key shards: who runs them, and under which token harnesses may keep their state. */
#include "engine/shards.h"

#include <stdio.h>

#include "tests/unit/keyed_bench.h"

/* A bundle of these shards on this worker: "-" or the epoch of its token. */
static const char *start(struct keyed_bench *b, struct bundle *bundle, struct claim *claim, unsigned worker) {
    static char text[24];
    struct engine_action action = {.type = ENGINE_ACTION_START_BUNDLE};

    *bundle = (struct bundle){.stage = b->keyed, .claim = claim, .worker = worker};
    shards_start(bundle, &action);
    snprintf(text, sizeof(text), action.has_state_token ? "%u.%llu" : "-", action.shard,
             (unsigned long long)action.state_epoch);
    return text;
}

START_TEST(a_shard_that_goes_to_another_worker_and_back_has_a_token_of_its_own_each_time)
{
    struct keyed_bench b;
    struct claim claim = {0};
    struct bundle bundle;

    keyed_bench_open(&b, 4);
    vec_push(&claim.shards, 2);
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "2.0");
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "2.0");
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &claim, 7), "2.1");
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "2.2");
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "2.2");
    vec_free(&claim.shards);
    keyed_bench_close(&b);
}
END_TEST

START_TEST(the_epoch_moves_when_a_bundle_fails_reads_pages_or_collects_a_window)
{
    struct keyed_bench b;
    struct claim claim = {0};
    struct bundle bundle;

    keyed_bench_open(&b, 4);
    vec_push(&claim.shards, 3);
    start(&b, &bundle, &claim, 1);
    shards_end(&bundle, false);
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "3.1");
    bundle.has_paged_state = true;
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "3.2");
    b.family.is_window_expiration = true;
    vec_push(&claim.timers, timer_make(0, SLICE_EMPTY, SLICE_EMPTY, 0, 0, 0, NULL));
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "3.3");
    timer_free(claim.timers.items[0]);
    vec_free(&claim.timers);
    vec_free(&claim.shards);
    keyed_bench_close(&b);
}
END_TEST

START_TEST(shards_that_share_a_bundle_have_no_token_and_the_next_one_is_new)
{
    struct keyed_bench b;
    struct claim alone = {0}, both = {0};
    struct bundle bundle;

    keyed_bench_open(&b, 4);
    vec_push(&alone.shards, 0);
    vec_push(&both.shards, 0);
    vec_push(&both.shards, 1);
    ck_assert_str_eq(start(&b, &bundle, &alone, 1), "0.0");
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &both, 1), "-");
    shards_end(&bundle, true);
    ck_assert_str_eq(start(&b, &bundle, &alone, 1), "0.1");
    vec_free(&alone.shards);
    vec_free(&both.shards);
    keyed_bench_close(&b);
}
END_TEST

enum { MANY_KEYS = 30000, SHARDS = 32 };

/* A map's index and the shard's number come from the same hash. */
START_TEST(keys_of_one_shard_are_spread_over_its_maps)
{
    const struct map *keys;
    struct keyed_bench b;
    size_t way = 0;

    keyed_bench_open(&b, SHARDS);
    for (unsigned i = 0; i < MANY_KEYS; i++) {
        char key[16];

        snprintf(key, sizeof(key), "key %u", i);
        keyed_bench_set_timer(&b, key, "", 10);
    }
    keys = &b.keyed->shards[0].timers.by_key;
    ck_assert_uint_gt(keys->count, MANY_KEYS / SHARDS / 2);
    for (size_t i = 0; i < keys->index_size; i++)
        if (keys->index[i])
            way += (i - (size_t)keys->entries[keys->index[i] - 1].hash) & (keys->index_size - 1);
    ck_assert_uint_lt(way, keys->count);
    keyed_bench_close(&b);
}
END_TEST

START_TEST(only_bags_are_kept)
{
    struct keyed_bench b;
    struct claim claim = {0};
    struct bundle bundle;

    keyed_bench_open(&b, 1);
    vec_push(&claim.shards, 0);
    b.state.kind = PLAN_STATE_MULTIMAP;
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "-");
    b.state.kind = PLAN_STATE_BAG;
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "0.0");
    b.stages[1].user_state_count = 0;
    ck_assert_str_eq(start(&b, &bundle, &claim, 1), "-");
    vec_free(&claim.shards);
    keyed_bench_close(&b);
}
END_TEST

START_TEST(a_shard_leaves_its_home_only_while_that_is_busy_or_gone)
{
    struct keyed_bench b;
    struct claim claim = {0};
    struct bundle bundle;
    struct worker_slot *home, other;

    keyed_bench_open(&b, 1);
    keyed_bench_add_worker(&b, 1);
    other = *keyed_bench_add_worker(&b, 2);
    home = &b.engine->workers.items[0];
    keyed_bench_deliver(&b, 1, "k", "v");
    ck_assert(shards_have_work(b.engine, b.keyed, home) && shards_have_work(b.engine, b.keyed, &other));
    vec_push(&claim.shards, 0);
    start(&b, &bundle, &claim, 1);
    ck_assert(shards_have_work(b.engine, b.keyed, home));
    ck_assert(!shards_have_work(b.engine, b.keyed, &other));
    home->busy = 1;
    ck_assert(shards_have_work(b.engine, b.keyed, &other));
    home->busy = 0;
    home->is_lost = true;
    ck_assert(shards_have_work(b.engine, b.keyed, &other));
    b.keyed->shards[0].is_busy = true;
    ck_assert(!shards_have_work(b.engine, b.keyed, &other));
    vec_free(&claim.shards);
    keyed_bench_close(&b);
}
END_TEST

START_TEST(a_shard_with_enough_to_do_has_a_bundle_to_itself)
{
    struct keyed_bench b;
    struct claim first = {0}, second = {0};
    struct worker_slot worker;
    char key[16];

    keyed_bench_open(&b, 4);
    worker = *keyed_bench_add_worker(&b, 1);
    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof(key), "%d", i);
        keyed_bench_deliver(&b, 1, key, "v");
    }
    shards_claim(b.engine, b.keyed, &worker, &first, 1 << 20, 1);
    ck_assert_uint_gt(first.shards.count, 1);
    ck_assert_uint_eq(first.count, 12);
    vec_foreach (shard, &first.shards)
        b.keyed->shards[*shard].is_busy = false;
    for (int i = 0; i < 1200; i++) {
        snprintf(key, sizeof(key), "%d", i);
        keyed_bench_deliver(&b, 1, key, "v");
    }
    shards_claim(b.engine, b.keyed, &worker, &second, 1 << 20, 1);
    ck_assert_uint_eq(second.shards.count, 1);
    ck_assert_uint_ge(second.count, 64);
    for (struct claim *claim = &first; claim; claim = claim == &first ? &second : NULL) {
        vec_foreach (item, &claim->items)
            input_item_clear(item);
        vec_free(&claim->items);
        vec_free(&claim->shards);
    }
    keyed_bench_close(&b);
}
END_TEST

START_TEST(no_event_time_timer_is_due_before_the_input_is_complete)
{
    struct keyed_bench b;

    keyed_bench_open(&b, 1);
    keyed_bench_set_timer(&b, "k", "", TIME_MIN);
    ck_assert(!shards_have_any_work(b.engine, b.keyed));
    b.engine->stages[0].is_done = true;
    ck_assert(shards_have_any_work(b.engine, b.keyed));
    keyed_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("shards");
    TCase *tc = tcase_create("shards");

    tcase_add_test(tc, a_shard_that_goes_to_another_worker_and_back_has_a_token_of_its_own_each_time);
    tcase_add_test(tc, the_epoch_moves_when_a_bundle_fails_reads_pages_or_collects_a_window);
    tcase_add_test(tc, shards_that_share_a_bundle_have_no_token_and_the_next_one_is_new);
    tcase_add_test(tc, keys_of_one_shard_are_spread_over_its_maps);
    tcase_add_test(tc, only_bags_are_kept);
    tcase_add_test(tc, a_shard_leaves_its_home_only_while_that_is_busy_or_gone);
    tcase_add_test(tc, a_shard_with_enough_to_do_has_a_bundle_to_itself);
    tcase_add_test(tc, no_event_time_timer_is_due_before_the_input_is_complete);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
