/* The gate of a stage whose side inputs change: elements wait until the windows of the side inputs that they will read are ready, each of an
 * element's windows for itself (MODEL 8.1 - 8.3). Belongs to the engine's thread. */
#ifndef ENGINE_GATE_H
#define ENGINE_GATE_H

#include "engine/internal.h"

struct gate;

/* NULL when no side input of the stage is unbounded. */
struct gate *gate_create(struct engine *engine, struct stage *stage);
void gate_free(struct gate *gate);
/* Keeps what has to wait; *ret_run are the elements that need not (count 0: none), in the windows that need not. Borrows the run, which is in
 * memory. */
void gate_admit(struct gate *gate, const struct run *run, struct run *ret_run);
/* The next elements that need not wait any more; false: none. The caller owns them. */
bool gate_release(struct gate *gate, struct run *ret_run);
/* The least timestamp of what waits, TIME_MAX: nothing. */
event_time gate_least(const struct gate *gate);
uint64_t gate_count(const struct gate *gate);
/* Text for a person: what waits for which side input, and why it is not ready. */
void gate_describe(const struct gate *gate, struct buf *out);

#endif
