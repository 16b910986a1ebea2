/* Ids of jobs and preparations (`[a-z0-9-]{1,63}`): the time in milliseconds, which never repeats or goes back in a process, then four random
 * characters, so that they stay unique over restarts, then what is readable in the job's name:
 *     20260331-142501-583-k3f9-wordcount            prep-20260331-142501-102-a81x-wordcount */
#ifndef JOBSERVER_JOB_ID_H
#define JOBSERVER_JOB_ID_H

#include <stdint.h>

enum { JOB_ID_SIZE = 64, STAGING_TOKEN_SIZE = 33 }; /* with the NUL */

/* `*last_ms` is the time in the id before, and then in this one. */
void mint_job_id(int64_t *last_ms, const char *prefix, const char *name, char out[JOB_ID_SIZE]);
/* 128 random bits. */
void mint_staging_token(char out[STAGING_TOKEN_SIZE]);

#endif
