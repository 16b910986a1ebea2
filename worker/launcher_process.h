/* Inside the launcher process: everything between launcher_create()'s fork and the end. Only launcher.c includes this. */
#ifndef WORKER_LAUNCHER_PROCESS_H
#define WORKER_LAUNCHER_PROCESS_H

/* Serves the daemon's requests on `socket` until it is closed, kills what runs, and exits. The caller is a fresh single-threaded fork.
 * Takes over the descriptor; every other one above standard error is closed. */
_Noreturn void launcher_process_run(int socket);

#endif
