/* What a plan's recorders must see, worked out slowly and plainly: every collection is an array, every stage a loop. Shares
 * nothing with the engine. */
#ifndef SIM_REFERENCE_H
#define SIM_REFERENCE_H

#include "plans.h"

/* Texts of elements (element_text), sorted; one list per stage, filled for recorders only. */
struct recording {
    VEC(char *) texts;
};

void recording_sort(struct recording *recording);
void recordings_free(struct recording *recordings, size_t count);
/* reference_keyed.c: a TIMED stage. */
void reference_keyed(const struct function *function, const struct element_list *input, emit_fn emit, void *user);
/* stage_count recordings, the caller's. */
struct recording *reference_run(const struct sim_plan *plan);

#endif
