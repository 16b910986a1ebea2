#include "jobserver/lost_paths.h"

#include <stdbool.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "jobserver/pipeline_options.h"
#include "wire/pb.h"

enum { MAX_PATHS = 20 };

struct search {
    const char *mounts;
    struct arena *arena;
    const char **paths;
    size_t count;
};

/* NULL: it is no absolute path of the local file system. */
static const char *local_path(const char *text) {
    if (strncmp(text, "file:/", 6) == 0) {
        text += strlen("file:");
        while (text[0] == '/' && text[1] == '/')
            text++;
    }
    return text[0] == '/' ? text : NULL;
}

static bool is_below(const char *path, const char *folder, size_t size) {
    while (size > 1 && folder[size - 1] == '/')
        size--;
    return size > 0 && strncmp(path, folder, size) == 0 &&
           (path[size] == '\0' || path[size] == '/' || folder[size - 1] == '/');
}

static bool is_mounted(const char *path, const char *mounts) {
    while (*mounts) {
        size_t size = strcspn(mounts, ":");

        if (is_below(path, mounts, size))
            return true;
        mounts += size + (mounts[size] != '\0');
    }
    return false;
}

static void look_at(struct search *search, const char *text) {
    const char *path = text ? local_path(text) : NULL;

    if (!path || is_mounted(path, search->mounts) || search->count == MAX_PATHS)
        return;
    for (size_t i = 0; i < search->count; i++)
        if (strcmp(search->paths[i], path) == 0)
            return;
    search->paths[search->count++] = arena_string(search->arena, path);
}

/* "apache_beam.io.textio._TextSink", "org.apache.beam.sdk.io.FileIO$Write" */
static bool is_sink(const char *namespace) {
    const char *dot = strrchr(namespace, '.');
    const char *last = dot ? dot + 1 : namespace;

    return strstr(last, "Sink") || strstr(last, "Write");
}

static void look_at_item(struct search *search, const Beam__DisplayData *item, struct arena *arena) {
    struct slice bytes = slice_of_static(item->payload.data, item->payload.len);
    Beam__LabelledPayload *payload;

    if (strcmp(item->urn, "beam:display_data:labelled:v1") == 0 &&
        PB_UNPACK(Beam__LabelledPayload, beam__labelled_payload, bytes, PB_STRINGS_LENIENT, arena, &payload, NULL) ==
            0 &&
        payload->value_case == BEAM__LABELLED_PAYLOAD__VALUE_STRING_VALUE && is_sink(payload->namespace_))
        look_at(search, payload->string_value);
}

static void look_at_transforms(struct search *search, struct slice bytes) {
    struct arena arena = {0};
    Beam__Pipeline *pipeline;

    if (PB_UNPACK(Beam__Pipeline, beam__pipeline, bytes, PB_STRINGS_LENIENT, &arena, &pipeline, NULL) == 0 &&
        pipeline->components)
        for (size_t i = 0; i < pipeline->components->n_transforms; i++) {
            const Beam__PTransform *transform = pipeline->components->transforms[i]->value;

            for (size_t k = 0; transform && k < transform->n_display_data; k++)
                look_at_item(search, transform->display_data[k], &arena);
        }
    arena_clear(&arena);
}

const char **lost_paths_find(const char *mounts, struct slice pipeline, struct slice bytes, struct arena *arena,
                             size_t *ret_count) {
    struct search search = {.mounts = mounts, .arena = arena, .paths = arena_new_array(arena, const char *, MAX_PATHS)};
    struct pipeline_options *options;

    if (pipeline_options_create(bytes, &options, NULL) == 0) {
        look_at(&search, pipeline_options_string(options, "output", NULL));
        look_at(&search, pipeline_options_string(options, "temp_location", NULL));
        pipeline_options_destroy(options);
    }
    look_at_transforms(&search, pipeline);
    *ret_count = search.count;
    return search.paths;
}
