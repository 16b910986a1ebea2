#include "worker/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "worker/kind.h"

enum {
    START_TIMEOUT_MS = 90 * 1000,
    /* A worker that has ended remains as an empty shell until so many others have ended, because a worker_stop() of its owner may be
     * on its way while `stopped` is. */
    SHELLS = 4096,
};

static const struct worker_kind *const kinds[] = {&worker_kind_external, &worker_kind_process, &worker_kind_container,
                                                  &worker_kind_native};

struct task {
    struct list link;
    struct worker *worker;
    worker_task_fn fn;
    void *argument;
};

/* A connection to a worker pool and how many workers use it. */
struct pool {
    struct rpc_channel *channel;
    unsigned users;
};

struct worker_manager {
    struct launcher *launcher;
    struct rpc_client *client;
    unsigned start_timeout_ms;
    struct worker_containers containers;
    struct worker_isolation isolation;
    pthread_t thread;
    struct map pools; /* endpoint -> struct pool; the thread's */

    pthread_mutex_t lock; /* guards what follows, and the workers' reference counts */
    pthread_cond_t posted;
    struct list tasks;
    struct list workers;
    struct list shells;
    unsigned shell_count;
    bool closing;
};

/* ---------------------------------------------------------------- kinds */

static const struct worker_kind *kind_of(const char *urn) {
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kinds[i]->urn, urn) == 0)
            return kinds[i];
    return NULL;
}

static int refuse_kind(const char *urn, struct status *st) {
    CLEANUP(freep) char *known = xstrdup("");

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char *longer;

        if (!kinds[i]->hint)
            continue;
        longer = xasprintf("%s%s%s (%s)", known, known[0] ? ", " : "", kinds[i]->urn, kinds[i]->hint);
        free(known);
        known = longer;
    }
    return status_set(st, STATUS_UNIMPLEMENTED,
                      "environments of the kind \"%s\" cannot be run here; this server runs: %s", urn, known);
}

int worker_check_environment(const char *urn, struct slice payload, struct status *st) {
    const struct worker_kind *kind = kind_of(urn);

    return kind ? kind->check(payload, st) : refuse_kind(urn, st);
}

char *worker_describe_environment(const char *urn, struct slice payload) {
    const struct worker_kind *kind = kind_of(urn);
    char *text = kind ? kind->describe(payload) : NULL;

    return text ? text : xasprintf("environment %s", urn);
}

/* ---------------------------------------------------------------- references and tasks */

static void drop_oldest_shell(struct worker_manager *manager) {
    struct worker *oldest = CONTAINER_OF(list_pop(&manager->shells), struct worker, link);

    if (oldest->references > 0) { /* a task is under way to it: its turn comes later */
        list_append(&manager->shells, &oldest->link);
        return;
    }
    free(oldest);
    manager->shell_count--;
}

/* With the lock held. */
static void worker_unref_locked(struct worker *worker) {
    struct worker_manager *manager = worker->manager;

    if (--worker->references > 0 || worker->is_shell)
        return;
    slice_unref(&worker->payload);
    arena_clear(&worker->arena);
    worker->is_shell = true;
    list_append(&manager->shells, &worker->link);
    if (++manager->shell_count > SHELLS)
        drop_oldest_shell(manager);
}

static void post_locked(struct worker *worker, worker_task_fn fn, void *argument) {
    struct task *task = xmalloc(sizeof(*task));

    *task = (struct task){.worker = worker, .fn = fn, .argument = argument};
    list_init(&task->link);
    worker->references++;
    list_append(&worker->manager->tasks, &task->link);
    pthread_cond_signal(&worker->manager->posted);
}

void worker_post(struct worker *worker, worker_task_fn fn, void *argument) {
    struct worker_manager *manager = worker->manager;

    pthread_mutex_lock(&manager->lock);
    post_locked(worker, fn, argument);
    pthread_mutex_unlock(&manager->lock);
}

static void *manager_main(void *user) {
    struct worker_manager *manager = user;

    pthread_mutex_lock(&manager->lock);
    for (;;) {
        struct list *node = list_pop(&manager->tasks);
        struct task *task;

        if (!node && manager->closing && list_empty(&manager->workers))
            break;
        if (!node) {
            pthread_cond_wait(&manager->posted, &manager->lock);
            continue;
        }
        pthread_mutex_unlock(&manager->lock);
        task = CONTAINER_OF(node, struct task, link);
        task->fn(task->worker, task->argument);
        pthread_mutex_lock(&manager->lock);
        worker_unref_locked(task->worker);
        free(task);
    }
    pthread_mutex_unlock(&manager->lock);
    return NULL;
}

/* ---------------------------------------------------------------- what the user hears */

void worker_failed(struct worker *worker, const struct status *why) {
    if (worker->has_failed || worker->has_stopped || worker->stop_requested)
        return;
    worker->has_failed = true;
    if (worker->handler.failed)
        worker->handler.failed(worker->user, why);
}

void worker_stopped(struct worker *worker) {
    struct worker_manager *manager = worker->manager;

    if (worker->has_stopped)
        return;
    worker->has_stopped = true;
    if (worker->handler.stopped)
        worker->handler.stopped(worker->user);
    pthread_mutex_lock(&manager->lock);
    list_remove(&worker->link);
    worker_unref_locked(worker);
    pthread_mutex_unlock(&manager->lock);
}

/* ---------------------------------------------------------------- start and stop */

static void start_task(struct worker *worker, void *argument) {
    struct status why = {0};

    (void)argument;
    if (worker->stop_requested) {
        worker_stopped(worker);
        return;
    }
    if (worker_check_environment(worker->urn, worker->payload, &why) < 0) {
        worker_failed(worker, &why);
        status_clear(&why);
        worker_stopped(worker);
        return;
    }
    worker->kind->start(worker);
}

static void stop_task(struct worker *worker, void *argument) {
    if (worker->stop_requested || worker->has_stopped)
        return;
    worker->stop_requested = true;
    worker->kind->stop(worker, (unsigned)(uintptr_t)argument);
}

static const char *copy_endpoint(struct worker *worker, const char *endpoint) {
    return endpoint ? arena_string(&worker->arena, endpoint) : "";
}

static const char *const *copy_strings(struct worker *worker, const char *const *strings) {
    const char **copy;
    size_t count = 0;

    while (strings && strings[count])
        count++;
    copy = arena_new_array(&worker->arena, const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        copy[i] = arena_string(&worker->arena, strings[i]);
    return copy;
}

static struct process_spec copy_command(struct worker *worker, const struct process_spec *command) {
    if (!command)
        return (struct process_spec){0};
    return (struct process_spec){
        .argv = copy_strings(worker, command->argv),
        .environment = copy_strings(worker, command->environment),
        .working_directory =
            command->working_directory ? arena_string(&worker->arena, command->working_directory) : NULL,
    };
}

struct worker *worker_start(struct worker_manager *manager, const struct worker_spec *spec,
                            const struct worker_handler *handler, void *user) {
    struct worker *worker = xcalloc(1, sizeof(*worker));

    list_init(&worker->link);
    worker->manager = manager;
    worker->kind = kind_of(spec->environment_urn);
    worker->handler = *handler;
    worker->user = user;
    worker->id = arena_string(&worker->arena, spec->worker_id);
    worker->name = spec->worker_name ? arena_string(&worker->arena, spec->worker_name) : worker->id;
    worker->urn = arena_string(&worker->arena, spec->environment_urn);
    worker->payload = slice_copy(spec->environment_payload.data, spec->environment_payload.size, NULL);
    worker->endpoints = (struct worker_endpoints){
        .control = copy_endpoint(worker, spec->endpoints.control),
        .logging = copy_endpoint(worker, spec->endpoints.logging),
        .artifact = copy_endpoint(worker, spec->endpoints.artifact),
        .provision = copy_endpoint(worker, spec->endpoints.provision),
    };
    worker->command = copy_command(worker, spec->command);
    worker->is_again = spec->is_again;
    worker->settings = spec->settings;
    worker->settings.variables = copy_strings(worker, spec->settings.variables);
    if (spec->settings.working_directory)
        worker->settings.working_directory = arena_string(&worker->arena, spec->settings.working_directory);
    pthread_mutex_lock(&manager->lock);
    worker->references = 1;
    list_append(&manager->workers, &worker->link);
    post_locked(worker, start_task, NULL);
    pthread_mutex_unlock(&manager->lock);
    return worker;
}

void worker_stop(struct worker *worker, unsigned grace_ms) {
    worker_post(worker, stop_task, (void *)(uintptr_t)grace_ms);
}

/* ---------------------------------------------------------------- what the kinds use */

const struct worker_containers *worker_manager_containers(const struct worker_manager *manager) {
    return &manager->containers;
}

const struct worker_isolation *worker_manager_isolation(const struct worker_manager *manager) {
    return &manager->isolation;
}

struct launcher *worker_manager_launcher(struct worker_manager *manager) {
    return manager->launcher;
}

unsigned worker_manager_start_timeout_ms(const struct worker_manager *manager) {
    return manager->start_timeout_ms;
}

struct rpc_channel *worker_manager_channel(struct worker_manager *manager, const char *endpoint) {
    struct pool *pool = map_get_string(&manager->pools, endpoint);

    if (!pool) {
        pool = xcalloc(1, sizeof(*pool));
        pool->channel = rpc_channel_create(manager->client, endpoint);
        map_set_string(&manager->pools, endpoint, pool);
    }
    pool->users++;
    return pool->channel;
}

void worker_manager_release_channel(struct worker_manager *manager, const char *endpoint) {
    struct pool *pool = map_get_string(&manager->pools, endpoint);

    if (--pool->users > 0)
        return;
    map_remove_string(&manager->pools, endpoint);
    rpc_channel_destroy(pool->channel);
    free(pool);
}

/* ---------------------------------------------------------------- life */

struct worker_manager *worker_manager_create(struct launcher *launcher, struct rpc_client *client) {
    struct worker_manager *manager = xcalloc(1, sizeof(*manager));
    sigset_t all, before;

    manager->launcher = launcher;
    manager->client = client;
    manager->start_timeout_ms = START_TIMEOUT_MS;
    pthread_mutex_init(&manager->lock, NULL);
    pthread_cond_init(&manager->posted, NULL);
    list_init(&manager->tasks);
    list_init(&manager->workers);
    list_init(&manager->shells);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&manager->thread, NULL, manager_main, manager) != 0)
        abort(); /* at start-up, without resources for one thread */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return manager;
}

void worker_manager_set_start_timeout(struct worker_manager *manager, unsigned timeout_ms) {
    manager->start_timeout_ms = timeout_ms;
}

void worker_manager_set_containers(struct worker_manager *manager, const struct worker_containers *containers) {
    manager->containers = *containers;
}

void worker_manager_set_isolation(struct worker_manager *manager, const struct worker_isolation *isolation) {
    manager->isolation = *isolation;
}

void worker_manager_destroy(struct worker_manager *manager) {
    if (!manager)
        return;
    pthread_mutex_lock(&manager->lock);
    manager->closing = true;
    list_foreach (node, &manager->workers)
        post_locked(CONTAINER_OF(node, struct worker, link), stop_task, (void *)(uintptr_t)0);
    pthread_cond_signal(&manager->posted);
    pthread_mutex_unlock(&manager->lock);
    pthread_join(manager->thread, NULL);
    while (manager->shell_count > 0)
        drop_oldest_shell(manager);
    map_clear(&manager->pools, NULL);
    pthread_cond_destroy(&manager->posted);
    pthread_mutex_destroy(&manager->lock);
    free(manager);
}
