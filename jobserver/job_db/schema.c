#include "jobserver/job_db/schema.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* "trst", in the file's header: `file` and we know it by that. */
#define APPLICATION_ID 0x74727374

/* Reading all of a larger file would hold up the start; what is damaged in it is found when it is met. */
#define MAX_CHECKED_BYTES ((int64_t)128 << 20)

/* Row i makes version i + 1 out of version i. */
static const char *const migrations[SCHEMA_VERSION] = {
    "CREATE TABLE submission ("
    "  key INTEGER PRIMARY KEY,"
    "  name TEXT NOT NULL,"
    "  options BLOB NOT NULL,"  /* google.protobuf.Struct */
    "  pipeline BLOB NOT NULL)" /* beam Pipeline; large ones last, so that the columns before are read without them */
    ";"
    "CREATE TABLE artifact ("
    "  submission INTEGER NOT NULL REFERENCES submission (key) ON DELETE CASCADE,"
    "  digest TEXT NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  PRIMARY KEY (submission, digest)) WITHOUT ROWID;"
    "CREATE INDEX artifact_by_digest ON artifact (digest, bytes);"
    "CREATE TABLE preparation ("
    "  key INTEGER PRIMARY KEY REFERENCES submission (key) ON DELETE CASCADE,"
    "  id TEXT NOT NULL UNIQUE,"
    "  token TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  staging INTEGER NOT NULL)" /* enum preparation_staging */
    ";"
    "CREATE TABLE job ("
    "  key INTEGER PRIMARY KEY REFERENCES submission (key) ON DELETE CASCADE,"
    "  id TEXT NOT NULL UNIQUE,"
    "  created_ms INTEGER NOT NULL,"
    "  state INTEGER NOT NULL,"          /* enum job_state */
    "  state_ms INTEGER NOT NULL,"       /* when it was entered */
    "  runs INTEGER NOT NULL DEFAULT 1," /* how often it was started */
    "  dropped_messages INTEGER NOT NULL DEFAULT 0,"
    "  bytes INTEGER NOT NULL DEFAULT 0)" /* of submission, events and metrics */
    ";"
    "CREATE TABLE event ("
    "  job INTEGER NOT NULL REFERENCES job (key) ON DELETE CASCADE,"
    "  seq INTEGER NOT NULL,"
    "  time_ms INTEGER NOT NULL,"
    "  state INTEGER," /* NULL: a message */
    "  importance INTEGER NOT NULL,"
    "  is_note INTEGER NOT NULL,"
    "  text TEXT NOT NULL,"
    "  PRIMARY KEY (job, seq)) WITHOUT ROWID;"
    "CREATE TABLE metrics ("
    "  job INTEGER PRIMARY KEY REFERENCES job (key) ON DELETE CASCADE,"
    "  attempted BLOB NOT NULL," /* pairs of identity and payload, each with a varint length in front */
    "  committed BLOB NOT NULL);",
    "ALTER TABLE metrics ADD COLUMN graph BLOB;", /* as it was at the end: job_last_graph() */
};

static int read_pragma(struct sql *sql, const char *text, int64_t *ret, struct status *st) {
    sqlite3_stmt *statement = NULL;
    int r = 0;

    if (sqlite3_prepare_v2(sql->handle, text, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    else
        r = sql_error(sql, "read", st);
    sqlite3_finalize(statement);
    return r;
}

/* Whose file it is, and of which version. */
static int check_version(struct sql *sql, int64_t *ret_version, struct status *st) {
    int64_t application = 0, version = 0, tables = 0;
    int r = read_pragma(sql, "PRAGMA application_id", &application, st);

    if (r == 0)
        r = read_pragma(sql, "PRAGMA user_version", &version, st);
    if (r == 0)
        r = read_pragma(sql, "SELECT count(*) FROM sqlite_schema", &tables, st);
    if (r < 0)
        return r;
    if (tables > 0 && application != APPLICATION_ID)
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "%s is a database of another program; move it away, or name another state directory",
                          sql->path);
    if (version > SCHEMA_VERSION)
        return status_set(
            st, STATUS_FAILED_PRECONDITION,
            "%s was written by a newer trestle (catalogue version %lld, this one knows up to %d); install "
            "that version again, or move the file away to begin with an empty catalogue of jobs",
            sql->path, (long long)version, SCHEMA_VERSION);
    *ret_version = version;
    return 0;
}

static int check_whole(struct sql *sql, struct status *st) {
    sqlite3_stmt *statement = NULL;
    struct stat info;
    int r = 0;

    if (stat(sql->path, &info) < 0 || info.st_size > MAX_CHECKED_BYTES)
        return 0;
    if (sqlite3_prepare_v2(sql->handle, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        r = sql_error(sql, "read", st);
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
        r = status_set(
            st, STATUS_DATA_LOSS,
            "%s is damaged (%s); put a backup in its place, or move it and its -wal file away to begin with an "
            "empty catalogue of jobs",
            sql->path, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return r;
}

/* Each step is a transaction of its own: a crash leaves the file at one version or the next. */
static int migrate(struct sql *sql, int64_t version, struct status *st) {
    int r = 0;

    for (; version < SCHEMA_VERSION && r == 0; version++) {
        CLEANUP(freep)
        char *text = xasprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT;",
                               migrations[version], APPLICATION_ID, (long long)version + 1);

        r = sql_execute(sql, text, st);
    }
    return r;
}

int schema_settle(struct sql *sql, struct status *st) {
    int64_t version = 0;
    int r = check_version(sql, &version, st);

    if (r == 0 && version > 0)
        r = check_whole(sql, st);
    /* auto_vacuum works only before the first table is made. */
    if (r == 0)
        r = sql_execute(sql, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;", st);
    return r < 0 ? r : migrate(sql, version, st);
}
