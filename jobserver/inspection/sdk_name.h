/* Which SDK wrote a pipeline, in words: "Python 2.77.0". Told by the capability beam:version:sdk_base:IMAGE:VERSION, which the SDKs list. */
#ifndef JOBSERVER_INSPECTION_SDK_NAME_H
#define JOBSERVER_INSPECTION_SDK_NAME_H

#include "translate/plan.h"

/* Of one environment; "" where it does not say. In the arena, or static. */
char *sdk_name(const struct plan_environment *environment, struct arena *arena);
/* Of all environments, each once, with commas between them. `plan` may be NULL. */
char *sdk_names(const struct plan *plan, struct arena *arena);

#endif
