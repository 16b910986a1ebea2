/* What the command line shows: quantities, tables, graphs, options, and which job is meant. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/find_job.h"
#include "cli/format.h"
#include "cli/graph.h"
#include "cli/options_struct.h"
#include "cli/table.h"
#include "wire/struct_json.h"

static struct status st;
static struct buf out;
static const struct terminal plain;

static void tear_down(void) {
    status_clear(&st);
    buf_clear(&out);
}

#define SAYS(call, expected)                                                                                           \
    do {                                                                                                               \
        CLEANUP(freep) char *said_ = (call);                                                                           \
        ck_assert_str_eq(said_, expected);                                                                             \
    } while (0)

static void assert_out(const char *expected) {
    SAYS(xmemdup0(buf_data(&out), out.size), expected);
    buf_clear(&out);
}

/* ------------------------------------------------------------------ texts */

START_TEST(quantities_are_for_people)
{
    SAYS(format_duration(0), "0ms");
    SAYS(format_duration(1250), "1.2s");
    SAYS(format_duration(59999), "59s");
    SAYS(format_duration(3 * 60000 + 4000), "3m 04s");
    SAYS(format_duration(2 * 3600000 + 5 * 60000), "2h 05m");
    SAYS(format_duration(INT64_C(99) * 3600000), "4d 3h");
    SAYS(format_duration(-1), "-");
    SAYS(format_bytes(0), "0 B");
    SAYS(format_bytes(1023), "1023 B");
    SAYS(format_bytes(1536), "1.5 KiB");
    SAYS(format_bytes((1 << 20) - 1), "1.0 MiB");
    SAYS(format_bytes(UINT64_MAX), "16.0 EiB");
    SAYS(format_count(0), "0");
    SAYS(format_count(999), "999");
    SAYS(format_count(1000), "1,000");
    SAYS(format_count(12345678), "12,345,678");
    SAYS(format_progress(-1), "-");
    SAYS(format_progress(0.456), "45%");
    SAYS(format_progress(1), "100%");
    SAYS(format_time(0, true), "-");
}
END_TEST

START_TEST(what_would_move_the_cursor_is_written_out)
{
    add_printable(&out, "a\033[2Jb\x7f\r\n\tc\xc2\x9b"
                        "d\xc3\xa9");
    assert_out("a\\x1b[2Jb\\x7f\\x0d\n\tc\\x9bd\xc3\xa9");
}
END_TEST

START_TEST(texts_are_cut_between_characters)
{
    ck_assert_uint_eq(text_columns("\xc3\xa9\xc3\xa9x"), 3);
    SAYS(text_cut("abcdef", 6), "abcdef");
    SAYS(text_cut("abcdef", 4), "abc~");
    SAYS(text_cut("\xc3\xa9\xc3\xa9\xc3\xa9", 2), "\xc3\xa9~");
    SAYS(text_cut("abc", 0), "");
}
END_TEST

START_TEST(of_a_traceback_the_exception_is_what_matters)
{
    SAYS(error_headline("Traceback (most recent call last):\n  File \"x\", line 1\nValueError: no\n\n(attempt 2 of 2)"),
         "ValueError: no");
    SAYS(error_headline("java.lang.IllegalStateException: no\n\tat a.b.C"), "java.lang.IllegalStateException: no");
    SAYS(error_headline(""), "");
}
END_TEST

/* ------------------------------------------------------------------ tables */

static void add_rows(struct table *table) {
    static const struct column columns[] = {
        {.title = "NAME", .may_shrink = true}, {.title = "N", .is_number = true}, {.title = "STATE"}};

    table_init(table, columns, ARRAY_COUNT(columns));
    table_add_copy(table, STYLE_PLAIN, "a-rather-long-name");
    table_add(table, STYLE_PLAIN, format_count(7));
    table_add_copy(table, STYLE_BAD, "FAILED");
    table_add_copy(table, STYLE_PLAIN, "two\nlines");
    table_add(table, STYLE_PLAIN, format_count(1234));
    table_add_copy(table, STYLE_GOOD, "DONE");
}

START_TEST(columns_are_aligned_and_lines_have_no_blanks_at_their_ends)
{
    struct table table;

    add_rows(&table);
    table_print(&table, &plain, 0, &out);
    assert_out("NAME                    N  STATE\n"
               "a-rather-long-name      7  FAILED\n"
               "two lines           1,234  DONE\n");
}
END_TEST

START_TEST(a_narrow_terminal_shortens_what_may_be_shortened)
{
    const struct terminal narrow = {.is_terminal = true, .width = 27}, tiny = {.is_terminal = true, .width = 5};
    struct table table;

    add_rows(&table);
    table_print(&table, &narrow, 2, &out);
    assert_out("  NAME            N  STATE\n"
               "  a-rather-~      7  FAILED\n"
               "  two lines   1,234  DONE\n");
    add_rows(&table);
    table_print(&table, &tiny, 0, &out);
    ck_assert_ptr_nonnull(memmem(buf_data(&out), out.size, "a-rathe~", 8));
}
END_TEST

START_TEST(a_narrow_terminal_leaves_out_what_may_go)
{
    static const struct column columns[] = {
        {.title = "ID"}, {.title = "SDK", .may_go = true}, {.title = "ERROR", .may_shrink = true}};
    const struct terminal narrow = {.is_terminal = true, .width = 30}, wide = {.is_terminal = true, .width = 46};
    struct table table;

    for (int i = 0; i < 2; i++) {
        table_init(&table, columns, ARRAY_COUNT(columns));
        table_add_copy(&table, STYLE_PLAIN, "job-1234");
        table_add_copy(&table, STYLE_PLAIN, "Java 2.65");
        table_add_copy(&table, STYLE_PLAIN, "an error that is told at some length");
        table_print(&table, i ? &wide : &narrow, 0, &out);
    }
    assert_out("ID        ERROR\n"
               "job-1234  an error that is to~\n"
               "ID        SDK        ERROR\n"
               "job-1234  Java 2.65  an error that is told at~\n");
}
END_TEST

START_TEST(colour_is_around_words_not_around_blanks)
{
    const struct terminal colourful = {.is_terminal = true, .has_colour = true, .width = 80};
    struct table table;

    add_rows(&table);
    table_print(&table, &colourful, 0, &out);
    ck_assert_ptr_nonnull(memmem(buf_data(&out), out.size, "\033[31mFAILED\033[0m\n", 16));
}
END_TEST

/* ------------------------------------------------------------------ which job */

static Trestle__V1__JobSummary summaries[4];
static Trestle__V1__JobSummary *jobs[4];

static void make_jobs(void) {
    static const char *const ids[] = {"2026-aa1-count", "2026-bb2-count", "2026-cc3-load", "load"};
    static const char *const names[] = {"count", "count", "nightly", "2026-aa"};

    for (size_t i = 0; i < ARRAY_COUNT(jobs); i++) {
        trestle__v1__job_summary__init(&summaries[i]);
        summaries[i].id = (char *)ids[i];
        summaries[i].name = (char *)names[i];
        jobs[i] = &summaries[i];
    }
}

static int find(const char *word, size_t *ret) {
    return find_job_among(jobs, ARRAY_COUNT(jobs), word, ret, &st);
}

START_TEST(a_job_is_meant_by_its_id_its_name_or_a_part_of_its_id)
{
    size_t found = 9;

    make_jobs();
    ck_assert_int_eq(find("2026-bb2-count", &found), 0);
    ck_assert_uint_eq(found, 1);
    ck_assert_int_eq(find("nightly", &found), 0);
    ck_assert_uint_eq(found, 2);
    ck_assert_int_eq(find("2026-b", &found), 0);
    ck_assert_uint_eq(found, 1);
    ck_assert_int_eq(find("3-load", &found), 0);
    ck_assert_uint_eq(found, 2);
    ck_assert_int_eq(find("load", &found), 0); /* an id, and the end of another */
    ck_assert_uint_eq(found, 3);
    ck_assert_int_eq(find("2026-aa", &found), 0); /* a name, and the beginning of another's id */
    ck_assert_uint_eq(found, 3);
}
END_TEST

START_TEST(what_fits_no_job_or_several_is_refused)
{
    size_t found = 9;

    make_jobs();
    ck_assert_int_eq(find("aa1", &found), -STATUS_NOT_FOUND); /* in the middle */
    ck_assert_int_eq(find("2026", &found), -STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(status_message(&st), "\"2026\" fits 3 jobs: 2026-aa1-count, 2026-bb2-count, 2026-cc3-load; write "
                                          "more of the id, or: latest");
    ck_assert_int_eq(find("count", &found), -STATUS_INVALID_ARGUMENT);
    ck_assert_uint_eq(found, 9);
}
END_TEST

/* ------------------------------------------------------------------ graphs */

/* 0 feeds 1 and 2, and 3, which reads them both. */
static Trestle__V1__Stage stages[4];
static Trestle__V1__Edge edges[5];
static Trestle__V1__Stage *stage_places[4];
static Trestle__V1__Edge *edge_places[5];
static Trestle__V1__Graph graph;

static void make_graph(void) {
    static const char *const names[] = {"Read", "A", "B \"x\"", "Join"};
    static const uint32_t ends[][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 3}, {2, 3}};

    trestle__v1__graph__init(&graph);
    for (size_t i = 0; i < ARRAY_COUNT(stages); i++) {
        trestle__v1__stage__init(&stages[i]);
        stages[i].index = (uint32_t)i;
        stages[i].name = (char *)names[i];
        stages[i].kind = (char *)"executable";
        stages[i].state = (char *)"done";
        stage_places[i] = &stages[i];
    }
    for (size_t i = 0; i < ARRAY_COUNT(edges); i++) {
        trestle__v1__edge__init(&edges[i]);
        edges[i].from_stage = ends[i][0];
        edges[i].to_stage = ends[i][1];
        edges[i].elements = i;
        edge_places[i] = &edges[i];
    }
    edges[4].is_side_input = true;
    graph.stages = stage_places;
    graph.n_stages = ARRAY_COUNT(stages);
    graph.edges = edge_places;
    graph.n_edges = ARRAY_COUNT(edges);
}

START_TEST(a_stage_stands_once_below_the_last_that_it_reads)
{
    make_graph();
    graph_add_text(&plain, &graph, &out);
    assert_out("o 0 Read  executable, done\n"
               "|   -> 1: 0 elements, 0 B\n"
               "|   -> 2: 1 element, 0 B\n"
               "|   -> 3: 2 elements, 0 B\n"
               "|-o 1 A  executable, done\n"
               "|     -> 3: 3 elements, 0 B\n"
               "o 2 B \"x\"  executable, done\n"
               "|   -> 3: 4 elements, 0 B (side input)\n"
               "o 3 Join  executable, done\n");
}
END_TEST

START_TEST(a_graph_that_makes_no_sense_is_drawn_as_far_as_it_does)
{
    make_graph();
    edges[0].to_stage = 77;
    edges[3].from_stage = 88;
    graph_add_text(&plain, &graph, &out);
    ck_assert_ptr_nonnull(memmem(buf_data(&out), out.size, "o 3 Join", 8));
}
END_TEST

START_TEST(graphviz_text_is_quoted)
{
    make_graph();
    graph_add_dot(&graph, &out);
    ck_assert_ptr_nonnull(memmem(buf_data(&out), out.size, "label=\"2 B \\\"x\\\"\\nexec", 21));
    ck_assert_ptr_nonnull(memmem(buf_data(&out), out.size, "s2 -> s3 [label=\"4\", tooltip=\"\", style=dashed];", 47));
}
END_TEST

/* ------------------------------------------------------------------ options */

static void assert_options(const char *const *options, size_t count, const char *expected) {
    CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;

    ck_assert_int_eq(options_to_struct(NULL, options, count, &bytes, &st), 0);
    ck_assert_int_eq(struct_to_json(bytes, &out, &st), 0);
    assert_out(expected);
}

START_TEST(options_take_the_form_that_sdks_send)
{
    static const char *const options[] = {"name=x y", "n=5", "on=true", "my:option=a=b", "n=6"};

    assert_options(options, ARRAY_COUNT(options),
                   "{\"beam:option:name:v1\": \"x y\", \"beam:option:n:v1\": 6, \"beam:option:on:v1\": true, "
                   "\"my:option\": \"a=b\"}");
    assert_options(NULL, 0, "{}");
}
END_TEST

START_TEST(an_option_that_is_none_is_refused)
{
    static const char *const wrong[] = {"name", "=x", "a=\xff"};
    struct slice bytes;

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        ck_assert_int_eq(options_to_struct(NULL, &wrong[i], 1, &bytes, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(options_to_struct("/no/such/file", NULL, 0, &bytes, &st), -STATUS_INVALID_ARGUMENT);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli_view");
    TCase *cases = tcase_create("view");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, NULL, tear_down);
    tcase_add_test(cases, quantities_are_for_people);
    tcase_add_test(cases, what_would_move_the_cursor_is_written_out);
    tcase_add_test(cases, texts_are_cut_between_characters);
    tcase_add_test(cases, of_a_traceback_the_exception_is_what_matters);
    tcase_add_test(cases, a_narrow_terminal_leaves_out_what_may_go);
    tcase_add_test(cases, columns_are_aligned_and_lines_have_no_blanks_at_their_ends);
    tcase_add_test(cases, a_narrow_terminal_shortens_what_may_be_shortened);
    tcase_add_test(cases, colour_is_around_words_not_around_blanks);
    tcase_add_test(cases, a_job_is_meant_by_its_id_its_name_or_a_part_of_its_id);
    tcase_add_test(cases, what_fits_no_job_or_several_is_refused);
    tcase_add_test(cases, a_stage_stands_once_below_the_last_that_it_reads);
    tcase_add_test(cases, a_graph_that_makes_no_sense_is_drawn_as_far_as_it_does);
    tcase_add_test(cases, graphviz_text_is_quoted);
    tcase_add_test(cases, options_take_the_form_that_sdks_send);
    tcase_add_test(cases, an_option_that_is_none_is_refused);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
