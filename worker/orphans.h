/* Processes that outlived their launcher. A launcher that ends kills what it started; one that is killed itself cannot, and only its direct
 * children die with it. What those had started is found by a variable in its environment:
 *
 *      TRESTLE_LAUNCHER = PID START INSTANCE     the launcher's process number and start time; whose launcher it was (launcher_set_instance)
 *
 * A process is an orphan when the instance is the one asked for and that launcher is gone. Processes in other PID namespaces are left alone,
 * since numbers mean something else there; of other users' processes nothing is known. */
#ifndef WORKER_ORPHANS_H
#define WORKER_ORPHANS_H

#include <sys/types.h>

#define ORPHANS_VARIABLE "TRESTLE_LAUNCHER"

/* KEY=VALUE for all that this launcher starts. The caller frees. */
char *orphans_variable(pid_t launcher, const char *instance);
/* SIGKILL to all orphans of the instance, and to what they start meanwhile; waits until they are gone, for some seconds at most. Returns how
 * many there were. Any thread. */
unsigned orphans_kill(const char *instance);

#endif
