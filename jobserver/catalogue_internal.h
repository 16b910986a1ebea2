/* What the files of the catalogue share: catalogue.c, and catalogue_list.c for its lists. */
#ifndef JOBSERVER_CATALOGUE_INTERNAL_H
#define JOBSERVER_CATALOGUE_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "base/vec.h"
#include "jobserver/catalogue.h"

/* A job that there is. While `job` is NULL it is on disk only, and the summary says what lists show. */
struct entry {
    int64_t key;
    struct job_summary summary;
    struct job *job; /* the reference */
};

struct catalogue {
    struct catalogue_options options;
    pthread_mutex_t mutex;
    bool is_closed;
    int64_t last_id_ms;
    int64_t last_key;
    VEC(struct preparation *) preparations; /* the oldest first; the reference */
    struct map preparations_by_id;
    struct map preparations_by_token;
    VEC(struct entry *) jobs; /* the oldest first */
    struct map jobs_by_id;
};

/* State and times of a job in memory; id and name are left as they are. */
void catalogue_summarize(struct job *job, struct job_summary *ret);

#endif
