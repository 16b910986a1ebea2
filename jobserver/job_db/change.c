#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "jobserver/history.h"
#include "jobserver/job_db/job_db_internal.h"

struct change *change_create(int (*apply)(struct job_db *, struct change *, struct status *), int64_t key,
                             job_db_done_fn done, void *user) {
    struct change *change = xcalloc(1, sizeof(*change));

    list_init(&change->node);
    change->apply = apply;
    change->done = done;
    change->user = user;
    change->key = key;
    return change;
}

void change_free(struct change *change) {
    slice_unref(&change->options);
    slice_unref(&change->pipeline);
    vec_foreach (id, &change->dropped)
        free(*id);
    vec_free(&change->dropped);
    free(change->artifacts);
    free(change->id);
    free(change->token);
    free(change->name);
    free(change);
}

/* ------------------------------------------------------------------ preparations */

static int apply_preparation(struct job_db *db, struct change *change, struct status *st) {
    int r = sql_run(&db->writer, SQL_ADD_SUBMISSION, st, "itbb", change->key, change->name, &change->options,
                    &change->pipeline);

    if (r == 0)
        r = sql_run(&db->writer, SQL_ADD_PREPARATION, st, "ittii", change->key, change->id, change->token,
                    change->time_ms, (int64_t)change->staging);
    return r;
}

void job_db_add_preparation(struct job_db *db, const struct stored_preparation *preparation, job_db_done_fn done,
                            void *user) {
    struct change *change = change_create(apply_preparation, preparation->key, done, user);

    change->id = xstrdup(preparation->id);
    change->token = xstrdup(preparation->token);
    change->name = xstrdup(preparation->name);
    change->options = slice_ref(preparation->options);
    change->pipeline = slice_ref(preparation->pipeline);
    change->staging = preparation->staging;
    change->time_ms = preparation->created_ms;
    job_db_post(db, change);
}

static int apply_staging(struct job_db *db, struct change *change, struct status *st) {
    return sql_run(&db->writer, SQL_SET_STAGING, st, "ii", (int64_t)change->staging, change->key);
}

void job_db_set_staging(struct job_db *db, int64_t key, enum preparation_staging staging, job_db_done_fn done,
                        void *user) {
    struct change *change = change_create(apply_staging, key, done, user);

    change->staging = staging;
    job_db_post(db, change);
}

static int apply_staged(struct job_db *db, struct change *change, struct status *st) {
    int r = apply_staging(db, change, st);

    if (r == 0)
        r = sql_run(&db->writer, SQL_SET_PIPELINE, st, "bi", &change->pipeline, change->key);
    if (r == 0)
        r = sql_run(&db->writer, SQL_DROP_ARTIFACTS, st, "i", change->key);
    for (size_t i = 0; i < change->artifact_count && r == 0; i++)
        r = sql_run(&db->writer, SQL_ADD_ARTIFACT, st, "iti", change->key, change->artifacts[i].digest,
                    (int64_t)change->artifacts[i].bytes);
    return r;
}

void job_db_set_staged(struct job_db *db, int64_t key, struct slice pipeline, const struct stored_artifact *artifacts,
                       size_t count, job_db_done_fn done, void *user) {
    struct change *change = change_create(apply_staged, key, done, user);

    change->staging = STAGING_DONE;
    change->pipeline = slice_ref(pipeline);
    change->artifacts = xcalloc(count + 1, sizeof(*artifacts));
    for (size_t i = 0; i < count; i++)
        change->artifacts[i] = artifacts[i];
    change->artifact_count = count;
    job_db_post(db, change);
}

/* ------------------------------------------------------------------ jobs */

static int apply_job(struct job_db *db, struct change *change, struct status *st) {
    int r = sql_run(&db->writer, SQL_ADD_JOB, st, "itii", change->key, change->id, change->time_ms, change->time_ms);

    return r < 0 ? r : sql_run(&db->writer, SQL_DROP_PREPARATION, st, "i", change->key);
}

void job_db_add_job(struct job_db *db, int64_t key, const char *id, int64_t created_ms, job_db_done_fn done,
                    void *user) {
    struct change *change = change_create(apply_job, key, done, user);

    change->is_synced = true;
    change->id = xstrdup(id);
    change->time_ms = created_ms;
    job_db_post(db, change);
}

static int apply_run(struct job_db *db, struct change *change, struct status *st) {
    return sql_run(&db->writer, SQL_COUNT_RUN, st, "i", change->key);
}

void job_db_count_run(struct job_db *db, int64_t key, job_db_done_fn done, void *user) {
    struct change *change = change_create(apply_run, key, done, user);

    change->is_synced = true;
    job_db_post(db, change);
}

static int apply_drop(struct job_db *db, struct change *change, struct status *st) {
    return sql_run(&db->writer, SQL_DROP_SUBMISSION, st, "i", change->key);
}

void job_db_drop(struct job_db *db, int64_t key) {
    job_db_post(db, change_create(apply_drop, key, NULL, NULL));
}

/* ------------------------------------------------------------------ what a job says */

static int save_events(struct job_db *db, int64_t key, const struct job_changes *changes, struct status *st) {
    int r = changes->replaces_events ? sql_run(&db->writer, SQL_DROP_EVENTS, st, "i", key) : 0;

    for (size_t i = 0; i < changes->records.count && r == 0; i++) {
        const struct history_record *record = changes->records.items[i];
        const struct job_event *event = &record->event;

        if (event->is_state)
            r = sql_run(&db->writer, SQL_ADD_EVENT, st, "iiiiiit", key, (int64_t)event->seq, event->time_ms,
                        (int64_t)event->state, (int64_t)0, (int64_t)0, "");
        else
            r = sql_run(&db->writer, SQL_ADD_EVENT, st, "iiiniit", key, (int64_t)event->seq, event->time_ms,
                        (int64_t)event->importance, (int64_t)record->is_note, event->text);
    }
    return r;
}

static struct slice encode_metrics(const struct metric_table *table) {
    struct buf out = {0};

    map_foreach (entry, &table->by_identity) {
        const struct slice *payload = entry->value;

        buf_add_prefixed(&out, entry->key, entry->key_size);
        buf_add_prefixed(&out, payload->data, payload->size);
    }
    return buf_finish(&out);
}

static int save_metrics(struct job_db *db, int64_t key, const struct job_changes *changes, struct status *st) {
    CLEANUP_SLICE struct slice attempted = encode_metrics(&changes->metrics->attempted);
    CLEANUP_SLICE struct slice committed = encode_metrics(&changes->metrics->committed);

    return sql_run(&db->writer, SQL_SAVE_METRICS, st, "ibbb", key, &attempted, &committed, &changes->last_graph);
}

int save_job_changes(struct job_db *db, int64_t key, const struct job_changes *changes, struct status *st) {
    int r = sql_run(&db->writer, SQL_SAVE_JOB, st, "iiiii", (int64_t)changes->state, changes->state_time_ms,
                    (int64_t)changes->dropped_count, (int64_t)changes->bytes, key);

    if (r < 0 || sqlite3_changes(db->writer.handle) == 0)
        return r;
    r = save_events(db, key, changes, st);
    if (r == 0 && changes->metrics)
        r = save_metrics(db, key, changes, st);
    return r;
}
