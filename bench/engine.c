/* bench-engine: the engine's grouping alone, on one core: no sockets, no files, no other thread.
 *
 *   bench-engine [--records N] [--size BYTES] [--keys K,K,...] [--reps N] [--random PERCENT] [--partitions N]
 *
 * As in the daemon: messages of 1 MiB arrive and are parsed (run_writer_add) while they are warm in the cache; a bundle of 32 MiB is then
 * grouped as one (group_add), and let go; at the end all partitions are written out as elements (group_partition_write). The time is CPU
 * time of the thread, so that a busy machine disturbs little; making the records is not in it. What was written is checked to the last
 * byte. Prints one JSON object a line for each repetition: elements a second of each step, and of parse and group together. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/group.h"
#include "engine/runs.h"
#include "model/window.h"
#include "tests/harness/records.h"

enum { MESSAGE_BYTES = 1 << 20, BUNDLE_BYTES = 32 << 20, WRITE_BYTES = 1 << 20, MAX_KEYS = 16 };

struct options {
    struct record_shape shape;
    uint64_t keys[MAX_KEYS];
    unsigned key_count, reps, partitions;
};

struct coders {
    struct arena arena;
    const struct coder *input, *output; /* windowed values */
};

struct times {
    uint64_t parse_ns, group_ns, write_ns;
};

static const struct windowing global_windows = {.fn = WINDOW_FN_GLOBAL,
                                                .timestamp_combiner = OUTPUT_TIME_END_OF_WINDOW};

static uint64_t cpu_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void coders_init(struct coders *coders) {
    struct arena *arena = &coders->arena;
    const struct coder *bytes = coder_create(arena, CODER_BYTES, NULL, NULL);
    const struct coder *window = coder_create(arena, CODER_GLOBAL_WINDOW, NULL, NULL);
    const struct coder *iterable = coder_create(arena, CODER_ITERABLE, bytes, NULL);

    coders->input = coder_create(arena, CODER_WINDOWED_VALUE, coder_create(arena, CODER_KV, bytes, bytes), window);
    coders->output = coder_create(arena, CODER_WINDOWED_VALUE, coder_create(arena, CODER_KV, bytes, iterable), window);
}

/* Records from *i on, a message full. */
static struct slice make_message(const struct record_shape *shape, uint64_t *i) {
    struct buf out = {0};

    buf_reserve(&out, MESSAGE_BYTES + record_encoded_size(shape) + 64);
    for (; *i < shape->total && out.size < MESSAGE_BYTES; ++*i) {
        windowed_value_write_header(&out, TIME_MIN, "", 0, &PANE_NO_FIRING);
        record_write(shape, *i, &out);
    }
    return buf_finish(&out);
}

static void die(const char *what) {
    fprintf(stderr, "bench-engine: %s\n", what);
    exit(EXIT_FAILURE);
}

static void check_written(const struct record_shape *shape, const struct coder *coder, const struct buf *out,
                          struct record_totals *totals) {
    struct cursor at = cursor_of(buf_data(out), out->size);

    while (cursor_left(&at)) {
        struct windowed_value element;
        const char *error;

        if (windowed_value_read(coder, &at, &element) != CODER_OK)
            die("the output is not what its coder says");
        error = record_check_group(shape, element.value, totals);
        if (error)
            die(error);
    }
}

/* One bundle: messages in, grouped at its end. */
static void run_bundle(const struct record_shape *shape, const struct coders *coders, struct group *group, uint64_t *i,
                       struct times *times) {
    struct run_writer writer = {.coder = coders->input};
    CLEANUP_STATUS struct status st = {0};
    size_t bytes = 0;
    uint64_t begin;
    int r;

    while (*i < shape->total && bytes < BUNDLE_BYTES) {
        struct slice message = make_message(shape, i);

        bytes += message.size;
        begin = cpu_ns();
        r = run_writer_add(&writer, message, &st);
        times->parse_ns += cpu_ns() - begin;
        if (r < 0)
            die(status_message(&st));
    }
    if (run_writer_end(&writer, &st) < 0)
        die(status_message(&st));
    begin = cpu_ns();
    group_add(group, &writer.list);
    times->group_ns += cpu_ns() - begin;
    run_writer_clear(&writer);
}

static void write_out(const struct record_shape *shape, const struct coders *coders, struct group *group,
                      struct times *times) {
    struct record_totals totals = {0}, expected = record_expected_totals(shape);

    for (unsigned i = 0; i < group->partition_count; i++) {
        struct group_partition *partition = group_take(group, i);

        for (size_t at = 0; partition && at < partition->entry_count;) {
            struct buf out = {0};
            uint64_t begin = cpu_ns();

            group_partition_write(partition, &at, partition->entry_count, WRITE_BYTES, NULL, &out);
            times->write_ns += cpu_ns() - begin;
            check_written(shape, coders->output, &out, &totals);
            buf_clear(&out);
        }
        group_partition_unref(partition);
    }
    if (!record_same_totals(&totals, &expected))
        die("records were lost, or are there twice");
}

static double rate(uint64_t elements, uint64_t ns) {
    return ns ? (double)elements * 1e9 / (double)ns : 0;
}

static void measure(const struct options *options, struct record_shape shape, unsigned rep) {
    struct coders coders = {0};
    struct times times = {0};
    struct group *group;
    uint64_t i = 0;

    coders_init(&coders);
    group = group_create(coders.input, &global_windows, options->partitions, NULL);
    while (i < shape.total)
        run_bundle(&shape, &coders, group, &i, &times);
    write_out(&shape, &coders, group, &times);
    group_destroy(group);
    arena_clear(&coders.arena);
    printf(
        "{\"bench\": \"engine\", \"rep\": %u, \"records\": %" PRIu64 ", \"keys\": %" PRIu64 ", \"record_bytes\": %u, "
        "\"parse_per_s\": %.0f, \"group_per_s\": %.0f, \"write_per_s\": %.0f, \"parse_and_group_per_s\": %.0f, "
        "\"all_per_s\": %.0f}\n",
        rep, shape.total, shape.keys, shape.size, rate(shape.total, times.parse_ns), rate(shape.total, times.group_ns),
        rate(shape.total, times.write_ns), rate(shape.total, times.parse_ns + times.group_ns),
        rate(shape.total, times.parse_ns + times.group_ns + times.write_ns));
    fflush(stdout);
}

static void read_options(int argc, char **argv, struct options *options) {
    for (int i = 1; i < argc; i += 2) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (!value)
            die("every option takes a value");
        if (strcmp(argv[i], "--records") == 0)
            options->shape.total = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--size") == 0)
            options->shape.size = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--random") == 0)
            options->shape.random_percent = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--reps") == 0)
            options->reps = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--partitions") == 0)
            options->partitions = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--keys") == 0)
            for (options->key_count = 0; *value && options->key_count < MAX_KEYS; value += *value == ',')
                options->keys[options->key_count++] = strtoull(value, &value, 10);
        else
            die("options are --records, --size, --random, --keys, --reps and --partitions");
    }
}

int main(int argc, char **argv) {
    struct options options = {.shape = {.total = 4000000, .size = 100, .random_percent = 50},
                              .keys = {1000, 100000, 2000000},
                              .key_count = 3,
                              .reps = 3,
                              .partitions = 32};

    read_options(argc, argv, &options);
    if (options.partitions == 0)
        die("there is at least one partition");
    for (unsigned rep = 0; rep < options.reps; rep++)
        for (unsigned i = 0; i < options.key_count; i++) {
            struct record_shape shape = options.shape;

            shape.keys = options.keys[i];
            if (record_shape_error(&shape))
                die(record_shape_error(&shape));
            measure(&options, shape, rep);
        }
    return EXIT_SUCCESS;
}
