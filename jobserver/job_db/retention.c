#include <stdlib.h>

#include "jobserver/job_db/job_db_internal.h"

#include "base/clock.h"

/* A walk over the finished jobs, from the newest end to the oldest: once a limit is reached, all further ones go. */
struct walk {
    const struct job_db_retention *retention;
    int64_t oldest_ms; /* end; INT64_MIN: no limit */
    uint64_t jobs, bytes;
    struct map artifacts; /* those that were counted */
    bool is_full;
};

/* The files that no newer job uses. */
static int count_artifacts(struct sql *sql, struct walk *walk, int64_t key, struct status *st) {
    enum sql_statement q = SQL_READ_ARTIFACTS;
    int r = sql_query(sql, q, st, "i", key);

    while (r >= 0 && (r = sql_next(sql, q, st)) == 1)
        if (!map_set_string(&walk->artifacts, sql_text(sql, q, 0), walk))
            walk->bytes += (uint64_t)sql_int(sql, q, 1);
    sql_reset(sql, q);
    return r;
}

/* Whether the job of the current row goes. */
static int judge(struct sql *sql, struct walk *walk, bool *ret, struct status *st) {
    const struct job_db_retention *retention = walk->retention;
    int64_t key = sql_int(sql, SQL_LIST_FINISHED, 0);
    int r = 0;

    if (!walk->is_full && retention->max_bytes > 0) {
        walk->bytes += (uint64_t)sql_int(sql, SQL_LIST_FINISHED, 3);
        r = count_artifacts(sql, walk, key, st);
    }
    walk->jobs++;
    walk->is_full |= (retention->max_jobs > 0 && walk->jobs > retention->max_jobs) ||
                     (retention->max_bytes > 0 && walk->bytes > retention->max_bytes) ||
                     sql_int(sql, SQL_LIST_FINISHED, 2) < walk->oldest_ms;
    *ret = walk->is_full;
    return r;
}

int apply_retention(struct job_db *db, struct change *change, struct status *st) {
    const struct job_db_retention *retention = &change->retention;
    struct walk walk = {.retention = retention,
                        .oldest_ms = retention->max_age_ms > 0 ? wall_clock_ms() - retention->max_age_ms : INT64_MIN};
    VEC(int64_t) keys = {0};
    struct sql *sql = &db->writer;
    int r;

    vec_foreach (id, &change->dropped) /* by an attempt that was rolled back */
        free(*id);
    change->dropped.count = 0;
    r = sql_query(sql, SQL_LIST_FINISHED, st, "");

    while (r >= 0 && (r = sql_next(sql, SQL_LIST_FINISHED, st)) == 1) {
        bool goes;

        r = judge(sql, &walk, &goes, st);
        if (r == 0 && goes) {
            vec_push(&keys, sql_int(sql, SQL_LIST_FINISHED, 0));
            vec_push(&change->dropped, xstrdup(sql_text(sql, SQL_LIST_FINISHED, 1)));
        }
    }
    sql_reset(sql, SQL_LIST_FINISHED);
    vec_foreach (key, &keys)
        if (r == 0)
            r = sql_run(sql, SQL_DROP_SUBMISSION, st, "i", *key);
    if (r == 0 && keys.count > 0)
        r = sql_execute(sql, "PRAGMA incremental_vacuum", st);
    vec_free(&keys);
    map_clear(&walk.artifacts, NULL);
    return r;
}

void job_db_retain(struct job_db *db, const struct job_db_retention *retention) {
    struct change *change = change_create(apply_retention, 0, NULL, NULL);

    change->retention = *retention;
    job_db_post(db, change);
}
