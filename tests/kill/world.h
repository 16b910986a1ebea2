/* What the kill test knows of the daemon's jobs, as a client that was told it: what a killed daemon must still know when it is back.
 *
 * Every check that fails says so on standard error and counts. One thread. */
#ifndef KILL_WORLD_H
#define KILL_WORLD_H

#include "base/vec.h"
#include "daemon.h"
#include "submit.h"

enum job_kind {
    KIND_SMALL,   /* a few milliseconds of work */
    KIND_LARGE,   /* some hundred */
    KIND_FAILING, /* user code raises */
    KIND_COUNT,
};

/* A job whose Run was answered. */
struct known_job {
    char *id;
    enum job_kind kind;
    bool lost_worker; /* perhaps, and with it its last log lines */
    bool is_watched;
    struct job watch; /* while it is watched: its message stream */
    bool is_told;     /* that it ended: */
    Job__JobState__Enum end;
    char *transcript; /* all of its messages */
};

/* A preparation that was answered, and not run yet. */
struct known_preparation {
    char *id;
    enum job_kind kind;
};

struct world {
    struct daemon_process daemon;
    struct submitter client;
    VEC(struct known_job *) jobs;
    VEC(struct known_preparation) preparations;
    unsigned failures;
};

/* Starts the daemon. */
bool world_start(struct world *world);
/* Prepares a job and runs it, or not. Where client.fails_fast is set the daemon may be killed meanwhile: what it refuses was not
 * acknowledged, and is forgotten. */
void world_submit(struct world *world, enum job_kind kind);
void world_prepare(struct world *world, enum job_kind kind);
/* Runs all that was only prepared. */
void world_run_prepared(struct world *world);
size_t world_count_unfinished(const struct world *world);
/* SIGKILL to the daemon, then starts it again and looks for all that it had acknowledged; of jobs that ended, `sample` are read again. */
void world_kill_daemon(struct world *world, size_t sample, size_t first_of_sample);
/* SIGKILL to the worker of that number, counted on from 0; false when there is none. */
bool world_kill_worker(struct world *world, unsigned number);
/* Waits for all jobs and checks their results. */
void world_finish_jobs(struct world *world);
/* SIGTERM; nothing may be left of it but the catalogue. Frees. */
void world_end(struct world *world);

#endif
