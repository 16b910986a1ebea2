/* How worker processes are run, by the configuration: the container engine and its options, isolation and control groups. Main's thread. */
#ifndef JOBSERVER_WORKER_SETUP_H
#define JOBSERVER_WORKER_SETUP_H

#include "jobserver/config.h"
#include "worker/worker.h"

struct worker_setup;

/* For what `workers` starts from then on. `instance` names this daemon among all (its state directory). What is left of an earlier one of that
 * name is removed. `config` and `instance` are borrowed and outlive the setup. */
struct worker_setup *worker_setup_create(const struct config *config, const char *instance, struct launcher *launcher,
                                         struct worker_manager *workers);
/* After the manager is destroyed. NULL is fine. */
void worker_setup_destroy(struct worker_setup *setup);

#endif
