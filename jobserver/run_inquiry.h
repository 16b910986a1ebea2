/* A question to a worker of a running job, from outside of the job's thread: its status, or elements that it sampled.
 *
 *      asker: host_inquire() --> engine thread: run_inquire() --> fnapi --> harness
 *             run_inquiry_wait() <-- run_inquiry_status(), run_inquiry_samples() <-- answer
 *
 * Harnesses answer when they like or never: the asker waits for a time of its own. Any thread, but for what takes a job_run: engine thread. */
#ifndef JOBSERVER_RUN_INQUIRY_H
#define JOBSERVER_RUN_INQUIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "fnapi/fnapi.h"

struct job_run;
struct run_inquiry;

enum inquiry_kind { INQUIRY_STATUS, INQUIRY_SAMPLES };

/* The worker's name, of the one to ask; NULL: all that can answer (SAMPLES). The collection: PCollection id, NULL: all. */
struct run_inquiry *run_inquiry_create(enum inquiry_kind kind, const char *worker, const char *collection);
struct run_inquiry *run_inquiry_ref(struct run_inquiry *inquiry);
void run_inquiry_unref(struct run_inquiry *inquiry);
/* Until everyone who was asked has answered: 0. Else what went wrong, or DEADLINE_EXCEEDED. */
int run_inquiry_wait(struct run_inquiry *inquiry, unsigned wait_ms, struct status *st);
/* After that, borrowed: the status, never NULL; each answer with samples. */
const char *run_inquiry_text(const struct run_inquiry *inquiry);
struct fn_samples *const *run_inquiry_answers(const struct run_inquiry *inquiry, size_t *ret_count);

/* Borrows the inquiry. */
void run_inquire(struct job_run *run, struct run_inquiry *inquiry);
/* False: the token is none of an inquiry's. */
bool run_inquiry_status(struct job_run *run, uint64_t token, const char *text);
/* Takes the samples over. */
void run_inquiry_samples(struct job_run *run, uint64_t token, struct fn_samples *samples);
/* The run is over: nobody will answer. */
void run_inquiries_clear(struct job_run *run);

#endif
