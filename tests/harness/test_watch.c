/* Bundles without a sign of life. */
#include "fixture.h"
#include "suites.h"

void add_watch_tests(Suite *suite) {
    TCase *tcase = tcase_create("watch");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    suite_add_tcase(suite, tcase);
}
