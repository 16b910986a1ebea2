#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "jobserver/catalogue_internal.h"
#include "jobserver/job_journal.h"

struct catalogue_options catalogue_default_options(void) {
    return (struct catalogue_options){
        .max_preparations = 100,
        .max_preparation_bytes = (size_t)256 << 20,
        .max_running_jobs = 100,
        .max_finished_jobs = 100,
        .max_finished_bytes = (size_t)256 << 10,
        .job_limits = {.max_messages = 10000, .max_message_bytes = (size_t)256 << 10, .max_bytes = (size_t)16 << 20},
    };
}

static void entry_free(struct entry *entry) {
    job_unref(entry->job);
    free(entry->summary.name);
    free(entry);
}

/* ------------------------------------------------------------------ life */

/* While the catalogue is made: nobody else knows it. */
static void add_stored_job(void *user, const struct stored_job *job) {
    struct catalogue *catalogue = user;
    struct entry *entry = xcalloc(1, sizeof(*entry));

    entry->key = job->key;
    snprintf(entry->summary.id, sizeof(entry->summary.id), "%s", job->id);
    entry->summary.name = xstrdup(job->name);
    entry->summary.state = job->state;
    entry->summary.state_time_ms = job->state_time_ms;
    entry->summary.created_ms = job->created_ms;
    catalogue->last_id_ms = MAX(catalogue->last_id_ms, job->created_ms);
    vec_push(&catalogue->jobs, entry);
    map_set_string(&catalogue->jobs_by_id, entry->summary.id, entry);
}

static void a_job_ended(void *user) {
    catalogue_retain(user);
}

static void job_was_dropped(void *user, const char *id);

static int read_index(struct catalogue *catalogue, struct status *st) {
    static const struct job_db_handler handler = {.ended = a_job_ended, .dropped = job_was_dropped};
    struct job_db *db = catalogue->options.db;
    int r = job_db_last_key(db, &catalogue->last_key, st);

    if (r == 0)
        r = job_db_list_jobs(db, add_stored_job, catalogue, st);
    if (r == 0) {
        job_db_set_handler(db, &handler, catalogue);
        catalogue_retain(catalogue);
    }
    return r;
}

int catalogue_create(const struct catalogue_options *options, struct catalogue **ret, struct status *st) {
    struct catalogue *catalogue = xcalloc(1, sizeof(*catalogue));
    int r = 0;

    catalogue->options = *options;
    pthread_mutex_init(&catalogue->mutex, NULL);
    if (options->db)
        r = read_index(catalogue, st);
    if (r < 0) {
        catalogue_destroy(catalogue);
        return r;
    }
    *ret = catalogue;
    return 0;
}

void catalogue_destroy(struct catalogue *catalogue) {
    if (!catalogue)
        return;
    vec_foreach (preparation, &catalogue->preparations)
        preparation_unref(*preparation);
    vec_foreach (entry, &catalogue->jobs)
        entry_free(*entry);
    vec_free(&catalogue->preparations);
    vec_free(&catalogue->jobs);
    map_clear(&catalogue->preparations_by_id, NULL);
    map_clear(&catalogue->preparations_by_token, NULL);
    map_clear(&catalogue->jobs_by_id, NULL);
    pthread_mutex_destroy(&catalogue->mutex);
    free(catalogue);
}

void catalogue_close(struct catalogue *catalogue) {
    pthread_mutex_lock(&catalogue->mutex);
    catalogue->is_closed = true;
    pthread_mutex_unlock(&catalogue->mutex);
}

static int refuse_closed(const struct catalogue *catalogue, struct status *st) {
    return catalogue->is_closed ? status_set(st, STATUS_UNAVAILABLE, "the server is shutting down") : 0;
}

bool catalogue_is_closed(struct catalogue *catalogue) {
    bool is_closed;

    pthread_mutex_lock(&catalogue->mutex);
    is_closed = catalogue->is_closed;
    pthread_mutex_unlock(&catalogue->mutex);
    return is_closed;
}

/* ------------------------------------------------------------------ preparations */

/* Out of memory; its place on disk is the caller's. Locked. */
static void forget_preparation(struct catalogue *catalogue, struct preparation *preparation) {
    map_remove_string(&catalogue->preparations_by_id, preparation_id(preparation));
    map_remove_string(&catalogue->preparations_by_token, preparation_staging_token(preparation));
    for (size_t i = 0; i < catalogue->preparations.count; i++)
        if (catalogue->preparations.items[i] == preparation) {
            catalogue->preparations.count--;
            memmove(&catalogue->preparations.items[i], &catalogue->preparations.items[i + 1],
                    (catalogue->preparations.count - i) * sizeof(catalogue->preparations.items[0]));
            preparation_unref(preparation);
            return;
        }
}

/* The newest one always stays. Locked. */
static void drop_old_preparations(struct catalogue *catalogue) {
    size_t bytes = 0;

    vec_foreach (preparation, &catalogue->preparations)
        bytes += preparation_memory_bytes(*preparation);
    while (catalogue->preparations.count > 1 && (catalogue->preparations.count > catalogue->options.max_preparations ||
                                                 bytes > catalogue->options.max_preparation_bytes)) {
        struct preparation *first = catalogue->preparations.items[0];

        bytes -= MIN(bytes, preparation_memory_bytes(first));
        if (catalogue->options.db)
            job_db_drop(catalogue->options.db, preparation_key(first));
        forget_preparation(catalogue, first);
    }
}

/* Locked. */
static struct preparation *add_preparation(struct catalogue *catalogue, const struct preparation_spec *spec) {
    struct preparation *preparation = preparation_create(spec);

    vec_push(&catalogue->preparations, preparation);
    map_set_string(&catalogue->preparations_by_id, spec->id, preparation);
    map_set_string(&catalogue->preparations_by_token, spec->staging_token, preparation);
    return preparation;
}

void catalogue_restore_preparation(struct catalogue *catalogue, const struct preparation_spec *spec) {
    pthread_mutex_lock(&catalogue->mutex);
    add_preparation(catalogue, spec);
    drop_old_preparations(catalogue);
    pthread_mutex_unlock(&catalogue->mutex);
}

/* A preparation, or a job, on its way to the disk. */
struct saving {
    struct catalogue *catalogue;
    struct preparation *preparation; /* owned references */
    struct job *job;
    catalogue_prepared_fn prepared;
    catalogue_started_fn started;
    void *user;
};

static void preparation_was_saved(void *user, const struct status *st) {
    struct saving *saving = user;
    struct catalogue *catalogue = saving->catalogue;

    if (st) {
        pthread_mutex_lock(&catalogue->mutex);
        forget_preparation(catalogue, saving->preparation);
        pthread_mutex_unlock(&catalogue->mutex);
    }
    if (saving->prepared)
        saving->prepared(saving->user, saving->preparation, st);
    preparation_unref(saving->preparation);
    free(saving);
}

static void save_preparation(struct catalogue *catalogue, const struct preparation_spec *spec,
                             struct preparation *preparation, catalogue_prepared_fn done, void *user) {
    struct saving *saving = xcalloc(1, sizeof(*saving));

    *saving = (struct saving){.catalogue = catalogue, .preparation = preparation, .prepared = done, .user = user};
    if (!catalogue->options.db) {
        preparation_was_saved(saving, NULL);
        return;
    }
    job_db_add_preparation(catalogue->options.db,
                           &(struct stored_preparation){
                               .key = spec->key,
                               .id = spec->id,
                               .token = spec->staging_token,
                               .name = preparation_name(preparation),
                               .options = spec->pipeline_options,
                               .pipeline = spec->pipeline,
                               .created_ms = wall_clock_ms(),
                           },
                           preparation_was_saved, saving);
}

int catalogue_prepare(struct catalogue *catalogue, const struct preparation_spec *spec, catalogue_prepared_fn done,
                      void *user, struct status *st) {
    char id[JOB_ID_SIZE], token[STAGING_TOKEN_SIZE];
    struct preparation_spec named = *spec;
    struct preparation *preparation;
    int r;

    mint_staging_token(token);
    named.id = id;
    named.staging_token = token;
    named.staging = STAGING_NONE;
    pthread_mutex_lock(&catalogue->mutex);
    r = refuse_closed(catalogue, st);
    if (r < 0) {
        pthread_mutex_unlock(&catalogue->mutex);
        plan_destroy(spec->plan);
        return r;
    }
    mint_job_id(&catalogue->last_id_ms, "prep-", spec->name ? spec->name : "", id);
    named.key = ++catalogue->last_key;
    preparation = preparation_ref(add_preparation(catalogue, &named));
    drop_old_preparations(catalogue);
    pthread_mutex_unlock(&catalogue->mutex);
    save_preparation(catalogue, &named, preparation, done, user);
    return 0;
}

static struct preparation *find_in(struct catalogue *catalogue, const struct map *map, const char *key) {
    struct preparation *preparation;

    pthread_mutex_lock(&catalogue->mutex);
    preparation = map_get_string(map, key);
    if (preparation)
        preparation_ref(preparation);
    pthread_mutex_unlock(&catalogue->mutex);
    return preparation;
}

struct preparation *catalogue_find_preparation(struct catalogue *catalogue, const char *id) {
    return find_in(catalogue, &catalogue->preparations_by_id, id);
}

struct preparation *catalogue_find_staging(struct catalogue *catalogue, const char *staging_token) {
    return find_in(catalogue, &catalogue->preparations_by_token, staging_token);
}

void catalogue_save_staging(struct catalogue *catalogue, const struct preparation *preparation,
                            enum preparation_staging staging) {
    if (catalogue->options.db)
        job_db_set_staging(catalogue->options.db, preparation_key(preparation), staging, NULL, NULL);
}

void catalogue_save_staged(struct catalogue *catalogue, const struct preparation *preparation, struct slice pipeline,
                           const struct stored_artifact *artifacts, size_t count, job_db_done_fn done, void *user) {
    if (catalogue->options.db)
        job_db_set_staged(catalogue->options.db, preparation_key(preparation), pipeline, artifacts, count, done, user);
    else
        done(user, NULL);
}

/* ------------------------------------------------------------------ jobs in memory */

static bool is_finished(struct job *job) {
    return job_state_is_terminal(job_current_state(job));
}

/* Locked. */
static void drop_entry(struct catalogue *catalogue, struct entry *entry) {
    map_remove_string(&catalogue->jobs_by_id, entry->summary.id);
    for (size_t i = 0; i < catalogue->jobs.count; i++)
        if (catalogue->jobs.items[i] == entry) {
            catalogue->jobs.count--;
            memmove(&catalogue->jobs.items[i], &catalogue->jobs.items[i + 1],
                    (catalogue->jobs.count - i) * sizeof(catalogue->jobs.items[0]));
            break;
        }
    entry_free(entry);
}

static void job_was_dropped(void *user, const char *id) {
    struct catalogue *catalogue = user;
    struct entry *entry;

    pthread_mutex_lock(&catalogue->mutex);
    entry = map_get_string(&catalogue->jobs_by_id, id);
    if (entry)
        drop_entry(catalogue, entry);
    pthread_mutex_unlock(&catalogue->mutex);
}

/* Out of memory, where it can be read from the disk again, or is not to be had any more. False: somebody uses it, or it is not on disk yet.
 * Locked. */
static bool release_job(struct catalogue *catalogue, struct entry *entry) {
    if (!catalogue->options.db) {
        drop_entry(catalogue, entry);
        return true;
    }
    if (!job_is_idle(entry->job))
        return false;
    catalogue_summarize(entry->job, &entry->summary);
    job_unref(entry->job);
    entry->job = NULL;
    return true;
}

/* Locked. */
static void release_old_jobs(struct catalogue *catalogue) {
    size_t count = 0, bytes = 0, i = 0;

    vec_foreach (entry, &catalogue->jobs)
        if ((*entry)->job && is_finished((*entry)->job)) {
            count++;
            bytes += job_memory_bytes((*entry)->job);
        }
    while (i < catalogue->jobs.count &&
           (count > catalogue->options.max_finished_jobs || bytes > catalogue->options.max_finished_bytes)) {
        struct entry *entry = catalogue->jobs.items[i];
        size_t job_bytes;

        i++;
        if (!entry->job || !is_finished(entry->job))
            continue;
        /* It may have grown, or ended, since it was counted. */
        job_bytes = job_memory_bytes(entry->job);
        if (!release_job(catalogue, entry))
            continue;
        count -= MIN(count, (size_t)1);
        bytes -= MIN(bytes, job_bytes);
        if (!catalogue->options.db)
            i--;
    }
}

void catalogue_release(struct catalogue *catalogue) {
    pthread_mutex_lock(&catalogue->mutex);
    release_old_jobs(catalogue);
    pthread_mutex_unlock(&catalogue->mutex);
}

/* Locked. */
static size_t count_running(struct catalogue *catalogue) {
    size_t count = 0;

    vec_foreach (entry, &catalogue->jobs)
        count += (*entry)->job && !is_finished((*entry)->job);
    return count;
}

/* ------------------------------------------------------------------ start */

/* Locked. */
static struct entry *add_job(struct catalogue *catalogue, struct job *job, int64_t key) {
    struct entry *entry = xcalloc(1, sizeof(*entry));

    entry->key = key;
    entry->job = job;
    snprintf(entry->summary.id, sizeof(entry->summary.id), "%s", job_id(job));
    entry->summary.name = xstrdup(job_specification(job)->name);
    vec_push(&catalogue->jobs, entry);
    map_set_string(&catalogue->jobs_by_id, entry->summary.id, entry);
    return entry;
}

/* The job's reference is the catalogue's. Locked. */
static int make_job(struct catalogue *catalogue, const char *preparation_id, struct job **ret, int64_t *ret_key,
                    struct status *st) {
    struct preparation *preparation = map_get_string(&catalogue->preparations_by_id, preparation_id);
    struct job_spec spec;
    char id[JOB_ID_SIZE];
    int r = refuse_closed(catalogue, st);

    if (r < 0)
        return r;
    if (!preparation)
        return status_set(st, STATUS_NOT_FOUND,
                          "there is no prepared job \"%.80s\": it was run already, or so many were prepared since that "
                          "it was dropped",
                          preparation_id);
    if (count_running(catalogue) >= catalogue->options.max_running_jobs)
        return status_set(st, STATUS_RESOURCE_EXHAUSTED,
                          "%zu jobs run or wait for their turn, which is the limit of this server "
                          "(jobs.max_running, jobs.max_queued)",
                          catalogue->options.max_running_jobs);
    r = preparation_take(preparation, &spec, st);
    if (r < 0)
        return r;
    mint_job_id(&catalogue->last_id_ms, "", spec.name, id);
    *ret = job_create(id, &spec, &catalogue->options.job_limits);
    *ret_key = preparation_key(preparation);
    slice_unref(&spec.pipeline);
    slice_unref(&spec.pipeline_options);
    forget_preparation(catalogue, preparation);
    release_old_jobs(catalogue);
    add_job(catalogue, *ret, *ret_key);
    return 0;
}

static void job_was_saved(void *user, const struct status *st) {
    struct saving *saving = user;

    if (st) {
        job_fail(saving->job, status_message(st));
        job_was_dropped(saving->catalogue, job_id(saving->job));
    }
    if (saving->started)
        saving->started(saving->user, saving->job, st);
    job_unref(saving->job);
    free(saving);
}

int catalogue_start(struct catalogue *catalogue, const char *preparation_id, catalogue_started_fn done, void *user,
                    struct job **ret, struct status *st) {
    struct saving *saving;
    struct job *job = NULL;
    int64_t key = 0;
    int r;

    pthread_mutex_lock(&catalogue->mutex);
    r = make_job(catalogue, preparation_id, &job, &key, st);
    if (r == 0)
        *ret = job_ref(job);
    pthread_mutex_unlock(&catalogue->mutex);
    if (r < 0)
        return r;
    saving = xcalloc(1, sizeof(*saving));
    *saving = (struct saving){.catalogue = catalogue, .job = job_ref(job), .started = done, .user = user};
    if (catalogue->options.db) {
        /* In this order: what the job says is written in the same transaction, or in a later one. */
        job_db_add_job(catalogue->options.db, key, job_id(*ret), job_created_ms(*ret), job_was_saved, saving);
        job_db_follow(catalogue->options.db, *ret, key);
    } else {
        job_was_saved(saving, NULL);
    }
    return 0;
}

void catalogue_adopt_job(struct catalogue *catalogue, struct job *job) {
    struct entry *entry;

    pthread_mutex_lock(&catalogue->mutex);
    entry = map_get_string(&catalogue->jobs_by_id, job_id(job));
    if (entry && !entry->job)
        entry->job = job_ref(job);
    pthread_mutex_unlock(&catalogue->mutex);
}

/* ------------------------------------------------------------------ finding */

/* Reads what is on disk only, and keeps it in memory for a while. */
static int read_job(struct catalogue *catalogue, const char *id, int64_t key, struct job **ret, struct status *st) {
    struct entry *entry;
    struct job *job;
    int r = job_db_read_job(catalogue->options.db, key, &catalogue->options.job_limits, NULL, &job, st);

    if (r < 0)
        return status_prefix(st, "job \"%.80s\"", id);
    pthread_mutex_lock(&catalogue->mutex);
    entry = map_get_string(&catalogue->jobs_by_id, id);
    if (entry && entry->job) {
        /* another thread was faster */
        *ret = job_ref(entry->job);
    } else {
        *ret = job_ref(job);
        if (entry) {
            entry->job = job_ref(job);
            release_old_jobs(catalogue);
        }
    }
    pthread_mutex_unlock(&catalogue->mutex);
    job_unref(job);
    return 0;
}

struct job *catalogue_find_loaded_job(struct catalogue *catalogue, const char *id) {
    const struct entry *entry;
    struct job *job;

    pthread_mutex_lock(&catalogue->mutex);
    entry = map_get_string(&catalogue->jobs_by_id, id);
    job = entry && entry->job ? job_ref(entry->job) : NULL;
    pthread_mutex_unlock(&catalogue->mutex);
    return job;
}

int catalogue_find_job(struct catalogue *catalogue, const char *id, struct job **ret, struct status *st) {
    struct job *job = NULL;
    struct entry *entry;
    bool is_preparation;
    int64_t key = 0;

    pthread_mutex_lock(&catalogue->mutex);
    entry = map_get_string(&catalogue->jobs_by_id, id);
    if (entry && entry->job)
        job = job_ref(entry->job);
    else if (entry)
        key = entry->key;
    is_preparation = map_has_string(&catalogue->preparations_by_id, id);
    pthread_mutex_unlock(&catalogue->mutex);
    if (is_preparation)
        return status_set(
            st, STATUS_NOT_FOUND,
            "\"%.80s\" is a prepared job that was not run yet; ask again with the job id that Run returns", id);
    if (key)
        return read_job(catalogue, id, key, ret, st);
    if (!job)
        return status_set(st, STATUS_NOT_FOUND,
                          "there is no job \"%.80s\" (finished jobs are kept for a while, not for ever)", id);
    *ret = job;
    return 0;
}

void catalogue_retain(struct catalogue *catalogue) {
    if (catalogue->options.db)
        job_db_retain(catalogue->options.db, &catalogue->options.retention);
}
