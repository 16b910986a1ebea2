#include "world.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "wire/pb.h"

enum { CALL_MS = 60000 };

/* No job may fail for having been interrupted often. */
static const char configuration[] = "http: {listen: \"\"}\n"
                                    "worker_connect_timeout: 30s\n"
                                    "workers:\n"
                                    "  per_environment: 2\n"
                                    "  stop_grace: 2s\n"
                                    "retry:\n"
                                    "  worker_lost: 1000\n"
                                    "  user_exception: 1\n"
                                    "jobs:\n"
                                    "  max_runs: 1000000\n"
                                    "retention:\n"
                                    "  max_jobs: 0\n";

static const struct {
    const char *name;
    const char *shape;  /* of the records (records.h) */
    const char *result; /* the line that says that they were all there; NULL: it fails */
} kinds[] = {
    [KIND_SMALL] = {"small", "1000:10:20:0", "checked 1000 records"},
    [KIND_LARGE] = {"large", "200000:1000:40:0", "checked 200000 records"},
    [KIND_FAILING] = {"failing", "1000:10:20:0", NULL},
};

static void wrong(struct world *world, const char *format, ...) {
    va_list args;

    va_start(args, format);
    fprintf(stderr, "WRONG: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    world->failures++;
}

bool world_start(struct world *world) {
    if (!daemon_start(&world->daemon, configuration))
        return false;
    submitter_init(&world->client, world->daemon.endpoint);
    return true;
}

/* ------------------------------------------------------------------ submitting */

static void add_checked(struct pipeline *p, const char *name, const char *function, const char *shape,
                        const char *input, const char *coder) {
    CLEANUP(freep) char *text = xasprintf("%s:%s", function, shape);

    pipeline_add_fn(p, name, text, input, coder);
}

/* The harness checks the records: a job whose data are not all there, or are there twice, does not end in DONE. */
static void make_pipeline(struct pipeline *p, enum job_kind kind) {
    const char *shape = kinds[kind].shape;

    pipeline_init_process(p, getenv("TRESTLE_HARNESS_BINARY"), NULL);
    pipeline_add_impulse(p, "Start");
    pipeline_add_fn(p, "Fan", "fan:4", "Start", "bytes");
    add_checked(p, "Records", "records:4", shape, "Fan", "kv");
    pipeline_add_grouping(p, "Group", "Records");
    add_checked(p, "Check", "check_groups", shape, "Group", "kv");
    if (!kinds[kind].result)
        pipeline_add_fn(p, "Fail", "fail:on purpose", "Check", "kv");
    pipeline_add_grouping(p, "Totals", kinds[kind].result ? "Check" : "Fail");
    add_checked(p, "Result", "check_totals", shape, "Totals", NULL);
}

static void add_job(struct world *world, enum job_kind kind, const struct job *watch) {
    struct known_job *job = xcalloc(1, sizeof(*job));

    job->id = xstrdup(watch->id);
    job->kind = kind;
    vec_push(&world->jobs, job);
}

static void watch(struct world *world, struct known_job *job) {
    job_watch(&world->client, job->id, &job->watch);
    job->is_watched = true;
}

static void run(struct world *world, const char *preparation, enum job_kind kind) {
    struct job started;

    job_run_prepared(&world->client, preparation, &started);
    if (started.is_refused && !world->client.fails_fast) {
        wrong(world, "Run of %s was refused: %s", preparation, started.error);
    } else if (!started.is_refused) {
        add_job(world, kind, &started);
        watch(world, *vec_last(&world->jobs));
    }
    job_clear(&started);
}

static char *prepare(struct world *world, enum job_kind kind) {
    CLEANUP_STATUS struct status st = {0};
    struct pipeline p;
    char *id;

    make_pipeline(&p, kind);
    id = job_prepare(&world->client, &p, kinds[kind].name, &st);
    pipeline_clear(&p);
    if (!id && !world->client.fails_fast)
        wrong(world, "Prepare was refused: %s", status_message(&st));
    return id;
}

void world_submit(struct world *world, enum job_kind kind) {
    CLEANUP(freep) char *id = prepare(world, kind);

    if (id)
        run(world, id, kind);
}

void world_prepare(struct world *world, enum job_kind kind) {
    char *id = prepare(world, kind);

    if (id)
        vec_push(&world->preparations, ((struct known_preparation){.id = id, .kind = kind}));
}

void world_run_prepared(struct world *world) {
    vec_foreach (preparation, &world->preparations) {
        run(world, preparation->id, preparation->kind);
        free(preparation->id);
    }
    world->preparations.count = 0;
}

/* ------------------------------------------------------------------ what was told */

static char *transcript_of(const struct job *watched) {
    struct buf text = {0};
    char *transcript;

    vec_foreach (line, &watched->lines)
        buf_printf(&text, "%s\n", line->text);
    transcript = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return transcript;
}

/* Whether the stream told of the job's end; it is over. */
static bool was_told(const struct job *watched) {
    return watched->end == JOB__JOB_STATE__ENUM__DONE || watched->end == JOB__JOB_STATE__ENUM__FAILED ||
           watched->end == JOB__JOB_STATE__ENUM__CANCELLED;
}

/* Among the lines of the last run: those of an interrupted one may be before. */
static bool has_result(const struct job *watched, const char *result) {
    bool has = false;

    vec_foreach (line, &watched->lines)
        if (strstr(line->text, "the server was restarted"))
            has = false;
        else
            has |= strstr(line->text, result) != NULL;
    return has;
}

static void check_result(struct world *world, const struct known_job *job) {
    const char *result = kinds[job->kind].result, *error = job->watch.error ? job->watch.error : "no error";

    if (job->end != (result ? JOB__JOB_STATE__ENUM__DONE : JOB__JOB_STATE__ENUM__FAILED))
        wrong(world, "%s (%s) ended in state %d: %s", job->id, kinds[job->kind].name, (int)job->end, error);
    else if (!result && !strstr(error, "on purpose"))
        wrong(world, "%s failed for another reason: %s", job->id, error);
    else if (result && !job->lost_worker && !has_result(&job->watch, result))
        wrong(world, "%s has no result", job->id);
}

/* Ends the watch; what it has told by now counts as acknowledged. Its stream is over. */
static void stop_watching(struct world *world, struct known_job *job) {
    job_wait(&job->watch);
    if (was_told(&job->watch)) {
        job->is_told = true;
        job->end = job->watch.end;
        job->transcript = transcript_of(&job->watch);
        check_result(world, job);
    }
    job_clear(&job->watch);
    job->is_watched = false;
}

size_t world_count_unfinished(const struct world *world) {
    size_t count = 0;

    vec_foreach (place, &world->jobs) {
        struct known_job *job = *place;

        if (job->is_watched) {
            pthread_mutex_lock(&job->watch.lock);
            count += !job->watch.is_over;
            pthread_mutex_unlock(&job->watch.lock);
        }
    }
    return count;
}

/* ------------------------------------------------------------------ after a kill */

static void check_list(struct world *world) {
    CLEANUP_STATUS struct status st = {0};
    struct slice response = SLICE_EMPTY;
    Job__GetJobsResponse *list;
    struct arena arena = {0};
    struct map listed = {0};
    int r = rpc_channel_call_wait(world->client.channel, "/org.apache.beam.model.job_management.v1.JobService/GetJobs",
                                  NULL, 0, CALL_MS, true, SLICE_EMPTY, &response, &st);

    if (r == 0)
        r = PB_UNPACK(Job__GetJobsResponse, job__get_jobs_response, response, PB_STRINGS_STRICT, &arena, &list, &st);
    if (r < 0)
        wrong(world, "GetJobs: %s", status_message(&st));
    for (size_t i = 0; r == 0 && i < list->n_job_info; i++)
        map_set_string(&listed, list->job_info[i]->job_id, (void *)(uintptr_t)(1 + list->job_info[i]->state));
    vec_foreach (place, &world->jobs) {
        const struct known_job *job = *place;
        uintptr_t state = (uintptr_t)map_get_string(&listed, job->id);

        if (r == 0 && state == 0)
            wrong(world, "%s is not in the list of jobs", job->id);
        else if (r == 0 && job->is_told && state != 1 + (uintptr_t)job->end)
            wrong(world, "%s was told to be in state %d and is now in %d", job->id, (int)job->end, (int)state - 1);
    }
    map_clear(&listed, NULL);
    arena_clear(&arena);
    slice_unref(&response);
}

static void check_history(struct world *world, const struct known_job *job) {
    CLEANUP(freep) char *transcript = NULL;
    struct job watched;

    job_watch(&world->client, job->id, &watched);
    job_wait(&watched);
    transcript = transcript_of(&watched);
    if (watched.end != job->end)
        wrong(world, "%s was told to be in state %d and is now in %d: %s", job->id, (int)job->end, (int)watched.end,
              watched.error ? watched.error : "no error");
    else if (strcmp(transcript, job->transcript) != 0)
        wrong(world, "%s has other messages than were told:\n%s--- before:\n%s", job->id, transcript, job->transcript);
    job_clear(&watched);
}

void world_kill_daemon(struct world *world, size_t sample, size_t first_of_sample) {
    if (!daemon_crash(&world->daemon))
        wrong(world, "something that the daemon had started was left");
    vec_foreach (place, &world->jobs)
        if ((*place)->is_watched)
            stop_watching(world, *place);
    submitter_clear(&world->client);
    if (!daemon_restart(&world->daemon)) {
        wrong(world, "the daemon does not start any more");
        exit(EXIT_FAILURE);
    }
    submitter_init(&world->client, world->daemon.endpoint);
    check_list(world);
    for (size_t i = 0; i < MIN(sample, world->jobs.count); i++) {
        const struct known_job *job = world->jobs.items[(first_of_sample + i) % world->jobs.count];

        if (job->is_told)
            check_history(world, job);
    }
    vec_foreach (place, &world->jobs)
        if (!(*place)->is_told)
            watch(world, *place);
}

/* ------------------------------------------------------------------ workers */

/* The process's children, as many as fit. */
static size_t children_of(pid_t pid, pid_t *ret, size_t room) {
    CLEANUP(freep) char *path = xasprintf("/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "r");
    size_t count = 0;

    while (file && count < room && fscanf(file, "%d", &ret[count]) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

bool world_kill_worker(struct world *world, unsigned number) {
    pid_t workers[100];
    size_t count = children_of(daemon_launcher(&world->daemon), workers, ARRAY_COUNT(workers));

    vec_foreach (job, &world->jobs)
        (*job)->lost_worker |= (*job)->is_watched;
    return count > 0 && kill(workers[number % count], SIGKILL) == 0;
}

/* ------------------------------------------------------------------ the end */

void world_finish_jobs(struct world *world) {
    vec_foreach (place, &world->jobs)
        if ((*place)->is_watched) {
            stop_watching(world, *place);
            if (!(*place)->is_told)
                wrong(world, "%s did not end", (*place)->id);
        }
}

/* A regular file anywhere in the state directory that has no business there. */
static void check_no_file_is_left(struct world *world) {
    static const char *const known[] = {"LOCK", "VERSION", "catalogue.db"};
    CLEANUP(freep) char *command = xasprintf("find %s/state -type f -printf '%%P\\n'", world->daemon.directory);
    FILE *list = popen(command, "r");
    char name[500];

    while (list && fscanf(list, "%499s", name) == 1) {
        bool is_known = false;

        for (size_t i = 0; i < ARRAY_COUNT(known); i++)
            is_known |= strcmp(name, known[i]) == 0;
        if (!is_known)
            wrong(world, "%s was left in the state directory", name);
    }
    if (list)
        pclose(list);
}

void world_end(struct world *world) {
    submitter_clear(&world->client);
    if (!daemon_end(&world->daemon))
        wrong(world, "the daemon did not end well");
    check_no_file_is_left(world);
    daemon_remove(&world->daemon);
    vec_foreach (place, &world->jobs) {
        free((*place)->id);
        free((*place)->transcript);
        free(*place);
    }
    vec_free(&world->jobs);
    vec_foreach (preparation, &world->preparations)
        free(preparation->id);
    vec_free(&world->preparations);
}
