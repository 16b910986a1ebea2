#include "sdk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "merging.h"
#include "model/window.h"

struct sim_bundle *sdk_bundle_create(struct world *world, const struct engine_action *start) {
    struct sim_bundle *bundle = xcalloc(1, sizeof(*bundle));

    bundle->world = world;
    bundle->id = start->bundle;
    bundle->worker = start->worker;
    bundle->stage = &world->sim->plan.stages[start->stage];
    bundle->function = &world->sim->functions[start->stage];
    bundle->has_state_token = start->has_state_token;
    bundle->shard = start->shard;
    bundle->state_epoch = start->state_epoch;
    if (rng_permille(&world->rng, world->fault_permille))
        bundle->fault = (enum fault)rng_between(&world->rng, 1, FAULT_COUNT - 1);
    if (bundle->fault == FAULT_NO_SPLIT && world->sim->stream && world->sim->stream->is_endless)
        bundle->fault = FAULT_LOST; /* what never ends must be asked to */
    bundle->wants_finalization = rng_chance(&world->rng, 4);
    bundle->reads_entries = rng_chance(&world->rng, 50);
    sdk_split_init(bundle);
    if (bundle->fault == FAULT_LOST) {
        struct engine_event lost = {
            .type = ENGINE_EVENT_WORKER_LOST, .worker = start->worker, .error = xstrdup("killed by signal 9")};

        world_post(world,
                   world->now + (bundle->splits.pause_percent ? rng_below(&world->rng, 500) : 3 * world_delay(world)),
                   lost, false);
    }
    world_post_run(world, world->now + world_delay(world), start->bundle);
    return bundle;
}

static void free_overlay_cell(void *cell) {
    if (cell)
        buf_clear(&((struct cell *)cell)->bytes);
    free(cell);
}

void sdk_bundle_free(struct sim_bundle *bundle) {
    if (!bundle)
        return;
    element_list_clear(&bundle->input);
    sdk_split_clear(bundle);
    vec_free(&bundle->steps);
    vec_free(&bundle->timers);
    vec_foreach (bytes, &bundle->timer_bytes)
        slice_unref(bytes);
    vec_free(&bundle->timer_bytes);
    vec_foreach (write, &bundle->timer_writes)
        slice_unref(&write->timer.key);
    vec_free(&bundle->timer_writes);
    map_clear(&bundle->keys, NULL);
    buf_clear(&bundle->pages);
    slice_unref(&bundle->continuation);
    map_clear(&bundle->side_cache, free);
    map_clear(&bundle->cells, free_overlay_cell);
    for (unsigned i = 0; i < SIM_MAX_STREAMS; i++)
        buf_clear(&bundle->out[i]);
    vec_foreach (residual, &bundle->residuals)
        slice_unref(&residual->element);
    vec_free(&bundle->residuals);
    vec_foreach (text, &bundle->consumed.texts)
        free(*text);
    vec_free(&bundle->consumed.texts);
    free(bundle);
}

unsigned sdk_stream_count(const struct sim_bundle *bundle) {
    return bundle->function->sink_count + bundle->function->family_count;
}

bool sdk_bundle_is_complete(const struct sim_bundle *bundle) {
    if (!bundle->is_done_delivered)
        return false;
    for (unsigned i = 0; i < sdk_stream_count(bundle); i++)
        if (!bundle->end_delivered[i])
            return false;
    return !bundle->splits.is_open;
}

/* ---- input ---- */

/* One element for each window it lies in. Whole elements only: what is sent to a harness ends at an element boundary. */
void sdk_bundle_input(struct sim_bundle *bundle, struct slice bytes, bool is_last) {
    const struct coder *coder = bundle->world->sim->plan.collections[bundle->stage->source.collection].coder;
    struct cursor at = cursor_of(bytes.data, bytes.size);

    while (cursor_left(&at)) {
        struct windowed_value value;
        struct pane pane = {0};

        if (windowed_value_read(coder, &at, &value) != CODER_OK) {
            world_violation(bundle->world, "bundle %" PRIu64 ": input that does not end at an element", bundle->id);
            break;
        }
        if (pane_decode(&value.pane, &pane) != CODER_OK)
            world_violation(bundle->world, "bundle %" PRIu64 ": a pane that is none", bundle->id);
        sdk_split_received(bundle, value.window_count);
        for (uint32_t i = 0; i < value.window_count; i++) {
            struct element element = {.timestamp = value.timestamp, .window_end = SIM_GLOBAL};

            if (bundle->function->window_ms)
                interval_window_decode(&value.windows, &element.window_start, &element.window_end);
            element.pane = pane;
            element.value = slice_sub(bytes, (size_t)(value.value.at - bytes.data), cursor_left(&value.value));
            vec_push(&bundle->input.all, element);
        }
    }
    bundle->is_input_ended |= is_last;
    slice_unref(&bytes);
}

/* ---- output ---- */

void sdk_emit(void *user, unsigned sink, const struct element *element, unsigned windows) {
    struct sim_bundle *bundle = user;
    static const uint8_t panes[] = {0x0f, 0x0f, 0x07, 0x1f};

    element_write(&bundle->out[sink], element, windows, bundle->function->sinks[sink].window_ms,
                  panes[rng_below(&bundle->world->rng, ARRAY_COUNT(panes))]);
    bundle->emitted[sink]++;
}

static void post_output(struct sim_bundle *bundle, unsigned stream, struct slice bytes, bool is_last, bool is_poison) {
    unsigned sinks = bundle->function->sink_count;
    struct engine_event event = {.type = stream < sinks ? ENGINE_EVENT_ELEMENTS : ENGINE_EVENT_TIMERS,
                                 .bundle = bundle->id,
                                 .output = stream < sinks ? stream : stream - sinks,
                                 .bytes = bytes,
                                 .is_last = is_last};

    event_time at = bundle->world->now + world_delay(bundle->world);

    bundle->stream_at[stream] = MAX(bundle->stream_at[stream], at); /* a stream keeps its order */
    world_post(bundle->world, bundle->stream_at[stream], event, is_poison);
}

/* Sends what the stream holds in pieces cut anywhere; some of it may stay when the bundle goes on. */
static void flush(struct sim_bundle *bundle, unsigned stream, bool is_end, bool is_poison) {
    struct rng *rng = &bundle->world->rng;
    struct slice all = buf_finish(&bundle->out[stream]);
    size_t at = 0;
    bool mark_apart = all.size == 0 || rng_chance(rng, 50);

    while (at < all.size) {
        size_t size = rng_chance(rng, 40) ? all.size - at : rng_between(rng, 1, (unsigned)(all.size - at));

        if (!is_end && rng_chance(rng, 30))
            break;
        post_output(bundle, stream, slice_sub(all, at, size), is_end && !mark_apart && at + size == all.size,
                    is_poison && at + size == all.size && !mark_apart);
        at += size;
    }
    if (at < all.size)
        buf_add(&bundle->out[stream], all.data + at, all.size - at);
    if (is_end && mark_apart)
        post_output(bundle, stream, SLICE_EMPTY, true, is_poison);
    if (is_end && rng_chance(rng, 5))
        post_output(bundle, stream, SLICE_EMPTY, true, false); /* said twice */
    slice_unref(&all);
}

static struct bundle_response *make_response(struct sim_bundle *bundle) {
    struct bundle_response *response = xcalloc(1, sizeof(*response));
    response->requires_finalization = bundle->wants_finalization;
    response->residual_count = bundle->residuals.count;
    response->residuals = arena_new_array(&response->arena, struct residual, bundle->residuals.count + 1);
    for (size_t i = 0; i < bundle->residuals.count; i++) {
        response->residuals[i] = bundle->residuals.items[i];
        response->residuals[i].element = slice_ref(bundle->residuals.items[i].element);
        if (bundle->function->is_streaming) {
            sdk_split_set_watermarks(bundle, &response->residuals[i], &response->arena);
        } else if (i % 2) {
            response->residuals[i].watermarks = arena_zalloc(&response->arena, sizeof(struct residual_watermark));
            response->residuals[i].watermarks[0] = (struct residual_watermark){"out", 17};
            response->residuals[i].watermark_count = 1;
        }
    }
    if (bundle->fault == FAULT_BAD_RESIDUAL) {
        struct residual *bad = &response->residuals[response->residual_count++];

        *bad = (struct residual){.element = slice_of_literal("nonsense"), .transform_id = "process", .input_id = "in"};
    }
    counts_report(bundle, response, true);
    return response;
}

static void post_response(struct sim_bundle *bundle, event_time at, bool is_poison) {
    struct engine_event event = {
        .type = ENGINE_EVENT_BUNDLE_DONE, .bundle = bundle->id, .response = make_response(bundle)};

    world_post(bundle->world, at, event, is_poison);
}

static void post_error(struct sim_bundle *bundle) {
    struct engine_event event = {.type = ENGINE_EVENT_BUNDLE_FAILED,
                                 .bundle = bundle->id,
                                 .error = xstrdup("ValueError: the user's function raised")};

    world_post(bundle->world, bundle->world->now + world_delay(bundle->world), event, false);
}

static void post_lost(struct sim_bundle *bundle, unsigned after_ms) {
    struct engine_event event = {
        .type = ENGINE_EVENT_WORKER_LOST, .worker = bundle->worker, .error = xstrdup("the harness went away")};

    world_post(bundle->world, bundle->world->now + after_ms, event, false);
}

/* All answers twice, or none, or one that places no window. */
static void spoil_answers(struct sim_bundle *bundle) {
    struct slice good = buf_finish(&bundle->out[0]);
    struct element wrong = {.window_end = SIM_GLOBAL,
                            .value = slice_of_static("\x08"
                                                     "\0\0\0\0\0\0\0\0"
                                                     "\0\0\0\0"
                                                     "\0\0\0\0",
                                                     17)};
    unsigned how = rng_below(&bundle->world->rng, 3);

    for (unsigned i = 0; how == 0 && i < 2; i++)
        buf_add(&bundle->out[0], good.data, good.size);
    for (size_t i = 0; how == 1 && i < bundle->input.all.count; i++)
        sdk_emit(bundle, 0, &wrong, 1);
    slice_unref(&good);
}

/* Faults that need a sink do nothing at a stage without one (ends_badly). */
static void misbehave(struct sim_bundle *bundle) {
    static const uint8_t garbage[] = {0x80, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf0, 1, 2, 3};
    struct world *world = bundle->world;
    unsigned sinks = bundle->function->sink_count;
    unsigned sink = rng_below(&world->rng, sinks), any = rng_below(&world->rng, sdk_stream_count(bundle));

    if (bundle->fault == FAULT_ANSWER_TWICE && sinks) {
        post_response(bundle, world->now, false);
        post_response(bundle, world->now, true);
        bundle->stream_at[sink] = world->now + 50;
    }
    if (bundle->fault == FAULT_GARBAGE && sinks) {
        post_output(bundle, sink, buf_finish(&bundle->out[sink]), false, false);
        post_output(bundle, sink, slice_of_static(garbage, sizeof(garbage)), false, true);
    }
    if (bundle->fault == FAULT_CUT && sinks) {
        buf_add(&bundle->out[any], garbage, 3);
        flush(bundle, any, true, true);
    }
    if (bundle->fault == FAULT_AFTER_END && sinks) {
        flush(bundle, any, true, false);
        post_output(bundle, any, slice_of_static(garbage, 3), false, true);
        post_response(bundle, bundle->stream_at[any] + 1, false);
    }
    if (bundle->fault == FAULT_NO_DATA && sinks) {
        post_response(bundle, world->now + world_delay(world), false);
        if (rng_chance(&world->rng, 60))
            post_lost(bundle, rng_below(&world->rng, 2000));
    }
    if (bundle->fault == FAULT_BAD_ANSWER) {
        spoil_answers(bundle);
        flush(bundle, 0, true, false);
        post_response(bundle, bundle->stream_at[0] + 1, true);
    }
    if (bundle->fault == FAULT_STALL)
        post_lost(bundle, rng_between(&world->rng, 1000, 20000));
    if (bundle->fault == FAULT_ERROR) {
        for (unsigned i = 0; i < sdk_stream_count(bundle) && rng_chance(&world->rng, 80); i++)
            flush(bundle, i, true, false);
        post_error(bundle);
    }
}

/* Asked for at any time, answered at any later one: perhaps behind the response. */
static void post_progress(struct sim_bundle *bundle) {
    struct engine_event event = {
        .type = ENGINE_EVENT_PROGRESS, .bundle = bundle->id, .response = xcalloc(1, sizeof(*event.response))};

    counts_report(bundle, event.response, false);
    world_post(bundle->world, bundle->world->now + world_delay(bundle->world), event, false);
}

static bool ends_badly(const struct sim_bundle *bundle) {
    switch (bundle->fault) {
    case FAULT_NONE:
    case FAULT_LOST:
    case FAULT_BAD_RESIDUAL:
    case FAULT_BAD_SPLIT:
    case FAULT_NO_SPLIT:
    case FAULT_COUNT:
        return false;
    case FAULT_ERROR:
    case FAULT_STALL:
        return true;
    case FAULT_BAD_ANSWER:
        return bundle->function->kind == FUNCTION_MERGE && bundle->next_input; /* a split may have left no question */
    default:
        return bundle->function->sink_count > 0;
    }
}

static void finish(struct sim_bundle *bundle) {
    bundle->is_finished = true;
    if (ends_badly(bundle)) {
        misbehave(bundle);
        return;
    }
    for (unsigned i = 0; i < sdk_stream_count(bundle); i++)
        flush(bundle, i, true, false);
    post_response(bundle, bundle->world->now + world_delay(bundle->world), bundle->fault == FAULT_BAD_RESIDUAL);
}

/* ---- state requests ---- */

static struct slice window_slice(event_time window_start, event_time window_end, int64_t window_ms) {
    struct buf out = {0};

    window_write(&out, window_start, window_end, window_ms);
    return buf_finish(&out);
}

struct state_request *sdk_make_request(const struct sim_bundle *bundle, enum state_kind kind,
                                       enum state_operation operation, const struct element *in) {
    struct state_request *request = xcalloc(1, sizeof(*request));
    struct cursor key;

    request->kind = kind;
    request->operation = operation;
    request->transform_id = "pardo";
    request->state_id = "bag";
    if (bundle->side < bundle->function->side_count)
        return request;
    key = kv_key(in->value);
    request->window = window_slice(in->window_start, in->window_end, bundle->function->window_ms);
    request->key = slice_copy(key.at, cursor_left(&key), NULL);
    return request;
}

static uint64_t post_request(struct sim_bundle *bundle, struct state_request *request) {
    uint64_t token = bundle->next_token++;
    struct engine_event event = {.type = ENGINE_EVENT_STATE, .bundle = bundle->id, .token = token, .request = request};
    event_time at = bundle->world->now + world_delay(bundle->world);

    request->request_id = arena_printf(&request->arena, "r%" PRIu64, token);
    bundle->state_at = MAX(bundle->state_at, at); /* a stream keeps its order */
    world_post(bundle->world, bundle->state_at, event, false);
    return token;
}

void sdk_read(struct sim_bundle *bundle, struct state_request *request) {
    request->continuation = bundle->continuation;
    bundle->continuation = SLICE_EMPTY;
    bundle->is_reading = true;
    bundle->read_token = post_request(bundle, request);
}

void sdk_write(struct sim_bundle *bundle, struct state_request *request) {
    bundle->open_writes++;
    post_request(bundle, request);
}

static void request_page(struct sim_bundle *bundle, const struct element *in) {
    const struct function *function = bundle->function;
    struct state_request *request = sdk_make_request(bundle, STATE_BAG, STATE_GET, in);

    if (bundle->side < function->side_count) {
        const struct side_spec *side = &function->sides[bundle->side];
        event_time end = side_window(side, in);

        request->kind = !side->is_multimap      ? STATE_ITERABLE_SIDE_INPUT
                        : bundle->reads_entries ? STATE_MULTIMAP_KEYS_VALUES_SIDE_INPUT
                                                : STATE_MULTIMAP_SIDE_INPUT;
        request->state_id = bundle->stage->side_inputs[bundle->side].local_name;
        request->window = window_slice(end - side->window_ms, end, side->window_ms);
        if (request->kind == STATE_MULTIMAP_SIDE_INPUT)
            request->key = function_side_key(function, bundle->side, in);
    }
    sdk_read(bundle, request);
}

/* KV<key, iterable<value>>, all bytes. */
static bool skip_entry(struct cursor *at) {
    struct cursor part;
    uint32_t values;

    if (!cursor_prefixed(at, &part) || !cursor_be32(at, &values))
        return false;
    while (values && cursor_prefixed(at, &part))
        values--;
    return values == 0;
}

/* Every page is decoded alone by some SDKs: it must hold whole elements. */
static void check_page(struct sim_bundle *bundle, size_t from) {
    const struct function *function = bundle->function;
    struct cursor at = cursor_of(buf_data(&bundle->pages) + from, bundle->pages.size - from);
    const struct coder *keys = NULL;
    struct coder values;
    const struct coder *coder = bundle->stage->user_state_count ? bundle->stage->user_states[0].element_coder : NULL;

    if (bundle->reads_large) {
        coder = bundle->world->sim->plan.collections[bundle->stage->source.collection].coder->components[0];
        coder = coder->components[1]->components[0];
    } else if (bundle->side < function->side_count) {
        const struct side_spec *side = &function->sides[bundle->side];

        coder = bundle->world->sim->plan.collections[side->collection].coder->components[0];
        if (side->is_multimap) {
            values = (struct coder){CODER_ITERABLE, 1, {coder->components[1]}, 0, 4};
            keys = bundle->reads_entries ? coder->components[0] : NULL;
            coder = bundle->reads_entries ? &values : coder->components[1];
        }
    }
    while (cursor_left(&at)) {
        uint64_t sort_key;

        if (bundle->reads_map_entries && skip_entry(&at))
            continue;
        if ((bundle->reads_list && !cursor_varint(&at, &sort_key)) || (keys && coder_skip(keys, &at) != CODER_OK) ||
            coder_skip(coder, &at) != CODER_OK) {
            world_violation(bundle->world, "bundle %" PRIu64 ": a state page that does not end at an element",
                            bundle->id);
            return;
        }
    }
}

/* A key of a multimap may have too many values to be read with all others: then keys are looked up, as SDKs do. */
static bool was_refused_entries(const struct sim_bundle *bundle, const struct engine_action *action) {
    return bundle->is_reading && action->token == bundle->read_token && bundle->reads_entries &&
           bundle->side < bundle->function->side_count && bundle->function->sides[bundle->side].is_multimap &&
           strstr(action->response.error, "too many values");
}

void sdk_bundle_reply(struct sim_bundle *bundle, const struct engine_action *action) {
    size_t from = bundle->pages.size;
    char expected[32];

    snprintf(expected, sizeof(expected), "r%" PRIu64, action->token);
    if (!action->request_id || strcmp(action->request_id, expected) != 0)
        world_violation(bundle->world, "bundle %" PRIu64 ": an answer to %s that names %s", bundle->id, expected,
                        action->request_id ? action->request_id : "nothing");
    if (action->response.error && was_refused_entries(bundle, action)) {
        bundle->reads_entries = bundle->is_reading = false;
        bundle->pages.size = 0;
        world_post_run(bundle->world, bundle->world->now + world_delay(bundle->world), bundle->id);
        return;
    }
    if (action->response.error && bundle->is_failed)
        return; /* it waited for what is stored when it was given up */
    if (action->response.error)
        world_violation(bundle->world, "bundle %" PRIu64 ": %s", bundle->id, action->response.error);
    if (!bundle->is_reading || action->token != bundle->read_token) {
        if (bundle->open_writes == 0)
            world_violation(bundle->world, "bundle %" PRIu64 ": an answer that nobody waits for", bundle->id);
        bundle->open_writes--;
    } else {
        for (size_t i = 0; i < action->response.data_count; i++)
            buf_add(&bundle->pages, action->response.data[i].data, action->response.data[i].size);
        check_page(bundle, from);
        bundle->is_reading = false;
        bundle->has_bag = action->response.continuation.size == 0;
        bundle->continuation = slice_ref(action->response.continuation);
        if (bundle->function->kind == FUNCTION_STATEFUL && bundle->side == bundle->function->side_count && from == 0)
            sdk_cache_put_page(bundle, &bundle->input.all.items[bundle->next_input]);
    }
    world_post_run(bundle->world, bundle->world->now + world_delay(bundle->world), bundle->id);
}

/* ---- side inputs ---- */

static void side_cache_key(const struct sim_bundle *bundle, const struct element *in, struct buf *out) {
    const struct side_spec *side = &bundle->function->sides[bundle->side];
    CLEANUP_SLICE struct slice key = SLICE_EMPTY;

    if (side->is_multimap)
        key = function_side_key(bundle->function, bundle->side, in);
    buf_add_be32(out, bundle->side);
    buf_add_be64(out, (uint64_t)side_window(side, in));
    buf_add(out, key.data, key.size);
}

/* The values of one key among the entries of a multimap. A key comes up once. */
static uint64_t hash_entries(const struct sim_bundle *bundle, const struct element *in) {
    const struct side_spec *side = &bundle->function->sides[bundle->side];
    const struct coder *kv = bundle->world->sim->plan.collections[side->collection].coder->components[0];
    struct slice key = function_side_key(bundle->function, bundle->side, in);
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size);
    bool is_found = false;
    uint64_t sum = 0;

    while (cursor_left(&at)) {
        const uint8_t *begin = at.at;
        uint32_t count = 0;
        bool is_it;

        coder_skip(kv->components[0], &at);
        is_it = (size_t)(at.at - begin) == key.size && memcmp(begin, key.data, key.size) == 0;
        if (is_it && is_found)
            world_violation(bundle->world, "bundle %" PRIu64 ": a key twice among a multimap's entries", bundle->id);
        is_found |= is_it;
        cursor_be32(&at, &count);
        for (; count; count--) {
            struct cursor item = at;

            coder_skip(kv->components[1], &at);
            item.end = at.at;
            sum += is_it ? side_item_hash(side, item) : 0;
        }
    }
    slice_unref(&key);
    return sum;
}

static uint64_t hash_pages(const struct sim_bundle *bundle) {
    const struct side_spec *side = &bundle->function->sides[bundle->side];
    const struct coder *coder = bundle->world->sim->plan.collections[side->collection].coder->components[0];
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size);
    uint64_t sum = 0;

    if (side->is_multimap)
        coder = coder->components[1];
    while (cursor_left(&at)) {
        struct cursor item = at;

        if (coder_skip(coder, &at) != CODER_OK)
            break;
        item.end = at.at;
        sum += side_item_hash(side, item);
    }
    return sum;
}

/* True when all side inputs of the element have been read; else a read is under way. */
static bool read_sides(struct sim_bundle *bundle, const struct element *in) {
    if (!function_reads_sides(bundle->function, in))
        return true;
    while (bundle->side < bundle->function->side_count) {
        struct buf key = {0};
        uint64_t *known;

        side_cache_key(bundle, in, &key);
        known = map_get(&bundle->side_cache, buf_data(&key), key.size);
        if (!known && !bundle->has_bag) {
            buf_clear(&key);
            request_page(bundle, in);
            return false;
        }
        if (!known) {
            known = xmalloc(sizeof(*known));
            *known = bundle->function->sides[bundle->side].is_multimap && bundle->reads_entries
                         ? hash_entries(bundle, in)
                         : hash_pages(bundle);
            map_set(&bundle->side_cache, buf_data(&key), key.size, known);
        }
        buf_clear(&key);
        bundle->pages.size = 0;
        bundle->has_bag = false;
        bundle->side_hash = bundle->side_hash * 31 + *known;
        bundle->side++;
    }
    return true;
}

/* ---- user state ---- */

void sdk_cell_key(struct buf *out, unsigned stage, event_time window_start, event_time window_end, struct cursor key) {
    buf_add_be32(out, stage);
    buf_add_be64(out, (uint64_t)window_start);
    buf_add_be64(out, (uint64_t)window_end);
    buf_add(out, key.at, cursor_left(&key));
}

struct cell *sdk_own_cell(struct sim_bundle *bundle, const struct buf *key) {
    void **slot = map_slot(&bundle->cells, buf_data(key), key->size);

    if (!*slot)
        *slot = xcalloc(1, sizeof(struct cell));
    return *slot;
}

void sdk_check_bag(struct sim_bundle *bundle, const struct buf *key) {
    const struct cell *committed = map_get(&bundle->world->state, buf_data(key), key->size);
    const struct cell *own = sdk_own_cell(bundle, key);
    struct buf expected = {0};

    if (committed && !own->is_cleared)
        buf_add(&expected, buf_data(&committed->bytes), committed->bytes.size);
    buf_add(&expected, buf_data(&own->bytes), own->bytes.size);
    if (expected.size != bundle->pages.size ||
        (expected.size && memcmp(buf_data(&expected), buf_data(&bundle->pages), expected.size) != 0))
        world_violation(bundle->world, "bundle %" PRIu64 ": a bag of %zu bytes was read as one of %zu or with others",
                        bundle->id, expected.size, bundle->pages.size);
    buf_clear(&expected);
}

static void post_write(struct sim_bundle *bundle, const struct element *in, enum state_operation operation,
                       struct slice data) {
    struct state_request *request = sdk_make_request(bundle, STATE_BAG, operation, in);

    request->data = data;
    sdk_write(bundle, request);
}

/* The bag counts the key's elements; at the limit it is cleared. Returns the element's place. */
static unsigned count_in_bag(struct sim_bundle *bundle, const struct element *in) {
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size), inner;
    struct cell *cell;
    struct buf key = {0}, item = {0};
    unsigned place = 0;

    sdk_cell_key(&key, bundle->stage->index, in->window_start, in->window_end, kv_key(in->value));
    sdk_check_bag(bundle, &key);
    while (cursor_left(&at) && cursor_prefixed(&at, &inner))
        place++;
    cell = sdk_own_cell(bundle, &key);
    if (place + 1 >= bundle->function->limit) {
        cell->is_cleared = true;
        cell->bytes.size = 0;
        sdk_cache_clear_bag(bundle, in);
        post_write(bundle, in, STATE_CLEAR, SLICE_EMPTY);
    } else {
        buf_add_prefixed(&item, in->value.data, MIN(in->value.size, (size_t)40));
        buf_add(&cell->bytes, buf_data(&item), item.size);
        sdk_cache_append(bundle, in, slice_of_static(buf_data(&item), item.size));
        post_write(bundle, in, STATE_APPEND, buf_finish(&item));
    }
    buf_clear(&key);
    bundle->pages.size = 0;
    bundle->has_bag = false;
    return place;
}

/* ---- elements ---- */

static void answer_question(struct sim_bundle *bundle, const struct element *in) {
    struct element out = *in;
    struct buf answer = {0};

    merging_answer(in->value, bundle->function->is_streaming, rng_below(&bundle->world->rng, 16), &answer);
    out.value = buf_finish(&answer);
    sdk_emit(bundle, 0, &out, 1);
    slice_unref(&out.value);
}

static char *record_text(const struct function *function, const struct element *in) {
    struct stream_element element;
    char *value, *text;

    if (!function->is_streaming)
        return element_text(function->input, in);
    element = stream_decode(function->input, in, &value);
    text = stream_text(&element);
    free(value);
    return text;
}

/* False when the element waits for an answer. */
static bool process_element(struct sim_bundle *bundle) {
    const struct function *function = bundle->function;
    const struct element *in = &bundle->input.all.items[bundle->next_input];
    unsigned place = 0;

    if (!sdk_resolve_large(bundle, &bundle->input.all.items[bundle->next_input]) || !read_sides(bundle, in))
        return false;
    if (function->kind == FUNCTION_STATEFUL) {
        bundle->side = function->side_count;
        if (!bundle->has_bag && !bundle->continuation.size)
            sdk_cache_read(bundle, in);
        if (!bundle->has_bag) {
            request_page(bundle, in);
            return false;
        }
        place = count_in_bag(bundle, in);
    }
    if (function->kind == FUNCTION_TIMED) {
        if (!sdk_keyed_element(bundle, in))
            return false;
    } else if (function->kind == FUNCTION_RECORD)
        vec_push(&bundle->consumed.texts, record_text(function, in));
    else if (function->kind == FUNCTION_SPLIT || function->kind == FUNCTION_STREAM_SOURCE) {
        if (!sdk_split_element(bundle, in))
            return false;
    } else if (function->kind == FUNCTION_MERGE)
        answer_question(bundle, in);
    else if (function->kind >= FUNCTION_STREAM_CREATE) {
        if (!stream_sdk_element(bundle, in))
            return false;
    } else
        function_apply(function, in, bundle->side_hash, place, sdk_emit, bundle);
    bundle->side = 0;
    bundle->side_hash = 0;
    bundle->next_input++;
    return true;
}

/* Bundles with a fault keep their output, so that it is known where in it the fault is. */
static void flush_some(struct sim_bundle *bundle) {
    for (unsigned i = 0; i < sdk_stream_count(bundle) && bundle->fault == FAULT_NONE; i++)
        if (bundle->out[i].size > 500 && rng_chance(&bundle->world->rng, 10))
            flush(bundle, i, false, false);
}

static bool process_timer(struct sim_bundle *bundle) {
    const struct keyed_timer *timer = &bundle->timers.items[bundle->next_timer];
    bool is_stream = bundle->function->kind == FUNCTION_STREAM_KEYED;

    if (!(is_stream ? stream_sdk_timer(bundle, timer) : sdk_keyed_timer(bundle, timer)))
        return false;
    bundle->next_timer++;
    return true;
}

/* What to work on; elements and timers come in any order, as they do on two streams. */
static bool next_unit(struct sim_bundle *bundle) {
    bool has_timer = bundle->next_timer < bundle->timers.count;
    bool has_element = sdk_split_has_element(bundle);

    if (bundle->unit != UNIT_NONE)
        return true;
    if (!has_timer && !has_element)
        return false;
    bundle->unit = has_timer && (!has_element || rng_chance(&bundle->world->rng, 50)) ? UNIT_TIMER : UNIT_ELEMENT;
    return true;
}

static bool families_have_ended(const struct sim_bundle *bundle) {
    for (unsigned i = 0; i < bundle->function->family_count; i++)
        if (!bundle->is_family_ended[i])
            return false;
    return true;
}

void sdk_bundle_run(struct sim_bundle *bundle) {
    sdk_split_look(bundle);
    if (bundle->is_finished || bundle->is_reading || bundle->is_failed)
        return;
    if (rng_chance(&bundle->world->rng, 15))
        post_progress(bundle);
    if (bundle->fault == FAULT_ERROR && rng_chance(&bundle->world->rng, 20)) {
        bundle->is_finished = true;
        post_error(bundle);
        return;
    }
    for (;;) {
        if (sdk_pauses(bundle))
            return;
        if (!next_unit(bundle))
            break;
        if (!(bundle->unit == UNIT_TIMER ? process_timer(bundle) : process_element(bundle)))
            return;
        bundle->unit = UNIT_NONE;
        flush_some(bundle);
    }
    if (bundle->is_input_ended && families_have_ended(bundle) && bundle->open_writes == 0)
        finish(bundle);
}
