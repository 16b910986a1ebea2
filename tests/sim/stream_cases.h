/* The model of streaming against cases that were worked out by hand from MODEL 2 to 5: what the simulator compares with must be right itself. */
#ifndef SIM_STREAM_CASES_H
#define SIM_STREAM_CASES_H

/* How many cases failed; each prints a line. */
unsigned stream_cases_run(void);

#endif
