#include "jobserver/run_inquiry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "jobserver/job_run.h"

/* Tokens of bundles, which the watch asks with, are less (run_watch.c). */
#define INQUIRY_TOKEN (UINT64_C(1) << 63)

/* Of one job, without an answer: a worker that hangs gives none, and whoever looks at it asks again and again. */
enum { MAX_QUESTIONS = 256 };

struct run_inquiry {
    atomic_uint refs;
    enum inquiry_kind kind;
    char *worker;
    char *collection;
    pthread_mutex_t mutex;
    pthread_cond_t answered; /* on CLOCK_MONOTONIC */
    size_t open;             /* answers to come; before it was asked one */
    struct status failure;
    char *text;
    VEC(struct fn_samples *) answers;
};

struct run_inquiry *run_inquiry_create(enum inquiry_kind kind, const char *worker, const char *collection) {
    struct run_inquiry *inquiry = xcalloc(1, sizeof(*inquiry));
    pthread_condattr_t monotonic;

    atomic_init(&inquiry->refs, 1);
    inquiry->kind = kind;
    inquiry->worker = worker ? xstrdup(worker) : NULL;
    inquiry->collection = collection ? xstrdup(collection) : NULL;
    inquiry->open = 1;
    pthread_mutex_init(&inquiry->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&inquiry->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return inquiry;
}

struct run_inquiry *run_inquiry_ref(struct run_inquiry *inquiry) {
    atomic_fetch_add_explicit(&inquiry->refs, 1, memory_order_relaxed);
    return inquiry;
}

void run_inquiry_unref(struct run_inquiry *inquiry) {
    if (!inquiry || atomic_fetch_sub_explicit(&inquiry->refs, 1, memory_order_acq_rel) != 1)
        return;
    vec_foreach (answer, &inquiry->answers)
        fn_samples_free(*answer);
    vec_free(&inquiry->answers);
    status_clear(&inquiry->failure);
    pthread_cond_destroy(&inquiry->answered);
    pthread_mutex_destroy(&inquiry->mutex);
    free(inquiry->text);
    free(inquiry->collection);
    free(inquiry->worker);
    free(inquiry);
}

/* ---- the asker ---- */

int run_inquiry_wait(struct run_inquiry *inquiry, unsigned wait_ms, struct status *st) {
    int64_t until_ns = monotonic_now_ns() + wait_ms * INT64_C(1000000);
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    int r = 0, error = 0;

    pthread_mutex_lock(&inquiry->mutex);
    while (inquiry->open && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&inquiry->answered, &inquiry->mutex, &until);
    if (inquiry->failure.code)
        r = status_set(st, inquiry->failure.code, "%s", status_message(&inquiry->failure));
    else if (inquiry->open)
        r = status_set(
            st, STATUS_FAILED_PRECONDITION,
            "the worker gave no answer within %u s: its whole process may be held up, as when it is stopped or "
            "C code keeps Python's lock; py-spy, jstack or gdb on its machine say where",
            wait_ms / 1000);
    pthread_mutex_unlock(&inquiry->mutex);
    return r;
}

const char *run_inquiry_text(const struct run_inquiry *inquiry) {
    return inquiry->text ? inquiry->text : "";
}

struct fn_samples *const *run_inquiry_answers(const struct run_inquiry *inquiry, size_t *ret_count) {
    *ret_count = inquiry->answers.count;
    return inquiry->answers.items;
}

/* ---- the job's thread ---- */

static void fail(struct run_inquiry *inquiry, enum status_code code, const char *why) {
    pthread_mutex_lock(&inquiry->mutex);
    if (!inquiry->failure.code)
        status_set(&inquiry->failure, code, "%s", why);
    inquiry->open = 0;
    pthread_cond_broadcast(&inquiry->answered);
    pthread_mutex_unlock(&inquiry->mutex);
}

/* Returns the token for one question, whose answer is then looked for. */
static uint64_t open_question(struct job_run *run, struct run_inquiry *inquiry) {
    uint64_t token = INQUIRY_TOKEN | ++run->next_inquiry;

    map_set(&run->inquiries, &token, sizeof(token), run_inquiry_ref(inquiry));
    pthread_mutex_lock(&inquiry->mutex);
    inquiry->open++;
    pthread_mutex_unlock(&inquiry->mutex);
    return token;
}

/* With a reference; NULL: nobody asked, or it was answered. */
static struct run_inquiry *close_question(struct job_run *run, uint64_t token) {
    return map_remove(&run->inquiries, &token, sizeof(token));
}

static void end_one(struct run_inquiry *inquiry) {
    pthread_mutex_lock(&inquiry->mutex);
    if (inquiry->open && --inquiry->open == 0)
        pthread_cond_broadcast(&inquiry->answered);
    pthread_mutex_unlock(&inquiry->mutex);
}

static bool ask(struct job_run *run, struct run_worker *worker, struct run_inquiry *inquiry) {
    struct fn_worker *harness = run_usable_harness(run, worker->number);
    uint64_t token;

    if (!harness || !worker->is_connected)
        return false;
    if (inquiry->kind == INQUIRY_SAMPLES && !fn_worker_has_capability(harness, "beam:protocol:data_sampling:v1"))
        return false;
    token = open_question(run, inquiry);
    if (inquiry->kind == INQUIRY_SAMPLES) {
        fn_worker_ask_samples(harness, token, inquiry->collection);
        return true;
    }
    if (fn_worker_ask_status(harness, token))
        return true;
    run_inquiry_unref(close_question(run, token));
    end_one(inquiry);
    return false;
}

static const char *why_none(const struct run_inquiry *inquiry, bool is_found) {
    if (inquiry->kind == INQUIRY_SAMPLES)
        return "no worker of the job can sample elements: none is connected whose SDK says that it can";
    return is_found ? "the worker has no status to show: it is not connected, or has no status stream"
                    : "the job has no worker of that name";
}

void run_inquire(struct job_run *run, struct run_inquiry *inquiry) {
    bool is_found = false, is_asked = false;

    if (run->inquiries.count >= MAX_QUESTIONS) {
        fail(inquiry, STATUS_RESOURCE_EXHAUSTED,
             "the job's workers were asked so often without an answer that they are not asked again");
        return;
    }
    list_foreach (node, &run->workers) {
        struct run_worker *worker = CONTAINER_OF(node, struct run_worker, node);

        if (!worker->sdk || (inquiry->worker && strcmp(worker->sdk->name, inquiry->worker) != 0))
            continue;
        is_found = true;
        is_asked |= ask(run, worker, inquiry);
    }
    if (is_asked)
        end_one(inquiry);
    else if (inquiry->kind == INQUIRY_SAMPLES)
        fail(inquiry, STATUS_FAILED_PRECONDITION, why_none(inquiry, is_found));
    else
        fail(inquiry, is_found ? STATUS_UNAVAILABLE : STATUS_NOT_FOUND, why_none(inquiry, is_found));
}

bool run_inquiry_status(struct job_run *run, uint64_t token, const char *text) {
    struct run_inquiry *inquiry = close_question(run, token);

    if (inquiry) {
        pthread_mutex_lock(&inquiry->mutex);
        free(inquiry->text);
        inquiry->text = xstrdup(text);
        pthread_mutex_unlock(&inquiry->mutex);
        end_one(inquiry);
        run_inquiry_unref(inquiry);
    }
    return token >= INQUIRY_TOKEN;
}

void run_inquiry_samples(struct job_run *run, uint64_t token, struct fn_samples *samples) {
    struct run_inquiry *inquiry = close_question(run, token);

    if (!inquiry) {
        fn_samples_free(samples);
        return;
    }
    pthread_mutex_lock(&inquiry->mutex);
    vec_push(&inquiry->answers, samples);
    pthread_mutex_unlock(&inquiry->mutex);
    end_one(inquiry);
    run_inquiry_unref(inquiry);
}

static void give_up(void *inquiry) {
    fail(inquiry, STATUS_UNAVAILABLE, "the job ended before the worker answered");
    run_inquiry_unref(inquiry);
}

void run_inquiries_clear(struct job_run *run) {
    map_clear(&run->inquiries, give_up);
}
