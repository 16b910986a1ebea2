/* How an environment of a pipeline is run here: by which kind of worker, and why.
 *
 *   EXTERNAL, PROCESS   as the pipeline says
 *   DOCKER              1. as an override in the configuration says that fits the image (`environments`)
 *                       2. by the container engine's program, where one is configured (`containers.cli`)
 *                       3. natively (native/native.h), if the image is one of Beam's own
 *   DEFAULT             as DOCKER, with the image that the SDK says it is based on; Python's embedded environment likewise
 *   ANYOF               the first alternative that can be run here
 *
 * How its workers run: config_find_settings() of the image or the command that the pipeline names; of a pool's only how many and their slots.
 *
 * Pure functions of the configuration and the environment: the same answer whenever they are asked. */
#ifndef JOBSERVER_ENVIRONMENT_H
#define JOBSERVER_ENVIRONMENT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "beam_runner_api.pb-c.h"
#include "jobserver/config.h"

struct environment_choice {
    const char *urn;                 /* of a kind of worker (worker/worker.h) */
    struct slice payload;            /* what that kind takes */
    char *native_image;              /* what is run natively: one of Beam's own images; else NULL */
    struct config_settings settings; /* `variables` is the choice's, the rest the configuration's */
    bool is_configured_pool; /* a worker pool that the configuration names, not the pipeline (LOOPBACK is one) */
    char *why;               /* "runs natively, since ...": follows the environment's name */
};

/* Zero-initialise; cleared first. Errors say what can be done about them. */
int environment_choose(const struct config *config, const char *urn, struct slice payload,
                       struct environment_choice *ret, struct status *st);
void environment_choice_clear(struct environment_choice *choice);

/* Puts in place of DEFAULT and ANYOF environments what they come down to, before anything else is done with the pipeline: the
 * capabilities and dependencies that count are those of the alternative. In memory of the arena. */
int environments_settle(const struct config *config, Beam__Pipeline *pipeline, struct arena *arena, struct status *st);

/* Of a serialized Environment that was settled: which alternative was taken, and why not those before it. NULL: it had none, or the first
 * one was taken. Settling leaves it as display data. In the arena. */
const char *environment_settlement(struct slice environment, struct arena *arena);

#endif
