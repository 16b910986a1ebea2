/* The cgroup's limit, read in a tree of files that looks like /sys/fs/cgroup. */
#include "jobserver/machine.h"

#include <sys/stat.h>

#include "tests/unit/fixtures.h"
#include "tests/unit/temp_dir.h"

static char *root, *self;

static void set_up(void) {
    root = temp_dir_create();
    self = xasprintf("%s/self", root);
}

static void tear_down(void) {
    temp_dir_destroy(root);
    free(self);
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void limit(const char *cgroup, const char *text) {
    CLEANUP(freep) char *directory = xasprintf("%s%s", root, cgroup);
    CLEANUP(freep) char *path = xasprintf("%s/memory.max", directory);

    mkdir(directory, 0700);
    write_text(path, text);
}

static uint64_t limit_of(const char *cgroups) {
    write_text(self, cgroups);
    return machine_cgroup_memory_bytes(self, root);
}

START_TEST(the_least_limit_on_the_way_up_counts)
{
    limit("/a", "3000000\n");
    limit("/a/b", "max\n");
    limit("/a/b/c", "5000000000\n");
    ck_assert_uint_eq(limit_of("0::/a/b/c\n"), 3000000);
    limit("/a/b/c", "2000000\n");
    ck_assert_uint_eq(limit_of("0::/a/b/c\n"), 2000000);
    ck_assert_uint_eq(limit_of("0::/a/b\n"), 3000000);
    limit("", "1000\n");
    ck_assert_uint_eq(limit_of("0::/a/b\n"), 1000);
    ck_assert_uint_eq(limit_of("0::/\n"), 1000);
}
END_TEST

START_TEST(without_a_limit_there_is_none)
{
    limit("/a", "max\n");
    ck_assert_uint_eq(limit_of("0::/a\n"), UINT64_MAX);
    ck_assert_uint_eq(limit_of("0::/no/such\n"), UINT64_MAX);
    ck_assert_uint_eq(limit_of(""), UINT64_MAX);
    ck_assert_uint_eq(machine_cgroup_memory_bytes("/no/such", root), UINT64_MAX);
}
END_TEST

START_TEST(hierarchies_of_version_1_are_passed_over)
{
    limit("/a", "7000000\n");
    limit("/old", "1\n");
    ck_assert_uint_eq(limit_of("12:memory:/old\n3:cpu,cpuacct:/old\n0::/a\n"), 7000000);
}
END_TEST

START_TEST(the_machine_has_something)
{
    ck_assert_uint_gt(machine_memory_bytes(), 1 << 20);
    ck_assert_uint_ge(machine_cores(), 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("machine");
    TCase *tc = tcase_create("machine");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_least_limit_on_the_way_up_counts);
    tcase_add_test(tc, without_a_limit_there_is_none);
    tcase_add_test(tc, hierarchies_of_version_1_are_passed_over);
    tcase_add_test(tc, the_machine_has_something);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
