/* The events that a TestStreamService sends (beam_interactive_api.proto), as those of a plan. */
#ifndef TRANSLATE_TEST_STREAM_EVENT_H
#define TRANSLATE_TEST_STREAM_EVENT_H

#include "base/status.h"
#include "translate/plan.h"

/* `message` (borrowed) is a TestStreamPayload.Event for the stage, which names a service. The caller owns ret_event->elements, which
 * are charged to `account` (may be NULL). -STATUS_INVALID_ARGUMENT for what is no event, or for an output that nobody
 * reads. Any thread. */
int test_stream_read_event(const struct plan_stage *stage, struct slice message, struct account *account,
                           struct plan_test_event *ret_event, struct status *st);
/* The serialized EventsRequest. */
struct slice test_stream_events_request(const struct plan_stage *stage);

#endif
