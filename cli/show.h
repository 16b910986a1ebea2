/* What there is to say of one job, for people. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/inspection.h"
#include "cli/terminal.h"

/* All of it: summary, stages, workers, environments, what stands out, the error with its traceback. */
void show_add_job(const struct terminal *terminal, const Trestle__V1__JobDetail *job, const Trestle__V1__Graph *graph,
                  const Trestle__V1__Server *server, struct buf *out);
/* A few lines: how far it is, the stages that are under way, and what stands out. */
void show_add_progress(const struct terminal *terminal, const Trestle__V1__JobDetail *job,
                       const Trestle__V1__Graph *graph, struct buf *out);

#endif
