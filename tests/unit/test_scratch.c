/* Scratch data on a real disk, over a real pool: callbacks are counted and waited for. */
#include "jobserver/scratch.h"

#include <dirent.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fixtures.h"
#include "tests/unit/temp_dir.h"

enum { MAX_LOADS = 512 };

struct bench {
    char *directory;
    struct pool *pool;
    struct account *memory, *disk, *disk_total;
    struct scratch *scratch;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned stored, loaded, failed;
    struct slice bytes[MAX_LOADS]; /* by token */
    char *error;
};

static void on_stored(void *user, uint64_t extent) {
    struct bench *b = user;

    (void)extent;
    pthread_mutex_lock(&b->mutex);
    b->stored++;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

static void on_loaded(void *user, uint64_t token, struct slice bytes) {
    struct bench *b = user;

    pthread_mutex_lock(&b->mutex);
    slice_unref(&b->bytes[token]);
    b->bytes[token] = bytes;
    b->loaded++;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

static void on_failed(void *user, const char *error) {
    struct bench *b = user;

    pthread_mutex_lock(&b->mutex);
    free(b->error);
    b->error = xstrdup(error);
    b->failed++;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

static void bench_open_in(struct bench *b, const char *directory, size_t disk_budget, size_t total_budget) {
    static const struct scratch_handler handler = {on_stored, on_loaded, on_failed};

    memset(b, 0, sizeof(*b));
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->directory = temp_dir_create();
    b->pool = pool_create(3);
    b->memory = account_create("memory.per_job", NULL, 0);
    b->disk_total = account_create("disk.total", NULL, total_budget);
    b->disk = account_create("disk.per_job", b->disk_total, disk_budget);
    b->scratch = scratch_create(
        &(struct scratch_options){
            .directory = directory ? directory : b->directory, .pool = b->pool, .memory = b->memory, .disk = b->disk},
        &handler, b);
}

static void bench_open(struct bench *b) {
    bench_open_in(b, NULL, 0, 0);
}

static unsigned files_in(const char *directory) {
    DIR *dir = opendir(directory);
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void bench_close(struct bench *b) {
    scratch_destroy(b->scratch);
    ck_assert_uint_eq(account_used(b->disk), 0);
    ck_assert_uint_eq(account_used(b->disk_total), 0);
    ck_assert_uint_eq(files_in(b->directory), 0);
    for (unsigned i = 0; i < MAX_LOADS; i++)
        slice_unref(&b->bytes[i]);
    ck_assert_uint_eq(account_used(b->memory), 0);
    account_unref(b->memory);
    account_unref(b->disk);
    account_unref(b->disk_total);
    pool_destroy(b->pool);
    temp_dir_destroy(b->directory);
    free(b->error);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->mutex);
}

/* Until the counter is `count`, or, unless it is the one of failures, something failed. */
static void wait_for(struct bench *b, const unsigned *counter, unsigned count) {
    pthread_mutex_lock(&b->mutex);
    while (*counter < count && (counter == &b->failed || !b->failed))
        pthread_cond_wait(&b->changed, &b->mutex);
    pthread_mutex_unlock(&b->mutex);
    ck_assert_msg(*counter == count, "%u of %u: %s", *counter, count, b->error ? b->error : "no error");
}

/* Bytes that compress well, or not at all. */
static struct slice make_bytes(size_t size, unsigned seed, bool is_noise, struct account *account) {
    struct block *block = block_create(size, account);
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (size_t i = 0; i < size; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        block->data[i] = is_noise ? (uint8_t)(x >> 32) : (uint8_t)("spill"[i % 5] + (i % 1000 == 0 ? seed : 0));
    }
    return slice_of_block(block, 0, size);
}

static void store(struct bench *b, uint64_t extent, size_t size, bool is_noise) {
    struct slice bytes = make_bytes(size, (unsigned)extent, is_noise, b->memory);

    scratch_store(b->scratch, extent, &bytes, 1);
}

static void expect_bytes(const struct bench *b, uint64_t token, size_t size, unsigned seed, bool is_noise) {
    struct slice want = make_bytes(size, seed, is_noise, NULL);

    ck_assert_uint_eq(b->bytes[token].size, want.size);
    ck_assert(slice_equal(b->bytes[token], want));
    slice_unref(&want);
}

START_TEST(what_was_stored_is_loaded)
{
    static const size_t sizes[] = {1, 19, 4095, 4096, 4097, 100000, 3 << 20};
    uint64_t extent = 0, written, read;
    struct bench b;

    bench_open(&b);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (int is_noise = 0; is_noise < 2; is_noise++)
            store(&b, ++extent, sizes[i], is_noise);
    wait_for(&b, &b.stored, (unsigned)extent);
    ck_assert_uint_eq(scratch_storing_bytes(b.scratch), 0);
    ck_assert_uint_eq(account_used(b.memory), 0); /* what was handed over is let go */
    for (uint64_t i = extent; i > 0; i--)
        scratch_load(b.scratch, i, i);
    wait_for(&b, &b.loaded, (unsigned)extent);
    for (uint64_t i = 1; i <= extent; i++)
        expect_bytes(&b, i, sizes[(i - 1) / 2], (unsigned)i, (i - 1) % 2);
    ck_assert_uint_gt(account_used(b.memory), 6 << 20); /* what is loaded is charged */
    scratch_totals(b.scratch, &written, &read);
    ck_assert_uint_eq(written, read);
    ck_assert_uint_lt(written, 4 << 20); /* half of it is compressed */
    ck_assert_uint_gt(written, 3 << 20);
    bench_close(&b);
}
END_TEST

START_TEST(pieces_are_laid_end_to_end)
{
    struct slice pieces[] = {slice_of_literal("one "), slice_of_literal(""), slice_copy("two ", 4, NULL),
                             slice_of_literal("three")};
    struct bench b;

    bench_open(&b);
    scratch_store(b.scratch, 7, pieces, ARRAY_COUNT(pieces));
    scratch_load(b.scratch, 7, 0);
    wait_for(&b, &b.loaded, 1);
    ck_assert(slice_equal_string(b.bytes[0], "one two three"));
    bench_close(&b);
}
END_TEST

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool is_open;
};

static void wait_at_gate(void *user) {
    struct gate *gate = user;

    pthread_mutex_lock(&gate->mutex);
    while (!gate->is_open)
        pthread_cond_wait(&gate->opened, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

static void gate_open(struct gate *gate) {
    pthread_mutex_lock(&gate->mutex);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}

/* All threads of the pool wait at the gate. */
static void gate_close(struct bench *b, struct gate *gate) {
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->opened, NULL);
    for (int i = 0; i < 3; i++)
        pool_run(b->pool, wait_at_gate, gate);
}

START_TEST(a_load_may_come_before_it_is_written)
{
    struct gate gate = {0};
    struct bench b;

    bench_open(&b);
    gate_close(&b, &gate);
    store(&b, 1, 50000, true);
    ck_assert_uint_eq(scratch_storing_bytes(b.scratch), 50000);
    scratch_load(b.scratch, 1, 10);
    scratch_load(b.scratch, 1, 11);
    gate_open(&gate);
    wait_for(&b, &b.loaded, 2);
    wait_for(&b, &b.stored, 1);
    expect_bytes(&b, 10, 50000, 1, true);
    expect_bytes(&b, 11, 50000, 1, true);
    bench_close(&b);
}
END_TEST

START_TEST(a_drop_gives_the_disk_back_and_loads_under_way_are_answered)
{
    struct gate gate = {0};
    struct bench b;

    bench_open(&b);
    store(&b, 1, 50000, true);
    store(&b, 2, 50000, true);
    wait_for(&b, &b.stored, 2);
    ck_assert_uint_eq(account_used(b.disk), 2 * 53248); /* whole blocks of 4 KiB */
    ck_assert_uint_eq(account_used(b.disk_total), 2 * 53248);
    scratch_drop(b.scratch, 1);
    ck_assert_uint_eq(account_used(b.disk), 53248);
    gate_close(&b, &gate);
    scratch_load(b.scratch, 2, 5);
    scratch_drop(b.scratch, 2);
    gate_open(&gate);
    wait_for(&b, &b.loaded, 1);
    expect_bytes(&b, 5, 50000, 2, true);
    bench_close(&b);
}
END_TEST

START_TEST(many_at_once_do_not_mix)
{
    enum { COUNT = 400 };
    struct bench b;

    bench_open(&b);
    for (unsigned i = 0; i < COUNT; i++) {
        store(&b, i + 1, 1000 + i * 37, i % 3);
        scratch_load(b.scratch, i + 1, i);
    }
    wait_for(&b, &b.loaded, COUNT);
    wait_for(&b, &b.stored, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct slice want = make_bytes(1000 + i * 37, i + 1, i % 3, NULL);

        if (!slice_equal(b.bytes[i], want))
            ck_abort_msg("extent %u is not what was written", i + 1);
        slice_unref(&want);
        scratch_drop(b.scratch, i + 1);
    }
    bench_close(&b);
}
END_TEST

START_TEST(more_than_the_budget_is_a_failure_that_names_the_key)
{
    static const struct {
        size_t per_job, total;
        const char *name;
    } cases[] = {{1 << 20, 0, "disk.per_job is 1 MiB"},
                 {64 << 20, 2 << 20, "disk.total is 2 MiB"},
                 {1 << 20 | 4096, 0, "disk.per_job is 1028 KiB"}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench b;

        bench_open_in(&b, NULL, cases[i].per_job, cases[i].total);
        store(&b, 1, 900000, true);
        wait_for(&b, &b.stored, 1);
        store(&b, 2, 3 << 20, true);
        scratch_load(b.scratch, 2, 0); /* is never answered, and is no leak */
        wait_for(&b, &b.failed, 1);
        ck_assert_msg(strstr(b.error, cases[i].name) && strstr(b.error, "disk budget"), "%s", b.error);
        ck_assert_uint_eq(scratch_storing_bytes(b.scratch), 0);
        ck_assert_uint_lt(account_used(b.disk), 1 << 20); /* what failed is not charged */
        bench_close(&b);
    }
}
END_TEST

START_TEST(what_compresses_counts_as_little_as_it_takes)
{
    struct bench b;

    bench_open_in(&b, NULL, 1 << 20, 0);
    store(&b, 1, 8 << 20, false);
    wait_for(&b, &b.stored, 1);
    ck_assert_uint_lt(account_used(b.disk), 1 << 18);
    bench_close(&b);
}
END_TEST

START_TEST(a_directory_that_cannot_be_written_is_a_failure_that_names_it)
{
    struct bench b;

    bench_open_in(&b, "/proc/no-such-directory", 0, 0);
    store(&b, 1, 1000, false);
    wait_for(&b, &b.failed, 1);
    ck_assert_msg(strstr(b.error, "/proc/no-such-directory") != NULL, "%s", b.error);
    ck_assert_uint_eq(b.stored, 0);
    bench_close(&b);
}
END_TEST

START_TEST(the_end_waits_for_tasks_and_calls_nobody)
{
    struct gate gate = {0};
    unsigned stored, loaded;
    struct bench b;

    bench_open(&b);
    store(&b, 1, 100000, true);
    wait_for(&b, &b.stored, 1);
    for (unsigned i = 0; i < 100; i++) {
        store(&b, 10 + i, 100000, i % 2);
        scratch_load(b.scratch, 10 + i, i);
        scratch_load(b.scratch, 1, 200 + i);
    }
    scratch_destroy(b.scratch);
    b.scratch = NULL;
    /* From here on nothing may come any more. */
    stored = b.stored;
    loaded = b.loaded;
    gate_close(&b, &gate);
    gate_open(&gate);
    ck_assert_uint_eq(b.stored, stored);
    ck_assert_uint_eq(b.loaded, loaded);
    ck_assert_uint_eq(b.failed, 0);
    bench_close(&b);
}
END_TEST

START_TEST(an_unused_scratch_makes_no_file)
{
    struct bench b;

    bench_open_in(&b, "/proc/no-such-directory", 0, 0);
    ck_assert_uint_eq(scratch_storing_bytes(b.scratch), 0);
    scratch_drop(b.scratch, 77);
    bench_close(&b);
    scratch_destroy(NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("scratch");
    TCase *tc = tcase_create("scratch");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_was_stored_is_loaded);
    tcase_add_test(tc, pieces_are_laid_end_to_end);
    tcase_add_test(tc, a_load_may_come_before_it_is_written);
    tcase_add_test(tc, a_drop_gives_the_disk_back_and_loads_under_way_are_answered);
    tcase_add_test(tc, many_at_once_do_not_mix);
    tcase_add_test(tc, more_than_the_budget_is_a_failure_that_names_the_key);
    tcase_add_test(tc, what_compresses_counts_as_little_as_it_takes);
    tcase_add_test(tc, a_directory_that_cannot_be_written_is_a_failure_that_names_it);
    tcase_add_test(tc, the_end_waits_for_tasks_and_calls_nobody);
    tcase_add_test(tc, an_unused_scratch_makes_no_file);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
