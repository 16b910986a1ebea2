/* What stands out in a job, and on the machine it runs on, in sentences, the worst first: a worker that hangs, a transform that takes the time, a disk
 * without space. web/findings.js says the same on the page, by the same figures. */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include "cli/terminal.h"
#include "trestle_inspection.pb-c.h"

/* A worker that gave no sign of life for so long is worth a word. */
enum { FINDING_SILENT_MS = 30 * 1000 };

/* One line each, none where nothing stands out. Any of `job` with `graph`, and `server`, may be NULL. */
void add_findings(const struct terminal *terminal, const Trestle__V1__JobDetail *job, const Trestle__V1__Graph *graph,
                  const Trestle__V1__Server *server, struct buf *out);

/* A worker's id without the job's in front. */
const char *short_worker_id(const char *worker, const char *job);

#endif
