/* SQLite as this folder uses it: a connection, its prepared statements, and errors that say what to do.
 *
 * One thread at a time per connection. Errors: RESOURCE_EXHAUSTED when the disk is full, DATA_LOSS when the file is damaged, INTERNAL
 * else; all name the file. */
#ifndef JOBSERVER_JOB_DB_SQL_H
#define JOBSERVER_JOB_DB_SQL_H

#include <sqlite3.h>

#include "base/slice.h"
#include "base/status.h"

/* The texts are in sql.c, in this order. */
enum sql_statement {
    SQL_ADD_SUBMISSION,
    SQL_ADD_PREPARATION,
    SQL_SET_STAGING,
    SQL_SET_PIPELINE,
    SQL_DROP_ARTIFACTS,
    SQL_ADD_ARTIFACT,
    SQL_ADD_JOB,
    SQL_DROP_PREPARATION,
    SQL_COUNT_RUN,
    SQL_DROP_SUBMISSION,
    SQL_SAVE_JOB,
    SQL_DROP_EVENTS,
    SQL_ADD_EVENT,
    SQL_SAVE_METRICS,
    SQL_LIST_PREPARATIONS,
    SQL_LIST_JOBS,
    SQL_READ_JOB,
    SQL_READ_OPTIONS,
    SQL_READ_EVENTS,
    SQL_READ_METRICS,
    SQL_READ_LAST_KEY,
    SQL_LIST_ARTIFACTS,
    SQL_LIST_FINISHED,
    SQL_READ_ARTIFACTS,
    SQL_STATEMENT_COUNT,
};

struct sql {
    char *path;
    sqlite3 *handle;
    sqlite3_stmt *statements[SQL_STATEMENT_COUNT]; /* prepared when first used */
};

/* `is_reader`: nothing is written by it. On failure `sql` is closed. */
int sql_open(struct sql *sql, const char *path, bool is_reader, struct status *st);
/* Harmless on a zero-initialised one. */
void sql_close(struct sql *sql);
/* What went wrong last, as a status of the form "cannot WHAT PATH: why". */
int sql_error(struct sql *sql, const char *what, struct status *st);
/* One or several statements without parameters. */
int sql_execute(struct sql *sql, const char *text, struct status *st);

/* Runs a statement that returns no rows. `types` has a letter for each parameter: i int64_t, t const char *, b const struct slice *,
 * n nothing (NULL). The values need to live only until it returns. */
int sql_run(struct sql *sql, enum sql_statement which, struct status *st, const char *types, ...);

/* The same for a query: then sql_next() until it is not 1, then sql_reset(). */
int sql_query(struct sql *sql, enum sql_statement which, struct status *st, const char *types, ...);
/* 1: there is a row; 0: no more; negative: an error. */
int sql_next(struct sql *sql, enum sql_statement which, struct status *st);
int64_t sql_int(struct sql *sql, enum sql_statement which, int column);
/* Until the next step; never NULL. */
const char *sql_text(struct sql *sql, enum sql_statement which, int column);
/* A copy. */
struct slice sql_bytes(struct sql *sql, enum sql_statement which, int column);
void sql_reset(struct sql *sql, enum sql_statement which);

#endif
