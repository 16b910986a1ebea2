/* Reads the events of a TestStream stage from the service that its payload names (TestStreamService.Events,
 * beam_interactive_api.proto).
 *
 * The callbacks come on an RPC thread of the client, and post to the run's mailbox. The service is not read on while
 * TEST_STREAM_SOURCE_MAX_AHEAD events were told and not consumed. */
#ifndef JOBSERVER_TEST_STREAM_SOURCE_H
#define JOBSERVER_TEST_STREAM_SOURCE_H

#include "rpc/rpc.h"
#include "translate/plan.h"

enum { TEST_STREAM_SOURCE_MAX_AHEAD = 64 };

struct test_stream_source;

struct test_stream_source_handler {
    /* event->elements are the callee's. */
    void (*event)(void *user, unsigned stage, const struct plan_test_event *event);
    /* Exactly once, last; from then on the source calls nothing. Not OK: the call or an event was bad; the message names the endpoint. */
    void (*ended)(void *user, unsigned stage, const struct status *status);
};

/* `stage`, the client, the handler and the account (may be NULL), which is charged for elements, must outlive `ended`. */
struct test_stream_source *test_stream_source_open(struct rpc_client *client, const struct plan_stage *stage,
                                                   struct account *account,
                                                   const struct test_stream_source_handler *handler, void *user);
/* The event was played. Any thread, before close. */
void test_stream_source_consumed(struct test_stream_source *source);
/* Ends the call if it has not ended; `ended` is still told. The caller forgets the source. */
void test_stream_source_close(struct test_stream_source *source);

#endif
