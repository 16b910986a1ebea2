/* A harness that would be another's, or read what is not its own. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "tests/harness/fixture.h"
#include "wire/pb.h"

enum { SECRET_DIGITS = 32 };

/* So many hexadecimal digits in a row as a worker's secret has. */
static bool has_secret(const char *text) {
    size_t digits = 0;

    for (; *text; text++) {
        digits = isxdigit((unsigned char)*text) ? digits + 1 : 0;
        if (digits == SECRET_DIGITS)
            return true;
    }
    return false;
}

START_TEST(a_workers_id_is_in_no_message_of_its_job)
{
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Log", "log:3:a line of the worker", "Start", "bytes");
    job_run(&test_client, &p, "quiet", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__DONE);
    ck_assert(job_has_line(&job, "a line of the worker [worker "));
    vec_foreach (line, &job.lines)
        ck_assert_msg(!has_secret(line->text), "\"%s\"", line->text);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

static enum status_code ask(const char *path, const char *worker_id) {
    CLEANUP_STATUS struct status st = {0};
    struct rpc_metadata metadata = {"worker_id", worker_id};
    struct slice response = SLICE_EMPTY;

    rpc_channel_call_wait(test_client.channel, path, &metadata, 1, 10000, true, SLICE_EMPTY, &response, &st);
    slice_unref(&response);
    return st.code;
}

/* Whose name is known: it stands in the messages. */
START_TEST(a_workers_name_is_not_its_id)
{
    static const char *const paths[] = {
        "/org.apache.beam.model.fn_execution.v1.BeamFnControl/Control",
        "/org.apache.beam.model.fn_execution.v1.BeamFnData/Data",
        "/org.apache.beam.model.fn_execution.v1.BeamFnState/State",
        "/org.apache.beam.model.fn_execution.v1.BeamFnLogging/Logging",
        "/org.apache.beam.model.fn_execution.v1.BeamFnWorkerStatus/WorkerStatus",
        "/org.apache.beam.model.fn_execution.v1.ProvisionService/GetProvisionInfo",
    };
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Stall", "stall", "Start", "bytes");
    job_start(&test_client, &p, "stalls", &job);
    job_wait_for_state(&job, JOB__JOB_STATE__ENUM__RUNNING);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        CLEANUP(freep) char *name = xasprintf("%s-0-0", job.id);
        CLEANUP(freep) char *guess = xasprintf("%s-00000000000000000000000000000000", name);

        ck_assert_int_eq(ask(paths[i], name), STATUS_NOT_FOUND);
        ck_assert_int_eq(ask(paths[i], guess), STATUS_NOT_FOUND);
    }
    job_cancel(&test_client, &job);
    job_wait(&job);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

/* A job is run without staging, and names a file of this machine as what its native worker needs. */
START_TEST(a_file_that_nobody_staged_is_not_given_to_a_native_worker)
{
    Beam__DockerPayload docker = BEAM__DOCKER_PAYLOAD__INIT;
    Beam__ArtifactFilePayload file = BEAM__ARTIFACT_FILE_PAYLOAD__INIT;
    Beam__ArtifactInformation artifact = BEAM__ARTIFACT_INFORMATION__INIT, *artifacts = &artifact;
    Beam__Environment *environment;
    struct slice image, payload;
    struct pipeline p;
    struct job job;

    docker.container_image = (char *)"apache/beam_python3.11_sdk:2.77.0";
    file.path = (char *)"/etc/hostname";
    image = PB_PACK(&docker, NULL);
    payload = PB_PACK(&file, NULL);
    artifact.type_urn = (char *)"beam:artifact:type:file:v1";
    artifact.type_payload = (ProtobufCBinaryData){.len = payload.size, .data = (uint8_t *)payload.data};
    begin_pipeline(&p);
    pipeline_add_fn(&p, "Read", "identity", "Start", "bytes");
    environment = p.components.environments[0]->value;
    environment->urn = (char *)"beam:env:docker:v1";
    environment->payload = (ProtobufCBinaryData){.len = image.size, .data = (uint8_t *)image.data};
    environment->n_dependencies = 1;
    environment->dependencies = &artifacts;
    job_run(&test_client, &p, "unstaged", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__FAILED);
    ck_assert_msg(job.error && strstr(job.error, "was not staged"), "%s", job.error ? job.error : "no error");
    slice_unref(&image);
    slice_unref(&payload);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

void add_worker_tests(Suite *suite) {
    TCase *tcase = tcase_create("workers");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_workers_id_is_in_no_message_of_its_job);
    tcase_add_test(tcase, a_workers_name_is_not_its_id);
    tcase_add_test(tcase, a_file_that_nobody_staged_is_not_given_to_a_native_worker);
    suite_add_tcase(suite, tcase);
}
