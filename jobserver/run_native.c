/* The environments of a running job: how each is run, and the preparation of those that run natively. Their workers start when it is done. */
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "jobserver/job_run.h"
#include "jobserver/lost_paths.h"
#include "model/urn.h"
#include "wire/pb.h"

/* ---- what was staged ---- */

static bool read_artifact(const Beam__ArtifactInformation *from, size_t number, struct arena *arena,
                          struct native_artifact *ret) {
    struct slice type = slice_of_static(from->type_payload.data, from->type_payload.len);
    struct slice role = slice_of_static(from->role_payload.data, from->role_payload.len);
    Beam__ArtifactStagingToRolePayload *staging;
    Beam__ArtifactFilePayload *file;

    if (strcmp(from->type_urn, urn_string(URN_ARTIFACT_TYPE_FILE)) != 0 ||
        PB_UNPACK(Beam__ArtifactFilePayload, beam__artifact_file_payload, type, PB_STRINGS_STRICT, arena, &file, NULL) <
            0)
        return false;
    *ret = (struct native_artifact){
        .path = file->path, .sha256 = file->sha256, .role_urn = from->role_urn, .role_payload = role};
    if (strcmp(from->role_urn, urn_string(URN_ARTIFACT_ROLE_STAGING_TO)) == 0 &&
        PB_UNPACK(Beam__ArtifactStagingToRolePayload, beam__artifact_staging_to_role_payload, role, PB_STRINGS_STRICT,
                  arena, &staging, NULL) == 0)
        ret->name = staging->staged_name;
    else /* as the boot programs call it */
        ret->name = arena_printf(arena, "%zu-%s", number, strrchr(file->path, '/') ? strrchr(file->path, '/') + 1 : "");
    return true;
}

static size_t read_artifacts(const struct plan_environment *environment, struct arena *arena,
                             const struct native_artifact **ret) {
    struct native_artifact *artifacts;
    Beam__Environment *message;
    size_t count = 0;

    if (PB_UNPACK(Beam__Environment, beam__environment, environment->proto, PB_STRINGS_STRICT, arena, &message, NULL) <
        0)
        return 0;
    artifacts = arena_new_array(arena, struct native_artifact, message->n_dependencies);
    for (size_t i = 0; i < message->n_dependencies; i++)
        if (read_artifact(message->dependencies[i], i, arena, &artifacts[count]))
            count++;
    *ret = artifacts;
    return count;
}

/* After staging all artifacts are files of the store (staging.c); but a client may run a job without having staged anything, and name files of
 * this machine, which are not for its workers. */
static int check_staged(const struct job_run *run, const struct native_spec *spec, struct status *st) {
    char digest[ARTIFACT_DIGEST_SIZE];

    for (size_t i = 0; i < spec->artifact_count; i++)
        if (!artifact_store_digest_of_path(run->options->store, spec->artifacts[i].path, digest))
            return status_set(st, STATUS_FAILED_PRECONDITION,
                              "the artifact %.500s was not staged: the client ran the job without sending its files",
                              spec->artifacts[i].name);
    return 0;
}

/* ---- while it is being prepared ---- */

static void on_message(void *user, bool is_detail, const char *text) {
    struct run_environment *environment = user;

    job_add_message(environment->run->job, is_detail ? JOB_MESSAGE_DETAILED : JOB_MESSAGE_BASIC, "environment %s: %s",
                    environment->run->plan->environments[environment->index].id, text);
}

static void on_done(void *user, struct native_environment *native, const struct status *why) {
    struct run_environment *environment = user;
    struct run_event *event = run_event_create(RUN_EVENT_ENVIRONMENT_READY, NULL);

    event->engine.environment = environment->index;
    event->native = native;
    event->text = native ? NULL : xstrdup(status_message(why));
    job_run_post(environment->run, event);
}

static void prepare(struct job_run *run, struct run_environment *environment) {
    static const struct native_handler handler = {.message = on_message, .done = on_done};
    const struct job_spec *job = job_specification(run->job);
    CLEANUP_STATUS struct status why = {0};
    struct arena arena = {0};
    struct native_spec spec = {
        .image = environment->choice.native_image,
        .pipeline_options = job->pipeline_options,
        .job_id = job_id(run->job),
        .job_name = job->name,
        .runner_capabilities = job_runner_capabilities(&arena),
        .memory_bytes = environment->choice.settings.memory_bytes,
    };

    spec.artifact_count = read_artifacts(&run->plan->environments[environment->index], &arena, &spec.artifacts);
    if (check_staged(run, &spec, &why) < 0)
        on_done(environment, NULL, &why);
    else
        environment->request = native_prepare(run->options->native, &spec, &handler, environment);
    arena_clear(&arena);
}

/* ---- from the job's start to its end ---- */

void run_environment_choose(struct job_run *run, unsigned index) {
    const struct plan_environment *asked = &run->plan->environments[index];

    /* Cannot fail: Prepare and Run have asked already. */
    environment_choose(run->config, asked->urn, asked->payload, &run->environments[index].choice, NULL);
}

static void say_how(struct job_run *run, const struct run_environment *environment) {
    const struct plan_environment *asked = &run->plan->environments[environment->index];
    struct arena arena = {0};
    const char *settlement = environment_settlement(asked->proto, &arena);

    if (settlement)
        job_add_message(run->job, JOB_MESSAGE_BASIC, "environment %s %.4000s", asked->id, settlement);
    job_add_message(run->job, JOB_MESSAGE_BASIC, "environment %s %s", asked->id, environment->choice.why);
    arena_clear(&arena);
}

static void warn_of_lost_paths(struct job_run *run) {
    const struct job_spec *job = job_specification(run->job);
    struct arena arena = {0};
    size_t count;
    const char **paths =
        lost_paths_find(run->config->containers_mounts, job->pipeline, job->pipeline_options, &arena, &count);

    for (size_t i = 0; i < count; i++)
        job_add_message(run->job, JOB_MESSAGE_WARNING,
                        "the pipeline says that it writes to %.1000s: what workers in containers write there goes with "
                        "the container, unless the path is among containers.mounts",
                        paths[i]);
    arena_clear(&arena);
}

void run_environments_start(struct job_run *run) {
    bool has_warned = false;

    for (unsigned i = 0; i < run->plan->environment_count; i++) {
        struct run_environment *environment = &run->environments[i];

        environment->run = run;
        environment->index = i;
        if (!environment->is_used)
            continue;
        say_how(run, environment);
        if (strcmp(environment->choice.urn, urn_string(URN_ENV_DOCKER)) == 0 && !has_warned) {
            warn_of_lost_paths(run);
            has_warned = true;
        }
        if (!environment->choice.native_image)
            run_workers_start(run, i);
        else if (!run_workers_start_warm(run, i))
            prepare(run, environment);
    }
}

void run_environment_ready(struct job_run *run, unsigned index, struct native_environment *native, char *why) {
    struct run_environment *environment = &run->environments[index];

    native_request_release(environment->request);
    environment->request = NULL;
    if (native && !run->is_over) {
        environment->native = native_environment_ref(native);
        run_workers_start(run, index);
    } else if (!run->is_over) {
        run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_ENVIRONMENT_FAILED,
                                                     .environment = index,
                                                     .error = xstrdup(why)});
    }
    free(why);
}

void run_environments_clear(struct job_run *run) {
    for (size_t i = 0; run->environments && i < run->plan->environment_count; i++) {
        struct run_environment *environment = &run->environments[i];

        native_request_release(environment->request);
        environment->request = NULL;
        native_environment_unref(environment->native);
        environment->native = NULL;
    }
}
