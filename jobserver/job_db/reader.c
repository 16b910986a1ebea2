#include "base/buf.h"
#include "jobserver/history.h"
#include "jobserver/job_db/job_db_internal.h"

/* No artifact is fetched by way of a token any more: harnesses read ProvisionInfo.dependencies. */
static const char no_artifacts_token[] = "__no_artifacts_staged__";

/* Ends a query, and the use of the reader's connection. */
static int finish(struct job_db *db, enum sql_statement which, int r) {
    sql_reset(&db->reader, which);
    pthread_mutex_unlock(&db->reader_mutex);
    return r;
}

int job_db_last_key(struct job_db *db, int64_t *ret, struct status *st) {
    struct sql *sql = &db->reader;
    int r;

    pthread_mutex_lock(&db->reader_mutex);
    r = sql_query(sql, SQL_READ_LAST_KEY, st, "");
    if (r == 0)
        r = sql_next(sql, SQL_READ_LAST_KEY, st);
    if (r == 1)
        *ret = sql_int(sql, SQL_READ_LAST_KEY, 0);
    return finish(db, SQL_READ_LAST_KEY, MIN(r, 0));
}

int job_db_list_preparations(struct job_db *db, void (*each)(void *user, const struct stored_preparation *preparation),
                             void *user, struct status *st) {
    enum sql_statement q = SQL_LIST_PREPARATIONS;
    struct sql *sql = &db->reader;
    int r;

    pthread_mutex_lock(&db->reader_mutex);
    r = sql_query(sql, q, st, "");
    while (r >= 0 && (r = sql_next(sql, q, st)) == 1) {
        struct stored_preparation row = {
            .key = sql_int(sql, q, 0),
            .id = sql_text(sql, q, 1),
            .token = sql_text(sql, q, 2),
            .created_ms = sql_int(sql, q, 3),
            .staging = (enum preparation_staging)sql_int(sql, q, 4),
            .name = sql_text(sql, q, 5),
            .options = sql_bytes(sql, q, 6),
            .pipeline = sql_bytes(sql, q, 7),
        };

        each(user, &row);
        slice_unref(&row.options);
        slice_unref(&row.pipeline);
    }
    return finish(db, q, r);
}

int job_db_list_jobs(struct job_db *db, void (*each)(void *user, const struct stored_job *job), void *user,
                     struct status *st) {
    enum sql_statement q = SQL_LIST_JOBS;
    struct sql *sql = &db->reader;
    int r;

    pthread_mutex_lock(&db->reader_mutex);
    r = sql_query(sql, q, st, "");
    while (r >= 0 && (r = sql_next(sql, q, st)) == 1)
        each(user, &(struct stored_job){
                       .key = sql_int(sql, q, 0),
                       .id = sql_text(sql, q, 1),
                       .name = sql_text(sql, q, 2),
                       .state = (enum job_state)sql_int(sql, q, 3),
                       .state_time_ms = sql_int(sql, q, 4),
                       .created_ms = sql_int(sql, q, 5),
                       .runs = sql_int(sql, q, 6),
                   });
    return finish(db, q, r);
}

/* ------------------------------------------------------------------ one submission */

/* A column of the one row that a key has. */
static int read_bytes(struct job_db *db, enum sql_statement q, int64_t key, int column, struct slice *ret,
                      struct status *st) {
    struct sql *sql = &db->reader;
    int r;

    pthread_mutex_lock(&db->reader_mutex);
    r = sql_query(sql, q, st, "i", key);
    if (r == 0)
        r = sql_next(sql, q, st);
    if (r == 1)
        *ret = sql_bytes(sql, q, column);
    else if (r == 0)
        r = status_set(st, STATUS_NOT_FOUND, "it was dropped from the catalogue");
    return finish(db, q, MIN(r, 0));
}

int job_db_read_options(struct job_db *db, int64_t key, struct slice *ret, struct status *st) {
    return read_bytes(db, SQL_READ_OPTIONS, key, 0, ret, st);
}

int job_db_read_submission(struct job_db *db, int64_t key, struct slice *ret_pipeline, struct status *st) {
    return read_bytes(db, SQL_READ_JOB, key, 3, ret_pipeline, st);
}

/* ------------------------------------------------------------------ a job */

static int read_events(struct sql *sql, int64_t key, struct job_past *past, struct status *st) {
    enum sql_statement q = SQL_READ_EVENTS;
    int r = sql_query(sql, q, st, "i", key);

    while (r >= 0 && (r = sql_next(sql, q, st)) == 1) {
        bool is_state = sqlite3_column_type(sql->statements[q], 2) != SQLITE_NULL;
        struct job_event event = {
            .seq = (uint64_t)sql_int(sql, q, 0),
            .is_state = is_state,
            .time_ms = sql_int(sql, q, 1),
            .state = (enum job_state)sql_int(sql, q, 2),
            .importance = (enum job_message_importance)sql_int(sql, q, 3),
            .text = sql_text(sql, q, 5),
        };

        vec_push(&past->records, history_record_create(&event, sql_int(sql, q, 4) != 0));
    }
    sql_reset(sql, q);
    return r;
}

static void decode_metrics(struct slice bytes, struct metric_table *ret) {
    struct cursor in = cursor_of(bytes.data, bytes.size), identity, payload;

    while (cursor_prefixed(&in, &identity) && cursor_prefixed(&in, &payload))
        metric_table_add(ret, &(struct metric){
                                  .identity = slice_of_static(identity.at, cursor_left(&identity)),
                                  .payload = slice_of_static(payload.at, cursor_left(&payload)),
                              });
}

static int read_metrics(struct sql *sql, int64_t key, struct job_past *past, struct status *st) {
    enum sql_statement q = SQL_READ_METRICS;
    int r = sql_query(sql, q, st, "i", key);

    if (r == 0)
        r = sql_next(sql, q, st);
    if (r == 1) {
        CLEANUP_SLICE struct slice attempted = sql_bytes(sql, q, 0);
        CLEANUP_SLICE struct slice committed = sql_bytes(sql, q, 1);

        decode_metrics(attempted, &past->attempted);
        decode_metrics(committed, &past->committed);
        past->last_graph = sql_bytes(sql, q, 2);
    }
    sql_reset(sql, q);
    return MIN(r, 0);
}

static int read_job(struct sql *sql, int64_t key, const struct job_limits *limits, struct plan *plan, struct job **ret,
                    struct status *st) {
    enum sql_statement q = SQL_READ_JOB;
    struct job_past past = {0};
    int r = sql_query(sql, q, st, "i", key);

    if (r == 0)
        r = sql_next(sql, q, st);
    if (r == 0)
        r = status_set(st, STATUS_NOT_FOUND, "it was dropped from the catalogue");
    if (r == 1)
        r = read_events(sql, key, &past, st);
    if (r == 0)
        r = read_metrics(sql, key, &past, st);
    if (r == 0) {
        struct job_spec spec = {
            .name = sql_text(sql, q, 1),
            .pipeline_options = sql_bytes(sql, q, 2),
            .pipeline = sql_bytes(sql, q, 3),
            .plan = plan,
            .retrieval_token = no_artifacts_token,
        };

        past.created_ms = sql_int(sql, q, 4);
        past.dropped_count = (uint64_t)sql_int(sql, q, 5);
        *ret = job_restore(sql_text(sql, q, 0), &spec, limits, &past);
        slice_unref(&spec.pipeline_options);
        slice_unref(&spec.pipeline);
    }
    job_past_clear(&past);
    sql_reset(sql, q);
    return r;
}

int job_db_read_job(struct job_db *db, int64_t key, const struct job_limits *limits, struct plan *plan,
                    struct job **ret, struct status *st) {
    int r;

    pthread_mutex_lock(&db->reader_mutex);
    r = read_job(&db->reader, key, limits, plan, ret, st);
    pthread_mutex_unlock(&db->reader_mutex);
    if (r == 0)
        job_db_follow(db, *ret, key);
    else if (plan)
        plan_destroy(plan);
    return r;
}

/* ------------------------------------------------------------------ artifacts */

int job_db_list_artifacts(struct job_db *db, struct map *ret, struct status *st) {
    enum sql_statement q = SQL_LIST_ARTIFACTS;
    struct sql *sql = &db->reader;
    int r;

    pthread_mutex_lock(&db->reader_mutex);
    r = sql_query(sql, q, st, "");
    while (r >= 0 && (r = sql_next(sql, q, st)) == 1)
        map_set_string(ret, sql_text(sql, q, 0), ret);
    return finish(db, q, r);
}
