#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "wire/pb.h"

static struct arena arena;
static struct status st;

static void teardown(void) {
    arena_clear(&arena);
    status_clear(&st);
}

static int unpack_coder(struct buf *bytes, enum pb_strings strings, Beam__Coder **ret) {
    struct slice slice = buf_finish(bytes);
    int r = PB_UNPACK(Beam__Coder, beam__coder, slice, strings, &arena, ret, &st);

    slice_unref(&slice);
    return r;
}

/* A Coder whose component id is `id`. */
static struct buf coder_with_component(const char *id, size_t size) {
    struct buf buf = {0};

    pb_add_bytes_field(&buf, 2, id, size);
    return buf;
}

START_TEST(a_message_survives_the_round_trip)
{
    Beam__FunctionSpec spec = BEAM__FUNCTION_SPEC__INIT;
    Beam__Coder coder = BEAM__CODER__INIT, *back;
    char urn[] = "beam:coder:kv:v1", a[] = "a", b[] = "\xe2\x82\xac";
    char *components[] = {a, b};
    struct slice packed;

    spec.urn = urn;
    coder.spec = &spec;
    coder.component_coder_ids = components;
    coder.n_component_coder_ids = 2;
    packed = PB_PACK(&coder, NULL);
    ck_assert_int_eq(PB_UNPACK(Beam__Coder, beam__coder, packed, PB_STRINGS_STRICT, &arena, &back, &st), 0);
    slice_unref(&packed);
    ck_assert_str_eq(back->spec->urn, urn);
    ck_assert_uint_eq(back->n_component_coder_ids, 2);
    ck_assert_str_eq(back->component_coder_ids[1], b);
}
END_TEST

START_TEST(nothing_is_an_empty_message)
{
    Beam__Coder *coder;

    ck_assert_int_eq(
        pb_unpack(&beam__coder__descriptor, NULL, 0, PB_STRINGS_STRICT, &arena, (ProtobufCMessage **)&coder, &st), 0);
    ck_assert_ptr_null(coder->spec);
}
END_TEST

START_TEST(a_string_that_is_not_utf8_is_refused)
{
    static const char *const bad[] = {"\x80",
                                      "a\xff",
                                      "\xc0\xaf",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xe2\x82",
                                      "12345678\xc3"};

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct buf buf = coder_with_component(bad[i], strlen(bad[i]));
        Beam__Coder *coder = NULL;

        ck_assert_int_eq(unpack_coder(&buf, PB_STRINGS_STRICT, &coder), -STATUS_INVALID_ARGUMENT);
        ck_assert_ptr_null(coder);
        ck_assert_ptr_nonnull(strstr(status_message(&st), "component_coder_ids"));
        ck_assert_ptr_nonnull(strstr(status_message(&st), "UTF-8"));
    }
}
END_TEST

START_TEST(a_string_with_a_nul_is_refused)
{
    struct buf buf = coder_with_component("123456789\0x", 11);
    Beam__Coder *coder;

    ck_assert_int_eq(unpack_coder(&buf, PB_STRINGS_STRICT, &coder), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "NUL"));
    ck_assert_ptr_nonnull(strstr(status_message(&st), "at byte 11"));
}
END_TEST

START_TEST(lenient_strings_are_mended)
{
    struct buf buf = coder_with_component("a\0b\xff"
                                          "c\xe2\x82\xac\xe2",
                                          9);
    Beam__Coder *coder;

    ck_assert_int_eq(unpack_coder(&buf, PB_STRINGS_LENIENT, &coder), 0);
    ck_assert_str_eq(coder->component_coder_ids[0], "a?b?c\xe2\x82\xac?");
}
END_TEST

/* Value -> ListValue -> Value -> ... `depth` messages deep, the innermost empty. */
static struct slice nested_values(size_t depth) {
    struct slice inner = SLICE_EMPTY;

    for (size_t i = 1; i < depth; i++) {
        struct buf buf = {0};

        pb_add_bytes_field(&buf, (depth - i) % 2 ? 6 : 1, inner.data, inner.size);
        slice_unref(&inner);
        inner = buf_finish(&buf);
    }
    return inner;
}

START_TEST(nesting_ends_at_the_limit)
{
    Google__Protobuf__Value *value;

    for (size_t depth = 1; depth < 20001; depth = depth < 120 ? depth + 1 : depth * 5) {
        struct slice bytes = nested_values(depth);
        int r =
            PB_UNPACK(Google__Protobuf__Value, google__protobuf__value, bytes, PB_STRINGS_STRICT, &arena, &value, &st);

        slice_unref(&bytes);
        ck_assert_int_eq(r, depth <= PB_MAX_DEPTH ? 0 : -STATUS_INVALID_ARGUMENT);
    }
    ck_assert_ptr_nonnull(strstr(status_message(&st), "nested too deeply"));
}
END_TEST

START_TEST(malformed_bytes_are_refused)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *what;
    } bad[] = {
        {"\x0a", 1, "cut short"},
        {"\x0a\x05"
         "a",
         3, "reaches past"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "reaches past"},
        {"\x0b\x0c", 2, "group"},
        {"\x0e", 1, "wire type"},
        {"\x00", 1, "field number"},
        {"\x78", 1, "cut short"},
        {"\x79\0\0", 3, "cut short"},
        {"\x0a\x02\x0a\x05", 4, "reaches past"},
        {"\x10\x01", 2, "wire type"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        Beam__Coder *coder;

        ck_assert_int_eq(pb_unpack(&beam__coder__descriptor, bad[i].bytes, bad[i].size, PB_STRINGS_STRICT, &arena,
                                   (ProtobufCMessage **)&coder, &st),
                         -STATUS_INVALID_ARGUMENT);
        ck_assert_msg(strstr(status_message(&st), bad[i].what) && strstr(status_message(&st), "Coder"), "%zu: %s", i,
                      status_message(&st));
    }
}
END_TEST

START_TEST(unknown_fields_are_let_through)
{
    struct buf buf = coder_with_component("a", 1);
    Beam__Coder *coder;

    pb_add_bytes_field(&buf, 1000, "\xff\0", 2);
    ck_assert_int_eq(unpack_coder(&buf, PB_STRINGS_STRICT, &coder), 0);
    ck_assert_uint_eq(coder->base.n_unknown_fields, 1);
}
END_TEST

START_TEST(a_single_message_repeated_without_end_is_refused)
{
    struct buf buf = {0};
    Beam__Coder *coder;

    for (int i = 0; i < 1000; i++)
        pb_add_bytes_field(&buf, 1, "", 0);
    ck_assert_int_eq(unpack_coder(&buf, PB_STRINGS_STRICT, &coder), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "repeated too often"));
}
END_TEST

/* `count` times the field 1 of a ListValue (a repeated message) or 2 of a Coder (a repeated string), each of two bytes. */
static int unpack_repeated(const ProtobufCMessageDescriptor *type, uint8_t tag, size_t count) {
    uint8_t *bytes = calloc(count, 2);
    ProtobufCMessage *message;
    int r;

    for (size_t i = 0; i < count; i++)
        bytes[2 * i] = tag;
    r = pb_unpack(type, bytes, 2 * count, PB_STRINGS_STRICT, &arena, &message, &st);
    free(bytes);
    return r;
}

START_TEST(many_small_parts_are_refused_before_they_take_memory)
{
    const struct {
        const ProtobufCMessageDescriptor *type;
        uint8_t tag;
    } cases[] = {
        {&google__protobuf__list_value__descriptor, 0x0a}, /* messages */
        {&beam__coder__descriptor, 0x12},                  /* strings */
        {&beam__coder__descriptor, 0x78},                  /* unknown fields */
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        ck_assert_int_eq(unpack_repeated(cases[i].type, cases[i].tag, 100000), 0);
        /* The reckoning is from above, but for the arena's last page. */
        ck_assert_uint_le(arena.allocated_bytes, 100000 * 160);
        arena_clear(&arena);
        ck_assert_int_eq(unpack_repeated(cases[i].type, cases[i].tag, 4 << 20), -STATUS_INVALID_ARGUMENT);
        ck_assert_uint_eq(arena.allocated_bytes, 0);
        ck_assert_ptr_nonnull(strstr(status_message(&st), "more than 256 MiB"));
    }
}
END_TEST

START_TEST(a_large_message_of_ordinary_parts_is_let_through)
{
    struct buf buf = {0};
    Beam__Coder *coder;

    for (int i = 0; i < 1 << 20; i++)
        pb_add_string_field(&buf, 2, "a coder's id of some length");
    ck_assert_int_eq(unpack_coder(&buf, PB_STRINGS_STRICT, &coder), 0);
    ck_assert_uint_eq(coder->n_component_coder_ids, 1 << 20);
}
END_TEST

START_TEST(every_truncation_fails_or_unpacks)
{
    struct slice bytes = nested_values(40);

    for (size_t cut = 0; cut < bytes.size; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        Google__Protobuf__Value *value;

        memcpy(exact, bytes.data, cut);
        (void)pb_unpack(&google__protobuf__value__descriptor, exact, cut, PB_STRINGS_STRICT, &arena,
                        (ProtobufCMessage **)&value, &st);
        free(exact);
    }
    slice_unref(&bytes);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pb");
    TCase *tcase = tcase_create("pb");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, a_message_survives_the_round_trip);
    tcase_add_test(tcase, nothing_is_an_empty_message);
    tcase_add_test(tcase, a_string_that_is_not_utf8_is_refused);
    tcase_add_test(tcase, a_string_with_a_nul_is_refused);
    tcase_add_test(tcase, lenient_strings_are_mended);
    tcase_add_test(tcase, nesting_ends_at_the_limit);
    tcase_add_test(tcase, malformed_bytes_are_refused);
    tcase_add_test(tcase, unknown_fields_are_let_through);
    tcase_add_test(tcase, a_single_message_repeated_without_end_is_refused);
    tcase_add_test(tcase, many_small_parts_are_refused_before_they_take_memory);
    tcase_add_test(tcase, a_large_message_of_ordinary_parts_is_let_through);
    tcase_add_test(tcase, every_truncation_fails_or_unpacks);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
