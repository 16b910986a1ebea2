/* jobserver/: the configuration file and the options that a pipeline comes with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "google/protobuf/struct.pb-c.h"
#include "jobserver/config.h"
#include "jobserver/pipeline_options.h"
#include "jobserver/tokens.h"
#include "message.h"
#include "wire/pb.h"

/* ---- the configuration ---- */

/* A good file: every key with its default, in the order of the table. */
static void add_good_config(struct buf *out) {
    size_t count, parent = 0;
    const struct config_key *keys = config_keys(&count);
    const char *open = "";

    for (size_t i = 0; i < count; i++) {
        const char *dot = strchr(keys[i].path, '.'), *name = dot ? dot + 1 : keys[i].path;
        size_t size = dot ? (size_t)(dot - keys[i].path) : 0;
        char line[300];

        if (size && (size != parent || strncmp(open, keys[i].path, size) != 0)) {
            buf_add(out, line, (size_t)snprintf(line, sizeof(line), "%.*s:\n", (int)size, keys[i].path));
            open = keys[i].path;
        }
        parent = size;
        buf_add(out, line,
                (size_t)snprintf(line, sizeof(line), "%s%s: \"%s\"\n", size ? "  " : "", name, keys[i].default_text));
    }
}

static void add_yaml_noise(struct rng *rng, struct buf *bytes) {
    static const char *const noise[] = {
        "---\n",
        "...\n",
        "&a [*a, *a]\n",
        "*a\n",
        "? x\n: y\n",
        "!!str ",
        "%YAML 9.9\n",
        "\t",
        "{a: [b, {",
        "<<: *a\n",
        "|\n  text\n",
        "\xef\xbb\xbf",
        "\xff\xfe",
        "workers: 1\n",
        "listen: x\n",
        ": \n",
        "limits: {max_message: 99999999999999999999GiB}\n",
    };
    const char *text = noise[rng_below(rng, ARRAY_COUNT(noise))];
    size_t at = rng_below(rng, bytes->size + 1);
    struct buf out = {0};

    buf_add(&out, buf_data(bytes), at);
    buf_add(&out, text, strlen(text));
    buf_add(&out, buf_data(bytes) + at, bytes->size - at);
    buf_clear(bytes);
    *bytes = out;
}

static void check_config(const struct config *config) {
    size_t count;
    const struct config_key *keys = config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        const char *field = (const char *)config + keys[i].offset;
        uint64_t number;
        unsigned small;

        switch (keys[i].type) {
        case CONFIG_NUMBER:
            memcpy(&small, field, sizeof(small));
            number = small;
            break;
        case CONFIG_DURATION:
        case CONFIG_SIZE:
            memcpy(&number, field, sizeof(number));
            break;
        default:
            continue;
        }
        HOLDS(number <= keys[i].max && (number >= keys[i].min || number == 0));
    }
}

static void set_one_key(struct rng *rng) {
    static const char *const texts[] = {"",
                                        "0",
                                        "1",
                                        "-1",
                                        "18446744073709551616GiB",
                                        "99999999999999h",
                                        "10s",
                                        "1 s",
                                        "0x10B",
                                        "1e3s",
                                        "unix:",
                                        "[::1]:99999",
                                        "a:b",
                                        ":1",
                                        "info",
                                        "plain"};
    CLEANUP_STATUS struct status st = {0};
    const char *chosen = texts[rng_below(rng, ARRAY_COUNT(texts))];
    struct config config = {0};
    size_t count;
    const struct config_key *keys = config_keys(&count), *key = &keys[rng_below(rng, count)];
    struct buf text = {0};

    config_init_defaults(&config);
    buf_add(&text, chosen, strlen(chosen));
    if (rng_chance(rng, 50))
        mutate_bytes(rng, &text);
    buf_add_u8(&text, 0);
    if (config_set(&config, key, (const char *)buf_data(&text), &st) < 0)
        HOLDS(st.code == STATUS_INVALID_ARGUMENT);
    else
        check_config(&config);
    config_clear(&config);
    buf_clear(&text);
}

static void configs(struct rng *rng) {
    CLEANUP_STATUS struct status st = {0};
    struct config config = {0};
    struct buf bytes = {0};
    char path[40];
    int fd;

    add_good_config(&bytes);
    for (unsigned n = rng_below(rng, 3); n; n--)
        add_yaml_noise(rng, &bytes);
    if (rng_chance(rng, 70))
        mutate_bytes(rng, &bytes);
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    HOLDS(fd >= 0 && write(fd, buf_data(&bytes), bytes.size) == (ssize_t)bytes.size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    config_init_defaults(&config);
    if (config_load(&config, path, &st) == 0)
        check_config(&config);
    else
        HOLDS(st.code == STATUS_INVALID_ARGUMENT && strncmp(status_message(&st), path, strlen(path)) == 0);
    config_clear(&config);
    close(fd);
    buf_clear(&bytes);
    set_one_key(rng);
}

/* ---- options ---- */

static void look_up(const struct pipeline_options *options, const char *name) {
    size_t count = 0;
    const char *const *list = pipeline_options_list(options, name, &count);
    int64_t number = 0;
    bool flag = false;

    for (size_t i = 0; i < count; i++)
        HOLDS(list[i] && strlen(list[i]) < SIZE_MAX);
    (void)pipeline_options_has(options, name);
    HOLDS(pipeline_options_string(options, name, "otherwise"));
    (void)pipeline_options_int(options, name, &number, NULL);
    (void)pipeline_options_bool(options, name, &flag, NULL);
}

/* Keys that mean something, on some of the fields. */
static void name_fields(struct rng *rng, Google__Protobuf__Struct *message, struct arena *arena) {
    static const char *const names[] = {"beam:option:job_name:v1",
                                        "beam:option:experiments:v1",
                                        "options",
                                        "beam:option:go_options:v1",
                                        "experiments",
                                        "beam:option::v1",
                                        "beam:option:"};
    size_t count;
    const struct pipeline_option *own = pipeline_options_own(&count);

    for (size_t i = 0; i < message->n_fields; i++) {
        size_t place = rng_below(rng, ARRAY_COUNT(names) + count);
        Google__Protobuf__Value *value = message->fields[i]->value;

        message->fields[i]->key =
            arena_string(arena, place < ARRAY_COUNT(names) ? names[place] : own[place - ARRAY_COUNT(names)].name);
        if (value && value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
            name_fields(rng, value->struct_value, arena);
    }
}

static void options(struct rng *rng) {
    CLEANUP_STATUS struct status st = {0};
    struct pipeline_options *made = NULL;
    struct arena arena = {0};
    struct buf bytes = {0};
    ProtobufCMessage *message = random_message(rng, &google__protobuf__struct__descriptor, rng_below(rng, 9), &arena);
    struct slice exact;
    size_t count;
    const struct pipeline_option *own = pipeline_options_own(&count);

    if (rng_chance(rng, 80))
        name_fields(rng, (Google__Protobuf__Struct *)(void *)message, &arena);
    pack_message(message, &bytes);
    if (rng_chance(rng, 40))
        mutate_bytes(rng, &bytes);
    exact = slice_copy(buf_data(&bytes), bytes.size, NULL);
    if (pipeline_options_create(exact, &made, &st) == 0) {
        slice_unref(&exact); /* the options do not borrow from it */
        exact = SLICE_EMPTY;
        look_up(made, "job_name");
        look_up(made, "experiments");
        look_up(made, "");
        for (size_t i = 0; i < count; i++)
            look_up(made, own[i].name);
        (void)pipeline_options_experiment(made, "a");
        (void)pipeline_options_check(made, NULL);
        pipeline_options_destroy(made);
    } else {
        HOLDS(st.code == STATUS_INVALID_ARGUMENT);
    }
    slice_unref(&exact);
    buf_clear(&bytes);
    arena_clear(&arena);
}

/* ---- tokens ---- */

static void tokens(struct rng *rng) {
    CLEANUP_STATUS struct status st = {0};
    CLEANUP(freep) char *token = NULL;
    CLEANUP(freep) char *line = NULL;
    struct tokens *loaded = NULL;
    struct buf file = {0}, header = {0};
    uint8_t *exact;
    char path[40];
    int fd;

    HOLDS(tokens_make("fuzz", &token, &line, NULL) == 0);
    for (unsigned i = rng_below(rng, 4); i; i--)
        buf_printf(&file, "%s%s", line, i % 2 ? "\n" : "\r\n");
    buf_printf(&header, "%s%s", rng_chance(rng, 50) ? "Bearer " : "Basic ", token);
    if (rng_chance(rng, 80))
        mutate_bytes(rng, &file);
    if (rng_chance(rng, 80))
        mutate_bytes(rng, &header);
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    HOLDS(fd >= 0 && write(fd, buf_data(&file), file.size) == (ssize_t)file.size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (tokens_load(path, &loaded, &st) == 0) {
        exact = exact_copy(buf_data(&header), header.size);
        (void)tokens_find(loaded, slice_of_static(exact, header.size));
        free(exact);
    } else {
        HOLDS(st.code == STATUS_INVALID_ARGUMENT && strncmp(status_message(&st), path, strlen(path)) == 0);
    }
    tokens_unref(loaded);
    close(fd);
    buf_clear(&file);
    buf_clear(&header);
}

const struct target jobserver_targets[] = {
    {"config", NULL, configs},
    {"pipeline_options", NULL, options},
    {"tokens", NULL, tokens},
    {NULL, NULL, NULL},
};
