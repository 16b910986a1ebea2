/* What the harness counts: elements, by the functions count and count_and_fail, as a user counter of each step and as one of the process. Reports name
 * them by short id only, which the runner has to ask about. */
#ifndef HARNESS_COUNTERS_H
#define HARNESS_COUNTERS_H

#include "base/arena.h"
#include "beam_fn_api.pb-c.h"
#include "harness.h"

/* The counters' names, where a test looks for them. */
#define COUNTER_URN "beam:metric:user:sum_int64:v1"
#define PROCESS_COUNTER_URN "trestle:test:elements_of_process:v1"

int count_elements(struct bundle *bundle, const struct node *node, const struct value *value);
int count_and_fail(struct bundle *bundle, const struct node *node, const struct value *value);

/* Fills in answers; what they point to lies in the arena. Called without the lock. */
void counters_of_bundle(struct harness *harness, const char *instruction, struct arena *arena,
                        Fn__ProcessBundleResponse *ret);
void counters_progress(struct harness *harness, const char *instruction, struct arena *arena,
                       Fn__ProcessBundleProgressResponse *ret);
void counters_of_process(struct harness *harness, struct arena *arena, Fn__HarnessMonitoringInfosResponse *ret);
void counters_explain(const Fn__MonitoringInfosMetadataRequest *request, struct arena *arena,
                      Fn__MonitoringInfosMetadataResponse *ret);

#endif
