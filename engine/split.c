/* Splits of running bundles: a part of a straggler's input goes to a slot that has nothing to do (ProcessBundleSplit).
 *
 *     sent to the harness     | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
 *     split at an element     | 0 | 1 | 2 | 3 | ..residual.
 *     split inside element 2  | 0 | 1 | P | ..R | residual.     P: primary roots, R: residual roots
 *
 * A successful split is an atomic event of its own (law 2 of docs/architecture.md): the bundle's claim becomes the primary, the residual
 * pending input of the stage at once, whatever becomes of the bundle. If it fails later, the primary is run again and nothing else.
 * Until a split that was asked for is answered the bundle does not commit; if it fails first, the whole claim is run again and the
 * answer counts for nothing, which is right, because nobody acted on it.
 *
 * When: a slot of an environment found no work, and a bundle of the environment has run for split_after_ms. How long it will still take
 * nobody knows; the one with most input not yet sent comes first, then the one that has run longest. A refusal doubles the time until
 * the bundle is asked again; there is no harm in asking, but an element that takes hours need not be asked about twice a second.
 *
 * Keyed stages are not split: a part of their bundle's keys would run beside the bundle, and a shard is in one bundle at a time.
 *
 * Restrictions that may never end are split for another reason, at fraction 0: the bundle then ends with what it has done, which becomes
 * visible, and the residual is another bundle's (a checkpoint). That is due latency_ms after output was seen. Harnesses that send output
 * only at the end show none: so it is due after latency_ms as well where the stage's last bundle had output, and twice as late each time
 * one had none, or so much that longer bundles are worth their wait, up to checkpoint_after_ms.
 *
 * Indices count the elements that the bundle was sent, from 0; -1 stands before the first (ProcessBundleSplitResponse.ChannelSplit). */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

enum { MAX_DOUBLINGS = 7 };

/* How many elements the harness takes from its channel, as far as that is known: how many a bucket holds that is still on disk is not. */
static uint64_t channel_end(const struct bundle *bundle, bool *ret_is_all) {
    return claim_known_count(bundle->claim, ret_is_all) + bundle->splits.is_element_split;
}

/* ---- asking ---- */

static bool may_split(const struct bundle *bundle) {
    const struct plan_stage *plan = bundle->stage->plan;
    uint64_t least = plan->process_transform_id ? 1 : 2, end;
    bool is_all;

    if (bundle->stage->shards || bundle_may_never_end(bundle) || bundle->response || bundle->splits.is_open)
        return false;
    end = channel_end(bundle, &is_all);
    return end && end + !is_all >= least;
}

static size_t unsent_bytes(const struct bundle *bundle) {
    const struct claim *claim = bundle->claim;
    size_t bytes = 0;

    for (size_t i = bundle->sent.item; i < claim->items.count; i++)
        bytes += input_item_bytes(&claim->items.items[i]);
    if (bundle->sent.item < claim->items.count && !claim->items.items[bundle->sent.item].partition)
        bytes -= MIN(bundle->sent.offset, bytes);
    return bytes;
}

static bool has_more_left(const struct bundle *a, const struct bundle *b) {
    size_t of_a = unsent_bytes(a), of_b = unsent_bytes(b);

    return of_a != of_b ? of_a > of_b : a->id < b->id;
}

/* Slots that found no work, less the splits that are under way for them. */
static unsigned slots_to_fill(const struct engine *engine, unsigned environment) {
    unsigned idle = 0, open = 0;

    vec_foreach (worker, &engine->workers)
        if (worker->environment == environment && !worker->is_lost)
            idle += worker->slots - MIN(worker->busy, worker->slots);
    vec_foreach (bundle, &engine->running)
        open += (*bundle)->stage->plan->environment == environment && (*bundle)->splits.is_open;
    return idle - MIN(open, idle);
}

/* Elements are shared out evenly over the bundle and the slots that wait for it. A restriction gives one residual, so that halves reach all
 * slots soonest. */
static double share_of(const struct bundle *bundle, unsigned waiting_slots) {
    return bundle->stage->plan->process_transform_id ? 0.5 : 1.0 / (1 + waiting_slots);
}

static void ask(struct engine *engine, struct bundle *bundle, double fraction) {
    struct engine_action *action = engine_add_action(engine, ENGINE_ACTION_SPLIT);
    bool is_all;

    action->bundle = bundle->id;
    action->worker = bundle->worker;
    action->stage = bundle->stage->plan->index;
    action->fraction = fraction;
    action->element_count = channel_end(bundle, &is_all);
    bundle->splits.is_open = true;
}

static void split_for(struct engine *engine, unsigned environment, unsigned slots) {
    unsigned due = 0;

    vec_foreach (bundle, &engine->running) {
        const struct bundle *candidate = *bundle;

        if (candidate->stage->plan->environment != environment || !may_split(candidate))
            continue;
        if (candidate->splits.due_ms <= engine->now_ms)
            due++;
        else
            engine->split_at_ms = MIN(engine->split_at_ms, candidate->splits.due_ms);
    }
    for (; slots && due; slots--, due--) {
        struct bundle *best = NULL;

        vec_foreach (bundle, &engine->running)
            if ((*bundle)->stage->plan->environment == environment && may_split(*bundle) &&
                (*bundle)->splits.due_ms <= engine->now_ms && (!best || has_more_left(*bundle, best)))
                best = *bundle;
        ask(engine, best, share_of(best, (slots + due - 1) / due));
    }
}

/* ---- checkpoints ---- */

bool stage_may_never_end(const struct stage *stage) {
    return stage->plan->process_transform_id && stage_is_streaming(stage);
}

bool bundle_may_never_end(const struct bundle *bundle) {
    return stage_may_never_end(bundle->stage);
}

static void checkpoint_bundles(struct engine *engine) {
    vec_foreach (entry, &engine->running) {
        struct bundle *bundle = *entry;

        if (!bundle_may_never_end(bundle) || bundle->response || bundle->splits.is_open ||
            bundle->splits.is_checkpointed)
            continue;
        if (bundle->splits.due_ms <= engine->now_ms)
            ask(engine, bundle, 0);
        else
            engine->split_at_ms = MIN(engine->split_at_ms, bundle->splits.due_ms);
    }
}

void bundle_has_output(struct engine *engine, struct bundle *bundle) {
    event_time due = time_add(bundle->started_ms, engine->options.latency_ms);

    if (!bundle_may_never_end(bundle) || bundle->has_output)
        return;
    bundle->has_output = true;
    bundle->splits.due_ms = MIN(bundle->splits.due_ms, due);
    engine->split_at_ms = MIN(engine->split_at_ms, bundle->splits.due_ms);
    engine->needs_wake = true;
}

/* As many elements in the time of latency_ms are worth a longer bundle. */
enum { CROWD = 64 };

void bundle_note_pace(const struct engine *engine, const struct bundle *bundle, const struct bundle_commit *commit) {
    int64_t latency = engine->options.latency_ms, longest = engine->options.checkpoint_after_ms;
    int64_t ran_ms = MAX(engine->now_ms - bundle->started_ms, latency);
    struct stage *stage = bundle->stage;
    uint64_t written = 0;

    if (!bundle_may_never_end(bundle))
        return;
    for (size_t i = 0; i < commit->output_count; i++)
        written += commit->written[i];
    if (written && written * (uint64_t)latency < (uint64_t)CROWD * (uint64_t)ran_ms)
        stage->checkpoint_ms = MIN(latency, longest);
    else if (stage->checkpoint_ms)
        stage->checkpoint_ms = MIN(2 * stage->checkpoint_ms, longest);
}

static int64_t checkpoint_interval(const struct engine *engine, const struct stage *stage) {
    return stage->checkpoint_ms ? stage->checkpoint_ms : engine->options.checkpoint_after_ms;
}

static int64_t split_interval(const struct engine *engine, const struct bundle *bundle) {
    int64_t interval =
        bundle_may_never_end(bundle) ? checkpoint_interval(engine, bundle->stage) : engine->options.split_after_ms;

    return MAX(interval, (int64_t)1) << bundle->splits.refusals;
}

void bundle_start_splits(struct engine *engine, struct bundle *bundle) {
    event_time begin = MAX(engine->now_ms, bundle->send_at_ms);

    bundle->splits.due_ms = time_add(begin, split_interval(engine, bundle));
}

void engine_split(struct engine *engine) {
    engine->split_at_ms = TIME_MAX;
    checkpoint_bundles(engine);
    engine->needs_wake |= engine->split_at_ms != TIME_MAX;
    if (engine->options.split_after_ms < 0)
        return;
    for (unsigned i = 0; i < engine->plan->environment_count; i++) {
        unsigned slots = slots_to_fill(engine, i);

        if (slots)
            split_for(engine, i, slots);
    }
    engine->needs_wake |= engine->split_at_ms != TIME_MAX;
}

/* ---- the answer ---- */

static bool roots_are_sound(const struct engine *engine, const struct bundle *bundle, const struct residual *roots,
                            size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!bundle_application_is_sound(engine, bundle->stage, &roots[i]))
            return false;
    return true;
}

/* A split inside of the element behind last_primary_element. */
static const char *check_element_split(const struct engine *engine, const struct bundle *bundle,
                                       const struct bundle_split *split) {
    const struct coder *coder = stage_source_coder(engine, bundle->stage);
    uint64_t element = (uint64_t)(split->channels[0].last_primary_element + 1);
    bool is_all;

    if (bundle->splits.is_element_split ? element + 1 != channel_end(bundle, &is_all)
                                        : element >= claim_count_read(bundle->claim, &bundle->sent, coder))
        return "the harness split an element that it is not processing";
    if (split->primary_count + split->residual_count == 0)
        return "the harness split an element into nothing";
    if (!roots_are_sound(engine, bundle, split->primaries, split->primary_count) ||
        !roots_are_sound(engine, bundle, split->residuals, split->residual_count))
        return "a root of a split is for another transform, or not encoded as the input's coder says";
    return NULL;
}

/* What is wrong with the answer, or NULL. */
static const char *check(const struct engine *engine, const struct bundle *bundle, const struct bundle_split *split) {
    const struct channel_split *channel = split->channels;
    bool is_all;
    int64_t end = (int64_t)channel_end(bundle, &is_all);

    if (split->channel_count != 1)
        return "the harness answered a split without saying where its input was split";
    /* Java leaves it empty (PROTOCOL E). */
    if (channel->transform_id && channel->transform_id[0] &&
        strcmp(channel->transform_id, bundle->stage->plan->source.transform_id) != 0)
        return "the harness split the input of another transform";
    if (channel->last_primary_element < -1 || channel->last_primary_element >= end ||
        channel->first_residual_element > end || channel->first_residual_element < 0)
        return "the harness split its input outside of what it was given";
    if (channel->first_residual_element == channel->last_primary_element + 2)
        return check_element_split(engine, bundle, split);
    if (channel->first_residual_element != channel->last_primary_element + 1)
        return "the harness split its input so that elements are lost or doubled";
    if (split->primary_count || split->residual_count)
        return "the harness split its input between two elements and yet returned parts of one";
    if (bundle->splits.is_element_split && channel->first_residual_element != end)
        return "the harness gave back an element that it has begun";
    return NULL;
}

/* An answer may be empty, or name the end that the channel has anyway (Go, Python). */
static bool is_refusal(const struct bundle *bundle, const struct bundle_split *split) {
    bool is_all;
    int64_t end = (int64_t)channel_end(bundle, &is_all);

    if (split->primary_count + split->residual_count)
        return false;
    return split->channel_count == 0 ||
           (split->channel_count == 1 && is_all && split->channels[0].last_primary_element == end - 1 &&
            split->channels[0].first_residual_element == end);
}

/* The element that was split leaves the claim; its parts take its place. */
static void apply_element_split(struct engine *engine, struct bundle *bundle, struct bundle_split *split) {
    struct input_queue whole = {0};

    claim_cut(bundle->claim, stage_source_coder(engine, bundle->stage),
              (uint64_t)split->channels[0].last_primary_element + 1, &whole);
    input_queue_clear(&whole);
    run_list_clear(&bundle->claim->roots);
    for (size_t i = 0; i < split->primary_count; i++) {
        run_list_push(&bundle->claim->roots, (struct run){.bytes = split->primaries[i].element, .count = 1});
        split->primaries[i].element = SLICE_EMPTY;
    }
    for (size_t i = 0; i < split->residual_count; i++) {
        struct residual *residual = &split->residuals[i];

        stage_add_residual(engine, bundle->stage, bundle->claim, residual->element, MAX(residual->delay_ms, (int64_t)0),
                           residual_hold(residual), residual->is_unbounded);
        residual->element = SLICE_EMPTY;
    }
    bundle->splits.is_element_split = true;
}

static void apply(struct engine *engine, struct bundle *bundle, struct bundle_split *split) {
    const struct channel_split *channel = split->channels;

    claim_cut(bundle->claim, stage_source_coder(engine, bundle->stage), (uint64_t)channel->first_residual_element,
              drain_queue(engine, bundle->stage, bundle->claim));
    if (channel->first_residual_element > channel->last_primary_element + 1)
        apply_element_split(engine, bundle, split);
    resident_claim_was_cut(engine, bundle);
}

void bundle_split_answered(struct engine *engine, struct bundle *bundle, struct bundle_split *split) {
    struct bundle_splits *splits = &bundle->splits;
    const char *wrong = splits->is_open ? NULL : "the harness answered a split that it was not asked for";
    bool is_refused = is_refusal(bundle, split);

    splits->is_open = false;
    if (!wrong && !is_refused)
        wrong = check(engine, bundle, split);
    if (!wrong && !is_refused)
        apply(engine, bundle, split);
    bundle_split_clear(split);
    free(split);
    if (wrong) {
        bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL, wrong);
        return;
    }
    splits->refusals = is_refused ? MIN(splits->refusals + 1, (unsigned)MAX_DOUBLINGS) : 0;
    splits->is_checkpointed |= splits->is_element_split && bundle_may_never_end(bundle);
    bundle_start_splits(engine, bundle);
    engine->needs_schedule = true;
    bundle_send(engine, bundle); /* the end mark, when the bundle waited for input that is not its own any more */
    bundle_check_end(engine, bundle);
}
