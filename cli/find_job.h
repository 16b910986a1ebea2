/* Which job is meant by the JOB of a command: its id, the beginning or the end of its id, its name, or "latest". What fits better counts (in that
 * order), and has to be one job's alone. */
#ifndef CLI_FIND_JOB_H
#define CLI_FIND_JOB_H

#include "cli/inspection.h"

/* In the arena. NOT_FOUND; INVALID_ARGUMENT: several fit, and it says which. */
int find_job(struct connection *connection, const char *word, struct arena *arena, Trestle__V1__JobSummary **ret,
             struct status *st);
/* The same among `jobs`. */
int find_job_among(Trestle__V1__JobSummary *const *jobs, size_t count, const char *word, size_t *ret,
                   struct status *st);

#endif
