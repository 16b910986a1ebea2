/* Jobs that are held in user code until the test lets them go on. One gate a test, in the daemon's directory, which removes it. */
#ifndef HARNESS_GATE_H
#define HARNESS_GATE_H

#include "fixture.h"

void gate_create(void);
void gate_destroy(void);

/* A daemon of the test's own, as test_daemon, with test_client and the gate. */
void gated_daemon_start(const char *yaml);
void gated_daemon_stop(void);
/* After it has ended, however that was. */
void gated_daemon_launch_again(void);

/* The good pipeline (fixture.h) behind the gate. */
void begin_gated(struct pipeline *p);
/* The same as a stream: it does all at once, but could go on. */
void make_unbounded(struct pipeline *p);
/* Starts it and returns its id once it runs; clears the pipeline. */
char *start_running(struct pipeline *p);
/* Waits until somebody is at the gate, and lets it pass. */
void open_gate(void);

#endif
