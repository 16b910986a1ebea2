/* What a TestStream stage does next (MODEL 11): plays its events one by one, and keeps the watermark of each output.
 *
 * The engine asks for the next event when nothing runs, can run or is due (MODEL 11.1), puts it into effect, and asks again when it
 * is quiescent once more. Events are the plan's, or come from outside while the stream is open: a stage whose plan names
 * the endpoint of a service starts open. After the last event every output's watermark is TIME_MAX (MODEL 11.5).
 *
 * Pure state: no I/O, no clock. */
#ifndef ENGINE_TESTSTREAM_H
#define ENGINE_TESTSTREAM_H

#include "base/status.h"
#include "translate/plan.h"

struct test_stream;

/* The plan must outlive it. */
struct test_stream *test_stream_create(const struct plan_stage *stage);
struct test_stream *test_stream_destroy(struct test_stream *stream);

const struct plan_stage *test_stream_stage(const struct test_stream *stream);
/* Of an output of the stage; TIME_MIN before its first watermark event, and it never goes back. */
event_time test_stream_watermark(const struct test_stream *stream, unsigned output);
/* All is played and told. */
bool test_stream_is_over(const struct test_stream *stream);

enum test_stream_result {
    TEST_STREAM_EVENT, /* *ret_event is to be put into effect; a watermark event is in test_stream_watermark() already */
    TEST_STREAM_WAITS, /* for a service to send more */
    TEST_STREAM_ENDS,  /* once: the watermarks of all outputs have just become TIME_MAX */
    TEST_STREAM_OVER,
};

/* Plays one event. *ret_event is borrowed, until the stream is changed again. */
enum test_stream_result test_stream_next(struct test_stream *stream, const struct plan_test_event **ret_event);
/* The same for all streams of a plan, in stage order: one event of the first that has one, so a stream is played to its end
 * before the next begins, unless it waits for its service. Several are no promise of Beam's, so this is our choice: any order is legal,
 * and this one is told from the pipeline alone. *ret_stream is whose event or end it is. WAITS: some wait and the others are over. */
enum test_stream_result test_streams_next(struct test_stream *const *streams, size_t count,
                                          struct test_stream **ret_stream, const struct plan_test_event **ret_event);

/* What is left is not played: the stream is at its end. */
void test_stream_end(struct test_stream *stream);

/* ---- from outside ---- */

bool test_stream_is_open(const struct test_stream *stream);
/* The next event of an open stream; `event->elements` is taken over, also on failure. -STATUS_INVALID_ARGUMENT for an output that is not
 * there, or what would go back. */
int test_stream_append(struct test_stream *stream, const struct plan_test_event *event, struct status *st);
/* No more will come. */
void test_stream_close(struct test_stream *stream);

#endif
