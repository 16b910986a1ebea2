/* What a job is and what its history says, in short: kept for each job that was looked at, and brought up to date by reading on from where the
 * history ended. Of a job that is over nothing changes any more, and the digest is enough. */
#ifndef JOBSERVER_INSPECTION_DIGEST_H
#define JOBSERVER_INSPECTION_DIGEST_H

#include <pthread.h>

#include "base/map.h"
#include "jobserver/job.h"

/* More than one run passes through; of a job that was run again over and over, the first ones and the last. */
enum { DIGEST_STATES = 16 };

/* Plain data. */
struct digest {
    uint64_t seq; /* of the last event that was read */
    struct {
        enum job_state state;
        int64_t time_ms;
    } states[DIGEST_STATES];
    size_t state_count;
    unsigned warnings;
    char *error; /* owned; what failed it, or NULL */
    int32_t priority;
    bool is_streaming;
    char *sdk; /* owned; "": not known */
    /* Of a job that is over, by its last graph: */
    unsigned retries;
    uint64_t peak_memory_bytes;
};

/* Any thread. Zero-initialise but for the mutex. */
struct digests {
    pthread_mutex_t mutex;
    struct map by_id;
};

void digests_init(struct digests *digests);
void digests_finish(struct digests *digests);
/* A copy as of now; clear it. */
struct digest digests_get(struct digests *digests, struct job *job);
/* The same of a job that was looked at when it was over: without the job, which may be on disk only. False: it was not. */
bool digests_get_ended(struct digests *digests, const char *job_id, struct digest *ret);
void digest_clear(struct digest *digest);

/* When the state was entered first, 0: never. */
int64_t digest_time_of(const struct digest *digest, enum job_state state);
/* When the job ended, 0: not yet. */
int64_t digest_end(const struct digest *digest);

#endif
