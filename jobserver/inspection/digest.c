#include "jobserver/inspection/digest.h"

#include <stdlib.h>

#include "jobserver/inspection/sdk_name.h"
#include "jobserver/pipeline_options.h"
#include "trestle_inspection.pb-c.h"
#include "wire/pb.h"

/* So many jobs are remembered; then all are forgotten, and read anew when they are asked for. */
enum { MAX_DIGESTS = 4096 };

void digests_init(struct digests *digests) {
    *digests = (struct digests){0};
    pthread_mutex_init(&digests->mutex, NULL);
}

void digest_clear(struct digest *digest) {
    free(digest->error);
    free(digest->sdk);
    *digest = (struct digest){0};
}

static void free_digest(void *digest) {
    digest_clear(digest);
    free(digest);
}

void digests_finish(struct digests *digests) {
    map_clear(&digests->by_id, free_digest);
    pthread_mutex_destroy(&digests->mutex);
}

/* The last place is for the newest. */
static void take_state(struct digest *digest, const struct job_event *event) {
    size_t place = MIN(digest->state_count, (size_t)DIGEST_STATES - 1);

    digest->states[place].state = event->state;
    digest->states[place].time_ms = event->time_ms;
    digest->state_count = place + 1;
}

static bool take_event(void *user, const struct job_event *event) {
    struct digest *digest = user;

    digest->seq = event->seq;
    if (event->is_state) {
        take_state(digest, event);
    } else if (event->importance == JOB_MESSAGE_WARNING) {
        digest->warnings++;
    } else if (event->importance == JOB_MESSAGE_ERROR) {
        free(digest->error);
        digest->error = xstrdup(event->text);
    }
    return true;
}

int64_t digest_time_of(const struct digest *digest, enum job_state state) {
    for (size_t i = 0; i < digest->state_count; i++)
        if (digest->states[i].state == state)
            return digest->states[i].time_ms;
    return 0;
}

int64_t digest_end(const struct digest *digest) {
    size_t last = digest->state_count - 1;

    return digest->state_count && job_state_is_terminal(digest->states[last].state) ? digest->states[last].time_ms : 0;
}

static int32_t priority_of(struct slice bytes) {
    struct pipeline_options *options;
    int64_t priority = 0;

    if (pipeline_options_create(bytes, &options, NULL) < 0)
        return 0;
    pipeline_options_int(options, "trestle_priority", &priority, NULL);
    pipeline_options_destroy(options);
    return (int32_t)priority;
}

/* A job that was read back from disk has no plan: its last graph says the rest. */
static void read_specification(struct digest *digest, struct job *job) {
    const struct job_spec *spec = job_specification(job);
    struct arena arena = {0};

    digest->priority = priority_of(spec->pipeline_options);
    digest->is_streaming = spec->plan && plan_is_streaming(spec->plan);
    digest->sdk = xstrdup(sdk_names(spec->plan, &arena));
    arena_clear(&arena);
}

static void read_last_graph(struct digest *digest, struct job *job) {
    CLEANUP_SLICE struct slice packed = job_last_graph(job);
    Trestle__V1__Graph *graph;
    struct arena arena = {0};

    if (packed.size &&
        PB_UNPACK(Trestle__V1__Graph, trestle__v1__graph, packed, PB_STRINGS_LENIENT, &arena, &graph, NULL) == 0) {
        digest->retries = graph->retries;
        digest->peak_memory_bytes = graph->peak_memory_bytes;
        free(digest->sdk);
        digest->sdk = xstrdup(graph->sdk);
        for (size_t i = 0; i < graph->n_stages; i++)
            digest->is_streaming |= graph->stages[i]->is_streaming;
    }
    arena_clear(&arena);
}

/* A failure makes warnings of the errors before it: what was read of them is read anew. */
static void read_on(struct digest *digest, struct job *job) {
    bool was_over = digest_end(digest) != 0;

    job_read_history(job, digest->seq, take_event, digest);
    if (was_over || !digest_end(digest))
        return;
    digest_clear(digest);
    read_specification(digest, job);
    job_read_history(job, 0, take_event, digest);
    read_last_graph(digest, job);
}

static struct digest copy_of(const struct digest *digest) {
    struct digest copy = *digest;

    copy.error = digest->error ? xstrdup(digest->error) : NULL;
    copy.sdk = xstrdup(digest->sdk);
    return copy;
}

struct digest digests_get(struct digests *digests, struct job *job) {
    struct digest *digest, copy;

    pthread_mutex_lock(&digests->mutex);
    digest = map_get_string(&digests->by_id, job_id(job));
    if (!digest) {
        if (digests->by_id.count == MAX_DIGESTS)
            map_clear(&digests->by_id, free_digest);
        digest = xcalloc(1, sizeof(*digest));
        read_specification(digest, job);
        map_set_string(&digests->by_id, job_id(job), digest);
    }
    read_on(digest, job);
    copy = copy_of(digest);
    pthread_mutex_unlock(&digests->mutex);
    return copy;
}

bool digests_get_ended(struct digests *digests, const char *job_id, struct digest *ret) {
    const struct digest *digest;
    bool is_known;

    pthread_mutex_lock(&digests->mutex);
    digest = map_get_string(&digests->by_id, job_id);
    is_known = digest && digest_end(digest) != 0;
    if (is_known)
        *ret = copy_of(digest);
    pthread_mutex_unlock(&digests->mutex);
    return is_known;
}
