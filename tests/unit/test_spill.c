/* Jobs with short memory, through the engine's own door: events in, STORE, LOAD and DROP out. Whatever is stored, the output is that of a job
 * with memory enough. */
#include "engine/engine.h"

#include "base/map.h"
#include "tests/unit/fixtures.h"

/* impulse --> [1: makes KVs] --> [2: groups] --> [3: reads], or without the grouping */
enum shape { GROUPED, GROUPED_FOR_KEYED, GROUPED_WITH_TOKENS, DIRECT, DIRECT_KEYED, SHAPES };
enum { MESSAGES = 60, ELEMENTS = 25, KEYS = 40, NEVER = -1 };

struct bench {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[4];
    struct plan_collection collections[3];
    struct windowing windowing;
    struct plan_environment environment;
    struct plan_port sink;
    unsigned indices[3], consumers[3];
    struct engine *engine;
    struct account *account;

    size_t excess;    /* in every second event: */
    bool is_constant; /* or in all */
    int fail_at;      /* this answer of the disk is a failure; NEVER */
    VEC(struct engine_event) events;
    size_t next_event;
    struct map extents; /* id -> struct slice * */
    size_t stores, loads, drops, stored_bytes, tokens;
    int answers;

    struct buf input; /* of stage 3's bundle */
    uint64_t bundle;
    size_t waiting;        /* tokens of which not all pages have come */
    VEC(struct buf) pages; /* by token */
    VEC(char *) lines;
    size_t used_after_input; /* memory, when all of a bundle's input was sent */
    char *end;               /* "done", or the error */
};

static void link_stage(struct bench *b, unsigned stage, enum plan_stage_kind kind, const char *name) {
    b->stages[stage] =
        (struct plan_stage){.is_bounded = true, .index = stage, .kind = kind, .name = name, .environment = PLAN_NONE};
    if (stage > 0) {
        b->stages[stage].inputs = &b->indices[stage - 1];
        b->stages[stage].input_count = 1;
        b->stages[stage].source.collection = stage - 1;
    }
    if (stage < 3) {
        b->indices[stage] = stage;
        b->consumers[stage] = stage + 1;
        b->stages[stage].outputs = &b->indices[stage];
        b->stages[stage].output_count = 1;
        b->collections[stage] = (struct plan_collection){.name = name,
                                                         .is_bounded = true,
                                                         .producer = stage,
                                                         .consumers = &b->consumers[stage],
                                                         .consumer_count = 1};
    }
    if (kind == PLAN_EXECUTABLE)
        b->stages[stage].environment = 0;
}

static void make_plan(struct bench *b, enum shape shape) {
    const struct coder *window = b->f.global->components[1];
    const struct coder *iterable = coder_create(&b->f.arena, CODER_ITERABLE, b->f.bytes, NULL);

    link_stage(b, 0, PLAN_IMPULSE, "Impulse");
    link_stage(b, 1, PLAN_EXECUTABLE, "Make");
    link_stage(b, 2, PLAN_GROUP_BY_KEY, "Group");
    link_stage(b, 3, PLAN_EXECUTABLE, "Read");
    b->collections[0].coder = coder_create(&b->f.arena, CODER_WINDOWED_VALUE, b->f.bytes, window);
    b->collections[1].coder = b->f.global;
    b->collections[2].coder = coder_create(&b->f.arena, CODER_WINDOWED_VALUE,
                                           coder_create(&b->f.arena, CODER_KV, b->f.bytes, iterable), window);
    b->sink = (struct plan_port){.transform_id = "sink", .collection = 1};
    b->stages[1].sinks = &b->sink;
    b->stages[1].sink_count = 1;
    b->stages[3].is_keyed = shape == GROUPED_FOR_KEYED || shape == DIRECT_KEYED;
    b->stages[3].takes_state_backed_iterables = shape == GROUPED_WITH_TOKENS;
    b->windowing = (struct windowing){.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST};
    b->plan = (struct plan){.stages = b->stages,
                            .stage_count = 4,
                            .collections = b->collections,
                            .collection_count = 3,
                            .windowings = &b->windowing,
                            .windowing_count = 1,
                            .environments = &b->environment,
                            .environment_count = 1};
    if (shape == DIRECT || shape == DIRECT_KEYED) {
        /* The grouping stays in the plan, as a stage that nothing reads. */
        static unsigned both[] = {2, 3};

        b->collections[1].consumers = both;
        b->collections[1].consumer_count = 2;
        b->collections[2].consumer_count = 0;
        b->stages[3].inputs = &b->indices[1];
        b->stages[3].source.collection = 1;
    }
    ck_assert_int_eq(engine_check_plan(&b->plan, NULL), 0);
}

static void bench_open_limited(struct bench *b, enum shape shape, size_t excess, size_t bundle_bytes,
                               size_t max_element_bytes) {
    memset(b, 0, sizeof(*b));
    b->f = fixture_create();
    b->excess = excess;
    b->fail_at = NEVER;
    b->account = account_create("test", NULL, 0);
    make_plan(b, shape);
    b->engine = engine_create(&b->plan, &(struct engine_options){.verify_commits = true,
                                                                 .bundle_bytes = bundle_bytes,
                                                                 .message_bytes = 500,
                                                                 .send_window_bytes = 1000,
                                                                 .state_page_bytes = 300,
                                                                 .extent_bytes = 400,
                                                                 .max_inline_bytes = 150,
                                                                 .max_bucket_bytes = 3000,
                                                                 .max_element_bytes = max_element_bytes,
                                                                 .group_partitions = 4,
                                                                 .key_shards = 4,
                                                                 .account = b->account});
}

static void bench_open_with(struct bench *b, enum shape shape, size_t excess, size_t bundle_bytes) {
    bench_open_limited(b, shape, excess, bundle_bytes, 0);
}

static void bench_open(struct bench *b, enum shape shape, size_t excess) {
    bench_open_with(b, shape, excess, 2000);
}

static void post(struct bench *b, struct engine_event event) {
    vec_push(&b->events, event);
}

/* ---- the disk ---- */

static void answer(struct bench *b, struct engine_event event) {
    if (b->answers++ == b->fail_at) {
        slice_unref(&event.bytes);
        event = (struct engine_event){.type = ENGINE_EVENT_STORE_FAILED, .error = xstrdup("disk.per_job is 1 MiB")};
    }
    post(b, event);
}

static void store(struct bench *b, struct engine_action *action) {
    struct slice *bytes = xmalloc(sizeof(*bytes));
    struct buf all = {0};

    for (size_t i = 0; i < action->piece_count; i++)
        buf_add(&all, action->pieces[i].data, action->pieces[i].size);
    b->stored_bytes += all.size;
    *bytes = buf_finish(&all);
    if (map_set(&b->extents, &action->extent, sizeof(action->extent), bytes))
        ck_abort_msg("an extent is stored twice");
    b->stores++;
    answer(b, (struct engine_event){.type = ENGINE_EVENT_STORED, .extent = action->extent});
}

static void load(struct bench *b, const struct engine_action *action) {
    const struct slice *bytes = map_get(&b->extents, &action->extent, sizeof(action->extent));

    if (!bytes)
        ck_abort_msg("an extent is loaded that is not there");
    b->loads++;
    answer(b, (struct engine_event){.type = ENGINE_EVENT_LOADED,
                                    .token = action->token,
                                    .bytes = slice_copy(bytes->data, bytes->size, b->account)});
}

static void free_slice(void *slice) {
    if (slice)
        slice_unref(slice);
    free(slice);
}

static void drop(struct bench *b, const struct engine_action *action) {
    struct slice *bytes = map_remove(&b->extents, &action->extent, sizeof(action->extent));

    if (!bytes)
        ck_abort_msg("an extent is dropped that is not there");
    free_slice(bytes);
    b->drops++;
}

/* ---- the harness ---- */

static void finish_bundle(struct bench *b, uint64_t bundle) {
    post(b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE,
                                  .bundle = bundle,
                                  .response = xcalloc(1, sizeof(struct bundle_response))});
}

static void make_output(struct bench *b, uint64_t bundle) {
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct engine_event event = {.type = ENGINE_EVENT_ELEMENTS, .bundle = bundle, .is_last = i + 1 == MESSAGES};
        struct buf bytes = {.account = b->account};

        for (unsigned j = 0; j < ELEMENTS; j++) {
            char key[16], value[32];

            snprintf(key, sizeof(key), "k%u", j % 5 ? (i * ELEMENTS + j) * 7 % KEYS : 0); /* one has many */
            snprintf(value, sizeof(value), "%u", i * ELEMENTS + j);
            add_kv(&bytes, i, NULL, key, value);
        }
        event.bytes = buf_finish(&bytes);
        post(b, event);
    }
    finish_bundle(b, bundle);
}

static void ask(struct bench *b, size_t token, struct slice continuation) {
    struct state_request *request = xcalloc(1, sizeof(*request));
    char text[16];
    int size = snprintf(text, sizeof(text), "%zu", token);

    request->kind = STATE_RUNNER;
    request->operation = STATE_GET;
    request->request_id = "r";
    request->key = slice_copy(text, (size_t)size, NULL);
    request->continuation = continuation;
    post(b, (struct engine_event){
                .type = ENGINE_EVENT_STATE, .bundle = b->bundle, .worker = 7, .token = token, .request = request});
}

static int compare(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void add_line(struct bench *b, event_time timestamp, struct cursor key, struct cursor values, uint64_t count) {
    VEC(char *) texts = {0};
    char *line = xasprintf("%.*s@%lld", (int)cursor_left(&key), key.at, (long long)timestamp);

    for (uint64_t i = 0; i < count; i++) {
        struct cursor value;

        if (!cursor_prefixed(&values, &value))
            ck_abort_msg("a group is cut short");
        vec_push(&texts, xmemdup0(value.at, cursor_left(&value)));
    }
    if (cursor_left(&values))
        ck_abort_msg("a group has more values than it says");
    if (texts.count)
        qsort(texts.items, texts.count, sizeof(*texts.items), compare); /* their order is nobody's promise */
    vec_foreach (text, &texts) {
        char *longer = xasprintf("%s %s", line, *text);

        free(line);
        free(*text);
        line = longer;
    }
    vec_free(&texts);
    vec_push(&b->lines, line);
}

static size_t number_of(struct cursor token) {
    CLEANUP(freep) char *text = xmemdup0(token.at, cursor_left(&token));

    return (size_t)strtoul(text, NULL, 10);
}

/* One element behind its header; a token is asked for when its pages are not all there. */
static void read_element(struct bench *b, const struct windowed_value *element, bool is_grouped, bool may_ask) {
    struct cursor at = element->value, key, token;
    uint64_t batch, count = 1;
    uint32_t fixed;

    if (!cursor_prefixed(&at, &key))
        ck_abort_msg("an element without a key");
    if (is_grouped) {
        if (!cursor_be32(&at, &fixed))
            ck_abort_msg("a group without a count");
        count = fixed;
        if (fixed == UINT32_MAX) {
            size_t number;

            if (!cursor_varint(&at, &batch) || batch != UINT64_MAX || !cursor_prefixed(&at, &token))
                ck_abort_msg("no token");
            number = number_of(token);
            if (may_ask) {
                while (b->pages.count <= number)
                    vec_push(&b->pages, (struct buf){0});
                b->waiting++;
                ask(b, number, SLICE_EMPTY);
                return;
            }
            at = cursor_of(buf_data(&b->pages.items[number]), b->pages.items[number].size);
            count = 0;
            for (struct cursor rest = at, value; cursor_left(&rest) && cursor_prefixed(&rest, &value);)
                count++;
            b->tokens++;
        }
    }
    if (!may_ask)
        add_line(b, element->timestamp, key, at, count);
}

static void read_input(struct bench *b, bool may_ask) {
    const struct coder *coder = b->collections[b->stages[3].source.collection].coder;
    struct cursor at = cursor_of(buf_data(&b->input), b->input.size);
    struct windowed_value element;

    while (cursor_left(&at)) {
        const struct coder *value = coder->components[0]->components[1];
        bool is_grouped = value->kind == CODER_ITERABLE;
        struct cursor skip = at;

        if (is_grouped && b->stages[3].takes_state_backed_iterables) {
            /* With a token in it, the plain iterable's coder does not find its end. */
            static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
            struct cursor token;

            /* Header and key are those of an element that is its key alone. */
            if (windowed_value_read(b->collections[0].coder, &skip, &element) != CODER_OK)
                ck_abort_msg("an element without a key");
            if (cursor_left(&skip) > sizeof(head) && memcmp(skip.at, head, sizeof(head)) == 0) {
                skip.at += sizeof(head);
                if (!cursor_prefixed(&skip, &token))
                    ck_abort_msg("no token");
                element.value.end = skip.at;
                at = skip;
                read_element(b, &element, true, may_ask);
                continue;
            }
        }
        if (windowed_value_read(coder, &at, &element) != CODER_OK)
            ck_abort_msg("the input is not what its coder says");
        read_element(b, &element, is_grouped, may_ask);
    }
}

/* All of the bundle's input is here, and all pages of its tokens. */
static void end_bundle(struct bench *b) {
    read_input(b, false);
    buf_clear(&b->input);
    vec_foreach (page, &b->pages)
        buf_clear(page);
    b->pages.count = 0;
    finish_bundle(b, b->bundle);
}

static void take_input(struct bench *b, const struct engine_action *action) {
    if (action->stage == 1) {
        if (action->is_last)
            make_output(b, action->bundle);
        return;
    }
    b->bundle = action->bundle;
    buf_add(&b->input, action->bytes.data, action->bytes.size);
    if (action->bytes.size)
        post(b, (struct engine_event){
                    .type = ENGINE_EVENT_SENT, .bundle = action->bundle, .byte_count = action->bytes.size});
    if (!action->is_last)
        return;
    b->used_after_input = MAX(b->used_after_input, account_used(b->account));
    read_input(b, true);
    if (b->waiting == 0)
        end_bundle(b);
}

static void take_page(struct bench *b, struct engine_action *action) {
    if (action->response.error)
        ck_abort_msg("%s", action->response.error);
    for (size_t i = 0; i < action->response.data_count; i++)
        buf_add(&b->pages.items[action->token], action->response.data[i].data, action->response.data[i].size);
    if (!b->pages.items[action->token].account) {
        /* SDKs may begin anew after some pages. */
        buf_clear(&b->pages.items[action->token]);
        b->pages.items[action->token].account = b->account;
        ask(b, action->token, SLICE_EMPTY);
    } else if (action->response.continuation.size) {
        ask(b, action->token, action->response.continuation);
        action->response.continuation = SLICE_EMPTY;
    } else if (--b->waiting == 0) {
        end_bundle(b);
    }
}

static void perform(struct bench *b, struct engine_action *action) {
    if (b->end)
        ck_abort_msg("action %d after the end", (int)action->type);
    switch (action->type) {
    case ENGINE_ACTION_STORE:
        store(b, action);
        break;
    case ENGINE_ACTION_LOAD:
        load(b, action);
        break;
    case ENGINE_ACTION_DROP:
        drop(b, action);
        break;
    case ENGINE_ACTION_SEND:
        take_input(b, action);
        break;
    case ENGINE_ACTION_REPLY_STATE:
        take_page(b, action);
        break;
    case ENGINE_ACTION_JOB_DONE:
        b->end = xstrdup("done");
        break;
    case ENGINE_ACTION_JOB_FAILED:
        b->end = xstrdup(action->error);
        break;
    default:
        break;
    }
}

static void run(struct bench *b) {
    struct engine_action action;

    post(b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = 7, .slots = 1});
    while (b->next_event < b->events.count) {
        struct engine_event event = b->events.items[b->next_event++];

        event.excess_bytes = b->is_constant || b->next_event % 2 ? b->excess : 0;
        engine_step(b->engine, &event);
        while (engine_next_action(b->engine, &action)) {
            perform(b, &action);
            engine_action_clear(&action);
        }
    }
    ck_assert_msg(b->end != NULL, "the job has not ended");
}

/* All elements that stage 3 was given. */
static char *output(struct bench *b) {
    struct buf text = {0};
    char *string;

    if (b->lines.count)
        qsort(b->lines.items, b->lines.count, sizeof(*b->lines.items), compare);
    vec_foreach (line, &b->lines) {
        buf_add(&text, *line, strlen(*line));
        buf_add_u8(&text, '\n');
    }
    string = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return string;
}

static void bench_close(struct bench *b) {
    engine_destroy(b->engine);
    ck_assert_uint_eq(account_used(b->account), 0);
    account_unref(b->account);
    map_clear(&b->extents, free_slice);
    vec_free(&b->events);
    buf_clear(&b->input);
    vec_foreach (page, &b->pages)
        buf_clear(page);
    vec_free(&b->pages);
    vec_foreach (line, &b->lines)
        free(*line);
    vec_free(&b->lines);
    free(b->end);
    arena_clear(&b->f.arena);
}

/* ---- the tests ---- */

START_TEST(a_job_with_short_memory_gives_the_same_output)
{
    static const size_t excesses[] = {300, 3000, SIZE_MAX / 4};

    for (int shape = 0; shape < SHAPES; shape++) {
        CLEANUP(freep) char *want = NULL;
        struct bench enough;

        bench_open(&enough, (enum shape)shape, 0);
        run(&enough);
        ck_assert_str_eq(enough.end, "done");
        ck_assert_uint_eq(enough.stores + enough.loads, 0);
        want = output(&enough);
        ck_assert_uint_gt(strlen(want), 4000);
        bench_close(&enough);
        for (size_t i = 0; i < ARRAY_COUNT(excesses); i++) {
            CLEANUP(freep) char *have = NULL;
            struct bench b;

            bench_open(&b, (enum shape)shape, excesses[i]);
            run(&b);
            have = output(&b);
            ck_assert_str_eq(b.end, "done");
            ck_assert_str_eq(have, want);
            ck_assert_uint_gt(b.stores, 0);
            ck_assert_uint_gt(b.loads, 0);
            ck_assert_uint_eq(b.drops, b.stores);
            ck_assert_uint_eq(b.tokens > 0, shape == GROUPED_WITH_TOKENS);
            bench_close(&b);
        }
    }
}
END_TEST

/* In memory or stored, as elements of their own or handed over as they are. */
START_TEST(a_group_that_is_too_large_for_its_consumer_ends_the_job)
{
    static const enum shape shapes[] = {GROUPED, GROUPED_FOR_KEYED};

    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        for (size_t excess = 0; excess <= SIZE_MAX / 4; excess += SIZE_MAX / 4) {
            struct bench b;

            bench_open_limited(&b, shapes[i], excess, 2000, 100);
            run(&b);
            ck_assert_msg(strstr(b.end, "Group: the values of one key") == b.end, "%s", b.end);
            ck_assert_ptr_nonnull(strstr(b.end, "limits.max_element allows (100 bytes)"));
            ck_assert_ptr_nonnull(strstr(b.end, "Read cannot take them in parts"));
            bench_close(&b);
        }
}
END_TEST

START_TEST(a_group_of_any_size_is_good_for_a_consumer_that_takes_tokens)
{
    struct bench b;

    bench_open_limited(&b, GROUPED_WITH_TOKENS, SIZE_MAX / 4, 2000, 100);
    run(&b);
    ck_assert_str_eq(b.end, "done");
    bench_close(&b);
}
END_TEST

START_TEST(a_disk_that_fails_ends_the_job_with_its_text)
{
    for (int fail_at = 0; fail_at < 60; fail_at += 7) {
        struct bench b;

        bench_open(&b, GROUPED_WITH_TOKENS, SIZE_MAX / 4);
        b.fail_at = fail_at;
        run(&b);
        ck_assert_str_eq(b.end, "disk.per_job is 1 MiB");
        ck_assert_int_gt(b.answers, fail_at);
        bench_close(&b);
    }
}
END_TEST

START_TEST(a_failed_read_ends_the_job_as_well)
{
    unsigned failures = 0;

    /* Among the last answers there are reads. */
    for (int from_end = 1; from_end <= 10; from_end++) {
        struct bench whole, b;

        bench_open(&whole, GROUPED_FOR_KEYED, SIZE_MAX / 4);
        run(&whole);
        bench_open(&b, GROUPED_FOR_KEYED, SIZE_MAX / 4);
        b.fail_at = whole.answers - from_end;
        run(&b);
        failures += strcmp(b.end, "disk.per_job is 1 MiB") == 0;
        bench_close(&whole);
        bench_close(&b);
    }
    ck_assert_uint_ge(failures, 8); /* an answer that nobody waits for any more comes after the end */
}
END_TEST

START_TEST(what_was_sent_is_let_go)
{
    static const enum shape shapes[] = {GROUPED, DIRECT};

    /* All of it is the input of one bundle. */
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        struct bench b;

        bench_open_with(&b, shapes[i], SIZE_MAX / 4, 1 << 20);
        run(&b);
        ck_assert_str_eq(b.end, "done");
        ck_assert_uint_gt(b.stored_bytes, 10000);
        ck_assert_uint_lt(b.used_after_input, 5000);
        bench_close(&b);
    }
}
END_TEST

/* Before the first output there is nothing to store, and the excess never grows: still it is stored later. */
START_TEST(a_search_in_vain_is_not_the_last_one)
{
    struct bench b;

    bench_open(&b, GROUPED, 2000);
    b.is_constant = true;
    run(&b);
    ck_assert_str_eq(b.end, "done");
    ck_assert_uint_gt(b.stored_bytes, 2000);
    bench_close(&b);
}
END_TEST

START_TEST(no_more_is_stored_than_is_asked_for)
{
    struct bench b;
    size_t all;

    bench_open(&b, GROUPED, 0);
    run(&b);
    bench_close(&b);
    bench_open(&b, GROUPED, SIZE_MAX / 4);
    run(&b);
    all = b.stored_bytes;
    bench_close(&b);
    /* Asked once, while the first bundle's output waits for its commit. */
    bench_open(&b, GROUPED, 0);
    post(&b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = 8, .slots = 1});
    for (unsigned i = 0; i < 2; i++) {
        struct engine_action action;
        struct engine_event event;

        for (unsigned j = 0; j < (i ? 1 : 40); j++) {
            event = b.events.items[b.next_event++];
            event.excess_bytes = i ? 2000 : 0;
            engine_step(b.engine, &event);
            while (engine_next_action(b.engine, &action)) {
                perform(&b, &action);
                engine_action_clear(&action);
            }
        }
    }
    ck_assert_uint_ge(b.stored_bytes, 2000);
    ck_assert_uint_lt(b.stored_bytes, all / 2);
    run(&b);
    ck_assert_str_eq(b.end, "done");
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("spill");
    TCase *tc = tcase_create("spill");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_job_with_short_memory_gives_the_same_output);
    tcase_add_test(tc, a_group_that_is_too_large_for_its_consumer_ends_the_job);
    tcase_add_test(tc, a_group_of_any_size_is_good_for_a_consumer_that_takes_tokens);
    tcase_add_test(tc, a_disk_that_fails_ends_the_job_with_its_text);
    tcase_add_test(tc, a_failed_read_ends_the_job_as_well);
    tcase_add_test(tc, what_was_sent_is_let_go);
    tcase_add_test(tc, a_search_in_vain_is_not_the_last_one);
    tcase_add_test(tc, no_more_is_stored_than_is_asked_for);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
