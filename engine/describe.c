/* What stages wait for, in words: for the error of a job that is stuck, and for whoever looks at one that runs. */
#include <stdlib.h>

#include "engine/gate.h"
#include "engine/internal.h"
#include "engine/panes.h"
#include "engine/sorted.h"

/* ---- what waits ---- */

/* One of several facts, if it is one: so many of a noun, and what is said of them. */
static void add_count(struct buf *out, const char **separator, uint64_t count, const char *noun, const char *what) {
    if (!count)
        return;
    buf_printf(out, "%s%llu %s%s %s", *separator, (unsigned long long)count, noun, count == 1 ? "" : "s", what);
    *separator = ", ";
}

static void add_time(struct buf *out, const char **separator, uint64_t count, const char *noun, const char *what,
                     event_time time) {
    char text[TIME_TEXT_SIZE];

    add_count(out, separator, count, noun, what);
    if (count)
        buf_printf(out, " %s", time_describe(time, text));
}

struct pending_timers {
    uint64_t count;
    event_time earliest;
};

static struct pending_timers timers_of(const struct engine *engine, const struct stage *stage,
                                       enum timer_domain domain) {
    struct pending_timers timers = {.earliest = TIME_MAX};

    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        struct timer_set *set = &stage->shards[i].timers;
        event_time earliest = timer_set_earliest(set, domain);

        timers.count += set->counts[domain];
        timers.earliest = MIN(timers.earliest, earliest);
    }
    return timers;
}

static void describe_windows(const struct engine *engine, const struct stage *stage, struct buf *out,
                             const char **separator) {
    event_time least = TIME_MAX;
    uint64_t count = 0;

    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        count += stage->shards[i].seen.count;
        least = MIN(least, firing_least_end(&stage->shards[i]));
    }
    add_time(out, separator, count, "open window", "of keys, the first until", least);
}

static void describe_delayed(const struct stage *stage, struct buf *out, const char **separator) {
    event_time due = TIME_MAX;

    vec_foreach (delayed, &stage->delayed)
        due = MIN(due, delayed->due_ms);
    add_time(out, separator, stage->delayed.count, "restriction", "delayed, the first until", due);
}

void stage_describe_work(const struct engine *engine, const struct stage *stage, struct buf *out) {
    struct pending_timers event = timers_of(engine, stage, TIMER_EVENT_TIME);
    struct pending_timers processing = timers_of(engine, stage, TIMER_PROCESSING_TIME);
    const char *separator = "";
    size_t before = out->size;

    add_count(out, &separator, stage->queue.count + stage->shard_count, "element", "waiting");
    add_count(out, &separator, stage->gate ? gate_count(stage->gate) : 0, "element", "waiting for side inputs");
    add_count(out, &separator, backlog_count(&stage->arriving) + backlog_count(&stage->leaving), "element",
              "to be read back");
    add_count(out, &separator, stage->running, "bundle", "running");
    add_count(out, &separator, stage->retries.count, "bundle", "to be retried");
    describe_delayed(stage, out, &separator);
    add_time(out, &separator, event.count, "event-time timer", "set, the first for", event.earliest);
    add_time(out, &separator, processing.count, "processing-time timer", "set, the first for", processing.earliest);
    describe_windows(engine, stage, out, &separator);
    if (stage->panes && !pane_group_is_empty(stage->panes))
        buf_printf(out, "%sgroups that have not fired for the last time", separator);
    if (stage_is_playing(engine, stage))
        buf_printf(out, "%sevents to play", separator);
    if (out->size == before)
        buf_printf(out, "nothing waits in it");
    if (!stage_inputs_are_done(engine, stage))
        buf_printf(out, "; more input to come");
    if (!stage_side_inputs_are_ready(engine, stage))
        buf_printf(out, "; side inputs to come");
}

/* ---- watermarks ---- */

/* The least time of several, and whose it is. */
struct holder {
    event_time time;
    const char *what;
};

static void consider(struct holder *holder, event_time time, const char *what) {
    if (time < holder->time)
        *holder = (struct holder){time, what};
}

/* The names of stages are long: the producer's comes first, so that it stays when nothing else is earlier. */
static struct holder input_holder(const struct engine *engine, struct stage *stage, char **ret_name) {
    struct holder holder = {.time = TIME_MAX};

    for (size_t i = 0; i < stage->plan->input_count; i++) {
        const struct plan_collection *input = &engine->plan->collections[stage->plan->inputs[i]];

        if (engine->watermarks[stage->plan->inputs[i]] >= holder.time)
            continue;
        free(*ret_name);
        *ret_name = xasprintf("what \"%s\" may still put out", engine->stages[input->producer].plan->name);
        consider(&holder, engine->watermarks[stage->plan->inputs[i]], *ret_name);
    }
    consider(&holder, stage->flight_ms, "the input of bundles that run or are to be retried");
    consider(&holder, input_queue_least(&stage->queue), "elements that wait for a bundle");
    consider(&holder, backlog_least(&stage->arriving), "elements that are to be read back");
    vec_foreach (delayed, &stage->delayed)
        consider(&holder, delayed->item.least_ms, "restrictions that are delayed");
    if (stage->gate)
        consider(&holder, gate_least(stage->gate), "elements that wait for side inputs");
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++)
        consider(&holder, input_queue_least(&stage->shards[i].queue), "elements that wait for a bundle");
    return holder;
}

static struct holder output_holder(const struct engine *engine, const struct stage *stage) {
    struct holder holder = {.time = stage->in_watermark};

    consider(&holder, stage->flight_hold_ms, "timers that are firing");
    if (stage->panes)
        consider(&holder, pane_group_hold(stage->panes), "groups that have not fired");
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        const struct key_shard *shard = &stage->shards[i];

        consider(&holder, holds_min(&shard->timers.holds), "timers that are set");
        consider(&holder, sorted_hold(shard), "elements that wait for their turn in time");
        if (firing_awaits_expiration(stage, shard))
            consider(&holder, firing_least_end(shard), "windows whose @OnWindowExpiration is to come");
    }
    return holder;
}

static void describe_watermark(struct buf *out, const char *which, event_time watermark, struct holder holder) {
    char text[TIME_TEXT_SIZE];

    buf_printf(out, "%s watermark is %s", which, time_describe(watermark, text));
    if (watermark < TIME_MAX && holder.what)
        buf_printf(out, ", held by %s", holder.what);
}

static void describe_watermarks(const struct engine *engine, struct stage *stage, struct buf *out) {
    CLEANUP(freep) char *name = NULL;
    struct holder input = input_holder(engine, stage, &name);

    describe_watermark(out, "\n    its input", stage->in_watermark, input);
    describe_watermark(out, "; its output", stage->out_watermark, output_holder(engine, stage));
}

void engine_describe(const struct engine *engine, struct buf *out) {
    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        struct stage *stage = &engine->stages[i];

        if (stage->is_done)
            continue;
        buf_printf(out, "stage %zu (%s): ", i, stage->plan->name);
        stage_describe_work(engine, stage, out);
        if (stage_is_streaming(stage) && stage->plan->kind != PLAN_TEST_STREAM)
            describe_watermarks(engine, stage, out);
        if (stage->gate)
            gate_describe(stage->gate, out);
        buf_add(out, "\n", 1);
    }
}
