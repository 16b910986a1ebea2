/* The workers of a running job: started when the job starts, replaced when they are lost, taken down when it ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "jobserver/job_run.h"
#include "jobserver/run_sizing.h"
#include "jobserver/worker_identity.h"
#include "model/urn.h"

enum {
    /* Control often ends before the process does; its exit code and last words make the better message. */
    LAST_WORDS_MS = 1000,
    LAST_POOL_WORDS_MS = 100,
    /* From a harness's last word to the moment when it is taken to have no more to say: log lines come on a stream of their own, a little
     * behind the response that tells the bundle's end. */
    QUIET_MS = 100,
    MAX_FAILURES = 2, /* in a row, beyond one for each further worker of the environment */
};

static int64_t after_ms(int64_t ms) {
    return monotonic_now_ns() + ms * 1000000;
}

/* "<job>-<environment>-<number>-<secret>": what stands before the secret is the worker's name (sdk_worker.h). */
static char *make_worker_id(const struct run_worker *worker) {
    uint64_t secret[2];

    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        abort();
    return xasprintf("%s-%u-%u-%016llx%016llx", job_id(worker->run->job), worker->environment, worker->number,
                     (unsigned long long)secret[0], (unsigned long long)secret[1]);
}

static const char *advertised_endpoint(const struct job_run *run, const char *urn) {
    const char *endpoint = config_advertise(run->config, urn);

    return endpoint ? endpoint : run->options->endpoint;
}

static bool is_process(const struct run_worker *worker) {
    return strcmp(worker->run->environments[worker->environment].choice.urn, urn_string(URN_ENV_EXTERNAL)) != 0;
}

static void create_harness(struct run_worker *worker, const struct plan_environment *environment,
                           const char *endpoint) {
    struct job_run *run = worker->run;
    struct slice info = job_provision_info(run->job, worker->environment);
    struct fn_worker_options options = {
        .worker_id = worker->id,
        .endpoint = endpoint,
        .provision_info = info,
        .account = run->account,
        .capabilities = environment->capabilities,
        .capability_count = environment->capability_count,
    };

    worker->harness = worker->sdk->harness =
        fn_worker_create(run->options->fn_service, &options, &run_harness_handler, worker->sdk);
    slice_unref(&info);
    if (run->is_data_paused)
        fn_worker_pause_data(worker->harness, true);
}

/* Takes the identity over. */
static void start_new(struct run_worker *worker, const struct plan_environment *environment, const char *endpoint,
                      struct slice identity) {
    struct job_run *run = worker->run;
    const struct run_environment *run_environment = &run->environments[worker->environment];
    struct worker_spec spec = {
        .environment_urn = run_environment->choice.urn,
        .environment_payload = run_environment->choice.payload,
        .endpoints = {endpoint, endpoint, endpoint, endpoint},
        .settings = {.memory_bytes = run_environment->choice.settings.memory_bytes,
                     .milli_cpus = run_environment->choice.settings.milli_cpus,
                     .working_directory = run_environment->choice.settings.working_directory,
                     .variables = (const char *const *)run_environment->choice.settings.variables},
        .is_again = run_environment->had_bundle,
    };
    struct process_spec command;
    struct arena arena = {0};

    worker->sdk = sdk_worker_create(make_worker_id(worker), identity, worker);
    spec.worker_id = worker->id = worker->sdk->id;
    spec.worker_name = worker->sdk->name;
    create_harness(worker, environment, endpoint);
    if (run_environment->native) {
        worker->sdk->native = native_environment_ref(run_environment->native);
        command = native_environment_command(run_environment->native, worker->id, &spec.endpoints, &arena);
        spec.command = &command;
    }
    worker->process = worker->sdk->process =
        worker_start(run->options->workers, &spec, &run_process_handler, worker->sdk);
    arena_clear(&arena);
}

static bool take_warm(struct run_worker *worker, struct slice identity) {
    struct job_run *run = worker->run;

    worker->sdk = worker_shelf_take(run->shelf, identity, worker, run->account);
    if (!worker->sdk)
        return false;
    worker->id = worker->sdk->id;
    worker->harness = worker->sdk->harness;
    worker->process = worker->sdk->process;
    worker->is_warm = true;
    if (run->is_data_paused)
        fn_worker_pause_data(worker->harness, true);
    return true;
}

static void free_worker(struct run_worker *worker) {
    statistics_move_worker(worker->run->statistics, &worker->gauge, WORKERS_UNCOUNTED);
    list_remove(&worker->node);
    free(worker->disconnect_reason);
    free(worker->descriptors);
    free(worker);
}

static struct run_worker *create_worker(struct job_run *run, unsigned environment_index) {
    struct run_worker *worker = xcalloc(1, sizeof(*worker));

    worker->run = run;
    worker->number = run->next_worker++;
    worker->environment = environment_index;
    worker->deadline_ns = after_ms((int64_t)run->config->worker_connect_timeout_ms);
    worker->descriptors = xcalloc(run->plan->stage_count, sizeof(*worker->descriptors));
    for (size_t i = 0; i < run->plan->stage_count; i++)
        worker->descriptors[i] = UINT_MAX;
    list_append(&run->workers, &worker->node);
    statistics_move_worker(run->statistics, &worker->gauge, WORKERS_STARTING);
    return worker;
}

/* Empty: it is not kept. What the pipeline's own pool started is the pool's, and a LOOPBACK client ends with its job. */
static struct slice identity_of(const struct job_run *run, unsigned environment, const char *endpoint) {
    const struct environment_choice *choice = &run->environments[environment].choice;

    if (strcmp(choice->urn, urn_string(URN_ENV_EXTERNAL)) == 0 && !choice->is_configured_pool)
        return SLICE_EMPTY;
    return worker_identity(&run->plan->environments[environment], choice, job_specification(run->job)->pipeline_options,
                           endpoint);
}

static void start_worker(struct job_run *run, unsigned environment) {
    const char *endpoint = advertised_endpoint(run, run->environments[environment].choice.urn);
    struct run_worker *worker = create_worker(run, environment);
    struct slice identity = identity_of(run, environment, endpoint);

    if (take_warm(worker, identity))
        slice_unref(&identity);
    else
        start_new(worker, &run->plan->environments[environment], endpoint, identity);
}

bool run_workers_start_warm(struct job_run *run, unsigned index) {
    struct run_environment *environment = &run->environments[index];
    const char *endpoint = advertised_endpoint(run, environment->choice.urn);
    struct run_worker *worker = create_worker(run, index);
    CLEANUP_SLICE struct slice identity = identity_of(run, index, endpoint);

    if (!take_warm(worker, identity)) {
        free_worker(worker);
        return false;
    }
    environment->native = native_environment_ref(worker->sdk->native);
    for (unsigned i = 1; i < environment->wanted; i++)
        start_worker(run, index);
    return true;
}

void run_workers_plan(struct job_run *run) {
    const struct config *config = run->config;
    struct run_sizing sizing = run_sizing_of_machine();
    struct pipeline_options *options = NULL;

    sizing.plan = run->plan;
    if (pipeline_options_create(job_specification(run->job)->pipeline_options, &options, NULL) == 0)
        run_sizing_read_options(&sizing, options);
    run->environments = xcalloc(run->plan->environment_count, sizeof(*run->environments));
    for (size_t i = 0; i < run->plan->stage_count; i++) {
        const struct plan_stage *stage = &run->plan->stages[i];
        struct plan_environment environment;
        struct run_environment *ret;
        struct run_size size;

        if (stage->kind != PLAN_EXECUTABLE)
            continue;
        ret = &run->environments[stage->environment];
        if (ret->is_used)
            continue;
        environment = run->plan->environments[stage->environment];
        run_environment_choose(run, stage->environment);
        environment.urn = ret->choice.urn;
        sizing.configured_workers =
            ret->choice.settings.workers ? ret->choice.settings.workers : config->workers_per_environment;
        sizing.configured_slots = ret->choice.settings.slots ? ret->choice.settings.slots : config->workers_slots;
        size = run_sizing_plan(&sizing, &environment);
        ret->is_used = true;
        ret->wanted = size.workers;
        ret->slots = size.slots;
        if (size.lacks_memory)
            job_add_message(run->job, JOB_MESSAGE_WARNING,
                            "a worker of environment %s is said to need %llu bytes of memory (min_ram), more than this "
                            "machine has; it is started all the same",
                            environment.id, (unsigned long long)size.need_bytes);
    }
    pipeline_options_destroy(options);
}

static bool needs_process(const struct run_environment *environment) {
    return environment->is_used && strcmp(environment->choice.urn, urn_string(URN_ENV_EXTERNAL)) != 0;
}

struct run_demand run_workers_demand(const struct job_run *run) {
    struct run_demand demand = {0};

    for (size_t i = 0; i < run->plan->environment_count; i++)
        if (needs_process(&run->environments[i])) {
            demand.least++;
            demand.most += run->environments[i].wanted;
        }
    return demand;
}

/* Each its part of what was granted, in proportion to what it wants; one at least. */
void run_workers_grant(struct job_run *run) {
    struct run_demand demand = run_workers_demand(run);

    if (run->process_grant >= demand.most)
        return;
    for (size_t i = 0; i < run->plan->environment_count; i++) {
        struct run_environment *environment = &run->environments[i];
        unsigned spare = run->process_grant - demand.least;

        if (needs_process(environment))
            environment->wanted =
                1 + (unsigned)((uint64_t)spare * (environment->wanted - 1) / MAX(demand.most - demand.least, 1u));
    }
    job_add_message(run->job, JOB_MESSAGE_DETAILED,
                    "has %u worker processes of the %u that it wants: others run too "
                    "(workers.max_processes)",
                    run_workers_demand(run).most, demand.most);
}

void run_workers_start(struct job_run *run, unsigned environment) {
    for (unsigned i = 0; i < run->environments[environment].wanted; i++)
        start_worker(run, environment);
}

struct run_worker *run_worker_by_number(struct job_run *run, unsigned number) {
    list_foreach (node, &run->workers) {
        struct run_worker *worker = CONTAINER_OF(node, struct run_worker, node);

        if (worker->number == number)
            return worker;
    }
    return NULL;
}

unsigned run_worker_descriptor(struct run_worker *worker, const struct plan_stage *stage) {
    const struct plan *plan = worker->run->plan;
    struct fn_port source, *sinks;
    unsigned number = worker->descriptors[stage->index];

    if (number != UINT_MAX)
        return number;
#define PORT(port)                                                                                                     \
    (struct fn_port){.transform_id = (port).transform_id,                                                              \
                     .local_name = (port).local_name,                                                                  \
                     .collection_id = plan->collections[(port).collection].id,                                         \
                     .coder_id = (port).coder_id}
    source = PORT(stage->source);
    sinks = xcalloc(stage->sink_count, sizeof(*sinks));
    for (size_t i = 0; i < stage->sink_count; i++)
        sinks[i] = PORT(stage->sinks[i]);
#undef PORT
    number = fn_worker_add_descriptor(worker->harness, slice_ref(stage->descriptor), &source, sinks, stage->sink_count);
    free(sinks);
    worker->descriptors[stage->index] = number;
    return number;
}

/* ---- the end of a worker ---- */

/* How long a harness may take to end: its teardown methods run then, and its last log lines come. A process ends its Logging stream with
 * itself; a harness in a pool may never end its own (Go's does not). */
static int64_t last_words_ms(const struct run_worker *worker) {
    return is_process(worker) ? LAST_WORDS_MS : LAST_POOL_WORDS_MS;
}

static void close_worker(struct run_worker *worker) {
    if (worker->is_closing)
        return;
    worker->is_closing = true;
    worker->is_leaving = false;
    statistics_move_worker(worker->run->statistics, &worker->gauge, WORKERS_ENDING);
    worker->deadline_ns = after_ms(worker->harness ? last_words_ms(worker) : 0);
    if (worker->harness)
        fn_worker_close(worker->harness);
}

/* When the harness has ended its streams by itself, or had the time to: SIGTERM would cost its last log lines. */
static void stop_process(struct run_worker *worker) {
    worker->deadline_ns = INT64_MAX;
    if (worker->harness)
        fn_worker_end_streams(worker->harness);
    if (worker->process && !worker->is_stopping)
        worker_stop(worker->process, (unsigned)worker->run->config->workers_stop_grace_ms);
    worker->is_stopping = true;
}

static void free_if_gone(struct run_worker *worker) {
    if (worker->harness || worker->process)
        return;
    sdk_worker_free(worker->sdk);
    free_worker(worker);
}

void run_worker_harness_gone(struct run_worker *worker) {
    fn_worker_destroy(worker->harness);
    worker->harness = worker->sdk->harness = NULL;
    if (worker->is_closing)
        stop_process(worker);
    free_if_gone(worker);
}

void run_worker_process_gone(struct run_worker *worker) {
    worker->process = worker->sdk->process = NULL;
    if (!worker->is_closing)
        close_worker(worker);
    free_if_gone(worker);
}

static unsigned max_failures(const struct run_environment *environment) {
    return MAX_FAILURES + environment->wanted - 1;
}

static bool has_other_worker(const struct run_worker *than) {
    list_foreach (node, &than->run->workers) {
        const struct run_worker *worker = CONTAINER_OF(node, struct run_worker, node);

        if (worker != than && worker->environment == than->environment && !worker->is_closing)
            return true;
    }
    return false;
}

/* A worker that came to nothing: it did not connect, or ended before it was given a bundle. */
static void note_failure(struct run_worker *worker, char *why) {
    struct run_environment *environment = &worker->run->environments[worker->environment];

    environment->failures++;
    free(environment->last_failure);
    environment->last_failure = why;
    if (environment->failures < max_failures(environment))
        job_add_message(worker->run->job, JOB_MESSAGE_WARNING, "a worker could not be used and is replaced: %s", why);
}

/* Where that makes sense, another is put in its place. */
void run_worker_give_up(struct run_worker *worker, char *why) {
    struct job_run *run = worker->run;
    struct run_environment *environment = &run->environments[worker->environment];
    bool has_others = has_other_worker(worker), was_connected = worker->is_connected;
    unsigned number = worker->number, index = worker->environment;

    statistics_add(&run->statistics->workers_lost, !run->is_over && was_connected);
    if (!run->is_over && !worker->had_bundle)
        note_failure(worker, xstrdup(why));
    else
        environment->failures = 0;
    close_worker(worker);
    if (run->is_over || !was_connected)
        free(why);
    else
        run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_WORKER_LOST, .worker = number, .error = why});
    if (run->is_over)
        return;
    if (environment->failures < max_failures(environment))
        start_worker(run, index);
    else if (!has_others)
        run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_ENVIRONMENT_FAILED,
                                                     .environment = index,
                                                     .error = xstrdup(environment->last_failure)});
}

void run_worker_has_bundle(struct run_worker *worker) {
    struct job_run *run = worker->run;
    struct run_environment *environment = &run->environments[worker->environment];

    worker->had_bundle = true;
    if (environment->had_bundle)
        return;
    environment->had_bundle = true;
    job_add_message(run->job, JOB_MESSAGE_DETAILED,
                    "environment %s: its first bundle began %.3f s after Run, on a %s worker",
                    run->plan->environments[worker->environment].id, (double)(monotonic_now_ns() - run->start_ns) / 1e9,
                    worker->is_warm ? "warm" : "new");
}

void run_worker_connected(struct run_worker *worker) {
    struct job_run *run = worker->run;
    struct run_environment *environment = &run->environments[worker->environment];

    if (worker->is_closing)
        return;
    worker->is_connected = true;
    worker->connected_ms = run_now_ms(run);
    statistics_move_worker(run->statistics, &worker->gauge, WORKERS_CONNECTED);
    statistics_add(&run->statistics->workers_connected, 1);
    if (run->is_over)
        return;
    worker->deadline_ns = INT64_MAX;
    run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_WORKER_UP,
                                                 .worker = worker->number,
                                                 .environment = worker->environment,
                                                 .slots = environment->slots});
}

void run_worker_disconnected(struct run_worker *worker, char *why) {
    if (worker->is_closing) {
        free(why);
        return;
    }
    if (!is_process(worker) || !worker->process) {
        run_worker_give_up(worker, xasprintf("the worker was lost: %s", why));
        free(why);
        return;
    }
    free(worker->disconnect_reason);
    worker->disconnect_reason = why;
    worker->deadline_ns = after_ms(LAST_WORDS_MS);
}

void run_worker_failed(struct run_worker *worker, char *why) {
    if (worker->is_closing) {
        /* What it wrote may say why it never came. */
        if (!worker->connected_ms && !worker->run->is_over)
            job_add_message(worker->run->job, JOB_MESSAGE_WARNING, "of the worker that did not connect: the %s", why);
        free(why);
        return;
    }
    if (worker->disconnect_reason) { /* e.g. nonsense on a stream: the exit that follows is only its consequence */
        char *both = xasprintf("%s; then the %s", worker->disconnect_reason, why);

        free(why);
        why = both;
    }
    run_worker_give_up(worker, why);
}

static char *not_connected(const struct run_worker *worker) {
    const struct environment_choice *choice = &worker->run->environments[worker->environment].choice;
    CLEANUP(freep) char *what = worker_describe_environment(choice->urn, choice->payload);

    return xasprintf("the SDK harness of %s did not connect within %lld s (worker_connect_timeout)", what,
                     (long long)worker->run->config->worker_connect_timeout_ms / 1000);
}

/* ---- to the shelf ---- */

/* When its last log lines are in. Those of one that has not opened its Logging stream yet may come for as long as it may take to leave. */
static int64_t quiet_ns(const struct run_worker *worker, int64_t now_ns) {
    bool has_log = !worker->harness || fn_worker_has_log(worker->harness);
    int64_t last_word_ns;

    if (!worker->had_bundle || (!has_log && worker->leave_by_ns <= now_ns))
        return 0;
    sdk_worker_lock(worker->sdk);
    if (!has_log)
        worker->sdk->last_word_ns = now_ns;
    last_word_ns = worker->sdk->last_word_ns;
    sdk_worker_unlock(worker->sdk);
    return last_word_ns + QUIET_MS * INT64_C(1000000);
}

/* When the job is done and the harness silent. One that never is, because its user's code logs from a thread of its own, does not hold up the
 * job's end, and is none for others. */
static void hand_on(struct run_worker *worker) {
    int64_t now_ns = monotonic_now_ns(), quiet_at_ns = quiet_ns(worker, now_ns);

    if (quiet_at_ns > now_ns && worker->leave_by_ns > now_ns) {
        worker->deadline_ns = MIN(quiet_at_ns, worker->leave_by_ns);
        return;
    }
    if (quiet_at_ns > now_ns) {
        close_worker(worker);
        return;
    }
    if (!worker_shelf_keep(worker->run->shelf, worker->sdk)) {
        close_worker(worker);
        return;
    }
    worker->sdk = NULL;
    worker->harness = NULL;
    worker->process = NULL;
    worker->id = NULL;
    worker->deadline_ns = INT64_MAX;
    /* Behind all that its callbacks posted here. */
    job_run_post(worker->run, run_event_create(RUN_EVENT_HANDED_ON, worker));
}

void run_worker_handed_on(struct run_worker *worker) {
    free_worker(worker);
}

int64_t run_workers_check_deadlines(struct job_run *run, int64_t now_ns) {
    int64_t next = INT64_MAX;
    bool again = true;

    while (again) {
        again = false;
        next = INT64_MAX;
        list_foreach (node, &run->workers) {
            struct run_worker *worker = CONTAINER_OF(node, struct run_worker, node);

            if (worker->deadline_ns > now_ns) {
                next = MIN(next, worker->deadline_ns);
                continue;
            }
            if (worker->is_closing)
                stop_process(worker);
            else if (worker->is_leaving)
                hand_on(worker);
            else if (worker->disconnect_reason)
                run_worker_give_up(worker, xasprintf("the worker was lost: %s", worker->disconnect_reason));
            else
                run_worker_give_up(worker, not_connected(worker));
            again = true; /* the list has changed */
            break;
        }
    }
    return next;
}

bool run_workers_are_silent(const struct job_run *run) {
    list_foreach (node, &run->workers) {
        const struct run_worker *worker = CONTAINER_OF(node, struct run_worker, node);

        if (worker->harness && worker->is_connected && !worker->is_stopping)
            return false;
    }
    return true;
}

void run_workers_stop(struct job_run *run) {
    run_environments_clear(run);
    list_foreach (node, &run->workers) {
        struct run_worker *worker = CONTAINER_OF(node, struct run_worker, node);

        if (run_succeeded(run) && worker->sdk->identity.size && !worker->disconnect_reason && !worker->is_closing) {
            worker->is_leaving = true;
            worker->leave_by_ns = after_ms(LAST_WORDS_MS);
            worker->deadline_ns = quiet_ns(worker, monotonic_now_ns());
        } else {
            close_worker(worker);
        }
    }
}
