#include "jobserver/inspection/stored_plan.h"

#include <stdlib.h>
#include <string.h>

#include "translate/translate.h"
#include "wire/pb.h"

void stored_plan_init(struct stored_plan *stored) {
    *stored = (struct stored_plan){0};
    pthread_mutex_init(&stored->mutex, NULL);
}

static void drop(struct stored_plan *stored) {
    plan_destroy(stored->plan);
    free(stored->job_id);
    stored->plan = NULL;
    stored->job_id = NULL;
}

void stored_plan_finish(struct stored_plan *stored) {
    drop(stored);
    pthread_mutex_destroy(&stored->mutex);
}

static struct plan *translate(struct slice pipeline) {
    struct arena arena = {0};
    Beam__Pipeline *message;
    struct plan *plan = NULL;

    if (PB_UNPACK(Beam__Pipeline, beam__pipeline, pipeline, PB_STRINGS_STRICT, &arena, &message, NULL) < 0 ||
        translate_pipeline(message, NULL, &plan, NULL) < 0)
        plan = NULL;
    arena_clear(&arena);
    return plan;
}

const struct plan *stored_plan_take(struct stored_plan *stored, const struct job *job) {
    pthread_mutex_lock(&stored->mutex);
    if (!stored->job_id || strcmp(stored->job_id, job_id(job)) != 0) {
        drop(stored);
        stored->job_id = xstrdup(job_id(job));
        stored->plan = translate(job_specification(job)->pipeline);
    }
    return stored->plan;
}

void stored_plan_release(struct stored_plan *stored) {
    pthread_mutex_unlock(&stored->mutex);
}
