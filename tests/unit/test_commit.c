#include "engine/commit.h"
#include "tests/unit/store_fixture.h"

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

static struct extent *add_stored_run(struct bundle_commit *commit, struct disk *disk) {
    struct slice piece = slice_copy("0123456789", 10, NULL);
    struct extent *extent = extent_create(&disk->engine, &piece, 1);

    disk_work(disk);
    run_list_push(&commit->outputs[1], (struct run){.extent = extent_ref(extent), .count = 4});
    run_list_push(&commit->outputs[1], (struct run){.bytes = slice_copy("xy", 2, NULL), .count = 1});
    return extent;
}

START_TEST(what_is_stored_is_linked_not_copied)
{
    struct bundle_commit commit = sample(), copy;
    struct disk disk = {0};
    struct extent *extent = add_stored_run(&commit, &disk);
    struct slice bytes = bundle_commit_encode(&commit), again;

    ck_assert_int_eq(bundle_commit_decode(bytes, NULL, &disk.engine.store, &copy, NULL), 0);
    ck_assert_uint_eq(copy.outputs[1].runs.count, 2);
    ck_assert_ptr_eq(copy.outputs[1].runs.items[0].extent, extent);
    ck_assert_uint_eq(copy.outputs[1].runs.items[0].count, 4);
    ck_assert_uint_eq(copy.outputs[1].runs.items[0].bytes.size, 0);
    ck_assert_ptr_null(copy.outputs[1].runs.items[1].extent);
    ck_assert_uint_eq(copy.outputs[1].count, 5);
    ck_assert_uint_eq(copy.outputs[1].bytes, 12);
    ck_assert_uint_eq(extent->refs, 3);
    again = bundle_commit_encode(&copy);
    ck_assert(slice_equal(bytes, again));
    bundle_commit_clear(&commit);
    bundle_commit_clear(&copy);
    ck_assert_uint_eq(extent->refs, 1);
    extent_unref(extent);
    disk_write_all(&disk);
    ck_assert_uint_eq(disk.drops, 1);
    /* The extent is gone: what names it is refused. */
    ck_assert_int_eq(bundle_commit_decode(bytes, NULL, &disk.engine.store, &copy, NULL), -STATUS_DATA_LOSS);
    ck_assert_int_eq(bundle_commit_decode(bytes, NULL, &no_store, &copy, NULL), -STATUS_DATA_LOSS);
    slice_unref(&bytes);
    slice_unref(&again);
    disk_close(&disk);
}
END_TEST

START_TEST(a_refused_commit_keeps_no_extent)
{
    struct bundle_commit commit = sample(), copy;
    struct disk disk = {0};
    struct extent *extent = add_stored_run(&commit, &disk);
    struct slice bytes = bundle_commit_encode(&commit);

    bundle_commit_clear(&commit);
    for (size_t size = 0; size < bytes.size; size++) {
        if (bundle_commit_decode(slice_of_static(bytes.data, size), NULL, &disk.engine.store, &copy, NULL) == 0)
            ck_abort_msg("%zu bytes are taken for a commit", size);
        if (extent->refs != 1)
            ck_abort_msg("%zu bytes keep the extent", size);
    }
    slice_unref(&bytes);
    extent_unref(extent);
    disk_write_all(&disk);
    disk_close(&disk);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("commit");
    TCase *tc = tcase_create("commit");

    tcase_add_test(tc, a_commit_survives_its_encoding);
    tcase_add_test(tc, what_is_stored_is_linked_not_copied);
    tcase_add_test(tc, a_refused_commit_keeps_no_extent);
    tcase_add_test(tc, every_truncation_is_refused);
    tcase_add_test(tc, every_flipped_byte_is_refused_or_decodes_without_harm);
    tcase_add_test(tc, another_version_is_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
