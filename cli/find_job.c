#include "cli/find_job.h"

#include <string.h>

#include "base/buf.h"

enum { NEWEST_CANDIDATES = 1000, NAMED_IN_ERROR = 5 };

/* How well a word fits a job. */
enum fit { FIT_NONE, FIT_PART, FIT_NAME, FIT_ID };

static enum fit fit_of(const Trestle__V1__JobSummary *job, const char *word) {
    size_t size = strlen(word), id_size = strlen(job->id);

    if (strcmp(job->id, word) == 0)
        return FIT_ID;
    if (strcmp(job->name, word) == 0)
        return FIT_NAME;
    if (size <= id_size && (strncmp(job->id, word, size) == 0 || strcmp(job->id + id_size - size, word) == 0))
        return FIT_PART;
    return FIT_NONE;
}

static int refuse_several(Trestle__V1__JobSummary *const *jobs, size_t count, const char *word, enum fit fit,
                          struct status *st) {
    struct buf ids = {0};
    size_t found = 0;
    int r;

    for (size_t i = 0; i < count; i++) {
        if (fit_of(jobs[i], word) != fit)
            continue;
        if (found < NAMED_IN_ERROR)
            buf_printf(&ids, "%s%s", found ? ", " : "", jobs[i]->id);
        found++;
    }
    buf_printf(&ids, "%s", found > NAMED_IN_ERROR ? ", ..." : "");
    buf_add_u8(&ids, '\0');
    r = status_set(st, STATUS_INVALID_ARGUMENT, "\"%s\" fits %zu jobs: %s; write more of the id, or: latest", word,
                   found, (const char *)buf_data(&ids));
    buf_clear(&ids);
    return r;
}

int find_job_among(Trestle__V1__JobSummary *const *jobs, size_t count, const char *word, size_t *ret,
                   struct status *st) {
    enum fit best = FIT_NONE;
    size_t found = 0, at_best = 0;

    for (size_t i = 0; i < count; i++) {
        enum fit fit = fit_of(jobs[i], word);

        if (fit > best) {
            best = fit;
            found = i;
            at_best = 0;
        }
        at_best += fit == best;
    }
    if (best == FIT_NONE)
        return status_set(st, STATUS_NOT_FOUND, "there is no job \"%s\"; trestle jobs lists them", word);
    if (at_best > 1)
        return refuse_several(jobs, count, word, best, st);
    *ret = found;
    return 0;
}

static int find_latest(struct connection *connection, struct arena *arena, Trestle__V1__JobSummary **ret,
                       struct status *st) {
    Trestle__V1__ListJobsRequest request = TRESTLE__V1__LIST_JOBS_REQUEST__INIT;
    Trestle__V1__ListJobsResponse *response;
    int r;

    request.limit = 1;
    r = inspection_list_jobs(connection, &request, arena, &response, st);
    if (r < 0)
        return r;
    if (response->n_jobs == 0)
        return status_set(st, STATUS_NOT_FOUND, "there is no job yet");
    *ret = response->jobs[0];
    return 0;
}

int find_job(struct connection *connection, const char *word, struct arena *arena, Trestle__V1__JobSummary **ret,
             struct status *st) {
    Trestle__V1__ListJobsRequest request = TRESTLE__V1__LIST_JOBS_REQUEST__INIT;
    Trestle__V1__ListJobsResponse *response;
    size_t found = 0;
    int r;

    if (strcmp(word, "latest") == 0)
        return find_latest(connection, arena, ret, st);
    request.contains = (char *)word;
    request.limit = NEWEST_CANDIDATES;
    r = inspection_list_jobs(connection, &request, arena, &response, st);
    if (r == 0)
        r = find_job_among(response->jobs, response->n_jobs, word, &found, st);
    if (r == 0)
        *ret = response->jobs[found];
    return r;
}
