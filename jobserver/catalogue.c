#include "jobserver/catalogue.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/map.h"
#include "base/vec.h"

struct catalogue {
    struct catalogue_options options;
    pthread_mutex_t mutex;
    bool is_closed;
    int64_t last_id_ms;
    VEC(struct preparation *) preparations; /* the oldest first; the reference */
    struct map preparations_by_id;
    struct map preparations_by_token;
    VEC(struct job *) jobs; /* the oldest first; the reference */
    struct map jobs_by_id;
};

struct catalogue_options catalogue_default_options(void) {
    return (struct catalogue_options){
        .max_preparations = 100,
        .max_preparation_bytes = (size_t)256 << 20,
        .max_running_jobs = 100,
        .max_finished_jobs = 100,
        .max_finished_bytes = (size_t)2 << 20,
        .job_limits = {.max_messages = 10000, .max_message_bytes = (size_t)256 << 10, .max_bytes = (size_t)16 << 20},
    };
}

struct catalogue *catalogue_create(const struct catalogue_options *options) {
    struct catalogue *catalogue = xcalloc(1, sizeof(*catalogue));

    catalogue->options = *options;
    pthread_mutex_init(&catalogue->mutex, NULL);
    return catalogue;
}

void catalogue_destroy(struct catalogue *catalogue) {
    if (!catalogue)
        return;
    vec_foreach (preparation, &catalogue->preparations)
        preparation_unref(*preparation);
    vec_foreach (job, &catalogue->jobs)
        job_unref(*job);
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

/* ------------------------------------------------------------------ ids */

static void fill_random(void *bytes, size_t size) {
    while (getrandom(bytes, size, 0) != (ssize_t)size)
        if (errno != EINTR)
            abort(); /* up to 256 bytes never come short once the kernel is up */
}

/* Letters and digits of the name in lower case, everything else one '-' between them. Returns the size. */
static size_t readable_piece(char *out, size_t room, const char *name) {
    size_t size = 0;

    for (; *name && size + 1 < room; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out[size++] = c;
        else if (size > 0 && out[size - 1] != '-')
            out[size++] = '-';
    }
    while (size > 0 && out[size - 1] == '-')
        size--;
    out[size] = '\0';
    return size;
}

/* Locked. */
static void mint_id(struct catalogue *catalogue, const char *prefix, const char *name, char out[JOB_ID_SIZE]) {
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char random[4];
    struct timespec now;
    struct tm parts;
    time_t seconds;
    int64_t ms;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    ms = MAX(ms, catalogue->last_id_ms + 1);
    catalogue->last_id_ms = ms;
    seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &parts);
    fill_random(random, sizeof(random));
    n = (size_t)snprintf(out, JOB_ID_SIZE, "%s", prefix);
    n += strftime(out + n, JOB_ID_SIZE - n, "%Y%m%d-%H%M%S", &parts);
    n += (size_t)snprintf(out + n, JOB_ID_SIZE - n, "-%03d-", (int)(ms % 1000));
    for (size_t i = 0; i < sizeof(random); i++)
        out[n++] = alphabet[random[i] % (sizeof(alphabet) - 1)];
    out[n] = '\0';
    if (readable_piece(out + n + 1, JOB_ID_SIZE - n - 1, name) > 0)
        out[n] = '-';
}

static void mint_token(char out[33]) {
    unsigned char random[16];

    fill_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
}

/* ------------------------------------------------------------------ preparations */

/* Locked. */
static void drop_preparation(struct catalogue *catalogue, size_t i) {
    struct preparation *preparation = catalogue->preparations.items[i];

    map_remove_string(&catalogue->preparations_by_id, preparation_id(preparation));
    map_remove_string(&catalogue->preparations_by_token, preparation_staging_token(preparation));
    catalogue->preparations.count--;
    memmove(&catalogue->preparations.items[i], &catalogue->preparations.items[i + 1],
            (catalogue->preparations.count - i) * sizeof(catalogue->preparations.items[0]));
    preparation_unref(preparation);
}

/* The newest one always stays. Locked. */
static void drop_old_preparations(struct catalogue *catalogue) {
    size_t bytes = 0;

    vec_foreach (preparation, &catalogue->preparations)
        bytes += preparation_memory_bytes(*preparation);
    while (catalogue->preparations.count > 1 && (catalogue->preparations.count > catalogue->options.max_preparations ||
                                                 bytes > catalogue->options.max_preparation_bytes)) {
        size_t first_bytes = preparation_memory_bytes(catalogue->preparations.items[0]);

        bytes -= MIN(bytes, first_bytes);
        drop_preparation(catalogue, 0);
    }
}

int catalogue_prepare(struct catalogue *catalogue, const struct preparation_spec *spec, struct preparation **ret,
                      struct status *st) {
    struct preparation_spec named = *spec;
    char id[JOB_ID_SIZE], token[33];
    struct preparation *preparation;

    mint_token(token);
    named.id = id;
    named.staging_token = token;
    pthread_mutex_lock(&catalogue->mutex);
    if (catalogue->is_closed) {
        pthread_mutex_unlock(&catalogue->mutex);
        plan_destroy(spec->plan);
        return status_set(st, STATUS_UNAVAILABLE, "the server is shutting down");
    }
    mint_id(catalogue, "prep-", spec->name ? spec->name : "", id);
    preparation = preparation_create(&named);
    vec_push(&catalogue->preparations, preparation);
    map_set_string(&catalogue->preparations_by_id, id, preparation);
    map_set_string(&catalogue->preparations_by_token, token, preparation);
    *ret = preparation_ref(preparation);
    drop_old_preparations(catalogue);
    pthread_mutex_unlock(&catalogue->mutex);
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

/* ------------------------------------------------------------------ jobs */

/* Locked. */
static void drop_job(struct catalogue *catalogue, size_t i) {
    struct job *job = catalogue->jobs.items[i];

    map_remove_string(&catalogue->jobs_by_id, job_id(job));
    catalogue->jobs.count--;
    memmove(&catalogue->jobs.items[i], &catalogue->jobs.items[i + 1],
            (catalogue->jobs.count - i) * sizeof(catalogue->jobs.items[0]));
    job_unref(job);
}

static bool is_finished(struct job *job) {
    return job_state_is_terminal(job_current_state(job));
}

/* Locked. */
static void drop_old_jobs(struct catalogue *catalogue) {
    size_t count = 0, bytes = 0, i = 0;

    vec_foreach (job, &catalogue->jobs)
        if (is_finished(*job)) {
            count++;
            bytes += job_memory_bytes(*job);
        }
    while (i < catalogue->jobs.count &&
           (count > catalogue->options.max_finished_jobs || bytes > catalogue->options.max_finished_bytes)) {
        size_t job_bytes;

        if (!is_finished(catalogue->jobs.items[i])) {
            i++;
            continue;
        }
        /* It may have grown, or ended, since it was counted. */
        job_bytes = job_memory_bytes(catalogue->jobs.items[i]);
        count -= MIN(count, (size_t)1);
        bytes -= MIN(bytes, job_bytes);
        drop_job(catalogue, i);
    }
}

/* Locked. */
static size_t count_running(struct catalogue *catalogue) {
    size_t count = 0;

    vec_foreach (job, &catalogue->jobs)
        count += !is_finished(*job);
    return count;
}

/* Locked. */
static int start(struct catalogue *catalogue, const char *preparation_id, struct job **ret, struct status *st) {
    struct preparation *preparation = map_get_string(&catalogue->preparations_by_id, preparation_id);
    struct job_spec spec;
    char id[JOB_ID_SIZE];
    struct job *job;
    int r;

    if (catalogue->is_closed)
        return status_set(st, STATUS_UNAVAILABLE, "the server is shutting down");
    if (!preparation)
        return status_set(
            st, STATUS_NOT_FOUND,
            "there is no prepared job \"%.80s\": it was run already, or so many were prepared since that it "
            "was dropped, or the server was restarted",
            preparation_id);
    if (count_running(catalogue) >= catalogue->options.max_running_jobs)
        return status_set(st, STATUS_RESOURCE_EXHAUSTED,
                          "%zu jobs run or wait for their turn, which is the limit of this server "
                          "(jobs.max_running, jobs.max_queued)",
                          catalogue->options.max_running_jobs);
    r = preparation_take(preparation, &spec, st);
    if (r < 0)
        return r;
    mint_id(catalogue, "", spec.name, id);
    job = job_create(id, &spec, &catalogue->options.job_limits);
    slice_unref(&spec.pipeline);
    slice_unref(&spec.pipeline_options);
    for (size_t i = 0; i < catalogue->preparations.count; i++)
        if (catalogue->preparations.items[i] == preparation) {
            drop_preparation(catalogue, i);
            break;
        }
    drop_old_jobs(catalogue);
    vec_push(&catalogue->jobs, job);
    map_set_string(&catalogue->jobs_by_id, id, job);
    *ret = job_ref(job);
    return 0;
}

int catalogue_start(struct catalogue *catalogue, const char *preparation_id, struct job **ret, struct status *st) {
    int r;

    pthread_mutex_lock(&catalogue->mutex);
    r = start(catalogue, preparation_id, ret, st);
    pthread_mutex_unlock(&catalogue->mutex);
    return r;
}

int catalogue_find_job(struct catalogue *catalogue, const char *id, struct job **ret, struct status *st) {
    bool is_preparation;
    struct job *job;

    pthread_mutex_lock(&catalogue->mutex);
    job = map_get_string(&catalogue->jobs_by_id, id);
    if (job)
        job_ref(job);
    is_preparation = map_has_string(&catalogue->preparations_by_id, id);
    pthread_mutex_unlock(&catalogue->mutex);
    if (is_preparation)
        return status_set(
            st, STATUS_NOT_FOUND,
            "\"%.80s\" is a prepared job that was not run yet; ask again with the job id that Run returns", id);
    if (!job)
        return status_set(st, STATUS_NOT_FOUND,
                          "there is no job \"%.80s\" (finished jobs are kept for a while, not for ever)", id);
    *ret = job;
    return 0;
}

int catalogue_job_options(struct catalogue *catalogue, const char *id, struct slice *ret, struct status *st) {
    struct job *job;
    int r = catalogue_find_job(catalogue, id, &job, st);

    if (r < 0)
        return r;
    *ret = slice_ref(job_specification(job)->pipeline_options);
    job_unref(job);
    return 0;
}

/* ------------------------------------------------------------------ lists */

static void summarize(struct job *job, struct job_summary *ret) {
    snprintf(ret->id, sizeof(ret->id), "%s", job_id(job));
    ret->name = xstrdup(job_specification(job)->name);
    ret->state = job_state_since(job, &ret->state_time_ms);
    ret->created_ms = job_created_ms(job);
}

/* How many jobs come before the page in the order of ids, which is that of time; for newest_first: how many come up to its first one.
 * Locked. */
static size_t find_page(const struct catalogue *catalogue, const struct job_query *query) {
    size_t low = 0, high = catalogue->jobs.count;

    if (!query->after)
        return query->newest_first ? high : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(job_id(catalogue->jobs.items[middle]), query->after);

        if (order < 0 || (order == 0 && !query->newest_first))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct job_summary *catalogue_list_jobs(struct catalogue *catalogue, const struct job_query *query, size_t *ret_count) {
    struct job_summary *summaries;
    size_t start, count;

    pthread_mutex_lock(&catalogue->mutex);
    start = find_page(catalogue, query);
    count = query->newest_first ? start : catalogue->jobs.count - start;
    if (query->limit > 0)
        count = MIN(count, query->limit);
    summaries = xcalloc(MAX(count, (size_t)1), sizeof(*summaries));
    for (size_t i = 0; i < count; i++)
        summarize(catalogue->jobs.items[query->newest_first ? start - 1 - i : start + i], &summaries[i]);
    pthread_mutex_unlock(&catalogue->mutex);
    *ret_count = count;
    return summaries;
}

void job_summaries_free(struct job_summary *summaries, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(summaries[i].name);
    free(summaries);
}
