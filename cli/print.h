/* What several commands print alike. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "cli/inspection.h"
#include "cli/terminal.h"

/* The message as one line of JSON. */
void print_json(const ProtobufCMessage *message);
/* {"job_id": ..., "state": ...}, or "ID: STATE". */
void print_job_state(bool as_json, const char *job, const char *state);

/* What a job's state is for people: RUNNING, and QUEUED with its place. The caller frees. */
char *describe_state(const Trestle__V1__JobSummary *job);
/* From the start, or from submission, to the end, or to now; the caller frees. */
char *describe_duration(const Trestle__V1__JobSummary *job, int64_t now_ms);
/* The table of jobs. */
void add_jobs(const struct terminal *terminal, Trestle__V1__JobSummary *const *jobs, size_t count, struct buf *out);

/* Whether a state, by name, is a job's last one. */
bool state_is_terminal(const char *state);

#endif
