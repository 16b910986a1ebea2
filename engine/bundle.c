/* One bundle, from its start to its commit or its failure. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"
#include "engine/shards.h"

static struct engine_action *bundle_action(struct engine *engine, const struct bundle *bundle,
                                           enum engine_action_type type) {
    struct engine_action *action = engine_add_action(engine, type);

    action->bundle = bundle->id;
    action->worker = bundle->worker;
    action->stage = bundle->stage->plan->index;
    return action;
}

/* Of one that was opened ahead: whether its time has come. */
static bool may_send(struct engine *engine, struct bundle *bundle) {
    if (bundle->awaited)
        return false;
    if (bundle->send_at_ms > engine->now_ms) {
        engine->needs_wake = true;
        return false;
    }
    bundle->send_at_ms = TIME_MIN;
    return true;
}

void bundle_send(struct engine *engine, struct bundle *bundle) {
    const struct coder *coder = stage_source_coder(engine, bundle->stage);

    if (!may_send(engine, bundle))
        return;
    while (!engine->is_over && !bundle->is_input_ended && bundle->window_bytes < engine->options.send_window_bytes &&
           resident_input_is_here(engine, bundle)) {
        struct slice piece = claim_read(bundle->claim, &bundle->sent, coder, engine->options.message_bytes,
                                        &bundle->large, engine->options.account);
        struct engine_action *action;

        if (bundle->large.too_large_size) {
            slice_unref(&piece);
            resident_group_is_too_large(engine, bundle->stage, &bundle->large);
            return;
        }
        action = bundle_action(engine, bundle, ENGINE_ACTION_SEND);
        action->bytes = piece;
        action->is_last = piece.size == 0;
        bundle->is_input_ended = action->is_last;
        bundle->window_bytes += piece.size;
    }
}

/* The claim's fired timers of one family, in order, and the family's end mark. They are few beside elements and go without a window. */
static void bundle_send_timers(struct engine *engine, struct bundle *bundle, unsigned family) {
    struct buf records = {.account = engine->options.account};
    struct engine_action *action;

    vec_foreach (timer, &bundle->claim->timers) {
        if ((*timer)->family != family)
            continue;
        buf_add(&records, (*timer)->bytes.data, (*timer)->bytes.size);
        if (records.size < engine->options.message_bytes)
            continue;
        action = bundle_action(engine, bundle, ENGINE_ACTION_SEND);
        action->timer_family = family;
        action->bytes = buf_finish(&records);
    }
    action = bundle_action(engine, bundle, ENGINE_ACTION_SEND);
    action->timer_family = family;
    action->bytes = buf_finish(&records);
    action->is_last = true;
}

/* Output that goes to one grouping and nowhere else is grouped as it arrives: no message stays in memory until the commit. */
static struct group *make_group(const struct engine *engine, unsigned collection) {
    const struct plan_collection *plan = &engine->plan->collections[collection];
    const struct stage *stage;
    const struct group *group;

    if (plan->consumer_count != 1 || plan->side_consumer_count)
        return NULL;
    stage = &engine->stages[plan->consumers[0]];
    group = stage->group;
    return stage->plan->kind == PLAN_GROUP_BY_KEY && group
               ? group_create(group->input, group->windowing, group->partition_count, group->account)
               : NULL;
}

struct bundle *bundle_start(struct engine *engine, struct stage *stage, struct claim *claim, struct worker_slot *worker,
                            uint64_t awaited) {
    struct bundle *bundle = xcalloc(1, sizeof(*bundle));
    const struct plan_stage *plan = stage->plan;

    bundle->id = engine->next_bundle++;
    bundle->stage = stage;
    bundle->worker = worker->number;
    bundle->claim = claim;
    bundle->awaited = awaited;
    bundle->send_at_ms = stage->open_until_ms > engine->now_ms ? stage->open_until_ms : TIME_MIN;
    bundle->large.threshold_bytes = plan->takes_state_backed_iterables ? engine->options.max_inline_bytes : SIZE_MAX;
    bundle->large.max_bytes = engine->options.max_element_bytes;
    bundle->writers = xcalloc(plan->sink_count, sizeof(*bundle->writers));
    for (size_t i = 0; i < plan->sink_count; i++) {
        bundle->writers[i].coder = engine->plan->collections[plan->sinks[i].collection].coder;
        bundle->writers[i].account = engine->options.account;
        bundle->writers[i].max_element_bytes = engine->options.max_element_bytes;
    }
    bundle->written = xcalloc(plan->sink_count + 1, sizeof(*bundle->written));
    bundle->groups = xcalloc(plan->sink_count, sizeof(*bundle->groups));
    for (size_t i = 0; i < plan->sink_count; i++)
        bundle->groups[i] = make_group(engine, plan->sinks[i].collection);
    bundle->timer_writers = xcalloc(plan->timer_family_count, sizeof(*bundle->timer_writers));
    for (size_t i = 0; i < plan->timer_family_count; i++) {
        bundle->timer_writers[i].coder = plan->timer_families[i].coder;
        bundle->timer_writers[i].account = engine->options.account;
    }
    bundle->open_ends = plan->sink_count + plan->timer_family_count;
    bundle->is_ended = xcalloc(bundle->open_ends, sizeof(*bundle->is_ended));
    worker->busy++;
    stage->running++;
    stage->last_bundle = bundle->id;
    vec_push(&engine->running, bundle);
    map_set(&engine->bundles, &bundle->id, sizeof(bundle->id), bundle);
    bundle->started_ms = engine->now_ms;
    bundle_start_splits(engine, bundle);
    engine->split_at_ms = MIN(engine->split_at_ms, bundle_may_never_end(bundle) ? bundle->splits.due_ms : TIME_MAX);

    shards_start(bundle, bundle_action(engine, bundle, ENGINE_ACTION_START_BUNDLE));
    for (unsigned i = 0; i < plan->timer_family_count; i++)
        bundle_send_timers(engine, bundle, i);
    bundle_send(engine, bundle);
    if (bundle->send_at_ms != TIME_MIN)
        ahead_open_follower(engine, bundle);
    return bundle;
}

static void free_response(struct bundle_response **response) {
    if (!*response)
        return;
    bundle_response_clear(*response);
    free(*response);
    *response = NULL;
}

/* Frees the bundle and its place; the claim is the caller's unless it is still here. */
void bundle_free(struct engine *engine, struct bundle *bundle) {
    struct worker_slot *worker = engine_worker(engine, bundle->worker);

    if (worker)
        worker->busy--;
    bundle->stage->running--;
    for (size_t i = 0; i < engine->running.count; i++)
        if (engine->running.items[i] == bundle) {
            engine->running.items[i] = *vec_last(&engine->running);
            engine->running.count--;
            break;
        }
    map_remove(&engine->bundles, &bundle->id, sizeof(bundle->id));
    for (size_t i = 0; i < bundle->stage->plan->sink_count; i++)
        run_writer_clear(&bundle->writers[i]);
    free(bundle->writers);
    for (size_t i = 0; i < bundle->stage->plan->sink_count; i++)
        group_destroy(bundle->groups[i]);
    free(bundle->groups);
    free(bundle->written);
    for (size_t i = 0; i < bundle->stage->plan->timer_family_count; i++)
        run_writer_clear(&bundle->timer_writers[i]);
    free(bundle->timer_writers);
    free(bundle->is_ended);
    state_overlay_clear(&bundle->overlay);
    list_reading_clear(&bundle->list);
    bundle_drop_snapshots(bundle);
    fetch_cancel(engine, bundle->fetch);
    engine_drop_late_replies(engine, bundle);
    large_values_clear(&bundle->large);
    free_response(&bundle->response);
    free_response(&bundle->progress);
    claim_free(bundle->claim);
    free(bundle);
    engine->needs_schedule = true;
}

void bundle_sent(struct engine *engine, struct bundle *bundle, size_t bytes) {
    bundle->window_bytes -= MIN(bytes, bundle->window_bytes);
    bundle_send(engine, bundle);
}

/* ---- reports and the end ---- */

void bundle_progress(struct bundle *bundle, struct bundle_response *report) {
    /* Nothing said, as before the first element, does not unsay what was; and the response has the last word. */
    if (bundle->response || report->metric_count == 0) {
        free_response(&report);
        return;
    }
    free_response(&bundle->progress);
    bundle->progress = report;
}

/* What the attempt did was attempted; whatever comes, it does not count as running any more. */
static void count_attempt(struct engine *engine, struct bundle *bundle) {
    tally_fail(&engine->tally, bundle->stage->plan->index, bundle->response ? bundle->response : bundle->progress);
    free_response(&bundle->response);
    free_response(&bundle->progress);
}

void bundle_fail(struct engine *engine, struct bundle *bundle, enum bundle_failure failure, const char *error) {
    struct stage *stage = bundle->stage;
    struct claim *claim = bundle->claim;
    bool is_lost = failure == BUNDLE_FAILED_WORKER_LOST;
    unsigned runs = is_lost ? ++claim->runs_lost : ++claim->runs_failed;
    unsigned limit = is_lost ? engine->options.max_attempts_lost : engine->options.max_attempts_user;

    if (!error)
        error = is_lost ? "the worker was lost" : "the harness reported an error without a text";
    count_attempt(engine, bundle);
    stage->counts.bundles_failed++;
    if (runs >= limit) {
        /* The SDK's own text names the transform; the stage's name, all its transforms joined, would only bury it. */
        if (failure != BUNDLE_FAILED_IN_SDK)
            engine_fail(engine, "%s: %s\n(attempt %u of %u)", stage->plan->name, error, runs, limit);
        else
            engine_fail(engine, "%s\n(attempt %u of %u)", error, runs, limit);
        return;
    }
    engine->retry_count++;
    engine_add_message(engine, "a bundle of %s failed and is tried again (attempt %u of %u): %s", stage->plan->name,
                       runs, limit, error);
    engine_drop_late_replies(engine, bundle);
    bundle_action(engine, bundle, ENGINE_ACTION_FORGET_BUNDLE)->has_failed = true;
    shards_end(bundle, false);
    bundle->claim = NULL;
    claim_adopt_roots(claim);
    resident_evict_claim(claim);
    if (claim->items.count || stage->shards)
        vec_push(&stage->retries, claim);
    else
        claim_release(stage, claim); /* splits have given all of it to others */
    bundle_free(engine, bundle);
}

event_time residual_hold(const struct residual *residual) {
    struct cursor at = cursor_of(residual->element.data, residual->element.size);
    event_time hold = TIME_MAX;
    uint64_t timestamp = 0;

    for (size_t i = 0; i < residual->watermark_count; i++)
        hold = MIN(hold, residual->watermarks[i].watermark);
    if (residual->watermark_count == 0 && cursor_be64(&at, &timestamp))
        hold = time_from_wire(timestamp);
    return time_add(hold, 0);
}

/* The bundle's results as one value; they are moved out of the bundle. */
static void bundle_take_commit(struct bundle *bundle, struct bundle_commit *ret) {
    const struct plan_stage *plan = bundle->stage->plan;
    struct bundle_response *response = bundle->response;
    struct bundle_commit commit = {.bundle = bundle->id, .stage = plan->index, .output_count = plan->sink_count};

    commit.outputs = xcalloc(plan->sink_count, sizeof(*commit.outputs));
    for (size_t i = 0; i < plan->sink_count; i++) {
        commit.outputs[i] = bundle->writers[i].list;
        bundle->writers[i].list = (struct run_list){0};
    }
    for (size_t i = 0; i < plan->sink_count; i++)
        bundle->written[i] += commit.outputs[i].count;
    commit.written = bundle->written;
    bundle->written = NULL;
    commit.groups = bundle->groups;
    bundle->groups = xcalloc(plan->sink_count, sizeof(*bundle->groups));
    commit.timer_family_count = plan->timer_family_count;
    commit.timers = xcalloc(plan->timer_family_count, sizeof(*commit.timers));
    for (size_t i = 0; i < plan->timer_family_count; i++) {
        commit.timers[i] = bundle->timer_writers[i].list;
        bundle->timer_writers[i].list = (struct run_list){0};
    }
    commit.state = bundle->overlay;
    bundle->overlay = (struct state_overlay){0};
    for (size_t i = 0; i < response->residual_count; i++) {
        struct residual *from = &response->residuals[i];
        struct commit_residual residual = {.element = from->element,
                                           .delay_ms = MAX(from->delay_ms, (int64_t)0),
                                           .hold = residual_hold(from),
                                           .is_unbounded = from->is_unbounded};

        from->element = SLICE_EMPTY;
        vec_push(&commit.residuals, residual);
    }
    for (size_t i = 0; i < response->metric_count; i++) {
        vec_push(&commit.metrics, response->metrics[i]);
        response->metrics[i] = (struct metric){0};
    }
    commit.requires_finalization = response->requires_finalization;
    *ret = commit;
}

/* With verify_commits, what is applied is what the encoding remembers. */
static void through_encoding(struct engine *engine, struct bundle_commit *commit) {
    struct slice bytes = bundle_commit_encode(commit);
    struct bundle_commit decoded;
    struct status st = {0};
    int r;

    r = bundle_commit_decode(bytes, engine->options.account, &engine->store, &decoded, &st);
    assert(r == 0);
    (void)r;
    bundle_commit_clear(commit);
    *commit = decoded;
    slice_unref(&bytes);
    status_clear(&st);
}

bool bundle_application_is_sound(const struct engine *engine, const struct stage *stage,
                                 const struct residual *application) {
    const char *transform_id = stage->plan->process_transform_id, *of = application->transform_id;
    struct cursor at = cursor_of(application->element.data, application->element.size);

    if (!transform_id || (of && of[0] && strcmp(of, transform_id) != 0))
        return false;
    return windowed_value_skip(stage_source_coder(engine, stage), &at) == CODER_OK && cursor_left(&at) == 0;
}

/* Residuals are elements for the stage's splittable DoFn, in the coder of its input: their bytes must be whole, as those of outputs. */
static bool residuals_are_sound(const struct engine *engine, const struct bundle *bundle) {
    for (size_t i = 0; i < bundle->response->residual_count; i++)
        if (!bundle_application_is_sound(engine, bundle->stage, &bundle->response->residuals[i]))
            return false;
    return true;
}

static void bundle_commit_and_free(struct engine *engine, struct bundle *bundle) {
    struct bundle_commit commit;
    struct finalization finalization = {
        .bundle = bundle->id, .worker = bundle->worker, .element_count = bundle->claim->count};

    bundle_take_commit(bundle, &commit);
    if (engine->options.verify_commits)
        through_encoding(engine, &commit);
    bundle_note_pace(engine, bundle, &commit);
    engine_apply_commit(engine, &commit, bundle->claim);
    tally_claim(&engine->tally, bundle->stage->plan->index, bundle->claim);
    bundle->stage->counts.bundles_done++;
    bundle->stage->counts.elements_in += bundle->claim->count;
    bundle->stage->counts.bytes_in += bundle->claim->bytes;
    firing_expire(engine, bundle->stage, bundle->claim);
    shards_end(bundle, true);
    claim_release(bundle->stage, bundle->claim);
    bundle->claim = NULL;
    engine_drop_late_replies(engine, bundle);
    if (commit.requires_finalization) {
        bundle_action(engine, bundle, ENGINE_ACTION_FINALIZE);
        finalization.deadline_ms = time_add(engine->now_ms, engine->options.finalize_timeout_ms);
        vec_push(&engine->finalizing, finalization);
        engine->needs_wake = true;
    } else {
        bundle_action(engine, bundle, ENGINE_ACTION_FORGET_BUNDLE)->element_count = finalization.element_count;
    }
    bundle_commit_clear(&commit);
    bundle_free(engine, bundle);
}

/* The end mark may still wait for its turn: a harness that stops where its input was split needs none. */
static bool has_sent_all(struct bundle *bundle) {
    claim_settle(bundle->claim, &bundle->sent);
    return bundle->sent.item >= bundle->claim->items.count;
}

/* A bundle is over when the response is there, every output stream has ended and a split asked for is answered, in whatever order
 * (PROTOCOL F): the answer may have input that nobody else has. */
void bundle_check_end(struct engine *engine, struct bundle *bundle) {
    CLEANUP_STATUS struct status st = {0};

    if (!bundle->response)
        return;
    /* Only then, since what is left to send may be what the answer to a split takes away. */
    if (!bundle->splits.is_open && !has_sent_all(bundle)) {
        bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL,
                    "the harness reported the bundle as processed before it was given all of its input");
        return;
    }
    if (!residuals_are_sound(engine, bundle)) {
        bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL,
                    "a residual of the bundle is for another transform, or not encoded as the input's coder says");
        return;
    }
    if (bundle->open_ends || bundle->splits.is_open)
        return;
    if (questions_check(engine, bundle, &st) < 0)
        bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL, status_message(&st));
    else
        bundle_commit_and_free(engine, bundle);
}

void bundle_done(struct engine *engine, struct bundle *bundle, struct bundle_response *response) {
    if (bundle->response) {
        bundle_response_clear(response);
        free(response);
        bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL, "the harness answered the bundle twice");
        return;
    }
    bundle->response = response;
    bundle->response_deadline_ms = time_add(engine->now_ms, engine->options.output_timeout_ms);
    engine->needs_wake = true;
    bundle_check_end(engine, bundle);
}

/* ---- output ---- */

static void end_output(struct engine *engine, struct bundle *bundle, size_t stream) {
    if (bundle->is_ended[stream])
        return; /* said twice: harmless */
    bundle->is_ended[stream] = true;
    bundle->open_ends--;
    if (bundle->open_ends == 0 && !bundle->response)
        ahead_open_follower(engine, bundle);
    bundle_check_end(engine, bundle);
}

/* What was just found whole, if this output is grouped. */
static void group_output(struct bundle *bundle, struct run_writer *writer, size_t stream) {
    if (stream >= bundle->stage->plan->sink_count || !bundle->groups[stream])
        return;
    bundle->written[stream] += writer->list.count;
    group_add(bundle->groups[stream], &writer->list);
    run_list_clear(&writer->list);
}

/* Takes one piece of an output stream of a bundle: a sink's, or a timer family's. `stream` is its place in is_ended. */
static void take_output(struct engine *engine, struct bundle *bundle, struct run_writer *writer, size_t stream,
                        const char *name, struct slice bytes, bool is_last) {
    CLEANUP_STATUS struct status st = {0};
    int r = 0;

    if (bytes.size && bundle->is_ended[stream]) {
        slice_unref(&bytes);
        bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL,
                    "the harness sent output after the end mark of that output");
        return;
    }
    if (bytes.size)
        r = run_writer_add(writer, bytes, &st);
    else
        slice_unref(&bytes);
    if (r == 0 && is_last)
        r = run_writer_end(writer, &st);
    if (r < 0) {
        status_prefix(&st, "output \"%s\"", name);
        bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL, status_message(&st));
        return;
    }
    group_output(bundle, writer, stream);
    if (!is_last)
        bundle_has_output(engine, bundle);
    /* More may follow as long as something comes. */
    if (bundle->response)
        bundle->response_deadline_ms = time_add(engine->now_ms, engine->options.output_timeout_ms);
    if (is_last)
        end_output(engine, bundle, stream);
}

void bundle_elements(struct engine *engine, struct bundle *bundle, unsigned sink, struct slice bytes, bool is_last) {
    const struct plan_stage *plan = bundle->stage->plan;

    assert(sink < plan->sink_count);
    take_output(engine, bundle, &bundle->writers[sink], sink,
                engine->plan->collections[plan->sinks[sink].collection].name, bytes, is_last);
}

void bundle_timers(struct engine *engine, struct bundle *bundle, unsigned family, struct slice bytes, bool is_last) {
    const struct plan_stage *plan = bundle->stage->plan;

    assert(family < plan->timer_family_count);
    take_output(engine, bundle, &bundle->timer_writers[family], plan->sink_count + family,
                plan->timer_families[family].family_id, bytes, is_last);
}
