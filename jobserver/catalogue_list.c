/* Lists of the catalogue's jobs. */
#include <stdlib.h>
#include <string.h>

#include "jobserver/catalogue_internal.h"

void catalogue_summarize(struct job *job, struct job_summary *ret) {
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
        int order = strcmp(catalogue->jobs.items[middle]->summary.id, query->after);

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
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = catalogue->jobs.items[query->newest_first ? start - 1 - i : start + i];

        summaries[i] = entry->summary;
        summaries[i].name = xstrdup(entry->summary.name);
        if (entry->job)
            catalogue_summarize(entry->job, &summaries[i]);
    }
    pthread_mutex_unlock(&catalogue->mutex);
    *ret_count = count;
    return summaries;
}

void job_summaries_free(struct job_summary *summaries, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(summaries[i].name);
    free(summaries);
}

int catalogue_job_options(struct catalogue *catalogue, const char *id, struct slice *ret, struct status *st) {
    struct entry *entry;
    int64_t key = 0;

    pthread_mutex_lock(&catalogue->mutex);
    entry = map_get_string(&catalogue->jobs_by_id, id);
    if (entry && entry->job)
        *ret = slice_ref(job_specification(entry->job)->pipeline_options);
    else if (entry)
        key = entry->key;
    pthread_mutex_unlock(&catalogue->mutex);
    if (!entry)
        return status_set(st, STATUS_NOT_FOUND, "there is no job \"%.80s\"", id);
    return key ? job_db_read_options(catalogue->options.db, key, ret, st) : 0;
}
