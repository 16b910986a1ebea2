/* An external worker pool: harnesses in this process, started and stopped by BeamFnExternalWorkerPool calls, as in LOOPBACK. */
#ifndef HARNESS_POOL_H
#define HARNESS_POOL_H

#include "base/status.h"

/* Serves on 127.0.0.1:port (0: the system picks), prints the port on standard output, and runs until standard input ends. */
int pool_serve(int port, struct status *st);

#endif
