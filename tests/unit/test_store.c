/* Extents and fetches, with the disk worked by hand. */
#include "engine/store.h"

#include "tests/unit/store_fixture.h"

static struct extent *store_text(struct disk *disk, const char *text) {
    struct slice piece = slice_copy(text, strlen(text), disk->engine.options.account);
    struct extent *extent = extent_create(&disk->engine, &piece, 1);

    disk_work(disk);
    return extent;
}

/* What a fetch brought, joined by '|'. */
static void note_fetched(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct buf *text = owner;

    (void)engine;
    for (size_t i = 0; i < count; i++) {
        buf_add(text, bytes[i].data, bytes[i].size);
        buf_add_u8(text, '|');
    }
}

static void expect_text(const struct buf *text, const char *want) {
    CLEANUP(freep) char *have = xmemdup0(buf_data(text), text->size);

    ck_assert_str_eq(have, want);
}

START_TEST(an_extent_is_its_pieces_end_to_end)
{
    struct disk disk = {0};
    struct slice pieces[] = {slice_copy("one", 3, NULL), slice_of_literal(""), slice_copy("three", 5, NULL)};
    struct extent *extent = extent_create(&disk.engine, pieces, 3);

    ck_assert_uint_eq(extent->size, 8);
    ck_assert(!extent->is_stored);
    ck_assert_ptr_eq(extent_by_id(&disk.engine.store, extent->id), extent);
    disk_work(&disk);
    ck_assert(slice_equal_string(disk_bytes(&disk, extent->id), "onethree"));
    extent_unref(extent);
    disk_close(&disk);
}
END_TEST

START_TEST(what_is_on_its_way_out_is_counted)
{
    struct disk disk = {.engine.options.account = account_create("test", NULL, 0)};
    struct extent *a = store_text(&disk, "12345"), *b = store_text(&disk, "123");

    ck_assert_uint_eq(disk.engine.store.storing_bytes, 8);
    store_stored(&disk.engine, a->id);
    store_stored(&disk.engine, a->id); /* said twice */
    ck_assert_uint_eq(disk.engine.store.storing_bytes, 3);
    store_stored(&disk.engine, b->id);
    store_stored(&disk.engine, b->id + 100); /* never heard of */
    ck_assert_uint_eq(disk.engine.store.storing_bytes, 0);
    ck_assert_uint_eq(account_used(disk.engine.options.account), 0);
    extent_unref(a);
    extent_unref(b);
    disk.stored.count = 0;
    disk_close(&disk);
    account_unref(disk.engine.options.account);
}
END_TEST

START_TEST(an_extent_is_dropped_with_its_last_reference_but_not_before_it_is_written)
{
    struct disk disk = {0};
    struct extent *kept = store_text(&disk, "kept"), *early = store_text(&disk, "early");

    ck_assert_ptr_eq(extent_ref(kept), kept);
    extent_unref(early); /* nobody wants it any more, and it is being written */
    disk_work(&disk);
    ck_assert_uint_eq(disk.drops, 0);
    disk_write_all(&disk);
    ck_assert_uint_eq(disk.drops, 1);
    extent_unref(kept);
    disk_work(&disk);
    ck_assert_uint_eq(disk.drops, 1);
    extent_unref(kept);
    disk_work(&disk);
    ck_assert_uint_eq(disk.drops, 2);
    ck_assert_uint_eq(disk.engine.store.extents.count, 0);
    ck_assert_ptr_null(extent_ref(NULL));
    extent_unref(NULL);
    disk_close(&disk);
}
END_TEST

START_TEST(a_fetch_ends_when_all_is_there_in_whatever_order)
{
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        struct disk disk = {0};
        struct extent *extents[] = {store_text(&disk, "a"), store_text(&disk, "bb"), store_text(&disk, "ccc")};
        struct buf text = {0};

        disk_write_all(&disk);
        fetch_start(&disk.engine, extents, 3, note_fetched, &text);
        disk_work(&disk);
        ck_assert_uint_eq(disk.loads.count, 3);
        for (unsigned j = 0; j < 3; j++) {
            uint64_t token = disk.loads.items[orders[i][j]].token;

            expect_text(&text, "");
            store_loaded(&disk.engine, token, slice_ref(disk_bytes(&disk, extents[orders[i][j]]->id)));
            /* said twice, and after the end of the fetch: ignored */
            store_loaded(&disk.engine, token, slice_copy("xyz", 3, NULL));
        }
        expect_text(&text, "a|bb|ccc|");
        ck_assert_uint_eq(disk.engine.store.fetches.count, 0);
        for (unsigned j = 0; j < 3; j++)
            extent_unref(extents[j]);
        disk_work(&disk);
        ck_assert_uint_eq(disk.drops, 3);
        buf_clear(&text);
        disk_close(&disk);
    }
}
END_TEST

START_TEST(fetches_do_not_mix_even_of_the_same_extent)
{
    struct disk disk = {0};
    struct extent *a = store_text(&disk, "a"), *b = store_text(&disk, "b");
    struct extent *both[] = {a, b}, *again[] = {b, b};
    struct buf first = {0}, second = {0};

    fetch_start(&disk.engine, both, 2, note_fetched, &first);
    fetch_start(&disk.engine, again, 2, note_fetched, &second);
    disk_work(&disk);
    disk_write_all(&disk);
    while (disk.loads.count)
        disk_answer(&disk, disk.loads.count / 2);
    expect_text(&first, "a|b|");
    expect_text(&second, "b|b|");
    extent_unref(a);
    extent_unref(b);
    buf_clear(&first);
    buf_clear(&second);
    disk_close(&disk);
}
END_TEST

START_TEST(a_fetch_keeps_its_extents_and_a_cancelled_one_lets_them_go)
{
    struct disk disk = {0};
    struct extent *extents[] = {store_text(&disk, "a"), store_text(&disk, "b")};
    struct buf text = {0};
    struct fetch *fetch;

    disk_write_all(&disk);
    fetch = fetch_start(&disk.engine, extents, 2, note_fetched, &text);
    disk_work(&disk);
    extent_unref(extents[0]);
    extent_unref(extents[1]);
    disk_work(&disk);
    ck_assert_uint_eq(disk.drops, 0);
    store_loaded(&disk.engine, disk.loads.items[1].token, slice_copy("b", 1, NULL));
    fetch_cancel(&disk.engine, fetch);
    fetch_cancel(&disk.engine, NULL);
    disk_work(&disk);
    ck_assert_uint_eq(disk.drops, 2);
    store_loaded(&disk.engine, disk.loads.items[0].token, slice_copy("a", 1, NULL)); /* it was under way */
    expect_text(&text, "");
    disk_close(&disk);
}
END_TEST

static void fetch_again(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct extent **extent = owner;

    (void)bytes;
    ck_assert_uint_eq(count, 1);
    if (extent[1])
        fetch_start(engine, &extent[1], 1, fetch_again, extent + 1);
}

START_TEST(the_end_of_a_fetch_may_start_another)
{
    struct disk disk = {0};
    struct extent *extents[] = {store_text(&disk, "a"), store_text(&disk, "b"), NULL};

    disk_write_all(&disk);
    fetch_start(&disk.engine, extents, 1, fetch_again, extents);
    disk_work(&disk);
    disk_answer(&disk, 0);
    ck_assert_uint_eq(disk.loads.count, 1);
    disk_answer(&disk, 0);
    ck_assert_uint_eq(disk.engine.store.fetches.count, 0);
    extent_unref(extents[0]);
    extent_unref(extents[1]);
    disk_close(&disk);
}
END_TEST

START_TEST(the_end_frees_fetches_that_are_under_way)
{
    struct disk disk = {.engine.options.account = account_create("test", NULL, 0)};
    struct extent *extents[] = {store_text(&disk, "a"), store_text(&disk, "b")};
    struct buf text = {0};

    fetch_start(&disk.engine, extents, 2, note_fetched, &text);
    disk_work(&disk);
    store_loaded(&disk.engine, disk.loads.items[0].token, slice_copy("a", 1, disk.engine.options.account));
    disk.engine.is_over = true;
    extent_unref(extents[0]);
    extent_unref(extents[1]);
    disk.engine.is_over = false; /* for disk_close */
    disk_close(&disk);
    ck_assert_uint_eq(account_used(disk.engine.options.account), 0);
    account_unref(disk.engine.options.account);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");

    tcase_add_test(tc, an_extent_is_its_pieces_end_to_end);
    tcase_add_test(tc, what_is_on_its_way_out_is_counted);
    tcase_add_test(tc, an_extent_is_dropped_with_its_last_reference_but_not_before_it_is_written);
    tcase_add_test(tc, a_fetch_ends_when_all_is_there_in_whatever_order);
    tcase_add_test(tc, fetches_do_not_mix_even_of_the_same_extent);
    tcase_add_test(tc, a_fetch_keeps_its_extents_and_a_cancelled_one_lets_them_go);
    tcase_add_test(tc, the_end_of_a_fetch_may_start_another);
    tcase_add_test(tc, the_end_frees_fetches_that_are_under_way);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
