#include "base/pages.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/fixtures.h"

enum { PAGES = 600 }; /* several regions' worth */

START_TEST(pages_are_aligned_and_apart)
{
    static uint8_t *pages[PAGES];

    for (unsigned i = 0; i < PAGES; i++) {
        pages[i] = page_alloc();
        ck_assert_uint_eq((uintptr_t)pages[i] % PAGE_BYTES, 0);
        memset(pages[i], (int)(i % 251), PAGE_BYTES);
    }
    for (unsigned i = 0; i < PAGES; i++)
        for (unsigned j = 0; j < PAGE_BYTES; j += 97)
            ck_assert_uint_eq(pages[i][j], i % 251);
    for (unsigned i = 0; i < PAGES; i++)
        page_free(pages[i]);
}
END_TEST

START_TEST(freed_pages_are_given_out_again)
{
    static uint8_t *pages[PAGES];

    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < PAGES; i++)
            pages[i] = page_alloc();
        for (unsigned i = 0; i < PAGES; i++)
            memset(pages[i], (int)round, PAGE_BYTES);
        /* In another order than they came. */
        for (unsigned i = 0; i < PAGES; i++)
            page_free(pages[(i * 7) % PAGES]);
    }
}
END_TEST

/* The sanitizer's pages are the heap's. */
#ifndef __SANITIZE_ADDRESS__

START_TEST(trimming_gives_empty_regions_back)
{
    void *page = page_alloc();
    unsigned char resident;

    page_free(page);
    ck_assert_int_eq(mincore(page, PAGE_BYTES / 4, &resident), 0);
    pages_trim();
    ck_assert_int_eq(mincore(page, PAGE_BYTES / 4, &resident), -1);
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

#endif

int main(void) {
    Suite *suite = suite_create("pages");
    TCase *tc = tcase_create("pages");

    tcase_add_test(tc, pages_are_aligned_and_apart);
    tcase_add_test(tc, freed_pages_are_given_out_again);
#ifndef __SANITIZE_ADDRESS__
    tcase_add_test(tc, trimming_gives_empty_regions_back);
#endif
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
