#include "jobserver/environment.h"

#include <stdlib.h>
#include <string.h>

#include "jobserver/native/native.h"
#include "model/urn.h"
#include "wire/pb.h"
#include "worker/worker.h"

static const char sdk_base[] = "beam:version:sdk_base:";
static const char labelled_urn[] = "beam:display_data:labelled:v1";
static const char settlement_key[] = "trestle:environment:alternative";

void environment_choice_clear(struct environment_choice *choice) {
    slice_unref(&choice->payload);
    free(choice->native_image);
    free(choice->settings.variables);
    free(choice->why);
    *choice = (struct environment_choice){0};
}

/* The payload is taken over, as are the texts. */
static int choose(struct environment_choice *ret, const char *urn, struct slice payload, char *native_image,
                  char *why) {
    environment_choice_clear(ret);
    *ret = (struct environment_choice){.urn = urn, .payload = payload, .native_image = native_image, .why = why};
    return 0;
}

static struct slice docker_payload(const char *image) {
    Beam__DockerPayload payload = BEAM__DOCKER_PAYLOAD__INIT;

    payload.container_image = (char *)image;
    return PB_PACK(&payload, NULL);
}

/* ---- DOCKER ---- */

static int choose_natively(const char *image, const char *published, char *why, struct environment_choice *ret,
                           struct status *st) {
    int r = native_check_image(published, st);

    if (r < 0) {
        free(why);
        return status_prefix(
            st,
            "environment %s cannot be run here: no container engine is configured "
            "(containers.cli: docker, podman or nerdctl), and without its image it cannot be run "
            "either. Configure an engine, or say in `environments` of the configuration what to run in "
            "place of %.500s, or submit with --environment_type=LOOPBACK or PROCESS",
            urn_string(URN_ENV_DOCKER), image);
    }
    return choose(ret, WORKER_NATIVE_URN, docker_payload(published), xstrdup(published), why);
}

static int choose_container(const struct config *config, const char *image, const char *asked_image,
                            struct environment_choice *ret) {
    bool is_other = strcmp(image, asked_image) != 0;

    return choose(ret, urn_string(URN_ENV_DOCKER), docker_payload(image), NULL,
                  xasprintf("runs in a container of %s%s%s%s, started by %s (containers.cli)", image,
                            is_other ? " in place of " : "", is_other ? asked_image : "",
                            is_other ? " (environments)" : "", config->containers_cli));
}

/* ---- overrides ---- */

static char *why_overridden(const char *what, const char *value, const char *image) {
    return xasprintf("runs %s%s in place of the image %s, by the configuration (environments)", what, value, image);
}

static int choose_process(const char *command, const char *image, struct environment_choice *ret) {
    Beam__ProcessPayload payload = BEAM__PROCESS_PAYLOAD__INIT;

    payload.command = (char *)command;
    return choose(ret, urn_string(URN_ENV_PROCESS), PB_PACK(&payload, NULL), NULL,
                  why_overridden("the command ", command, image));
}

static int choose_pool(const char *address, const char *image, struct environment_choice *ret) {
    Beam__ExternalPayload payload = BEAM__EXTERNAL_PAYLOAD__INIT;
    Beam__ApiServiceDescriptor endpoint = BEAM__API_SERVICE_DESCRIPTOR__INIT;

    endpoint.url = (char *)address;
    payload.endpoint = &endpoint;
    choose(ret, urn_string(URN_ENV_EXTERNAL), PB_PACK(&payload, NULL), NULL,
           why_overridden("in the worker pool at ", address, image));
    ret->is_configured_pool = true;
    return 0;
}

static int choose_override(const struct config *config, const struct config_environment *override, const char *image,
                           struct environment_choice *ret, struct status *st) {
    const char *value = strcmp(override->value, "same") == 0 ? image : override->value;

    switch (override->way) {
    case CONFIG_RUN_PROCESS:
        return choose_process(override->value, image, ret);
    case CONFIG_RUN_EXTERNAL:
        return choose_pool(override->value, image, ret);
    case CONFIG_RUN_NATIVE:
        return choose_natively(value, value, why_overridden("natively, as ", value, image), ret, st);
    case CONFIG_RUN_CONTAINER:
    case CONFIG_RUN_AS_ASKED: /* is none that overrides */
        break;
    }
    if (!config->containers_cli[0])
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "the configuration (environments) has the image %.500s run as a container of %.500s, but no "
                          "container engine is configured (containers.cli)",
                          image, value);
    return choose_container(config, value, image, ret);
}

static int choose_image(const struct config *config, const char *image, struct environment_choice *ret,
                        struct status *st) {
    const struct config_environment *override = config_find_override(config, image);

    if (override)
        return choose_override(config, override, image, ret, st);
    if (config->containers_cli[0])
        return choose_container(config, image, image, ret);
    return choose_natively(image, image,
                           xasprintf("runs natively, without the image %s, since no container engine is configured "
                                     "(containers.cli)",
                                     image),
                           ret, st);
}

static int choose_docker(const struct config *config, struct slice payload, struct environment_choice *ret,
                         struct status *st) {
    struct arena arena = {0};
    Beam__DockerPayload *message;
    int r = PB_UNPACK(Beam__DockerPayload, beam__docker_payload, payload, PB_STRINGS_STRICT, &arena, &message, st);

    if (r < 0)
        status_prefix(st, "environment %s", urn_string(URN_ENV_DOCKER));
    else if (!message->container_image[0])
        r = status_set(st, STATUS_INVALID_ARGUMENT, "environment %s names no image", urn_string(URN_ENV_DOCKER));
    else
        r = choose_image(config, message->container_image, ret, st);
    if (r == 0)
        ret->settings = config_find_settings(config, CONFIG_IMAGE, message->container_image);
    arena_clear(&arena);
    return r;
}

/* ---- the others ---- */

static int choose_asked_pool(struct slice payload, struct environment_choice *ret, struct status *st) {
    int r = worker_check_environment(urn_string(URN_ENV_EXTERNAL), payload, st);
    CLEANUP(freep) char *what = NULL;

    if (r < 0)
        return r;
    what = worker_describe_environment(urn_string(URN_ENV_EXTERNAL), payload);
    return choose(ret, urn_string(URN_ENV_EXTERNAL), slice_ref(payload), NULL,
                  xasprintf("runs in %s, as the pipeline asks for", what));
}

static int choose_asked_process(const struct config *config, struct slice payload, struct environment_choice *ret,
                                struct status *st) {
    int r = worker_check_environment(urn_string(URN_ENV_PROCESS), payload, st);
    Beam__ProcessPayload *message;
    struct arena arena = {0};

    if (r == 0)
        r = PB_UNPACK(Beam__ProcessPayload, beam__process_payload, payload, PB_STRINGS_STRICT, &arena, &message, st);
    if (r == 0) {
        choose(ret, urn_string(URN_ENV_PROCESS), slice_ref(payload), NULL,
               xasprintf("runs the command %s, as the pipeline asks for", message->command));
        ret->settings = config_find_settings(config, CONFIG_COMMAND, message->command);
    }
    arena_clear(&arena);
    return r;
}

int environment_choose(const struct config *config, const char *urn, struct slice payload,
                       struct environment_choice *ret, struct status *st) {
    if (strcmp(urn, urn_string(URN_ENV_DOCKER)) == 0)
        return choose_docker(config, payload, ret, st);
    if (strcmp(urn, urn_string(URN_ENV_EXTERNAL)) == 0)
        return choose_asked_pool(payload, ret, st);
    if (strcmp(urn, urn_string(URN_ENV_PROCESS)) == 0)
        return choose_asked_process(config, payload, ret, st);
    return status_set(st, STATUS_UNIMPLEMENTED,
                      "environments of the kind \"%.200s\" cannot be run here; this server runs: %s "
                      "(--environment_type=LOOPBACK or EXTERNAL), %s (--environment_type=PROCESS), %s "
                      "(--environment_type=DOCKER), %s and %s",
                      urn, urn_string(URN_ENV_EXTERNAL), urn_string(URN_ENV_PROCESS), urn_string(URN_ENV_DOCKER),
                      urn_string(URN_ENV_DEFAULT), urn_string(URN_ENV_ANYOF));
}

/* ---- DEFAULT and ANYOF ---- */

static void set_docker(Beam__Environment *environment, const char *image, struct arena *arena) {
    struct slice payload = docker_payload(image);

    environment->urn = arena_string(arena, urn_string(URN_ENV_DOCKER));
    environment->payload.data = (uint8_t *)arena_copy(arena, payload.data, payload.size);
    environment->payload.len = payload.size;
    slice_unref(&payload);
}

/* A runner in Python runs Python's embedded environment within itself; here it is one like others. SDKs say on which image they are based; Go's says "go:VERSION". */
static int settle_default(Beam__Environment *environment, struct arena *arena, struct status *st) {
    for (size_t i = 0; i < environment->n_capabilities; i++) {
        const char *base = environment->capabilities[i];

        if (strncmp(base, sdk_base, sizeof(sdk_base) - 1) != 0)
            continue;
        base += sizeof(sdk_base) - 1;
        if (strncmp(base, "go:", 3) == 0)
            base = arena_printf(arena, "apache/beam_go_sdk:%s", base + 3);
        set_docker(environment, base, arena);
        return 0;
    }
    return status_set(
        st, STATUS_UNIMPLEMENTED,
        "environment %s says nothing of its SDK (no capability %s...), so that there is nothing to choose "
        "by; submit with another --environment_type",
        environment->urn, sdk_base);
}

static int check(const struct config *config, const Beam__Environment *environment, struct status *st) {
    struct environment_choice choice = {0};
    int r = environment_choose(config, environment->urn,
                               slice_of_static(environment->payload.data, environment->payload.len), &choice, st);

    environment_choice_clear(&choice);
    return r;
}

static int settle(const struct config *config, Beam__Environment *environment, struct arena *arena, struct status *st);

/* What the alternative does not say itself is the outer one's. */
static void adopt(Beam__Environment *environment, const Beam__Environment *chosen) {
    environment->urn = chosen->urn;
    environment->payload = chosen->payload;
    if (chosen->n_capabilities) {
        environment->capabilities = chosen->capabilities;
        environment->n_capabilities = chosen->n_capabilities;
    }
    if (chosen->n_dependencies) {
        environment->dependencies = chosen->dependencies;
        environment->n_dependencies = chosen->n_dependencies;
    }
    if (chosen->n_resource_hints) {
        environment->resource_hints = chosen->resource_hints;
        environment->n_resource_hints = chosen->n_resource_hints;
    }
}

static void remember_settlement(Beam__Environment *environment, const char *text, struct arena *arena) {
    Beam__LabelledPayload payload = BEAM__LABELLED_PAYLOAD__INIT;
    Beam__DisplayData **items = arena_new_array(arena, Beam__DisplayData *, environment->n_display_data + 1);
    Beam__DisplayData *item = arena_new(arena, Beam__DisplayData);
    struct slice bytes;

    payload.label = (char *)"Alternative";
    payload.key = (char *)settlement_key;
    payload.namespace_ = (char *)settlement_key;
    payload.value_case = BEAM__LABELLED_PAYLOAD__VALUE_STRING_VALUE;
    payload.string_value = (char *)text;
    bytes = PB_PACK(&payload, NULL);
    beam__display_data__init(item);
    item->urn = (char *)labelled_urn;
    item->payload.data = (uint8_t *)arena_copy(arena, bytes.data, bytes.size);
    item->payload.len = bytes.size;
    slice_unref(&bytes);
    for (size_t i = 0; i < environment->n_display_data; i++)
        items[i] = environment->display_data[i];
    items[environment->n_display_data++] = item;
    environment->display_data = items;
}

const char *environment_settlement(struct slice bytes, struct arena *arena) {
    Beam__Environment *environment;
    Beam__LabelledPayload *payload;
    const char *found = NULL;

    if (PB_UNPACK(Beam__Environment, beam__environment, bytes, PB_STRINGS_LENIENT, arena, &environment, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < environment->n_display_data; i++) {
        const Beam__DisplayData *item = environment->display_data[i];

        if (strcmp(item->urn, labelled_urn) == 0 &&
            PB_UNPACK(Beam__LabelledPayload, beam__labelled_payload,
                      slice_of_static(item->payload.data, item->payload.len), PB_STRINGS_LENIENT, arena, &payload,
                      NULL) == 0 &&
            strcmp(payload->key, settlement_key) == 0 &&
            payload->value_case == BEAM__LABELLED_PAYLOAD__VALUE_STRING_VALUE)
            found = payload->string_value;
    }
    return found;
}

static int settle_any_of(const struct config *config, Beam__Environment *environment, struct arena *arena,
                         struct status *st) {
    struct slice bytes = slice_of_static(environment->payload.data, environment->payload.len);
    CLEANUP_STATUS struct status why = {0};
    Beam__AnyOfEnvironmentPayload *payload;
    const char *reasons = "";
    int r = PB_UNPACK(Beam__AnyOfEnvironmentPayload, beam__any_of_environment_payload, bytes, PB_STRINGS_STRICT, arena,
                      &payload, st);

    if (r < 0)
        return status_prefix(st, "environment %s", urn_string(URN_ENV_ANYOF));
    for (size_t i = 0; i < payload->n_environments; i++) {
        Beam__Environment *alternative = payload->environments[i];

        if (settle(config, alternative, arena, &why) == 0 && check(config, alternative, &why) == 0) {
            adopt(environment, alternative);
            if (i > 0)
                remember_settlement(
                    environment,
                    arena_printf(arena,
                                 "takes alternative %zu of %zu (%s), since those before it cannot be run here:%s",
                                 i + 1, payload->n_environments, alternative->urn, reasons),
                    arena);
            return 0;
        }
        reasons = arena_printf(arena, "%s\n%zu. %s", reasons, i + 1, status_message(&why));
    }
    return status_set(st, STATUS_UNIMPLEMENTED, "environment %s: none of its %zu alternatives can be run here:%s",
                      urn_string(URN_ENV_ANYOF), payload->n_environments, reasons);
}

/* Alternatives may have alternatives: each is a level of nesting, of which wire/ lets PB_MAX_DEPTH through in all. */
static int settle(const struct config *config, Beam__Environment *environment, struct arena *arena, struct status *st) {
    if (strcmp(environment->urn, urn_string(URN_ENV_DEFAULT)) == 0 ||
        strcmp(environment->urn, urn_string(URN_PYTHON_ENV_EMBEDDED)) == 0)
        return settle_default(environment, arena, st);
    if (strcmp(environment->urn, urn_string(URN_ENV_ANYOF)) == 0)
        return settle_any_of(config, environment, arena, st);
    return 0;
}

int environments_settle(const struct config *config, Beam__Pipeline *pipeline, struct arena *arena, struct status *st) {
    int r = 0;

    for (size_t i = 0; r == 0 && pipeline->components && i < pipeline->components->n_environments; i++)
        if (pipeline->components->environments[i]->value)
            r = settle(config, pipeline->components->environments[i]->value, arena, st);
    return r;
}
