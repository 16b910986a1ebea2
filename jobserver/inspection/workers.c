/* What a job's workers are asked for: their status, and elements that they sampled. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "jobserver/host.h"
#include "jobserver/inspection/internal.h"

enum {
    ANSWER_MS = 5000,
    MAX_ELEMENT_TEXT = 4096,
    MAX_SAMPLES = 1000,
    /* Further askers are refused: a harness that hangs must not take the threads from those who ask for something else. */
    MAX_WAITING = INSPECTION_THREADS / 2,
};

/* Asks and waits. On success the inquiry is the caller's. */
static int inquire(struct inspection *inspection, const char *job_id, struct run_inquiry *inquiry, struct status *st) {
    struct job *job;
    int r = catalogue_find_job(inspection->options.catalogue, job_id, &job, st);

    if (r < 0)
        return r;
    if (atomic_fetch_add(&inspection->waiting, 1) >= MAX_WAITING)
        r = status_set(st, STATUS_RESOURCE_EXHAUSTED, "%d answers of workers are waited for already", MAX_WAITING);
    if (r == 0)
        r = host_inquire(inspection->options.host, job, inquiry, st);
    if (r == 0)
        r = run_inquiry_wait(inquiry, ANSWER_MS, st);
    atomic_fetch_sub(&inspection->waiting, 1);
    job_unref(job);
    return r;
}

int inspect_worker_status(struct inspection *inspection, const ProtobufCMessage *base, struct arena *arena,
                          ProtobufCMessage **ret, struct status *st) {
    const Trestle__V1__GetWorkerStatusRequest *request = (const Trestle__V1__GetWorkerStatusRequest *)base;
    Trestle__V1__WorkerStatusText *status = arena_new(arena, Trestle__V1__WorkerStatusText);
    struct run_inquiry *inquiry = run_inquiry_create(INQUIRY_STATUS, request->worker_id, NULL);
    int r = inquire(inspection, request->job_id, inquiry, st);

    trestle__v1__worker_status_text__init(status);
    status->worker_id = request->worker_id;
    if (r == 0) /* else the answer may be coming just now */
        status->text = arena_string(arena, run_inquiry_text(inquiry));
    run_inquiry_unref(inquiry);
    *ret = &status->base;
    return r;
}

/* ---- samples ---- */

/* Text as it is, what is not printable as \xNN. */
static char *printable(struct slice bytes, struct arena *arena) {
    struct buf out = {0};
    char *text;
    size_t i = 0;

    while (i < bytes.size && out.size < MAX_ELEMENT_TEXT) {
        size_t length = utf8_character_size(bytes.data + i, bytes.size - i);

        if (length == 0 || bytes.data[i] < 0x20 || bytes.data[i] == 0x7f) {
            buf_printf(&out, "\\x%02x", bytes.data[i++]);
        } else {
            buf_add(&out, bytes.data + i, length);
            i += length;
        }
    }
    if (i < bytes.size)
        buf_printf(&out, "...");
    text = arena_copy(arena, buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

static void add_samples(const struct fn_samples *from, Trestle__V1__SampledElements *to, struct arena *arena) {
    for (size_t i = 0; i < from->count && to->n_samples < MAX_SAMPLES; i++) {
        const struct fn_sample *found = &from->items[i];
        Trestle__V1__Sample *sample = arena_new(arena, Trestle__V1__Sample);

        trestle__v1__sample__init(sample);
        sample->pcollection = arena_string(arena, found->collection_id);
        sample->element = printable(found->element, arena);
        sample->time_ms = found->time_ms;
        sample->exception = arena_string(arena, found->exception);
        to->samples[to->n_samples++] = sample;
    }
}

static int collect(const struct run_inquiry *inquiry, Trestle__V1__SampledElements *elements, struct arena *arena,
                   struct status *st) {
    size_t count;
    struct fn_samples *const *answers = run_inquiry_answers(inquiry, &count);

    elements->samples = ARENA_ARRAY(arena, Trestle__V1__Sample, MAX_SAMPLES);
    for (size_t i = 0; i < count; i++) {
        if (answers[i]->error)
            return status_set(st, STATUS_FAILED_PRECONDITION,
                              "the SDK gives no samples: %s (they are switched on with "
                              "--experiments=enable_data_sampling)",
                              answers[i]->error);
        add_samples(answers[i], elements, arena);
    }
    if (elements->n_samples == 0)
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "the workers have no samples: they keep some where the job was submitted with "
                          "--experiments=enable_data_sampling (not under LOOPBACK), once elements have passed");
    return 0;
}

int inspect_samples(struct inspection *inspection, const ProtobufCMessage *base, struct arena *arena,
                    ProtobufCMessage **ret, struct status *st) {
    const Trestle__V1__SampleElementsRequest *request = (const Trestle__V1__SampleElementsRequest *)base;
    Trestle__V1__SampledElements *elements = arena_new(arena, Trestle__V1__SampledElements);
    struct run_inquiry *inquiry =
        run_inquiry_create(INQUIRY_SAMPLES, NULL, request->pcollection[0] ? request->pcollection : NULL);
    int r = inquire(inspection, request->job_id, inquiry, st);

    trestle__v1__sampled_elements__init(elements);
    if (r == 0)
        r = collect(inquiry, elements, arena, st);
    run_inquiry_unref(inquiry);
    *ret = &elements->base;
    return r;
}
