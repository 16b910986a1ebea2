/* The plan of a job that was over when the daemon started: only its pipeline is kept, and that is translated again when somebody looks. The last
 * one is kept, since who looks does so again and again.
 *
 * Any thread. */
#ifndef JOBSERVER_INSPECTION_STORED_PLAN_H
#define JOBSERVER_INSPECTION_STORED_PLAN_H

#include <pthread.h>

#include "jobserver/job.h"

struct stored_plan {
    pthread_mutex_t mutex;
    char *job_id; /* whose it is; NULL: nobody's yet */
    struct plan *plan;
};

void stored_plan_init(struct stored_plan *stored);
void stored_plan_finish(struct stored_plan *stored);
/* Of a job whose specification has none. Locked until stored_plan_release(). NULL: this version cannot translate it any more. */
const struct plan *stored_plan_take(struct stored_plan *stored, const struct job *job);
void stored_plan_release(struct stored_plan *stored);

#endif
