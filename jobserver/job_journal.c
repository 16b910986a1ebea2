#include "jobserver/job_journal.h"

#include "jobserver/job_internal.h"

void job_set_journal(struct job *job, const struct job_journal *journal, void *user) {
    pthread_mutex_lock(&job->mutex);
    job->journal = journal;
    job->journal_user = user;
    job->told_state = job->state;
    job->told_state_time_ms = job->state_time_ms;
    if (job->taken_seq + 1 < job->history.next_seq)
        job_has_changed(job, JOB_SAVE_SOON);
    pthread_mutex_unlock(&job->mutex);
}

void job_has_changed(struct job *job, enum job_urgency urgency) {
    if (job->journal)
        job->journal->changed(job->journal_user, job, urgency);
}

void job_begin_end(struct job *job) {
    if (job->end_seq == 0)
        job->end_seq = job->history.next_seq;
}

/* ------------------------------------------------------------------ saving */

static size_t metrics_bytes(const struct metric_table *table) {
    size_t bytes = 0;

    map_foreach (entry, &table->by_identity)
        bytes += entry->key_size + ((const struct slice *)entry->value)->size;
    return bytes;
}

void job_take_changes(struct job *job, struct job_changes *ret) {
    struct history_record *record;

    *ret = (struct job_changes){0};
    pthread_mutex_lock(&job->mutex);
    ret->state = job->state;
    ret->state_time_ms = job->state_time_ms;
    ret->dropped_count = job->history.dropped_count;
    ret->replaces_events = job->history.is_rewritten;
    if (job->history.is_rewritten)
        job->taken_seq = 0;
    job->history.is_rewritten = false;
    while ((record = history_next(&job->history, job->taken_seq))) {
        vec_push(&ret->records, record);
        job->taken_seq = record->event.seq;
    }
    ret->bytes = job->history.bytes + metrics_bytes(&job->metrics->attempted) +
                 metrics_bytes(&job->metrics->committed) + job->last_graph.size;
    if (job->has_new_metrics) {
        ret->metrics = job->metrics;
        atomic_fetch_add_explicit(&ret->metrics->refs, 1, memory_order_relaxed);
        ret->last_graph = slice_ref(job->last_graph);
        job->has_new_metrics = false;
    }
    pthread_mutex_unlock(&job->mutex);
}

void job_release_changes(struct job *job, struct job_changes *changes, bool is_saved) {
    if (!is_saved) {
        pthread_mutex_lock(&job->mutex);
        job->history.is_rewritten = true;
        job->has_new_metrics |= changes->metrics != NULL;
        pthread_mutex_unlock(&job->mutex);
    }
    vec_foreach (record, &changes->records)
        history_record_unref(*record);
    vec_free(&changes->records);
    job_metrics_unref(changes->metrics);
    slice_unref(&changes->last_graph);
    *changes = (struct job_changes){0};
}

void job_publish(struct job *job, const struct job_changes *changes) {
    job_ref(job);
    pthread_mutex_lock(&job->mutex);
    vec_foreach (place, &changes->records) {
        const struct job_event *event = &(*place)->event;

        job->saved_seq = MAX(job->saved_seq, event->seq);
        if (event->is_state) {
            job->told_state = event->state;
            job->told_state_time_ms = event->time_ms;
        }
    }
    job_deliver(job);
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
}

bool job_is_idle(struct job *job) {
    bool is_idle;

    pthread_mutex_lock(&job->mutex);
    is_idle = atomic_load(&job->refs) == 1 && !job->has_new_metrics && !job->history.is_rewritten &&
              job->saved_seq + 1 == job->history.next_seq;
    pthread_mutex_unlock(&job->mutex);
    return is_idle;
}

/* ------------------------------------------------------------------ restoring */

struct job *job_restore(const char *id, const struct job_spec *spec, const struct job_limits *limits,
                        struct job_past *past) {
    struct job *job = job_create(id, spec, limits);

    job->created_ms = past->created_ms;
    history_finish(&job->history);
    history_init(&job->history, limits);
    vec_foreach (record, &past->records) {
        if ((*record)->event.is_state) {
            job->state = (*record)->event.state;
            job->state_time_ms = (*record)->event.time_ms;
        }
        history_restore(&job->history, *record);
    }
    vec_free(&past->records);
    job->history.dropped_count = past->dropped_count;
    job->taken_seq = job->saved_seq = job->history.next_seq - 1;
    job->metrics->attempted = past->attempted;
    job->metrics->committed = past->committed;
    job->last_graph = past->last_graph;
    *past = (struct job_past){0};
    return job;
}

void job_past_clear(struct job_past *past) {
    vec_foreach (record, &past->records)
        history_record_unref(*record);
    vec_free(&past->records);
    metric_table_clear(&past->attempted);
    metric_table_clear(&past->committed);
    slice_unref(&past->last_graph);
}
