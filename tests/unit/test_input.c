#include "engine/input.h"
#include "tests/unit/fixtures.h"

static struct input_item item_of(unsigned first, unsigned count) {
    struct buf bytes = {0};

    for (unsigned i = first; i < first + count; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%08u", i);
        add_kv(&bytes, i, NULL, key, "value");
    }
    return (struct input_item){.run = {.bytes = buf_finish(&bytes), .count = count}};
}

/* Reads the claim to its end in pieces of about max_bytes; returns all bytes. */
static struct buf read_all(const struct claim *claim, const struct coder *coder, size_t max_bytes) {
    struct claim_cursor at = {0};
    struct buf all = {0};
    struct slice piece;

    while ((piece = claim_read(claim, &at, coder, max_bytes, NULL, NULL)).size) {
        struct cursor whole = cursor_of(piece.data, piece.size);

        while (cursor_left(&whole))
            ck_assert_int_eq(windowed_value_skip(coder, &whole), CODER_OK);
        buf_add(&all, piece.data, piece.size);
        slice_unref(&piece);
    }
    return all;
}

START_TEST(a_claim_takes_what_it_is_told)
{
    struct fixture f = fixture_create();
    struct input_queue queue = {0};
    struct claim *claim = xcalloc(1, sizeof(*claim));

    input_queue_push(&queue, item_of(0, 10));
    input_queue_push(&queue, item_of(10, 10));
    claim_take(claim, &queue, f.global, SIZE_MAX / 4, 15);
    ck_assert_uint_eq(claim->count, 15);
    ck_assert_uint_eq(queue.count, 5);
    claim_free(claim);
    input_queue_clear(&queue);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(a_claim_is_about_as_large_as_asked)
{
    struct fixture f = fixture_create();
    struct input_queue queue = {0};
    size_t total;

    input_queue_push(&queue, item_of(0, 1000));
    total = queue.bytes;
    while (queue.count) {
        struct claim *claim = xcalloc(1, sizeof(*claim));

        claim_take(claim, &queue, f.global, total / 10, UINT64_MAX);
        ck_assert_uint_gt(claim->count, 0);
        ck_assert_uint_lt(claim->bytes, total / 10 * 2);
        claim_free(claim);
    }
    input_queue_clear(&queue);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(a_claim_reads_the_same_whatever_the_piece_size)
{
    struct fixture f = fixture_create();
    struct input_queue queue = {0};
    struct claim *claim = xcalloc(1, sizeof(*claim));
    struct buf whole, pieces;

    input_queue_push(&queue, item_of(0, 100));
    input_queue_push(&queue, item_of(100, 1));
    claim_take(claim, &queue, f.global, SIZE_MAX / 4, UINT64_MAX);
    whole = read_all(claim, f.global, SIZE_MAX / 4);
    pieces = read_all(claim, f.global, 50);
    ck_assert_uint_eq(whole.size, claim->bytes);
    ck_assert_uint_eq(whole.size, pieces.size);
    ck_assert_mem_eq(buf_data(&whole), buf_data(&pieces), whole.size);
    buf_clear(&whole);
    buf_clear(&pieces);
    claim_free(claim);
    input_queue_clear(&queue);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(what_is_put_back_comes_next)
{
    struct input_queue queue = {0};
    struct input_item item;

    input_queue_push(&queue, item_of(0, 1));
    input_queue_push(&queue, item_of(1, 2));
    ck_assert(input_queue_pop(&queue, &item));
    input_queue_unpop(&queue, item);
    ck_assert_uint_eq(queue.count, 3);
    ck_assert(input_queue_pop(&queue, &item));
    ck_assert_uint_eq(item.run.count, 1);
    input_item_clear(&item);
    input_queue_unpop(&queue, item_of(7, 5));
    ck_assert(input_queue_pop(&queue, &item));
    ck_assert_uint_eq(item.run.count, 5);
    input_item_clear(&item);
    input_queue_clear(&queue);
}
END_TEST

START_TEST(a_claim_that_is_cut_keeps_its_first_elements_and_gives_the_others_away)
{
    struct fixture f = fixture_create();

    for (uint64_t count = 0; count <= 20; count++) {
        struct input_queue queue = {0}, rest = {0};
        struct claim *claim = xcalloc(1, sizeof(*claim));
        struct claim *other = xcalloc(1, sizeof(*other));
        struct buf before, kept, given;

        input_queue_push(&queue, item_of(0, 10));
        input_queue_push(&queue, item_of(10, 1));
        input_queue_push(&queue, item_of(11, 9));
        claim_take(claim, &queue, f.global, SIZE_MAX / 4, UINT64_MAX);
        before = read_all(claim, f.global, 64);
        claim_cut(claim, f.global, count, &rest);
        ck_assert_uint_eq(claim->count, count);
        ck_assert_uint_eq(rest.count, 20 - count);
        claim_take(other, &rest, f.global, SIZE_MAX / 4, UINT64_MAX);
        kept = read_all(claim, f.global, 64);
        given = read_all(other, f.global, 64);
        ck_assert_uint_eq(kept.size, claim->bytes);
        ck_assert_uint_eq(kept.size + given.size, before.size);
        if (kept.size)
            ck_assert_mem_eq(buf_data(&before), buf_data(&kept), kept.size);
        if (given.size)
            ck_assert_mem_eq(buf_data(&before) + kept.size, buf_data(&given), given.size);
        buf_clear(&before);
        buf_clear(&kept);
        buf_clear(&given);
        claim_free(claim);
        claim_free(other);
        input_queue_clear(&queue);
        input_queue_clear(&rest);
    }
    arena_clear(&f.arena);
}
END_TEST

START_TEST(a_cursor_knows_how_many_elements_it_has_read_and_a_cut_before_it_ends_it)
{
    struct fixture f = fixture_create();
    struct input_queue queue = {0}, rest = {0};
    struct claim *claim = xcalloc(1, sizeof(*claim));
    struct claim_cursor at = {0};
    uint64_t read = 0;

    input_queue_push(&queue, item_of(0, 10));
    input_queue_push(&queue, item_of(10, 10));
    claim_take(claim, &queue, f.global, SIZE_MAX / 4, UINT64_MAX);
    while (read < 15) {
        struct slice piece = claim_read(claim, &at, f.global, 1, NULL, NULL);

        ck_assert_uint_gt(piece.size, 0);
        slice_unref(&piece);
        ck_assert_uint_eq(claim_count_read(claim, &at, f.global), ++read);
    }
    claim_cut(claim, f.global, 12, &rest);
    ck_assert_uint_eq(claim_count_read(claim, &at, f.global), 12);
    ck_assert_uint_eq(claim_read(claim, &at, f.global, 100, NULL, NULL).size, 0);
    claim_free(claim);
    input_queue_clear(&queue);
    input_queue_clear(&rest);
    arena_clear(&f.arena);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("input");
    TCase *tc = tcase_create("input");

    tcase_add_test(tc, a_claim_takes_what_it_is_told);
    tcase_add_test(tc, a_claim_is_about_as_large_as_asked);
    tcase_add_test(tc, a_claim_reads_the_same_whatever_the_piece_size);
    tcase_add_test(tc, what_is_put_back_comes_next);
    tcase_add_test(tc, a_claim_that_is_cut_keeps_its_first_elements_and_gives_the_others_away);
    tcase_add_test(tc, a_cursor_knows_how_many_elements_it_has_read_and_a_cut_before_it_ends_it);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
