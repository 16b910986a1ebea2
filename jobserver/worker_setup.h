/* How worker processes are run, by the configuration: the container engine and its options, isolation and control groups. Main's thread. */
#ifndef JOBSERVER_WORKER_SETUP_H
#define JOBSERVER_WORKER_SETUP_H

#include "jobserver/config.h"
#include "worker/worker.h"

struct worker_setup;

/* workers.user; without it *ret stays empty. An error where it cannot be, or where the state directory or the files with tokens and keys are open
 * to that user. */
int worker_setup_find_user(const struct config *config, const char *state_directory, struct worker_user *ret,
                           struct status *st);
/* Whether the state directory and those files, as this configuration names them, are closed to the user. */
int worker_setup_check_user(const struct config *config, const char *state_directory, const struct worker_user *user,
                            struct status *st);
/* For what `workers` starts from then on. `instance` names this daemon among all (its state directory). What is left of an earlier one of that
 * name is removed. `config`, `instance` and `user` (NULL: the daemon's) are borrowed and outlive the setup. */
struct worker_setup *worker_setup_create(const struct config *config, const char *instance,
                                         const struct worker_user *user, struct launcher *launcher,
                                         struct worker_manager *workers);
/* After the manager is destroyed. NULL is fine. */
void worker_setup_destroy(struct worker_setup *setup);

#endif
