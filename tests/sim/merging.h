/* Window functions of a user's that merge: what the fake harness answers to MERGE_WINDOWS, and the rule that the reference goes by. In streams
 * the function is one of sessions, which that reference knows anyway. */
#ifndef SIM_MERGING_H
#define SIM_MERGING_H

#include "functions.h"

/* Whether, outside of streams, two windows of a key become one, which spans both. It is an equivalence. */
bool windows_belong_together(event_time a_start, event_time b_start);
/* The answer to a question, KV<nonce, iterable<window>>, appended. `form`: bits that choose among the ways to say the same. */
void merging_answer(struct slice question, bool is_streaming, unsigned form, struct buf *out);

#endif
