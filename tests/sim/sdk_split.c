/* The fake harness and ProcessBundleSplit: elements that take their time, restrictions in work, parts given back, and the rules of it. */
#include <inttypes.h>
#include <stdlib.h>

#include "sdk.h"

/* A restriction travels in front of the key: 0xff, from, to. No key of plans.c starts so. */
enum { RESTRICTION = 0xff, RESTRICTION_SIZE = 9, MAX_STEPS = 25 };

void sdk_split_init(struct sim_bundle *bundle) {
    struct sim_splits *splits = &bundle->splits;

    if (rng_chance(&bundle->world->rng, 30))
        splits->pause_percent = rng_between(&bundle->world->rng, 5, 50);
    if (bundle->function->kind == FUNCTION_STREAM_SOURCE && bundle->world->sim->stream->is_endless)
        splits->pause_percent = rng_between(&bundle->world->rng, 20, 60);
    splits->stop = splits->delivered_stop = UINT64_MAX;
    splits->entry_stop = SIZE_MAX;
    splits->not_before = bundle->world->now + bundle->world->options.split_after_ms;
}

void sdk_split_clear(struct sim_bundle *bundle) {
    vec_free(&bundle->splits.wire);
    slice_unref(&bundle->splits.restriction.base.value);
}

bool sdk_pauses(struct sim_bundle *bundle) {
    struct sim_splits *splits = &bundle->splits;
    struct world *world = bundle->world;

    if (world->now < splits->paused_until)
        return true;
    if (!rng_chance(&world->rng, splits->pause_percent))
        return false;
    splits->paused_until = world->now + rng_between(&world->rng, 1, 150);
    world_post_run(world, splits->paused_until, bundle->id);
    return true;
}

/* ---- elements ---- */

void sdk_split_received(struct sim_bundle *bundle, unsigned windows) {
    struct sim_splits *splits = &bundle->splits;

    if (splits->received >= splits->delivered_stop)
        world_violation(bundle->world, "bundle %" PRIu64 " is sent element %" PRIu64 ", which a split gave to others",
                        bundle->id, splits->received);
    for (unsigned i = 0; i < windows; i++)
        vec_push(&splits->wire, splits->received);
    splits->received++;
}

bool sdk_split_has_element(const struct sim_bundle *bundle) {
    const struct sim_splits *splits = &bundle->splits;

    return bundle->next_input < MIN(bundle->input.all.count, splits->entry_stop) &&
           splits->wire.items[bundle->next_input] < splits->stop;
}

/* Takes the restriction off an element of a splittable DoFn, or gives a fresh one its whole. The value returned is new. */
static struct slice read_restriction(const struct sim_bundle *bundle, const struct element *in, unsigned *ret_from,
                                     unsigned *ret_to) {
    struct cursor at = cursor_of(in->value.data, in->value.size), key;
    struct buf out = {0};

    cursor_prefixed(&at, &key);
    if (cursor_left(&key) < RESTRICTION_SIZE || key.at[0] != RESTRICTION) {
        *ret_from = 0;
        *ret_to = bundle->function->kind == FUNCTION_STREAM_SOURCE ? bundle->function->positions
                                                                   : function_positions(bundle->function, in);
        return slice_ref(in->value);
    }
    key.at++;
    cursor_be32(&key, ret_from);
    cursor_be32(&key, ret_to);
    buf_add_prefixed(&out, key.at, cursor_left(&key));
    buf_add(&out, at.at, cursor_left(&at));
    return buf_finish(&out);
}

void sdk_split_set_watermarks(const struct sim_bundle *bundle, struct residual *residual, struct arena *arena) {
    const struct coder *coder = bundle->world->sim->plan.collections[bundle->stage->source.collection].coder;
    struct cursor at = cursor_of(residual->element.data, residual->element.size);
    struct windowed_value value;
    struct element in = {0};
    unsigned from, to;

    if (windowed_value_read(coder, &at, &value) != CODER_OK)
        return; /* meant to be none */
    in.value = slice_of_static(value.value.at, cursor_left(&value.value));
    in.value = read_restriction(bundle, &in, &from, &to);
    stream_sdk_set_watermark(bundle, &in, from, residual, arena);
    slice_unref(&in.value);
}

static struct residual application_of(const struct sim_bundle *bundle, const struct element *element) {
    static const char *const names[] = {"process", "", "process"};
    struct residual application = {.transform_id = names[rng_below(&bundle->world->rng, 3)], .input_id = "in"};
    struct buf out = {0};

    element_write(&out, element, 1, bundle->function->window_ms, 0x0f);
    application.element = buf_finish(&out);
    return application;
}

static struct residual with_restriction(const struct sim_bundle *bundle, const struct element *base, unsigned from,
                                        unsigned to) {
    struct cursor at = cursor_of(base->value.data, base->value.size), key;
    struct element part = *base;
    struct buf value = {0};
    struct residual application;

    cursor_prefixed(&at, &key);
    buf_add_varint(&value, RESTRICTION_SIZE + cursor_left(&key));
    buf_add_u8(&value, RESTRICTION);
    buf_add_be32(&value, from);
    buf_add_be32(&value, to);
    buf_add(&value, key.at, cursor_left(&key));
    buf_add(&value, at.at, cursor_left(&at));
    part.value = buf_finish(&value);
    application = application_of(bundle, &part);
    slice_unref(&part.value);
    return application;
}

static int64_t random_delay(struct sim_bundle *bundle) {
    return rng_chance(&bundle->world->rng, 50) ? rng_below(&bundle->world->rng, 5000) : 0;
}

bool sdk_split_element(struct sim_bundle *bundle, const struct element *in) {
    struct rng *rng = &bundle->world->rng;
    struct sim_splits *splits = &bundle->splits;

    if (!splits->restriction.is_begun) {
        splits->restriction.is_begun = true;
        splits->restriction.base = *in;
        splits->restriction.base.value =
            read_restriction(bundle, in, &splits->restriction.from, &splits->restriction.to);
        splits->restriction.at = splits->restriction.from;
        splits->restriction.checkpoint =
            rng_chance(rng, 30) ? rng_between(rng, splits->restriction.from,
                                              MIN(splits->restriction.to, splits->restriction.from + MAX_STEPS))
                                : splits->restriction.to;
    }
    for (; splits->restriction.at < MIN(splits->restriction.to, splits->restriction.checkpoint);
         splits->restriction.at++) {
        if (sdk_pauses(bundle))
            return false;
        if (bundle->function->kind == FUNCTION_STREAM_SOURCE)
            stream_sdk_step(bundle, &splits->restriction.base, splits->restriction.at);
        else
            function_apply(bundle->function, &splits->restriction.base, 0, splits->restriction.at, sdk_emit, bundle);
    }
    if (splits->restriction.at < splits->restriction.to) {
        struct residual rest =
            with_restriction(bundle, &splits->restriction.base, splits->restriction.at, splits->restriction.to);

        rest.delay_ms = bundle->function->kind == FUNCTION_STREAM_SOURCE
                            ? stream_source_delay(bundle->function, stream_sdk_restriction(&splits->restriction.base),
                                                  splits->restriction.at)
                            : random_delay(bundle);
        rest.is_unbounded = bundle->function->is_streaming;
        vec_push(&bundle->residuals, rest);
    }
    slice_unref(&splits->restriction.base.value);
    splits->restriction.is_begun = false;
    return true;
}

/* ---- splits ---- */

/* The first element that is not begun. */
static uint64_t first_free(const struct sim_bundle *bundle) {
    const struct sim_splits *splits = &bundle->splits;

    if (bundle->unit == UNIT_ELEMENT)
        return splits->wire.items[bundle->next_input] + 1;
    return bundle->next_input ? splits->wire.items[bundle->next_input - 1] + 1 : 0;
}

static struct bundle_split *split_create(void) {
    struct bundle_split *split = xcalloc(1, sizeof(*split));

    split->channels = arena_new_array(&split->arena, struct channel_split, 2);
    split->primaries = arena_new_array(&split->arena, struct residual, 4);
    split->residuals = arena_new_array(&split->arena, struct residual, 4);
    return split;
}

static void set_channel(const struct sim_bundle *bundle, struct bundle_split *split, int64_t last, int64_t first) {
    split->channels[split->channel_count++] = (struct channel_split){
        .transform_id = rng_chance(&bundle->world->rng, 50) ? bundle->stage->source.transform_id : "",
        .last_primary_element = last,
        .first_residual_element = first};
}

static void split_channel(struct sim_bundle *bundle, struct bundle_split *split) {
    uint64_t begin = first_free(bundle), end = MIN(bundle->splits.stop, bundle->splits.asked_count);
    uint64_t stop = begin + (begin < end ? rng_below(&bundle->world->rng, end - begin + 1) : 0);

    if (begin > end)
        return;
    if (begin < end && rng_chance(&bundle->world->rng, 20))
        stop = end; /* gives back what nobody has counted yet, or nothing */
    bundle->splits.stop = stop;
    set_channel(bundle, split, (int64_t)stop - 1, (int64_t)stop);
}

/* As SDKs do it: either the restriction in work is split and all windows behind it go, or it stays whole and the windows from a later one on
 * go. So the window whose restriction was split is the last of its element, and windows that are done are reported whole. */
static void split_element(struct sim_bundle *bundle, struct bundle_split *split) {
    struct sim_splits *splits = &bundle->splits;
    struct rng *rng = &bundle->world->rng;
    unsigned last = MIN(splits->restriction.to, splits->restriction.at + MAX_STEPS);
    uint64_t index = splits->wire.items[bundle->next_input];
    size_t end = MIN(bundle->input.all.count, splits->entry_stop), stop = bundle->next_input + 1, whole;
    unsigned point =
        splits->asked_fraction > 0 ? rng_between(rng, splits->restriction.at, last) : splits->restriction.at;
    bool is_inside;

    while (splits->wire.items[end - 1] != index)
        end--;
    is_inside = end == stop || rng_chance(rng, 50);
    if (!is_inside)
        stop = rng_between(rng, (unsigned)stop, (unsigned)end - 1);
    whole = is_inside ? bundle->next_input : stop;
    set_channel(bundle, split, (int64_t)index - 1, (int64_t)index + 1);
    for (size_t i = 0; i < end; i++)
        if (splits->wire.items[i] == index && i < whole)
            split->primaries[split->primary_count++] = application_of(bundle, &bundle->input.all.items[i]);
        else if (splits->wire.items[i] == index && i >= stop)
            split->residuals[split->residual_count++] = application_of(bundle, &bundle->input.all.items[i]);
    if (is_inside) {
        split->primaries[split->primary_count++] =
            with_restriction(bundle, &splits->restriction.base, splits->restriction.from, point);
        split->residuals[split->residual_count++] =
            with_restriction(bundle, &splits->restriction.base, point, splits->restriction.to);
        split->residuals[split->residual_count - 1].delay_ms = random_delay(bundle);
        split->residuals[split->residual_count - 1].is_unbounded = bundle->function->is_streaming;
        splits->restriction.to = point;
    }
    splits->entry_stop = stop;
    for (size_t i = 0; bundle->function->is_streaming && i < split->residual_count; i++)
        sdk_split_set_watermarks(bundle, &split->residuals[i], &split->arena);
    splits->stop = index + 1;
}

/* Answers that mean nothing: the engine must give the bundle up. */
static void make_nonsense(struct sim_bundle *bundle, struct bundle_split *split) {
    int64_t end = (int64_t)MIN(bundle->splits.stop, bundle->splits.asked_count);
    struct residual garbage = {.element = slice_of_literal("nonsense"), .transform_id = "process", .input_id = "in"};

    switch (rng_below(&bundle->world->rng, 8)) {
    case 0: /* far behind: input that was not counted when the split was asked for may be there by now */
        set_channel(bundle, split, end + (1 << 30), end + (1 << 30) + 1);
        break;
    case 1:
        set_channel(bundle, split, end - 1, end - 1);
        break;
    case 2:
        set_channel(bundle, split, -2, 0);
        break;
    case 3:
        set_channel(bundle, split, -1, 2);
        break;
    case 4:
        set_channel(bundle, split, INT64_MAX, INT64_MIN);
        break;
    case 5:
        set_channel(bundle, split, -1, 1);
        split->residuals[split->residual_count++] = garbage;
        break;
    case 6:
        set_channel(bundle, split, -1, 1);
        break;
    default:
        split->primaries[split->primary_count++] = garbage;
        break;
    }
}

void sdk_split_look(struct sim_bundle *bundle) {
    struct world *world = bundle->world;
    struct engine_event event = {.type = ENGINE_EVENT_SPLIT, .bundle = bundle->id};
    bool is_nonsense = bundle->fault == FAULT_BAD_SPLIT;

    if (!bundle->splits.is_asked || bundle->is_failed || bundle->fault == FAULT_NO_SPLIT)
        return;
    if (rng_chance(&world->rng, 30)) {
        world_post_run(world, world->now + world_delay(world) + 1, bundle->id);
        return;
    }
    bundle->splits.is_asked = false;
    event.split = split_create();
    if (is_nonsense)
        make_nonsense(bundle, event.split);
    else if (!bundle->is_finished && bundle->splits.restriction.is_begun && rng_chance(&world->rng, 70))
        split_element(bundle, event.split);
    else if (!bundle->is_finished && rng_chance(&world->rng, 70))
        split_channel(bundle, event.split);
    world_post(world, world->now + world_delay(world), event, is_nonsense);
}

/* ---- rules ---- */

static bool has_idle_slot(const struct world *world, unsigned environment) {
    vec_foreach (worker, &world->workers)
        if (worker->environment == environment && worker->is_alive && worker->active < worker->slots)
            return true;
    return false;
}

void sdk_split_ask(struct sim_bundle *bundle, const struct engine_action *action) {
    struct world *world = bundle->world;
    struct sim_splits *splits = &bundle->splits;

    if (bundle->is_failed || bundle->is_done_delivered || bundle->is_finalizing || splits->is_open)
        world_violation(world, "bundle %" PRIu64 " is asked to split but has ended, or was asked before", bundle->id);
    if (bundle->stage->is_keyed)
        world_violation(world, "bundle %" PRIu64 " of a keyed stage is asked to split", bundle->id);
    /* What never ends by itself is asked to end soon (issue: the latency target), whoever else has work. */
    bool is_checkpoint = bundle->function->kind == FUNCTION_STREAM_SOURCE && action->fraction <= 0;

    if (!is_checkpoint && (world->options.split_after_ms < 0 || world->now < splits->not_before))
        world_violation(world, "bundle %" PRIu64 " is asked to split too soon", bundle->id);
    if (!is_checkpoint && !has_idle_slot(world, bundle->stage->environment))
        world_violation(world, "bundle %" PRIu64 " is asked to split for a slot that has work", bundle->id);
    if (!(action->fraction >= 0 && action->fraction <= 1))
        world_violation(world, "bundle %" PRIu64 " is asked to keep %g", bundle->id, action->fraction);
    if (bundle->is_input_ended && action->element_count != MIN(splits->received, splits->stop))
        world_violation(world, "bundle %" PRIu64 " has %" PRIu64 " elements, not %" PRIu64, bundle->id,
                        MIN(splits->received, splits->stop), action->element_count);
    splits->is_open = splits->is_asked = true;
    splits->asked_count = action->element_count;
    splits->asked_fraction = action->fraction;
    world_post_run(world, world->now + world_delay(world), bundle->id);
}

void sdk_split_delivered(struct sim_bundle *bundle, const struct bundle_split *split) {
    struct sim_splits *splits = &bundle->splits;
    struct world *world = bundle->world;

    if (bundle->is_failed)
        return;
    splits->is_open = false;
    if (split->channel_count && (uint64_t)split->channels[0].first_residual_element < splits->delivered_stop)
        splits->delivered_stop = (uint64_t)split->channels[0].first_residual_element;
    if (split->channel_count == 0)
        splits->refusals = MIN(splits->refusals + 1, 7u);
    splits->not_before = world->now + (world->options.split_after_ms * (1 << splits->refusals));
    if (split->channel_count)
        splits->refusals = 0, splits->not_before = world->now + world->options.split_after_ms;
    for (size_t i = 0; i < split->primary_count; i++)
        ledger_residual(world, bundle, split->primaries[i].element, 0);
    for (size_t i = 0; i < split->residual_count; i++)
        ledger_residual(world, bundle, split->residuals[i].element, split->residuals[i].delay_ms);
}
