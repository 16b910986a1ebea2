/* Splits of a bundle whose input lies on disk. */
#include "tests/unit/split_bench.h"

enum { KEYS = 40, MAX_BUNDLES = 64 };

/* A host with a disk: impulse --> make --> group by key --> work. */
struct disk_bench {
    struct bench b;
    struct plan_stage stages[4];
    struct plan_collection collections[3];
    struct plan_environment environments[2]; /* "make" has one of its own, so that its output waits */
    unsigned indices[3];
    unsigned consumers[3];
    struct map extents;             /* id -> struct slice */
    unsigned elements[MAX_BUNDLES]; /* sent to each bundle */
    bool is_ended[MAX_BUNDLES];     /* its input */
    uint64_t split_of, split_count; /* the last SPLIT */
    VEC(struct engine_event) answers;
    bool is_done;
};

static void free_slice(void *slice) {
    slice_unref(slice);
    free(slice);
}

static void disk_open(struct disk_bench *d) {
    const struct coder *grouped;

    memset(d, 0, sizeof(*d));
    bench_open(&d->b);
    grouped = coder_create(&d->b.f.arena, CODER_KV, d->b.f.bytes,
                           coder_create(&d->b.f.arena, CODER_ITERABLE, d->b.f.bytes, NULL));
    for (unsigned i = 0; i < 3; i++) {
        d->indices[i] = i;
        d->consumers[i] = i + 1;
    }
    memcpy(d->collections, d->b.collections, sizeof(d->b.collections));
    d->collections[2] = (struct plan_collection){
        .name = "groups",
        .coder = coder_create(&d->b.f.arena, CODER_WINDOWED_VALUE, grouped, d->b.f.global->components[1]),
        .is_bounded = true,
        .producer = 2,
        .consumer_count = 1};
    for (unsigned i = 0; i < 3; i++)
        d->collections[i].consumers = &d->consumers[i];
    memcpy(d->stages, d->b.stages, 2 * sizeof(d->stages[0]));
    d->stages[2] = (struct plan_stage){.is_bounded = true,
                                       .index = 2,
                                       .kind = PLAN_GROUP_BY_KEY,
                                       .name = "Group",
                                       .inputs = &d->indices[1],
                                       .input_count = 1,
                                       .outputs = &d->indices[2],
                                       .output_count = 1,
                                       .environment = PLAN_NONE};
    d->stages[3] = d->b.stages[2];
    d->stages[1].environment = 1;
    d->stages[3].index = 3;
    d->stages[3].inputs = &d->indices[2];
    d->stages[3].source.collection = 2;
    d->b.plan.stages = d->stages;
    d->b.plan.stage_count = 4;
    d->b.plan.environments = d->environments;
    d->b.plan.environment_count = 2;
    d->b.plan.collections = d->collections;
    d->b.plan.collection_count = 3;
    d->b.engine = engine_create(&d->b.plan, &(struct engine_options){.verify_commits = true,
                                                                     .group_partitions = 1,
                                                                     .extent_bytes = 4,
                                                                     .message_bytes = 1,
                                                                     .send_window_bytes = 1});
}

static void disk_close(struct disk_bench *d) {
    bench_close(&d->b);
    map_clear(&d->extents, free_slice);
    vec_free(&d->answers);
}

static void disk_store(struct disk_bench *d, const struct engine_action *action) {
    struct slice *bytes = xcalloc(1, sizeof(*bytes));
    struct buf out = {0};

    for (size_t i = 0; i < action->piece_count; i++)
        buf_add(&out, action->pieces[i].data, action->pieces[i].size);
    *bytes = buf_finish(&out);
    map_set(&d->extents, &action->extent, sizeof(action->extent), bytes);
    vec_push(&d->answers, ((struct engine_event){.type = ENGINE_EVENT_STORED, .extent = action->extent}));
}

static void disk_load(struct disk_bench *d, const struct engine_action *action) {
    const struct slice *bytes = map_get(&d->extents, &action->extent, sizeof(action->extent));

    vec_push(&d->answers,
             ((struct engine_event){.type = ENGINE_EVENT_LOADED, .token = action->token, .bytes = slice_ref(*bytes)}));
}

static void disk_sent(struct disk_bench *d, const struct engine_action *action) {
    struct cursor at = cursor_of(action->bytes.data, action->bytes.size);

    for (; action->stage == 3 && cursor_left(&at); d->elements[action->bundle]++)
        ck_assert_int_eq(windowed_value_skip(d->collections[2].coder, &at), CODER_OK);
    d->is_ended[action->bundle] |= action->is_last;
    if (action->is_last)
        vec_push(&d->answers, ((struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE, .bundle = action->bundle}));
    else
        vec_push(&d->answers,
                 ((struct engine_event){
                     .type = ENGINE_EVENT_SENT, .bundle = action->bundle, .byte_count = action->bytes.size}));
}

static void disk_take_actions(struct disk_bench *d) {
    struct engine_action action;

    while (engine_next_action(d->b.engine, &action)) {
        ck_assert_uint_lt(action.bundle, MAX_BUNDLES);
        if (action.type == ENGINE_ACTION_STORE)
            disk_store(d, &action);
        else if (action.type == ENGINE_ACTION_LOAD)
            disk_load(d, &action);
        else if (action.type == ENGINE_ACTION_SEND && action.stage == 3)
            disk_sent(d, &action);
        else if (action.type == ENGINE_ACTION_SPLIT) {
            d->split_of = action.bundle;
            d->split_count = action.element_count;
        }
        d->is_done |= action.type == ENGINE_ACTION_JOB_DONE;
        engine_action_clear(&action);
    }
}

/* One answer of the host, the oldest first. */
static void disk_answer(struct disk_bench *d) {
    struct engine_event event = d->answers.items[0];

    d->answers.count--;
    memmove(d->answers.items, d->answers.items + 1, d->answers.count * sizeof(event));
    if (event.type == ENGINE_EVENT_BUNDLE_DONE)
        event.response = xcalloc(1, sizeof(struct bundle_response));
    step(&d->b, event);
    disk_take_actions(d);
}

/* Until bundle 2, on what lies on disk, has been sent its first element. */
static void disk_begin(struct disk_bench *d) {
    struct buf bytes = {0};

    step(&d->b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = 3, .environment = 1, .slots = 1});
    disk_take_actions(d);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];

        snprintf(key, sizeof(key), "key %u", i);
        add_kv(&bytes, 5, NULL, key, "value");
    }
    step(&d->b, (struct engine_event){
                    .type = ENGINE_EVENT_ELEMENTS, .bundle = 1, .bytes = buf_finish(&bytes), .is_last = true});
    step(&d->b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE,
                                      .bundle = 1,
                                      .excess_bytes = 1 << 30,
                                      .response = xcalloc(1, sizeof(struct bundle_response))});
    disk_take_actions(d);
    ck_assert_uint_gt(d->extents.count, 2);
    worker_up(&d->b, 1);
    disk_take_actions(d);
    while (d->elements[2] == 0)
        disk_answer(d);
}

/* The groups of a bucket that was never read are counted by nobody: a split behind those that are known gives it away. */
START_TEST(what_lies_on_disk_uncounted_can_be_given_back)
{
    struct disk_bench d;
    unsigned others = 0;

    disk_open(&d);
    disk_begin(&d);
    worker_up(&d.b, 2);
    time_is(&d.b, 500);
    disk_take_actions(&d);
    ck_assert_uint_eq(d.split_of, 2);
    ck_assert_uint_lt(d.split_count, KEYS);
    answer(&d.b, 2, split_create((int64_t)d.split_count - 1, (int64_t)d.split_count));
    disk_take_actions(&d);
    while (d.answers.count)
        disk_answer(&d);
    ck_assert(d.is_done);
    for (unsigned i = 3; i < MAX_BUNDLES; i++)
        others += d.elements[i];
    ck_assert_uint_eq(d.elements[2], d.split_count);
    ck_assert_uint_eq(others, KEYS - d.split_count);
    disk_close(&d);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("split_stored");
    TCase *tc = tcase_create("split_stored");

    tcase_add_test(tc, what_lies_on_disk_uncounted_can_be_given_back);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
