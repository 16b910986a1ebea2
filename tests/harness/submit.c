#include "submit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pb.h"

#define JOB_SERVICE "/org.apache.beam.model.job_management.v1.JobService/"

enum { CALL_MS = 60000 };

void submitter_init(struct submitter *s, const char *endpoint) {
    s->client = rpc_client_create(1);
    s->channel = rpc_channel_create(s->client, endpoint);
    s->fails_fast = false;
    s->authorization = NULL;
}

void submitter_clear(struct submitter *s) {
    rpc_channel_destroy(s->channel);
    rpc_client_destroy(s->client);
}

void job_clear(struct job *job) {
    if (job->stream) {
        rpc_stream_cancel(job->stream);
        job_wait(job);
        rpc_stream_unref(job->stream);
    }
    vec_foreach (line, &job->lines)
        free(line->text);
    vec_free(&job->lines);
    free(job->id);
    free(job->error);
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->changed);
    *job = (struct job){0};
}

/* ---- the message stream ---- */

static void add_line(struct job *job, const Job__JobMessage *message) {
    struct job_line line = {(int)message->importance, xstrdup(message->message_text)};

    vec_push(&job->lines, line);
    if (message->importance == JOB__JOB_MESSAGE__MESSAGE_IMPORTANCE__JOB_MESSAGE_ERROR) {
        free(job->error);
        job->error = xstrdup(message->message_text);
    }
}

static void on_message(struct rpc_stream *stream, void *user, struct slice bytes) {
    struct job *job = user;
    Job__JobMessagesResponse *message;
    struct arena arena = {0};

    (void)stream;
    if (PB_UNPACK(Job__JobMessagesResponse, job__job_messages_response, bytes, PB_STRINGS_STRICT, &arena, &message,
                  NULL) == 0) {
        pthread_mutex_lock(&job->lock);
        if (message->response_case == JOB__JOB_MESSAGES_RESPONSE__RESPONSE_MESSAGE_RESPONSE)
            add_line(job, message->message_response);
        if (message->response_case == JOB__JOB_MESSAGES_RESPONSE__RESPONSE_STATE_RESPONSE)
            job->state = message->state_response->state;
        pthread_cond_broadcast(&job->changed);
        pthread_mutex_unlock(&job->lock);
    }
    arena_clear(&arena);
    slice_unref(&bytes);
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct job *job = user;

    (void)stream;
    pthread_mutex_lock(&job->lock);
    if (status->code != STATUS_OK && !job->error)
        job->error = xasprintf("the message stream ended: %s", status_message(status));
    job->end = job->state;
    job->end_code = status->code;
    job->is_over = true;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->lock);
}

static void open_stream(struct submitter *s, struct job *job) {
    static const struct rpc_handler handler = {.message = on_message, .closed = on_closed};
    Job__JobMessagesRequest request = JOB__JOB_MESSAGES_REQUEST__INIT;
    struct rpc_metadata metadata = {"authorization", s->authorization};
    struct slice bytes;

    request.job_id = job->id;
    bytes = pb_pack(&request.base, NULL);
    job->stream = rpc_channel_open(s->channel, JOB_SERVICE "GetMessageStream", &metadata, s->authorization ? 1 : 0, 0,
                                   false, &handler, job);
    rpc_stream_send(job->stream, &bytes, 1);
    rpc_stream_finish(job->stream, STATUS_OK, NULL);
}

/* ---- calls ---- */

static void refuse(struct job *job, const struct status *st) {
    job->is_refused = job->is_over = true;
    free(job->error);
    job->error = xstrdup(status_message(st));
}

static int call(struct submitter *s, const char *path, struct slice request, struct slice *ret, struct status *st) {
    struct rpc_metadata metadata = {"authorization", s->authorization};

    return rpc_channel_call_wait(s->channel, path, &metadata, s->authorization ? 1 : 0, CALL_MS, !s->fails_fast,
                                 request, ret, st);
}

static int prepare(struct submitter *s, struct slice request, char **ret_id, struct status *st) {
    Job__PrepareJobResponse *message;
    struct slice response = SLICE_EMPTY;
    struct arena arena = {0};
    int r = call(s, JOB_SERVICE "Prepare", request, &response, st);

    if (r == 0)
        r = PB_UNPACK(Job__PrepareJobResponse, job__prepare_job_response, response, PB_STRINGS_STRICT, &arena, &message,
                      st);
    if (r == 0)
        *ret_id = xstrdup(message->preparation_id);
    arena_clear(&arena);
    slice_unref(&response);
    return r;
}

static int run(struct submitter *s, const char *preparation, char **ret_id, struct status *st) {
    Job__RunJobRequest request = JOB__RUN_JOB_REQUEST__INIT;
    Job__RunJobResponse *message;
    struct slice response = SLICE_EMPTY;
    struct arena arena = {0};
    int r;

    request.preparation_id = (char *)preparation;
    r = call(s, JOB_SERVICE "Run", pb_pack(&request.base, NULL), &response, st);
    if (r == 0)
        r = PB_UNPACK(Job__RunJobResponse, job__run_job_response, response, PB_STRINGS_STRICT, &arena, &message, st);
    if (r == 0)
        *ret_id = xstrdup(message->job_id);
    arena_clear(&arena);
    slice_unref(&response);
    return r;
}

static void init(struct job *job) {
    *job = (struct job){0};
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->changed, NULL);
}

static char *prepare_bytes(struct submitter *s, struct slice request, struct status *st) {
    char *preparation = NULL;

    return prepare(s, request, &preparation, st) < 0 ? NULL : preparation;
}

void job_run_prepared(struct submitter *s, const char *preparation, struct job *ret) {
    CLEANUP_STATUS struct status st = {0};

    init(ret);
    if (run(s, preparation, &ret->id, &st) < 0)
        refuse(ret, &st);
    else
        open_stream(s, ret);
}

void job_watch(struct submitter *s, const char *id, struct job *ret) {
    init(ret);
    ret->id = xstrdup(id);
    open_stream(s, ret);
}

void job_start_bytes(struct submitter *s, struct slice request, struct job *ret) {
    CLEANUP_STATUS struct status st = {0};
    CLEANUP(freep) char *preparation = prepare_bytes(s, request, &st);

    if (preparation) {
        job_run_prepared(s, preparation, ret);
    } else {
        init(ret);
        refuse(ret, &st);
    }
}

static struct slice make_request(struct pipeline *p, const char *name) {
    Job__PrepareJobRequest request = JOB__PREPARE_JOB_REQUEST__INIT;

    request.pipeline = &p->message;
    request.job_name = (char *)name;
    request.pipeline_options = &p->options;
    return pb_pack(&request.base, NULL);
}

void job_start(struct submitter *s, struct pipeline *p, const char *name, struct job *ret) {
    job_start_bytes(s, make_request(p, name), ret);
}

char *job_prepare(struct submitter *s, struct pipeline *p, const char *name, struct status *st) {
    return prepare_bytes(s, make_request(p, name), st);
}

void job_wait(struct job *job) {
    pthread_mutex_lock(&job->lock);
    while (!job->is_over)
        pthread_cond_wait(&job->changed, &job->lock);
    pthread_mutex_unlock(&job->lock);
}

static size_t count_lines(const struct job *job, const char *text) {
    size_t count = 0;

    vec_foreach (line, &job->lines)
        count += strstr(line->text, text) != NULL;
    return count;
}

size_t job_count_lines(struct job *job, const char *text) {
    size_t count;

    pthread_mutex_lock(&job->lock);
    count = count_lines(job, text);
    pthread_mutex_unlock(&job->lock);
    return count;
}

bool job_has_line(struct job *job, const char *text) {
    return job_count_lines(job, text) > 0;
}

void job_wait_for_line(struct job *job, const char *text) {
    job_wait_for_lines(job, text, 1);
}

void job_wait_for_lines(struct job *job, const char *text, size_t count) {
    pthread_mutex_lock(&job->lock);
    while (!job->is_over && count_lines(job, text) < count)
        pthread_cond_wait(&job->changed, &job->lock);
    pthread_mutex_unlock(&job->lock);
}

void job_wait_for_state(struct job *job, Job__JobState__Enum state) {
    pthread_mutex_lock(&job->lock);
    while (!job->is_over && job->state != state)
        pthread_cond_wait(&job->changed, &job->lock);
    pthread_mutex_unlock(&job->lock);
}

/* Requests about one job are all {string job_id = 1}. */
static void call_with_id(struct submitter *s, const char *path, struct job *job) {
    Job__CancelJobRequest request = JOB__CANCEL_JOB_REQUEST__INIT;
    struct slice response = SLICE_EMPTY;

    request.job_id = job->id;
    call(s, path, pb_pack(&request.base, NULL), &response, NULL);
    slice_unref(&response);
}

void job_cancel(struct submitter *s, struct job *job) {
    call_with_id(s, JOB_SERVICE "Cancel", job);
}

void job_drain(struct submitter *s, struct job *job) {
    call_with_id(s, JOB_SERVICE "Drain", job);
}

void job_run(struct submitter *s, struct pipeline *p, const char *name, struct job *ret) {
    job_start(s, p, name, ret);
    job_wait(ret);
}
