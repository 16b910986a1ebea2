#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LONG_MS = 30000 };

struct daemon_process test_daemon;
struct submitter test_client;

void fixture_setup(void) {
    rpc_init();
    submitter_init(&test_client, test_daemon.endpoint);
}

void fixture_teardown(void) {
    submitter_clear(&test_client);
}

const char *harness_binary(void) {
    const char *path = getenv("TRESTLE_HARNESS_BINARY");

    ck_assert_msg(path != NULL, "TRESTLE_HARNESS_BINARY is not set");
    return path;
}

void begin_pipeline(struct pipeline *p) {
    pipeline_init_process(p, harness_binary(), NULL);
    pipeline_add_impulse(p, "Start");
}

pid_t worker_of(struct job *job) {
    int pid = 0;

    pthread_mutex_lock(&job->lock);
    vec_foreach (line, &job->lines) {
        const char *at = strstr(line->text, "process ");

        if (at && sscanf(at, "process %d;", &pid) == 1)
            break;
    }
    pthread_mutex_unlock(&job->lock);
    ck_assert_msg(pid > 0, "the worker did not say which process it is (state %d: %s)", (int)job->end,
                  job->error ? job->error : "no error");
    return (pid_t)pid;
}

void expect_end_of(pid_t pid) {
    struct pollfd poller = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

    if (poller.fd < 0) {
        ck_assert_int_eq(errno, ESRCH);
        return;
    }
    ck_assert_msg(poll(&poller, 1, LONG_MS) == 1, "process %d did not end", (int)pid);
    close(poller.fd);
}

void add_good_pipeline(struct pipeline *p) {
    pipeline_add_fn(p, "Generate", "generate:1000:10:20", "Start", "kv");
    pipeline_add_grouping(p, "Group", "Generate");
    pipeline_add_fn(p, "Count", "count_iterable", "Group", "kv");
    pipeline_add_fn(p, "Log", "log_value:3", "Count", "kv");
}

void expect_good_job(struct job *job) {
    ck_assert_msg(job->end == JOB__JOB_STATE__ENUM__DONE, "a good pipeline ended in state %d: %s", (int)job->end,
                  job->error ? job->error : "no error");
    for (int i = 0; i < 10; i++) {
        char text[32];

        snprintf(text, sizeof(text), ".k%d.100", i);
        ck_assert_msg(job_count_lines(job, text) == 1, "\"%s\" was logged %zu times", text, job_count_lines(job, text));
    }
}

void run_good_pipeline(void) {
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_run(&test_client, &p, "good", &job);
    expect_good_job(&job);
    job_clear(&job);
    pipeline_clear(&p);
}

static void expect_parts(const struct job *job, va_list parts) {
    const char *part;

    ck_assert_msg(job->error != NULL, "there is no ERROR message");
    while ((part = va_arg(parts, const char *)))
        ck_assert_msg(strstr(job->error, part) != NULL, "\"%s\" is not in the message \"%.600s\"", part, job->error);
}

static void expect_end(struct pipeline *p, bool is_refused, va_list parts) {
    struct job job;

    job_run(&test_client, p, "bad", &job);
    ck_assert_msg(job.is_refused == is_refused,
                  is_refused ? "the job was not refused (state %d, %s)" : "the job was refused (state %d, %s)",
                  (int)job.end, job.error ? job.error : "no error");
    ck_assert_msg(is_refused || job.end == JOB__JOB_STATE__ENUM__FAILED, "the job ended in state %d, not FAILED (%s)",
                  (int)job.end, job.error ? job.error : "no error");
    expect_parts(&job, parts);
    job_clear(&job);
    pipeline_clear(p);
    run_good_pipeline();
}

void expect_refused(struct pipeline *p, ...) {
    va_list parts;

    va_start(parts, p);
    expect_end(p, true, parts);
    va_end(parts);
}

void expect_failed(struct pipeline *p, ...) {
    va_list parts;

    va_start(parts, p);
    expect_end(p, false, parts);
    va_end(parts);
}

static void make_pipeline(struct pipeline *p, const char *function) {
    begin_pipeline(p);
    pipeline_add_fn(p, "Bad", function, "Start", "bytes");
    pipeline_add_transform(p, "Shuffle", "beam:transform:reshuffle:v1", "Bad", "bytes");
    pipeline_add_fn(p, "Rest", "log:3:the rest ran", "Shuffle", "bytes");
}

void expect_function_fails(const char *function, ...) {
    struct pipeline p;
    va_list parts;

    make_pipeline(&p, function);
    va_start(parts, function);
    expect_end(&p, false, parts);
    va_end(parts);
}

void expect_function_is_harmless(const char *function) {
    struct pipeline p;
    struct job job;

    make_pipeline(&p, function);
    job_run(&test_client, &p, "harmless", &job);
    ck_assert_msg(job.end == JOB__JOB_STATE__ENUM__DONE, "the job ended in state %d: %s", (int)job.end,
                  job.error ? job.error : "no error");
    ck_assert_msg(job_count_lines(&job, "the rest ran") == 1, "the element went on %zu times",
                  job_count_lines(&job, "the rest ran"));
    job_clear(&job);
    pipeline_clear(&p);
}
