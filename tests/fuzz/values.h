/* Random coders and good values of them. */
#ifndef FUZZ_VALUES_H
#define FUZZ_VALUES_H

#include "fuzz.h"
#include "model/window.h"

/* Any but a windowed value or a timer, which are never inside another coder. */
const struct coder *random_coder(struct rng *rng, struct arena *arena, unsigned depth);
const struct coder *random_window_coder(struct rng *rng, struct arena *arena);
const struct coder *random_windowed_coder(struct rng *rng, struct arena *arena);
const struct coder *random_timer_coder(struct rng *rng, struct arena *arena);
/* Appends one value. */
void add_random_value(struct rng *rng, const struct coder *coder, struct buf *out);
struct pane random_pane(struct rng *rng);

#endif
