#include "jobserver/job_db/sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Readers do not wait for the writer (WAL); what may wait is a start beside another program that looks at the file. */
enum { BUSY_TIMEOUT_MS = 10000 };

/* The states that are numbered here are the terminal ones (job.h). */
#define IS_OVER "state IN (3, 4, 5, 6, 8)"

static const char *const texts[SQL_STATEMENT_COUNT] = {
    [SQL_ADD_SUBMISSION] = "INSERT INTO submission (key, name, options, pipeline) VALUES (?, ?, ?, ?)",
    [SQL_ADD_PREPARATION] = "INSERT INTO preparation (key, id, token, created_ms, staging) VALUES (?, ?, ?, ?, ?)",
    [SQL_SET_STAGING] = "UPDATE preparation SET staging = ? WHERE key = ?",
    [SQL_SET_PIPELINE] = "UPDATE submission SET pipeline = ? WHERE key = ?",
    [SQL_DROP_ARTIFACTS] = "DELETE FROM artifact WHERE submission = ?",
    [SQL_ADD_ARTIFACT] = "INSERT OR IGNORE INTO artifact (submission, digest, bytes) VALUES (?, ?, ?)",
    [SQL_ADD_JOB] = "INSERT INTO job (key, id, created_ms, state, state_ms) VALUES (?, ?, ?, 1, ?)",
    [SQL_DROP_PREPARATION] = "DELETE FROM preparation WHERE key = ?",
    [SQL_COUNT_RUN] = "UPDATE job SET runs = runs + 1 WHERE key = ?",
    [SQL_DROP_SUBMISSION] = "DELETE FROM submission WHERE key = ?",
    [SQL_SAVE_JOB] = "UPDATE job SET state = ?, state_ms = ?, dropped_messages = ?, bytes = ? WHERE key = ?",
    [SQL_DROP_EVENTS] = "DELETE FROM event WHERE job = ?",
    [SQL_ADD_EVENT] =
        "INSERT INTO event (job, seq, time_ms, state, importance, is_note, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
    [SQL_SAVE_METRICS] = "INSERT OR REPLACE INTO metrics (job, attempted, committed, graph) VALUES (?, ?, ?, ?)",
    [SQL_LIST_PREPARATIONS] = "SELECT key, id, token, created_ms, staging, name, options, pipeline "
                              "FROM preparation JOIN submission USING (key) ORDER BY id",
    [SQL_LIST_JOBS] = "SELECT key, id, name, state, state_ms, created_ms, runs "
                      "FROM job JOIN submission USING (key) ORDER BY id",
    [SQL_READ_JOB] = "SELECT id, name, options, pipeline, created_ms, dropped_messages "
                     "FROM job JOIN submission USING (key) WHERE key = ?",
    [SQL_READ_OPTIONS] = "SELECT options FROM submission WHERE key = ?",
    [SQL_READ_EVENTS] = "SELECT seq, time_ms, state, importance, is_note, text FROM event WHERE job = ? ORDER BY seq",
    [SQL_READ_METRICS] = "SELECT attempted, committed, graph FROM metrics WHERE job = ?",
    [SQL_READ_LAST_KEY] = "SELECT coalesce(max(key), 0) FROM submission",
    [SQL_LIST_ARTIFACTS] = "SELECT digest, max(bytes) FROM artifact GROUP BY digest",
    [SQL_LIST_FINISHED] = "SELECT key, id, state_ms, bytes FROM job WHERE " IS_OVER " ORDER BY state_ms DESC, id DESC",
    [SQL_READ_ARTIFACTS] = "SELECT digest, bytes FROM artifact WHERE submission = ?",
};

static bool is_disk_full(struct sql *sql) {
    int error_number = sqlite3_system_errno(sql->handle);

    return sqlite3_errcode(sql->handle) == SQLITE_FULL ||
           (sqlite3_errcode(sql->handle) == SQLITE_IOERR &&
            (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG));
}

int sql_error(struct sql *sql, const char *what, struct status *st) {
    int code = sqlite3_errcode(sql->handle);

    if (is_disk_full(sql))
        return status_set(st, STATUS_RESOURCE_EXHAUSTED, "cannot %s %s: the disk is full", what, sql->path);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return status_set(st, STATUS_DATA_LOSS,
                          "cannot %s %s: the file is damaged (%s); put a backup in its place, or move it and its -wal "
                          "file away to begin with an empty catalogue of jobs",
                          what, sql->path, sqlite3_errmsg(sql->handle));
    return status_set(st,
                      code == SQLITE_CANTOPEN || code == SQLITE_READONLY ? STATUS_FAILED_PRECONDITION : STATUS_INTERNAL,
                      "cannot %s %s: %s", what, sql->path, sqlite3_errmsg(sql->handle));
}

int sql_open(struct sql *sql, const char *path, bool is_reader, struct status *st) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (is_reader ? 0 : SQLITE_OPEN_CREATE);
    int r = 0;

    *sql = (struct sql){.path = xstrdup(path)};
    if (sqlite3_open_v2(path, &sql->handle, flags, NULL) != SQLITE_OK) {
        if (!sql->handle)
            abort(); /* no memory */
        r = sql_error(sql, "open", st);
    }
    if (r == 0) {
        sqlite3_busy_timeout(sql->handle, BUSY_TIMEOUT_MS);
        sqlite3_extended_result_codes(sql->handle, 0);
        r = sql_execute(sql, is_reader ? "PRAGMA query_only = ON" : "PRAGMA foreign_keys = ON", st);
    }
    /* In KiB. What is read is read once, and the kernel has it too; left alone, the cache grows with the file up to 2 MB. */
    if (r == 0)
        r = sql_execute(sql, "PRAGMA cache_size = -256", st);
    if (r < 0)
        sql_close(sql);
    return r;
}

void sql_close(struct sql *sql) {
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++)
        sqlite3_finalize(sql->statements[i]);
    sqlite3_close(sql->handle);
    free(sql->path);
    *sql = (struct sql){0};
}

int sql_execute(struct sql *sql, const char *text, struct status *st) {
    if (sqlite3_exec(sql->handle, text, NULL, NULL, NULL) != SQLITE_OK)
        return sql_error(sql, sqlite3_db_readonly(sql->handle, "main") ? "read" : "write", st);
    return 0;
}

static void bind_bytes(sqlite3_stmt *statement, int index, const struct slice *bytes) {
    /* A NULL pointer would make it NULL. */
    sqlite3_bind_blob64(statement, index, bytes->size ? (const void *)bytes->data : "", bytes->size, SQLITE_STATIC);
}

static int bind(struct sql *sql, enum sql_statement which, struct status *st, const char *types, va_list values) {
    sqlite3_stmt *statement = sql->statements[which];

    if (!statement && sqlite3_prepare_v3(sql->handle, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                         &sql->statements[which], NULL) != SQLITE_OK)
        return sql_error(sql, "read", st);
    statement = sql->statements[which];
    for (int i = 1; types[i - 1]; i++) {
        switch (types[i - 1]) {
        case 'i':
            sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
            break;
        case 't':
            sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_STATIC);
            break;
        case 'b':
            bind_bytes(statement, i, va_arg(values, const struct slice *));
            break;
        default:
            sqlite3_bind_null(statement, i);
            break;
        }
    }
    return 0;
}

int sql_run(struct sql *sql, enum sql_statement which, struct status *st, const char *types, ...) {
    va_list values;
    int r;

    va_start(values, types);
    r = bind(sql, which, st, types, values);
    va_end(values);
    if (r == 0 && sqlite3_step(sql->statements[which]) != SQLITE_DONE)
        r = sql_error(sql, "write", st);
    sql_reset(sql, which);
    return r;
}

int sql_query(struct sql *sql, enum sql_statement which, struct status *st, const char *types, ...) {
    va_list values;
    int r;

    va_start(values, types);
    r = bind(sql, which, st, types, values);
    va_end(values);
    return r;
}

int sql_next(struct sql *sql, enum sql_statement which, struct status *st) {
    switch (sqlite3_step(sql->statements[which])) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return sql_error(sql, "read", st);
    }
}

int64_t sql_int(struct sql *sql, enum sql_statement which, int column) {
    return sqlite3_column_int64(sql->statements[which], column);
}

const char *sql_text(struct sql *sql, enum sql_statement which, int column) {
    const char *text = (const char *)sqlite3_column_text(sql->statements[which], column);

    return text ? text : "";
}

struct slice sql_bytes(struct sql *sql, enum sql_statement which, int column) {
    const void *bytes = sqlite3_column_blob(sql->statements[which], column);

    return !bytes ? SLICE_EMPTY : slice_copy(bytes, (size_t)sqlite3_column_bytes(sql->statements[which], column), NULL);
}

void sql_reset(struct sql *sql, enum sql_statement which) {
    if (!sql->statements[which])
        return;
    sqlite3_reset(sql->statements[which]);
    sqlite3_clear_bindings(sql->statements[which]);
}
