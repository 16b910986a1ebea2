/* State requests of running bundles: side inputs and user state. */
#include <assert.h>
#include <stdlib.h>

#include "engine/internal.h"

static const struct plan_side_input *find_side_input(const struct stage *stage, const struct state_request *request,
                                                     size_t *ret_index) {
    for (size_t i = 0; i < stage->plan->side_input_count; i++) {
        const struct plan_side_input *side = &stage->plan->side_inputs[i];

        if (strcmp(side->transform_id, request->transform_id) == 0 &&
            strcmp(side->local_name, request->state_id) == 0) {
            *ret_index = i;
            return side;
        }
    }
    return NULL;
}

static const struct plan_user_state *find_user_state(const struct stage *stage, const struct state_request *request,
                                                     unsigned *ret_index) {
    for (size_t i = 0; i < stage->plan->user_state_count; i++) {
        const struct plan_user_state *state = &stage->plan->user_states[i];

        if (strcmp(state->transform_id, request->transform_id) == 0 &&
            strcmp(state->state_id, request->state_id) == 0) {
            *ret_index = (unsigned)i;
            return state;
        }
    }
    return NULL;
}

static int set_error(struct state_response *response, const struct state_request *request, const char *why) {
    response->error =
        xasprintf("state request of transform %s for \"%s\": %s", request->transform_id ? request->transform_id : "?",
                  request->state_id ? request->state_id : "?", why);
    return -1;
}

/* The continuation token is the number of the next page: what it names does not change while the bundle runs. */
static int read_position(const struct state_request *request, uint64_t *ret) {
    struct cursor at = cursor_of(request->continuation.data, request->continuation.size);

    *ret = 0;
    if (request->continuation.size == 0)
        return 0;
    return cursor_varint(&at, ret) && cursor_left(&at) == 0 ? 0 : -1;
}

static void write_position(struct state_response *response, uint64_t position) {
    struct buf token = {0};

    buf_add_varint(&token, position);
    response->continuation = buf_finish(&token);
}

static void read_chain(const struct engine *engine, const struct chain *chain, uint64_t position,
                       struct state_response *response) {
    size_t at = (size_t)position;
    bool more = false;

    if (!chain)
        return;
    response->data_count =
        chain_read(chain, &at, engine->options.state_page_bytes, response->data, ARRAY_COUNT(response->data), &more);
    if (more)
        write_position(response, at);
}

static int answer_side_input(const struct engine *engine, const struct stage *stage,
                             const struct state_request *request, struct state_response *response) {
    const struct plan_side_input *side;
    const struct view *view;
    uint64_t position;
    size_t index;

    side = find_side_input(stage, request, &index);
    if (!side)
        return set_error(response, request, "the stage has no such side input");
    if (request->operation != STATE_GET)
        return set_error(response, request, "side inputs can only be read");
    if (read_position(request, &position) < 0)
        return set_error(response, request, "the continuation token is not one of Trestle's");
    view = stage->views[index];
    switch (request->kind) {
    case STATE_ITERABLE_SIDE_INPUT:
        if (side->access != PLAN_ACCESS_ITERABLE)
            return set_error(response, request, "a multimap side input was asked for as an iterable");
        read_chain(engine, view_elements(view, request->window, SLICE_EMPTY), position, response);
        return 0;
    case STATE_MULTIMAP_SIDE_INPUT:
        if (side->access != PLAN_ACCESS_MULTIMAP)
            return set_error(response, request, "an iterable side input was asked for as a multimap");
        read_chain(engine, view_elements(view, request->window, request->key), position, response);
        return 0;
    case STATE_MULTIMAP_KEYS_SIDE_INPUT:
        if (side->access != PLAN_ACCESS_MULTIMAP)
            return set_error(response, request, "an iterable side input was asked for as a multimap");
        read_chain(engine, view_keys(view, request->window), position, response);
        return 0;
    default:
        return set_error(response, request, "this kind of side input access is not supported");
    }
}

static int answer_bag(struct engine *engine, struct bundle *bundle, const struct state_request *request,
                      struct state_response *response) {
    struct buf key = {0};
    struct slice cell;
    uint64_t position;
    unsigned index;
    bool more;

    if (!find_user_state(bundle->stage, request, &index))
        return set_error(response, request, "the stage has no such user state");
    if (read_position(request, &position) < 0)
        return set_error(response, request, "the continuation token is not one of Trestle's");
    state_cell_key(&key, index, request->window, request->key);
    cell = slice_of_static(buf_data(&key), key.size);
    switch (request->operation) {
    case STATE_GET:
        response->data_count =
            state_read(&bundle->stage->state, &bundle->overlay, cell, &position, engine->options.state_page_bytes,
                       response->data, ARRAY_COUNT(response->data), &more);
        if (more)
            write_position(response, position);
        break;
    case STATE_APPEND:
        state_overlay_append(&bundle->overlay, cell, engine->options.account, request->data);
        break;
    case STATE_CLEAR:
        state_overlay_clear_cell(&bundle->overlay, cell);
        break;
    }
    buf_clear(&key);
    return 0;
}

void engine_answer_state(struct engine *engine, struct bundle *bundle, uint64_t token, struct state_request *request) {
    struct engine_action *action = engine_add_action(engine, ENGINE_ACTION_REPLY_STATE);

    action->worker = bundle->worker;
    action->bundle = bundle->id;
    action->token = token;
    action->request_id = xstrdup(request->request_id);
    switch (request->kind) {
    case STATE_ITERABLE_SIDE_INPUT:
    case STATE_MULTIMAP_SIDE_INPUT:
    case STATE_MULTIMAP_KEYS_SIDE_INPUT:
    case STATE_MULTIMAP_KEYS_VALUES_SIDE_INPUT:
        answer_side_input(engine, bundle->stage, request, &action->response);
        break;
    case STATE_BAG:
        answer_bag(engine, bundle, request, &action->response);
        break;
    case STATE_RUNNER:
    case STATE_MULTIMAP:
    case STATE_MULTIMAP_KEYS:
    case STATE_MULTIMAP_ENTRIES:
    case STATE_ORDERED_LIST:
        set_error(&action->response, request, "this kind of state is not supported yet");
        break;
    }
}
