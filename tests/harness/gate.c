#include "gate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *gate; /* a FIFO */

void gate_create(void) {
    gate = xasprintf("%s/gate", test_daemon.directory);
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
}

void gate_destroy(void) {
    free(gate);
    gate = NULL;
}

void gated_daemon_start(const char *yaml) {
    ck_assert(daemon_start(&test_daemon, yaml));
    fixture_setup();
    gate_create();
}

void gated_daemon_stop(void) {
    fixture_teardown();
    ck_assert(daemon_stop(&test_daemon));
    gate_destroy();
}

void gated_daemon_launch_again(void) {
    submitter_clear(&test_client);
    ck_assert(daemon_restart(&test_daemon));
    submitter_init(&test_client, test_daemon.endpoint);
}

void begin_gated(struct pipeline *p) {
    CLEANUP(freep) char *function = xasprintf("until_opened:%s", gate);

    pipeline_add_fn(p, "Gate", function, "Start", "bytes");
    pipeline_add_fn(p, "Generate", "generate:1000:10:20", "Gate", "kv");
    pipeline_add_grouping(p, "Group", "Generate");
    pipeline_add_fn(p, "Count", "count_iterable", "Group", "kv");
    pipeline_add_fn(p, "Log", "log_value:3", "Count", "kv");
}

void make_unbounded(struct pipeline *p) {
    for (size_t i = 0; i < p->components.n_pcollections; i++)
        p->components.pcollections[i]->value->is_bounded = BEAM__IS_BOUNDED__ENUM__UNBOUNDED;
}

char *start_running(struct pipeline *p) {
    struct job job;
    char *id;

    job_start(&test_client, p, "gated", &job);
    ck_assert_msg(!job.is_refused, "%s", job.error);
    job_wait_for_state(&job, JOB__JOB_STATE__ENUM__RUNNING);
    id = xstrdup(job.id);
    job_clear(&job);
    pipeline_clear(p);
    return id;
}

void open_gate(void) {
    int fd = open(gate, O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    close(fd);
}
