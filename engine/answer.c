/* State requests of running bundles: side inputs and user state. */
#include <assert.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/liveview.h"
#include "engine/mapentries.h"
#include "engine/viewstore.h"

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

static struct slice position_token(uint64_t position) {
    struct buf token = {0};

    buf_add_varint(&token, position);
    return buf_finish(&token);
}

static void write_position(struct state_response *response, uint64_t position) {
    response->continuation = position_token(position);
}

/* *ret_extent: the page is stored. */
static void read_chain(const struct engine *engine, const struct chain *chain, uint64_t position,
                       struct state_response *response, struct extent **ret_extent) {
    size_t at = (size_t)position;
    bool more = false;

    if (!chain)
        return;
    response->data_count = chain_read(chain, &at, engine->options.state_page_bytes, response->data,
                                      ARRAY_COUNT(response->data), ret_extent, &more);
    if (more)
        write_position(response, at);
}

/* An entry is never cut, so a key with very many values would be a very large message: SDKs then look keys up one by one, in pages. Large
 * entries may be stored as well. */
enum { MAX_ENTRY_PAGES = 16 };

static const char TOO_MANY_VALUES[] = "a key has too many values to be read with all others; look keys up one by one";

static int read_entries(const struct engine *engine, const struct view *view, const struct state_request *request,
                        uint64_t position, struct state_response *response) {
    size_t limit = engine->options.state_page_bytes;
    struct buf page = {.account = engine->options.account};
    bool more;

    if (view_read_entries(view, request->window, &position, limit, MAX_ENTRY_PAGES * limit, &page, &more) < 0) {
        buf_clear(&page);
        return set_error(response, request, TOO_MANY_VALUES);
    }
    response->data[0] = buf_finish(&page);
    response->data_count = 1;
    if (more)
        write_position(response, position);
    return 0;
}

/* What an answer waits for: a page that is stored or, `store` not NULL, a bucket of a stored multimap. */
struct answer_wait {
    struct extent *extent;
    struct view_store *store;
    size_t bucket;
};

/* From a multimap that is not in memory. */
static int read_store(struct engine *engine, struct view_store *store, struct state_request *request, uint64_t position,
                      struct state_response *response, struct answer_wait *wait) {
    struct buf page = {.account = engine->options.account};
    struct view_store_read read = {.window = request->window, .key = request->key, .position = position, .out = &page};
    enum view_store_result result;

    read.limit = engine->options.state_page_bytes;
    read.max_entry = MAX_ENTRY_PAGES * read.limit;
    view_store_seal(engine, store);
    result = request->kind == STATE_MULTIMAP_SIDE_INPUT
                 ? view_store_lookup(store, &read)
                 : view_store_walk(store, request->kind == STATE_MULTIMAP_KEYS_VALUES_SIDE_INPUT, &read);
    if (result == VIEW_STORE_TOO_LARGE) {
        buf_clear(&page);
        return set_error(response, request, TOO_MANY_VALUES);
    }
    if (result == VIEW_STORE_BUCKET) {
        assert(page.size == 0);
        slice_unref(&request->continuation);
        request->continuation = position_token(read.position);
        *wait = (struct answer_wait){.store = store, .bucket = read.bucket};
        return 0;
    }
    wait->extent = read.extent;
    response->data[0] = buf_finish(&page);
    response->data_count = 1;
    if (read.more)
        response->continuation = position_token(read.position);
    return 0;
}

void bundle_drop_snapshots(struct bundle *bundle) {
    vec_foreach (read, &bundle->snapshots) {
        slice_unref(&read->window);
        snapshot_unref(read->snapshot);
    }
    vec_free(&bundle->snapshots);
}

/* What the window of a side input that changes held when the bundle read it first; NULL: nothing. */
static struct view *view_in_snapshot(struct bundle *bundle, const struct view *view, struct slice window) {
    struct bundle_snapshot read = {.view = view};

    vec_foreach (earlier, &bundle->snapshots)
        if (earlier->view == view && slice_equal(earlier->window, window))
            return earlier->snapshot ? &earlier->snapshot->view : NULL;
    read.window = slice_copy(window.data, window.size, NULL);
    read.snapshot = snapshot_ref(live_view_find(view->live, window));
    vec_push(&bundle->snapshots, read);
    return read.snapshot ? &read.snapshot->view : NULL;
}

static int answer_side_input(struct engine *engine, struct bundle *bundle, struct state_request *request,
                             struct state_response *response, struct answer_wait *wait) {
    const struct stage *stage = bundle->stage;
    bool is_iterable = request->kind == STATE_ITERABLE_SIDE_INPUT;
    const struct plan_side_input *side;
    uint64_t position;
    struct view *view;
    size_t index;

    side = find_side_input(stage, request, &index);
    if (!side)
        return set_error(response, request, "the stage has no such side input");
    if (request->operation != STATE_GET)
        return set_error(response, request, "side inputs can only be read");
    if (read_position(request, &position) < 0)
        return set_error(response, request, "the continuation token is not one of Trestle's");
    if (is_iterable && side->access != PLAN_ACCESS_ITERABLE)
        return set_error(response, request, "a multimap side input was asked for as an iterable");
    if (!is_iterable && side->access != PLAN_ACCESS_MULTIMAP)
        return set_error(response, request, "an iterable side input was asked for as a multimap");
    view = stage->views[index];
    if (view->live && !(view = view_in_snapshot(bundle, view, request->window)))
        return 0;
    view->is_read = true;
    if (view->store)
        return read_store(engine, view->store, request, position, response, wait);
    switch (request->kind) {
    case STATE_ITERABLE_SIDE_INPUT:
        read_chain(engine, view_elements(view, request->window, SLICE_EMPTY), position, response, &wait->extent);
        return 0;
    case STATE_MULTIMAP_SIDE_INPUT:
        read_chain(engine, view_elements(view, request->window, request->key), position, response, &wait->extent);
        return 0;
    case STATE_MULTIMAP_KEYS_SIDE_INPUT:
        read_chain(engine, view_keys(view, request->window), position, response, &wait->extent);
        return 0;
    default:
        return read_entries(engine, view, request, position, response);
    }
}

/* What all kinds of user state have in common: the state, where reading goes on, and the cell, whose bytes are in `key`. */
struct state_access {
    struct engine *engine;
    struct bundle *bundle;
    const struct state_request *request;
    struct state_response *response;
    const struct plan_user_state *state;
    struct buf key;
    struct slice cell;
    uint64_t position;
};

static int begin_access(struct state_access *access, enum plan_state_kind kind) {
    const struct state_request *request = access->request;
    unsigned index;

    access->state = find_user_state(access->bundle->stage, request, &index);
    if (!access->state)
        return set_error(access->response, request, "the stage has no such user state");
    if (access->state->kind != kind)
        return set_error(access->response, request, "the state was declared as another kind");
    if (read_position(request, &access->position) < 0)
        return set_error(access->response, request, "the continuation token is not one of Trestle's");
    state_cell_key(&access->key, index, request->window, request->key);
    if (request->kind == STATE_MULTIMAP)
        state_cell_key_add_map_key(&access->key, request->map_key);
    access->cell = slice_of_static(buf_data(&access->key), access->key.size);
    return 0;
}

static void access_cell(struct state_access *access) {
    struct engine *engine = access->engine;
    struct state_overlay *overlay = &access->bundle->overlay;
    struct state_response *response = access->response;
    bool more;

    switch (access->request->operation) {
    case STATE_GET:
        response->data_count =
            state_read(&access->bundle->stage->state, overlay, access->cell, &access->position,
                       engine->options.state_page_bytes, response->data, ARRAY_COUNT(response->data), &more);
        if (more)
            write_position(response, access->position);
        access->bundle->has_paged_state |= more;
        break;
    case STATE_APPEND:
        state_overlay_append(overlay, access->cell, engine->options.account, access->request->data);
        break;
    case STATE_CLEAR:
        state_overlay_clear_cell(overlay, access->cell);
        break;
    }
}

static void access_map_keys(struct state_access *access) {
    struct state_response *response = access->response;
    const struct user_state *state = &access->bundle->stage->state;
    struct buf keys = {.account = access->engine->options.account};
    bool more;

    switch (access->request->operation) {
    case STATE_GET:
        multimap_read_keys(state, &access->bundle->overlay, access->cell, &access->position,
                           access->engine->options.state_page_bytes, &keys, &more);
        response->data[0] = buf_finish(&keys);
        response->data_count = 1;
        if (more)
            write_position(response, access->position);
        break;
    case STATE_CLEAR:
        multimap_clear(state, &access->bundle->overlay, access->cell);
        break;
    case STATE_APPEND:
        set_error(response, access->request, "keys of a multimap come with their values");
        break;
    }
}

static void access_map_entries(struct state_access *access) {
    struct state_response *response = access->response;
    struct buf entries = {.account = access->engine->options.account};
    bool more;

    if (access->request->operation != STATE_GET) {
        set_error(response, access->request, "the entries of a multimap can only be read");
        return;
    }
    if (multimap_read_entries(&access->bundle->stage->state, &access->bundle->overlay, access->cell, access->state,
                              &access->position, access->engine->options.state_page_bytes, &entries, &more) < 0)
        set_error(response, access->request,
                  "the entries of a multimap can only be read when its values have a coder of the Beam model, so that "
                  "Trestle can count them");
    response->data[0] = buf_finish(&entries);
    response->data_count = 1;
    if (more)
        write_position(response, access->position);
}

static void gather_list(const struct state_access *access, struct ordered_list *list) {
    uint64_t position = 0;
    bool more = true;

    while (more) {
        struct slice pieces[16];
        size_t count = state_read(&access->bundle->stage->state, &access->bundle->overlay, access->cell, &position,
                                  SIZE_MAX, pieces, ARRAY_COUNT(pieces), &more);

        for (size_t i = 0; i < count; i++)
            ordered_list_add(list, pieces[i]);
    }
}

/* The list that is being read stays in order until its last page, or until another is read from its start. */
static void read_ordered_list(struct state_access *access) {
    const struct state_request *request = access->request;
    struct list_reading *reading = &access->bundle->list;
    struct buf page = {.account = access->engine->options.account};
    bool is_same = slice_equal(slice_of_static(buf_data(&reading->cell), reading->cell.size), access->cell), more;

    if (!is_same || request->continuation.size == 0) {
        list_reading_clear(reading);
        buf_add(&reading->cell, access->cell.data, access->cell.size);
        gather_list(access, &reading->list);
        ordered_list_sort(&reading->list);
    }
    ordered_list_read(&reading->list, request->range_start, request->range_end, &access->position,
                      access->engine->options.state_page_bytes, &page, &more);
    access->response->data[0] = buf_finish(&page);
    access->response->data_count = 1;
    if (more)
        write_position(access->response, access->position);
    else
        list_reading_clear(reading);
}

/* What is left of a list is written anew. */
static void clear_ordered_list(struct state_access *access) {
    struct state_overlay *overlay = &access->bundle->overlay;
    struct account *account = access->engine->options.account;
    struct ordered_list list = {0};
    struct buf kept = {.account = account};
    struct slice rest;

    gather_list(access, &list);
    ordered_list_without(&list, access->request->range_start, access->request->range_end, &kept);
    ordered_list_clear(&list);
    rest = buf_finish(&kept);
    state_overlay_clear_cell(overlay, access->cell);
    state_overlay_append(overlay, access->cell, account, rest);
    slice_unref(&rest);
}

static void access_ordered_list(struct state_access *access) {
    struct slice data = access->request->data;

    switch (access->request->operation) {
    case STATE_GET:
        read_ordered_list(access);
        break;
    case STATE_APPEND:
        if (ordered_list_is_well_formed(data))
            state_overlay_append(&access->bundle->overlay, access->cell, access->engine->options.account, data);
        else
            set_error(access->response, access->request, "the data are no entries of an ordered list");
        break;
    case STATE_CLEAR:
        clear_ordered_list(access);
        break;
    }
}

void list_reading_clear(struct list_reading *reading) {
    buf_clear(&reading->cell);
    ordered_list_clear(&reading->list);
}

static void answer_user_state(struct engine *engine, struct bundle *bundle, const struct state_request *request,
                              struct state_response *response) {
    struct state_access access = {.engine = engine, .bundle = bundle, .request = request, .response = response};

    switch (request->kind) {
    case STATE_BAG:
        if (begin_access(&access, PLAN_STATE_BAG) == 0)
            access_cell(&access);
        break;
    case STATE_MULTIMAP:
        if (begin_access(&access, PLAN_STATE_MULTIMAP) == 0)
            access_cell(&access);
        break;
    case STATE_MULTIMAP_KEYS:
        if (begin_access(&access, PLAN_STATE_MULTIMAP) == 0)
            access_map_keys(&access);
        break;
    case STATE_MULTIMAP_ENTRIES:
        if (begin_access(&access, PLAN_STATE_MULTIMAP) == 0)
            access_map_entries(&access);
        break;
    case STATE_ORDERED_LIST:
        if (begin_access(&access, PLAN_STATE_ORDERED_LIST) == 0)
            access_ordered_list(&access);
        break;
    default:
        set_error(response, request, "this kind of state is not supported");
        break;
    }
    buf_clear(&access.key);
}

static struct engine_action *add_reply(struct engine *engine, unsigned worker, uint64_t bundle, uint64_t token,
                                       const struct state_request *request) {
    struct engine_action *action = engine_add_action(engine, ENGINE_ACTION_REPLY_STATE);

    action->worker = worker;
    action->bundle = bundle;
    action->token = token;
    action->request_id = xstrdup(request->request_id);
    return action;
}

void engine_refuse_state(struct engine *engine, unsigned worker, uint64_t bundle, uint64_t token,
                         const struct state_request *request) {
    const struct worker_slot *slot = engine_worker(engine, worker);
    struct engine_action *action;

    if (!slot || slot->is_lost)
        return;
    action = add_reply(engine, worker, bundle, token, request);
    set_error(&action->response, request, "the bundle of this request is over");
}

/* The values of a large group. */
static void answer_large(const struct engine *engine, struct bundle *bundle, const struct state_request *request,
                         struct state_response *response, struct extent **ret_extent) {
    struct buf page = {.account = engine->options.account};
    uint64_t position;
    bool more;

    if (request->operation != STATE_GET)
        set_error(response, request, "the values of a group can only be read");
    else if (read_position(request, &position) < 0)
        set_error(response, request, "the continuation token is not one of Trestle's");
    else if (engine_read_large(bundle, request->key, &position, engine->options.state_page_bytes, &page, ret_extent,
                               &more) < 0)
        set_error(response, request, "the token was not given to this bundle");
    if (response->error)
        return;
    response->data[0] = buf_finish(&page);
    response->data_count = 1;
    if (more)
        write_position(response, position);
}

void engine_answer_state(struct engine *engine, struct bundle *bundle, uint64_t token, struct state_request *request) {
    struct engine_action answer = {0};
    struct answer_wait wait = {0};

    /* Built beside the actions: what is read may add some. */
    switch (request->kind) {
    case STATE_ITERABLE_SIDE_INPUT:
    case STATE_MULTIMAP_SIDE_INPUT:
    case STATE_MULTIMAP_KEYS_SIDE_INPUT:
    case STATE_MULTIMAP_KEYS_VALUES_SIDE_INPUT:
        answer_side_input(engine, bundle, request, &answer.response, &wait);
        break;
    case STATE_RUNNER:
        answer_large(engine, bundle, request, &answer.response, &wait.extent);
        break;
    default:
        answer_user_state(engine, bundle, request, &answer.response);
        break;
    }
    if (wait.store) {
        engine_answer_after_bucket(engine, bundle, token, request, wait.store, wait.bucket);
    } else if (wait.extent) { /* comes once the bytes are here */
        answer.token = token;
        answer.request_id = xstrdup(request->request_id);
        slice_unref(&answer.response.data[0]);
        engine_answer_from_extent(engine, bundle, &answer, wait.extent);
        engine_action_clear(&answer);
    } else {
        add_reply(engine, bundle->worker, bundle->id, token, request)->response = answer.response;
    }
}
