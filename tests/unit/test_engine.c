/* The engine by hand: a plan of two stages, events one by one, and the actions they bring. The simulator (tests/sim) does this at random. */
#include "engine/engine.h"

#include "tests/unit/fixtures.h"

/* impulse --> [stage 1: makes KVs] --> [stage 2: keyed, one state, one event-time timer family] */
struct bench {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[3];
    struct plan_collection collections[2];
    struct windowing windowing;
    struct plan_environment environment;
    struct plan_port sink;
    struct plan_user_state state;
    struct plan_timer_family family;
    unsigned indices[2];
    unsigned consumers[2];
    struct engine *engine;
};

static void bench_open(struct bench *b) {
    const struct coder *global = NULL;

    memset(b, 0, sizeof(*b));
    b->f = fixture_create();
    global = b->f.global->components[1];
    b->indices[1] = 1;
    b->consumers[0] = 1;
    b->consumers[1] = 2;
    b->collections[0] = (struct plan_collection){
        .name = "impulse",
        .coder = coder_create(&b->f.arena, CODER_WINDOWED_VALUE, b->f.bytes, global),
        .is_bounded = true,
        .producer = 0,
        .consumers = &b->consumers[0],
        .consumer_count = 1,
    };
    b->collections[1] = (struct plan_collection){.name = "pairs",
                                                 .coder = b->f.global,
                                                 .is_bounded = true,
                                                 .producer = 1,
                                                 .consumers = &b->consumers[1],
                                                 .consumer_count = 1};
    b->sink = (struct plan_port){.transform_id = "sink", .collection = 1};
    b->state = (struct plan_user_state){.transform_id = "keyed", .state_id = "bag", .kind = PLAN_STATE_BAG};
    b->family = (struct plan_timer_family){.transform_id = "keyed",
                                           .family_id = "timers",
                                           .coder = coder_create(&b->f.arena, CODER_TIMER, b->f.bytes, global)};
    b->stages[0] = (struct plan_stage){.index = 0,
                                       .kind = PLAN_IMPULSE,
                                       .name = "Impulse",
                                       .outputs = &b->indices[0],
                                       .output_count = 1,
                                       .environment = PLAN_NONE};
    b->stages[1] = (struct plan_stage){.index = 1,
                                       .kind = PLAN_EXECUTABLE,
                                       .name = "Make",
                                       .inputs = &b->indices[0],
                                       .input_count = 1,
                                       .outputs = &b->indices[1],
                                       .output_count = 1,
                                       .source = {.collection = 0},
                                       .sinks = &b->sink,
                                       .sink_count = 1};
    b->stages[2] = (struct plan_stage){.index = 2,
                                       .kind = PLAN_EXECUTABLE,
                                       .name = "Keyed",
                                       .inputs = &b->indices[1],
                                       .input_count = 1,
                                       .source = {.collection = 1},
                                       .user_states = &b->state,
                                       .user_state_count = 1,
                                       .timer_families = &b->family,
                                       .timer_family_count = 1,
                                       .is_keyed = true};
    b->plan = (struct plan){.stages = b->stages,
                            .stage_count = 3,
                            .collections = b->collections,
                            .collection_count = 2,
                            .windowings = &b->windowing,
                            .windowing_count = 1,
                            .environments = &b->environment,
                            .environment_count = 1};
    ck_assert_int_eq(engine_check_plan(&b->plan, NULL), 0);
    b->engine = engine_create(&b->plan, &(struct engine_options){.verify_commits = true});
}

static void bench_close(struct bench *b) {
    engine_destroy(b->engine);
    arena_clear(&b->f.arena);
}

static void step(struct bench *b, struct engine_event event) {
    engine_step(b->engine, &event);
}

static void worker_up(struct bench *b, unsigned worker) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = worker, .slots = 1});
}

/* All actions as text, sends as the number of their bytes: "start 2@1 send:35 send:0! wake done". */
static char *actions(struct bench *b) {
    static const char *const names[] = {
        [ENGINE_ACTION_START_BUNDLE] = "start", [ENGINE_ACTION_REPLY_STATE] = "reply",
        [ENGINE_ACTION_FINALIZE] = "finalize",  [ENGINE_ACTION_FORGET_BUNDLE] = "forget",
        [ENGINE_ACTION_WAKE] = "wake",          [ENGINE_ACTION_MESSAGE] = "message",
        [ENGINE_ACTION_JOB_DONE] = "done",      [ENGINE_ACTION_JOB_DRAINED] = "drained",
        [ENGINE_ACTION_JOB_FAILED] = "failed",  [ENGINE_ACTION_JOB_CANCELLED] = "cancelled",
    };
    struct engine_action action;
    char *text = xstrdup("");

    while (engine_next_action(b->engine, &action)) {
        CLEANUP(freep) char *before = text;

        if (action.type == ENGINE_ACTION_SEND)
            text = xasprintf("%s%s%s%s", before, action.timer_family == PLAN_NONE ? "data" : "timers",
                             action.bytes.size ? "+" : "", action.is_last ? "! " : " ");
        else if (action.type == ENGINE_ACTION_START_BUNDLE)
            text = xasprintf("%sstart:%u ", before, action.stage);
        else if (action.type == ENGINE_ACTION_JOB_FAILED)
            text = xasprintf("%sfailed(%s) ", before, action.error);
        else
            text = xasprintf("%s%s ", before, names[action.type]);
        engine_action_clear(&action);
    }
    return text;
}

static void expect(struct bench *b, const char *want) {
    CLEANUP(freep) char *text = actions(b);

    ck_assert_str_eq(text, want);
}

static void output(struct bench *b, uint64_t bundle, const char *key, bool is_last) {
    struct buf bytes = {0};

    if (key)
        add_kv(&bytes, 5, NULL, key, "value");
    step(b, (struct engine_event){
                .type = ENGINE_EVENT_ELEMENTS, .bundle = bundle, .bytes = buf_finish(&bytes), .is_last = is_last});
}

static void done(struct bench *b, uint64_t bundle) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE,
                                  .bundle = bundle,
                                  .response = xcalloc(1, sizeof(struct bundle_response))});
}

static void set_timer(struct bench *b, uint64_t bundle, const char *key, event_time fire) {
    struct pane pane = PANE_NO_FIRING;
    struct buf bytes = {0};

    buf_add_prefixed(&bytes, key, strlen(key));
    buf_add_prefixed(&bytes, "", 0);
    buf_add_be32(&bytes, 1);
    buf_add_u8(&bytes, 0);
    buf_add_be64(&bytes, time_to_wire(fire));
    buf_add_be64(&bytes, time_to_wire(fire));
    pane_encode(&bytes, &pane);
    step(b, (struct engine_event){.type = ENGINE_EVENT_TIMERS, .bundle = bundle, .bytes = buf_finish(&bytes)});
}

static void end_timers(struct bench *b, uint64_t bundle) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_TIMERS, .bundle = bundle, .is_last = true});
}

/* Runs stage 1, so that stage 2's first bundle (number 2) runs on one key. */
static void run_first_stage(struct bench *b) {
    bench_open(b);
    worker_up(b, 7);
    expect(b, "start:1 data+ data! ");
    output(b, 1, "k", true);
    done(b, 1);
    expect(b, "forget start:2 timers! data+ data! ");
}

START_TEST(a_bundle_commits_when_the_response_and_all_output_are_there_in_either_order)
{
    struct bench b;

    bench_open(&b);
    worker_up(&b, 7);
    expect(&b, "start:1 data+ data! ");
    done(&b, 1);
    expect(&b, "wake ");
    output(&b, 1, "k", false);
    expect(&b, "");
    output(&b, 1, NULL, true);
    expect(&b, "forget start:2 timers! data+ data! ");
    end_timers(&b, 2);
    expect(&b, "");
    done(&b, 2);
    expect(&b, "forget done ");
    bench_close(&b);
}
END_TEST

START_TEST(a_timer_fires_after_the_input_is_complete_and_once)
{
    struct bench b;

    run_first_stage(&b);
    set_timer(&b, 2, "k", 100);
    end_timers(&b, 2);
    done(&b, 2);
    expect(&b, "forget start:2 timers+! data! ");
    end_timers(&b, 3);
    done(&b, 3);
    expect(&b, "forget done ");
    bench_close(&b);
}
END_TEST

START_TEST(a_failed_bundle_leaves_no_timer_and_its_input_runs_again)
{
    struct bench b;

    run_first_stage(&b);
    set_timer(&b, 2, "k", 100);
    end_timers(&b, 2);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = 2, .error = xstrdup("no")});
    expect(&b, "message forget start:2 timers! data+ data! ");
    end_timers(&b, 3);
    done(&b, 3);
    /* Had the first attempt's timer been kept, it would fire now. */
    expect(&b, "forget done ");
    bench_close(&b);
}
END_TEST

START_TEST(a_lost_workers_bundle_runs_again_elsewhere_and_its_late_words_count_for_nothing)
{
    struct bench b;

    run_first_stage(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_WORKER_LOST, .worker = 7, .error = xstrdup("died")});
    expect(&b, "message forget ");
    worker_up(&b, 8);
    expect(&b, "start:2 timers! data+ data! ");
    set_timer(&b, 2, "k", 100);
    end_timers(&b, 2);
    done(&b, 2);
    expect(&b, "");
    end_timers(&b, 3);
    done(&b, 3);
    expect(&b, "forget done ");
    bench_close(&b);
}
END_TEST

START_TEST(the_second_failure_ends_the_job_with_the_sdks_own_text)
{
    struct bench b;

    run_first_stage(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = 2, .error = xstrdup("first")});
    free(actions(&b));
    step(&b, (struct engine_event){
                 .type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = 3, .error = xstrdup("ValueError: no good")});
    expect(&b, "failed(ValueError: no good\n(attempt 2 of 2)) ");
    worker_up(&b, 9);
    expect(&b, "");
    bench_close(&b);
}
END_TEST

START_TEST(a_response_without_its_output_fails_in_time)
{
    struct bench b;

    bench_open(&b);
    worker_up(&b, 7);
    done(&b, 1);
    free(actions(&b));
    step(&b, (struct engine_event){.type = ENGINE_EVENT_TIME, .now_ms = TIME_MAX});
    expect(&b, "message forget start:1 data+ data! ");
    bench_close(&b);
}
END_TEST

START_TEST(a_residual_of_a_stage_without_splittable_dofn_is_refused)
{
    struct bundle_response *response = xcalloc(1, sizeof(*response));
    struct bench b;

    run_first_stage(&b);
    response->residuals = arena_new(&response->arena, struct residual);
    response->residual_count = 1;
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE, .bundle = 2, .response = response});
    expect(&b, "message forget start:2 timers! data+ data! ");
    bench_close(&b);
}
END_TEST

START_TEST(a_state_request_of_a_bundle_that_is_over_is_answered_with_an_error)
{
    struct state_request *request = xcalloc(1, sizeof(*request));
    struct bench b;

    run_first_stage(&b);
    request->kind = STATE_BAG;
    request->request_id = "r";
    step(&b, (struct engine_event){.type = ENGINE_EVENT_STATE, .worker = 7, .bundle = 1, .request = request});
    expect(&b, "reply ");
    bench_close(&b);
}
END_TEST

static struct bundle_response *report(int64_t count) {
    static const char *const labels[][2] = {{"PTRANSFORM", "t"}, {"NAMESPACE", "n"}, {"NAME", "things"}};
    struct bundle_response *response = xcalloc(1, sizeof(*response));

    response->metrics = arena_new(&response->arena, struct metric);
    response->metrics[0].identity =
        metric_identity("beam:metric:user:sum_int64:v1", "beam:metrics:sum_int64:v1", labels, ARRAY_COUNT(labels));
    response->metrics[0].payload = metric_encode_int64(count);
    response->metric_count = 1;
    return response;
}

static int64_t counter(const struct metric_table *table) {
    int64_t sum = 0, value;

    map_foreach (entry, &table->by_identity)
        if (strstr(entry->key, "user") && metric_decode_int64(*(struct slice *)entry->value, &value))
            sum += value;
    return sum;
}

static void expect_counts(struct bench *b, int64_t attempted, int64_t committed) {
    struct metric_table tables[2];

    engine_copy_metrics(b->engine, &tables[0], &tables[1]);
    ck_assert_int_eq(counter(&tables[0]), attempted);
    ck_assert_int_eq(counter(&tables[1]), committed);
    metric_table_clear(&tables[0]);
    metric_table_clear(&tables[1]);
}

static void progress(struct bench *b, uint64_t bundle, int64_t count) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_PROGRESS, .bundle = bundle, .response = report(count)});
}

START_TEST(progress_is_attempted_and_only_a_response_is_committed)
{
    struct bench b;

    run_first_stage(&b);
    progress(&b, 2, 10);
    progress(&b, 2, 7);
    expect_counts(&b, 7, 0); /* a report replaces the one before */
    step(&b, (struct engine_event){
                 .type = ENGINE_EVENT_PROGRESS, .bundle = 2, .response = xcalloc(1, sizeof(struct bundle_response))});
    expect_counts(&b, 7, 0);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = 2, .error = xstrdup("no")});
    expect_counts(&b, 7, 0);
    progress(&b, 2, 100); /* of a bundle that is over */
    progress(&b, 3, 1);
    expect_counts(&b, 8, 0);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE, .bundle = 3, .response = report(5)});
    progress(&b, 3, 50); /* overtaken by the response */
    expect_counts(&b, 12, 0);
    end_timers(&b, 3);
    expect_counts(&b, 12, 5);
    bench_close(&b);
}
END_TEST

START_TEST(what_ran_when_the_job_failed_was_attempted_once)
{
    struct bench b;

    run_first_stage(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = 2, .error = xstrdup("first")});
    progress(&b, 3, 4);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = 3, .error = xstrdup("second")});
    expect_counts(&b, 4, 0);
    bench_close(&b);
}
END_TEST

START_TEST(a_drained_job_finishes_what_it_holds_and_says_so)
{
    struct bench b;

    run_first_stage(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_DRAIN});
    expect(&b, "");
    step(&b, (struct engine_event){.type = ENGINE_EVENT_DRAIN});
    end_timers(&b, 2);
    done(&b, 2);
    expect(&b, "forget drained ");
    bench_close(&b);
}
END_TEST

START_TEST(a_job_that_drains_can_be_cancelled)
{
    struct bench b;

    run_first_stage(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_DRAIN});
    step(&b, (struct engine_event){.type = ENGINE_EVENT_CANCEL});
    expect(&b, "cancelled ");
    done(&b, 2);
    expect(&b, "");
    bench_close(&b);
}
END_TEST

START_TEST(cancel_ends_the_job_at_once)
{
    struct bench b;

    run_first_stage(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_CANCEL});
    expect(&b, "cancelled ");
    done(&b, 2);
    expect(&b, "");
    bench_close(&b);
}
END_TEST

START_TEST(a_share_of_the_input_is_left_for_slots_that_are_still_to_come)
{
    static const unsigned slots[] = {2};

    for (unsigned planned = 0; planned < 2; planned++) {
        struct bench b;

        bench_open(&b);
        engine_destroy(b.engine);
        b.engine = engine_create(
            &b.plan, &(struct engine_options){.verify_commits = true, .environment_slots = planned ? slots : NULL});
        worker_up(&b, 7);
        expect(&b, "start:1 data+ data! ");
        for (char key[] = "a"; key[0] < 'i'; key[0]++)
            output(&b, 1, key, false);
        output(&b, 1, NULL, true);
        done(&b, 1);
        /* All eight keys, or half of them, and then half of the rest. */
        expect(&b, planned ? "forget start:2 timers! data+ data+ data+ data+ data! "
                           : "forget start:2 timers! data+ data+ data+ data+ data+ data+ data+ data+ data! ");
        end_timers(&b, 2);
        done(&b, 2);
        expect(&b, planned ? "forget start:2 timers! data+ data+ data! " : "forget done ");
        bench_close(&b);
    }
}
END_TEST

START_TEST(bundles_are_numbered_from_where_the_host_says)
{
    struct engine_action action;
    struct bench b;

    bench_open(&b);
    engine_destroy(b.engine);
    b.engine = engine_create(&b.plan, &(struct engine_options){.verify_commits = true, .first_bundle = 1000});
    worker_up(&b, 7);
    ck_assert(engine_next_action(b.engine, &action));
    ck_assert_int_eq(action.type, ENGINE_ACTION_START_BUNDLE);
    ck_assert_uint_eq(action.bundle, 1000);
    engine_action_clear(&action);
    expect(&b, "data+ data! ");
    done(&b, 1); /* of a job before this one */
    expect(&b, "");
    output(&b, 1000, "k", true);
    done(&b, 1000);
    expect(&b, "forget start:2 timers! data+ data! ");
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine");
    TCase *tc = tcase_create("engine");

    tcase_add_test(tc, a_bundle_commits_when_the_response_and_all_output_are_there_in_either_order);
    tcase_add_test(tc, a_timer_fires_after_the_input_is_complete_and_once);
    tcase_add_test(tc, a_failed_bundle_leaves_no_timer_and_its_input_runs_again);
    tcase_add_test(tc, a_lost_workers_bundle_runs_again_elsewhere_and_its_late_words_count_for_nothing);
    tcase_add_test(tc, the_second_failure_ends_the_job_with_the_sdks_own_text);
    tcase_add_test(tc, a_response_without_its_output_fails_in_time);
    tcase_add_test(tc, a_residual_of_a_stage_without_splittable_dofn_is_refused);
    tcase_add_test(tc, a_state_request_of_a_bundle_that_is_over_is_answered_with_an_error);
    tcase_add_test(tc, progress_is_attempted_and_only_a_response_is_committed);
    tcase_add_test(tc, what_ran_when_the_job_failed_was_attempted_once);
    tcase_add_test(tc, cancel_ends_the_job_at_once);
    tcase_add_test(tc, a_drained_job_finishes_what_it_holds_and_says_so);
    tcase_add_test(tc, a_job_that_drains_can_be_cancelled);
    tcase_add_test(tc, a_share_of_the_input_is_left_for_slots_that_are_still_to_come);
    tcase_add_test(tc, bundles_are_numbered_from_where_the_host_says);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
