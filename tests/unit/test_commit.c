#include "engine/commit.h"
#include "tests/unit/fixtures.h"

static const struct store no_store;

static struct bundle_commit sample(void) {
    struct bundle_commit commit = {.bundle = 77, .stage = 3, .output_count = 2, .requires_finalization = true};
    struct commit_residual residual = {
        .element = slice_copy("rest", 4, NULL), .delay_ms = 1500, .hold = -42, .is_unbounded = true};
    struct metric metric = {.identity = slice_copy("id", 2, NULL), .payload = slice_copy("\x05", 1, NULL)};
    struct slice cell = slice_of_literal("cell");

    commit.outputs = xcalloc(2, sizeof(*commit.outputs));
    run_list_push(&commit.outputs[0], (struct run){.bytes = slice_copy("abcdef", 6, NULL), .count = 2});
    run_list_push(&commit.outputs[0], (struct run){.bytes = slice_copy("gh", 2, NULL), .count = 1});
    state_overlay_clear_cell(&commit.state, cell);
    state_overlay_append(&commit.state, cell, NULL, slice_of_literal("one"));
    state_overlay_append(&commit.state, slice_of_literal("other"), NULL, slice_of_literal("two"));
    vec_push(&commit.residuals, residual);
    vec_push(&commit.metrics, metric);
    return commit;
}

START_TEST(a_commit_survives_its_encoding)
{
    struct bundle_commit commit = sample(), copy;
    struct slice bytes = bundle_commit_encode(&commit), again;

    ck_assert_int_eq(bundle_commit_decode(bytes, NULL, &no_store, &copy, NULL), 0);
    ck_assert_uint_eq(copy.bundle, 77);
    ck_assert_uint_eq(copy.stage, 3);
    ck_assert_uint_eq(copy.outputs[0].count, 3);
    ck_assert_uint_eq(copy.outputs[1].count, 0);
    ck_assert_int_eq(copy.residuals.items[0].delay_ms, 1500);
    ck_assert_int_eq(copy.residuals.items[0].hold, -42);
    ck_assert(copy.residuals.items[0].is_unbounded);
    ck_assert(copy.requires_finalization);
    again = bundle_commit_encode(&copy);
    ck_assert(slice_equal(bytes, again));
    slice_unref(&bytes);
    slice_unref(&again);
    bundle_commit_clear(&commit);
    bundle_commit_clear(&copy);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct bundle_commit commit = sample(), copy;
    struct slice bytes = bundle_commit_encode(&commit);

    for (size_t size = 0; size < bytes.size; size++)
        ck_assert_int_eq(bundle_commit_decode(slice_of_static(bytes.data, size), NULL, &no_store, &copy, NULL),
                         -STATUS_DATA_LOSS);
    slice_unref(&bytes);
    bundle_commit_clear(&commit);
}
END_TEST

START_TEST(every_flipped_byte_is_refused_or_decodes_without_harm)
{
    struct bundle_commit commit = sample();
    struct slice bytes = bundle_commit_encode(&commit);

    for (size_t i = 0; i < bytes.size; i++) {
        struct bundle_commit copy;
        uint8_t *damaged = xmalloc(bytes.size);

        memcpy(damaged, bytes.data, bytes.size);
        damaged[i] ^= 0xff;
        if (bundle_commit_decode(slice_of_static(damaged, bytes.size), NULL, &no_store, &copy, NULL) == 0)
            bundle_commit_clear(&copy);
        free(damaged);
    }
    slice_unref(&bytes);
    bundle_commit_clear(&commit);
}
END_TEST

START_TEST(another_version_is_refused)
{
    struct bundle_commit copy;

    ck_assert_int_eq(bundle_commit_decode(slice_of_literal("\x63garbage"), NULL, &no_store, &copy, NULL),
                     -STATUS_DATA_LOSS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("commit");
    TCase *tc = tcase_create("commit");

    tcase_add_test(tc, a_commit_survives_its_encoding);
    tcase_add_test(tc, every_truncation_is_refused);
    tcase_add_test(tc, every_flipped_byte_is_refused_or_decodes_without_harm);
    tcase_add_test(tc, another_version_is_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
