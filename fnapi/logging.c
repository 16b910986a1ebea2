/* The Logging stream: always drained, for a Java harness whose log is not read stops in the user's code. A log that makes no
 * sense ends, with a line that says so; work goes on without it. */
#include "fnapi/internal.h"

#include <string.h>

#include "base/clock.h"

static enum fn_log_severity severity_of(Fn__LogEntry__Severity__Enum severity) {
    int value = (int)severity;

    return value < FN_LOG_UNSPECIFIED || value > FN_LOG_CRITICAL ? FN_LOG_UNSPECIFIED : (enum fn_log_severity)value;
}

static void report_entry(struct fn_worker *worker, const Fn__LogEntry *message) {
    struct fn_log_entry entry = {
        .severity = severity_of(message->severity),
        .time_ms = fn_timestamp_ms(message->timestamp),
        .message = message->message,
        .trace = message->trace,
        .instruction_id = message->instruction_id,
        .transform_id = message->transform_id,
        .location = message->log_location,
        .thread = message->thread,
    };

    entry.is_of_bundle = fn_bundle_of_instruction_id(entry.instruction_id, strlen(entry.instruction_id), &entry.bundle);
    worker->handler->log(worker->user, &entry);
}

static void refuse_log(struct fn_worker *worker, struct rpc_stream *rpc, const struct status *why) {
    CLEANUP(freep)
    char *text = xasprintf("the SDK harness's log ends here, because it sent nonsense on its Logging stream: %s",
                           status_message(why));

    rpc_stream_finish(rpc, STATUS_INVALID_ARGUMENT, text);
    if (!worker->handler->log)
        return;
    worker->handler->log(worker->user, &(struct fn_log_entry){
                                           .severity = FN_LOG_WARN,
                                           .time_ms = wall_clock_ms(),
                                           .message = text,
                                           .trace = "",
                                           .instruction_id = "",
                                           .transform_id = "",
                                           .location = "",
                                           .thread = "",
                                       });
}

static void logging_message(struct rpc_stream *rpc, void *user, struct slice bytes) {
    struct fn_stream *stream = user;
    struct fn_worker *worker;
    Fn__LogEntry__List *list;
    struct arena arena = {0};
    struct status st = {0};

    if (stream) {
        worker = stream->worker;
        if (PB_UNPACK(Fn__LogEntry__List, fn__log_entry__list, bytes, PB_STRINGS_LENIENT, &arena, &list, &st) < 0) {
            refuse_log(worker, rpc, &st);
        } else if (worker->handler->log) {
            for (size_t i = 0; i < list->n_log_entries; i++)
                report_entry(worker, list->log_entries[i]);
        }
    }
    status_clear(&st);
    arena_clear(&arena);
    slice_unref(&bytes);
}

bool fn_worker_has_log(struct fn_worker *worker) {
    bool was_logging;

    fn_lock(worker);
    was_logging = worker->was_logging;
    fn_unlock(worker);
    return was_logging;
}

static void logging_opened(struct rpc_stream *rpc, void *context) {
    fn_service_attach(context, rpc, FN_LOGGING);
}

static void logging_half_closed(struct rpc_stream *rpc, void *user) {
    if (user)
        rpc_stream_finish(rpc, STATUS_OK, NULL);
}

static void logging_closed(struct rpc_stream *rpc, void *user, const struct status *status) {
    (void)rpc;
    (void)status;
    if (user)
        fn_stream_detach(user);
}

const struct rpc_handler fn_logging_handler = {
    .opened = logging_opened,
    .message = logging_message,
    .half_closed = logging_half_closed,
    .closed = logging_closed,
};
