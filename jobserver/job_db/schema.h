/* The tables of STATE_DIR/catalogue.db, and how an older file becomes one of today.
 *
 *      submission   what Prepare was given: name, options, pipeline; stored once, whatever becomes of it
 *        |-- artifact      digests of the staged files that its pipeline names (artifact_store.h)
 *        |-- preparation   while it was not run          (key: the submission's)
 *        '-- job           once it was                   (key: the submission's)
 *              |-- event     history.h
 *              '-- metrics
 *
 * Deleting a submission deletes all that hangs on it. PRAGMA user_version is the number of the schema; a change of it is one more row in
 * schema.c's table of migrations, and never a change of an old row. */
#ifndef JOBSERVER_JOB_DB_SCHEMA_H
#define JOBSERVER_JOB_DB_SCHEMA_H

#include "jobserver/job_db/sql.h"

enum { SCHEMA_VERSION = 2 };

/* Makes the tables in a new file, brings an older one up to date, and checks that the file is whole. FAILED_PRECONDITION: it is a newer
 * trestle's, or another program's. */
int schema_settle(struct sql *sql, struct status *st);

#endif
