/* jobserver/: what is told of jobs and asked in an URL, and the names and texts of strangers that are looked into. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "jobserver/inspection/headline.h"
#include "jobserver/inspection/internal.h"
#include "jobserver/lost_paths.h"
#include "jobserver/native/image.h"
#include "jobserver/native/python_packages.h"
#include "jobserver/native/task.h"
#include "jobserver/native/tree.h"
#include "message.h"
#include "wire/json.h"
#include "wire/struct_json.h"

/* Damaged, as a string of exactly its size. free() it. */
static char *damaged(struct rng *rng, const char *good) {
    struct buf bytes = {0};
    char *text;

    buf_add(&bytes, good, strlen(good));
    if (rng_chance(rng, 80))
        mutate_bytes(rng, &bytes);
    buf_add_u8(&bytes, 0);
    text = xstrdup((const char *)buf_data(&bytes));
    buf_clear(&bytes);
    return text;
}

/* ---- requests ---- */

static void url_fields(struct rng *rng) {
    static const ProtobufCMessageDescriptor *const types[] = {
        &trestle__v1__list_jobs_request__descriptor, &trestle__v1__list_messages_request__descriptor,
        &trestle__v1__get_worker_status_request__descriptor, &trestle__v1__sample_elements_request__descriptor};
    static const char *const texts[] = {
        "",     "0",    "1",     "18446744073709551615", "4294967296", "-1",    "+1",   " 1",
        "0x10", "true", "false", "RUNNING,DONE",         ",,,",        "job-1", "1e300"};
    const ProtobufCMessageDescriptor *type = types[rng_below(rng, ARRAY_COUNT(types))];
    struct arena arena = {0};
    ProtobufCMessage *message = arena_zalloc(&arena, type->sizeof_message);

    protobuf_c_message_init(type, message);
    for (unsigned n = 1 + rng_below(rng, 4); n; n--) {
        CLEANUP_STATUS struct status st = {0};
        CLEANUP(freep) char *text = damaged(rng, texts[rng_below(rng, ARRAY_COUNT(texts))]);

        if (inspection_set_field(message, &type->fields[rng_below(rng, type->n_fields)], text, &arena, &st) < 0)
            HOLDS(st.code == STATUS_INVALID_ARGUMENT && *status_message(&st));
    }
    HOLDS(protobuf_c_message_check(message));
    arena_clear(&arena);
}

/* ---- JSON ---- */

/* Another's reader takes it. */
static void check_json(const struct buf *text) {
    json_error_t error;
    json_t *read =
        json_loadb((const char *)buf_data(text), text->size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);

    if (!read)
        fprintf(stderr, "%s at %d: %.*s\n", error.text, error.position, (int)text->size, (const char *)buf_data(text));
    HOLDS(read);
    json_decref(read);
}

static void json_messages(struct rng *rng) {
    static const ProtobufCMessageDescriptor *const types[] = {&trestle__v1__list_jobs_response__descriptor,
                                                              &trestle__v1__job_detail__descriptor,
                                                              &trestle__v1__graph__descriptor,
                                                              &trestle__v1__list_messages_response__descriptor,
                                                              &trestle__v1__job_metric_list__descriptor,
                                                              &trestle__v1__sampled_elements__descriptor,
                                                              &trestle__v1__server__descriptor};
    const ProtobufCMessageDescriptor *type = types[rng_below(rng, ARRAY_COUNT(types))];
    struct buf bytes = {0}, out = {0};
    struct arena arena = {0};
    ProtobufCMessage *message = random_message(rng, type, 1 + rng_below(rng, 5), &arena);

    /* Texts that jobs bring are not always UTF-8 */
    pack_message(message, &bytes);
    if (rng_chance(rng, 80))
        mutate_bytes(rng, &bytes);
    if (pb_unpack(type, buf_data(&bytes), bytes.size, PB_STRINGS_LENIENT, &arena, &message, NULL) == 0) {
        json_add_message(&out, message);
        check_json(&out);
    }
    buf_clear(&bytes);
    buf_clear(&out);
    arena_clear(&arena);
}

static void json_options(struct rng *rng) {
    CLEANUP_STATUS struct status st = {0};
    struct buf bytes = {0}, out = {0};
    struct arena arena = {0};

    pack_message(random_message(rng, &google__protobuf__struct__descriptor, rng_below(rng, 9), &arena), &bytes);
    if (rng_chance(rng, 60))
        mutate_bytes(rng, &bytes);
    if (struct_to_json(slice_of_static(buf_data(&bytes), bytes.size), &out, &st) == 0)
        check_json(&out);
    else
        HOLDS(st.code == STATUS_INVALID_ARGUMENT && out.size == 0);
    buf_clear(&bytes);
    buf_clear(&out);
    arena_clear(&arena);
}

/* ---- texts ---- */

static void headlines(struct rng *rng) {
    static const char traceback[] = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\n"
                                    "ValueError: no\n\nThe above exception was the direct cause:\n\n"
                                    "Traceback (most recent call last):\n  File \"b.py\", line 2\nKeyError: 'x' "
                                    "[while running 'Map']\n";
    CLEANUP(freep) char *text = damaged(rng, traceback);
    struct arena arena = {0};
    char *line = headline(&arena, text);

    HOLDS(line && strlen(line) <= strlen(text) && !strchr(line, '\n'));
    arena_clear(&arena);
}

static void names(struct rng *rng) {
    static const char *const images[] = {"apache/beam_python3.11_sdk:2.77.0", "apache/beam_java17_sdk:2.65.0",
                                         "docker.io/apache/beam_go_sdk:2.77.0rc1", "apache/beam_typescript_sdk:latest"};
    static const char *const files[] = {"a/b.jar", "../a", "a/../../b", "/etc/passwd", "a/..", "./a", "..a/b", "a//b"};
    static const char packages[] = "apache-beam==2.77.0\npandas==2.2.3\nscikit-learn==1.5\nnumpy @ file:///x\n";
    CLEANUP_STATUS struct status st = {0};
    CLEANUP(freep) char *image_name = damaged(rng, images[rng_below(rng, ARRAY_COUNT(images))]);
    CLEANUP(freep) char *file = damaged(rng, files[rng_below(rng, ARRAY_COUNT(files))]);
    CLEANUP(freep) char *list = damaged(rng, packages);
    CLEANUP(freep) char *padded = xasprintf("/%s/", file);
    struct string_vec found = {0};
    struct native_image image;
    struct arena arena = {0};

    if (native_image_parse(image_name, &image, &st) == 0)
        HOLDS(strlen(image.language_version) < sizeof(image.language_version) &&
              strlen(image.beam_version) < sizeof(image.beam_version));
    else
        HOLDS(st.code == STATUS_UNIMPLEMENTED);
    if (tree_is_safe_name(file))
        HOLDS(file[0] && file[0] != '/' && !strstr(padded, "/../"));
    python_image_packages(list, &arena, &found);
    vec_foreach (requirement, &found)
        HOLDS(strstr(*requirement, "=="));
    vec_free(&found);
    arena_clear(&arena);
}

static void lost_paths(struct rng *rng) {
    struct arena arena = {0};
    struct buf pipeline = {0}, options = {0};
    const char **paths;
    size_t count;

    pack_message(random_message(rng, &beam__pipeline__descriptor, 6, &arena), &pipeline);
    pack_message(random_message(rng, &google__protobuf__struct__descriptor, 4, &arena), &options);
    if (rng_chance(rng, 50))
        mutate_bytes(rng, &pipeline);
    paths = lost_paths_find(rng_chance(rng, 50) ? "" : "/a:/b", slice_of_static(buf_data(&pipeline), pipeline.size),
                            slice_of_static(buf_data(&options), options.size), &arena, &count);
    HOLDS(count <= 20);
    for (size_t i = 0; i < count; i++)
        HOLDS(paths[i][0] == '/');
    buf_clear(&pipeline);
    buf_clear(&options);
    arena_clear(&arena);
}

const struct target inspection_targets[] = {
    {"url_fields", NULL, url_fields},
    {"json_messages", NULL, json_messages},
    {"json_options", NULL, json_options},
    {"headlines", NULL, headlines},
    {"names", NULL, names},
    {"lost_paths", NULL, lost_paths},
    {NULL, NULL, NULL},
};
