/* The clocks. Any thread. The engine reads none (the first law of docs/architecture.md): its host tells it the time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC: for deadlines. */
int64_t monotonic_now_ns(void);
/* CLOCK_REALTIME, since 1970: for people, and for what outlives the process. */
int64_t wall_clock_ns(void);
int64_t wall_clock_ms(void);

#endif
