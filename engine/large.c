/* State requests that are answered later, because what they ask for is stored; and the values of large groups, which the SDK reads as
 * state (beam_fn_api.proto: StateKey.Runner, whose key is the token that stood in the place of the values). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"
#include "engine/viewstore.h"

struct late_reply {
    struct bundle *bundle;
    uint64_t token;
    char *request_id;
    struct slice continuation;
    struct fetch *fetch;
    struct state_request *request; /* owned: is answered anew once the bucket is there, else NULL */
    struct view_store *store;
    size_t bucket;
};

static void late_reply_free(struct late_reply *reply) {
    if (reply->request)
        state_request_clear(reply->request);
    free(reply->request);
    free(reply->request_id);
    slice_unref(&reply->continuation);
    free(reply);
}

static void late_reply_remove(struct bundle *bundle, const struct late_reply *reply) {
    for (size_t i = 0; i < bundle->late_replies.count; i++)
        if (bundle->late_replies.items[i] == reply) {
            bundle->late_replies.items[i] = *vec_last(&bundle->late_replies);
            bundle->late_replies.count--;
            return;
        }
}

static void answer_late(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct late_reply *reply = owner;
    struct bundle *bundle = reply->bundle;
    struct engine_action *action = engine_add_action(engine, ENGINE_ACTION_REPLY_STATE);

    assert(count == 1);
    action->worker = bundle->worker;
    action->bundle = bundle->id;
    action->token = reply->token;
    action->request_id = reply->request_id;
    action->response.data[0] = slice_ref(bytes[0]);
    action->response.data_count = 1;
    action->response.continuation = reply->continuation;
    reply->request_id = NULL;
    reply->continuation = SLICE_EMPTY;
    late_reply_remove(bundle, reply);
    late_reply_free(reply);
}

/* Two buckets' worth stays in memory for each side input. */
static void answer_anew(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct late_reply *reply = owner;

    late_reply_remove(reply->bundle, reply);
    view_store_fill(reply->store, reply->bucket, bytes, count, 2 * engine->options.max_bucket_bytes);
    engine_answer_state(engine, reply->bundle, reply->token, reply->request);
    late_reply_free(reply);
}

void engine_answer_after_bucket(struct engine *engine, struct bundle *bundle, uint64_t token,
                                struct state_request *request, struct view_store *store, size_t bucket) {
    const struct group_bucket *stored = store->group->buckets[bucket];
    struct late_reply *reply = xcalloc(1, sizeof(*reply));
    struct extent **extents = xcalloc(stored->entries.count, sizeof(struct extent *));

    reply->bundle = bundle;
    reply->token = token;
    reply->request_id = xstrdup(request->request_id);
    reply->request = xcalloc(1, sizeof(*reply->request));
    *reply->request = *request;
    *request = (struct state_request){0};
    reply->store = store;
    reply->bucket = bucket;
    for (size_t i = 0; i < stored->entries.count; i++)
        extents[i] = stored->entries.items[i].extent;
    vec_push(&bundle->late_replies, reply);
    reply->fetch = fetch_start(engine, extents, stored->entries.count, answer_anew, reply);
    free(extents);
}

void engine_answer_from_extent(struct engine *engine, struct bundle *bundle, struct engine_action *action,
                               struct extent *extent) {
    struct late_reply *reply = xcalloc(1, sizeof(*reply));

    reply->bundle = bundle;
    reply->token = action->token;
    reply->request_id = action->request_id;
    reply->continuation = action->response.continuation;
    action->request_id = NULL;
    action->response.continuation = SLICE_EMPTY;
    vec_push(&bundle->late_replies, reply);
    reply->fetch = fetch_start(engine, &extent, 1, answer_late, reply);
}

void engine_drop_late_replies(struct engine *engine, struct bundle *bundle) {
    vec_foreach (entry, &bundle->late_replies) {
        struct late_reply *reply = *entry;
        struct state_request request = {.request_id = reply->request_id};

        fetch_cancel(engine, reply->fetch);
        if (!engine->is_over)
            engine_refuse_state(engine, bundle->worker, bundle->id, reply->token, &request);
        late_reply_free(reply);
    }
    vec_free(&bundle->late_replies);
}

/* ---- values of large groups ---- */

static struct large_value *find_large(const struct bundle *bundle, struct slice token) {
    size_t number = 0;

    if (token.size == 0 || token.size > 18)
        return NULL;
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return NULL;
        number = number * 10 + (size_t)(token.data[i] - '0');
    }
    return number < bundle->large.given.count ? &bundle->large.given.items[number] : NULL;
}

/* Chunk number *position of the values. Pages are asked for in order, most often: to count from the first one each time would take a time
 * that grows with the square of the values. */
static const struct group_chunk *find_chunk(const struct large_value *value, uint64_t position) {
    bool goes_on = value->next && value->next_number <= position;
    const struct group_chunk *chunk = goes_on ? value->next : value->partition->entries[value->entry].first;

    for (uint64_t at = goes_on ? value->next_number : 0; chunk && at < position; at++)
        chunk = chunk->next;
    return chunk;
}

int engine_read_large(struct bundle *bundle, struct slice token, uint64_t *position, size_t limit, struct buf *out,
                      struct extent **ret_extent, bool *ret_more) {
    struct large_value *value = find_large(bundle, token);
    const struct group_chunk *chunk;
    uint64_t at = *position;

    *ret_extent = NULL;
    if (!value)
        return -1;
    chunk = find_chunk(value, at);
    for (; chunk && out->size < limit; chunk = chunk->next, at++) {
        const uint8_t *values = group_chunk_values(chunk);

        if (!values && out->size)
            break; /* the next page */
        if (!values) {
            *ret_extent = group_chunk_extent(chunk);
            at++;
            chunk = chunk->next;
            break;
        }
        buf_add(out, values, chunk->size);
    }
    value->next = chunk;
    value->next_number = *position = at;
    *ret_more = chunk != NULL;
    return 0;
}
