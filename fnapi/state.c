/* The State stream: requests of running bundles, and their answers.
 *
 * Request ids are unique on their stream only, and an answer must fill the same oneof as the request. Both go into the reply token:
 *
 *      reply_token = stream's serial number << 2 | enum state_operation */
#include "fnapi/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/time.h"

/* StateResponse and StateGetResponse (beam_fn_api.proto). */
enum { RESPONSE_ID = 1, RESPONSE_ERROR = 2, RESPONSE_GET = 1000, RESPONSE_APPEND = 1001, RESPONSE_CLEAR = 1002 };
enum { GET_CONTINUATION = 1, GET_DATA = 2 };
enum { WIRE_BYTES = 2, OPERATION_BITS = 2 };

/* ---- in ---- */

/* Parts of a request that are bytes, copied into one block: they must not pin the message, nor live in an arena. */
struct byte_fields {
    struct {
        ProtobufCBinaryData bytes;
        struct slice *into;
    } items[5];
    size_t count;
};

static void add_bytes(struct byte_fields *fields, struct slice *into, ProtobufCBinaryData bytes) {
    assert(fields->count < ARRAY_COUNT(fields->items));
    fields->items[fields->count].bytes = bytes;
    fields->items[fields->count++].into = into;
}

static void copy_bytes(struct byte_fields *fields, struct account *account) {
    struct block *block;
    size_t size = 0;

    for (size_t i = 0; i < fields->count; i++)
        size += fields->items[i].bytes.len;
    if (size == 0)
        return;
    block = block_create(size, account);
    size = 0;
    for (size_t i = 0; i < fields->count; i++) {
        ProtobufCBinaryData bytes = fields->items[i].bytes;

        if (bytes.len == 0)
            continue;
        memcpy(block->data + size, bytes.data, bytes.len);
        *fields->items[i].into = slice_ref(slice_of_block(block, size, bytes.len));
        size += bytes.len;
    }
    block_unref(block);
}

/* The kinds of key that are (transform, state id, window) and perhaps a key. */
#define READ_KEY(request, fields, k, kind_, id_field)                                                                  \
    do {                                                                                                               \
        (request)->kind = (kind_);                                                                                     \
        (request)->transform_id = (k)->transform_id;                                                                   \
        (request)->state_id = (k)->id_field;                                                                           \
        add_bytes(fields, &(request)->window, (k)->window);                                                            \
    } while (0)

/* Returns what is wrong with it, or NULL. */
static const char *read_key(const Fn__StateKey *key, struct state_request *request, struct byte_fields *fields) {
    switch (key->type_case) {
    case FN__STATE_KEY__TYPE_RUNNER:
        request->kind = STATE_RUNNER;
        request->transform_id = request->state_id = "";
        add_bytes(fields, &request->key, key->runner->key);
        return NULL;
    case FN__STATE_KEY__TYPE_ITERABLE_SIDE_INPUT:
        READ_KEY(request, fields, key->iterable_side_input, STATE_ITERABLE_SIDE_INPUT, side_input_id);
        return NULL;
    case FN__STATE_KEY__TYPE_MULTIMAP_SIDE_INPUT:
        READ_KEY(request, fields, key->multimap_side_input, STATE_MULTIMAP_SIDE_INPUT, side_input_id);
        add_bytes(fields, &request->key, key->multimap_side_input->key);
        return NULL;
    case FN__STATE_KEY__TYPE_MULTIMAP_KEYS_SIDE_INPUT:
        READ_KEY(request, fields, key->multimap_keys_side_input, STATE_MULTIMAP_KEYS_SIDE_INPUT, side_input_id);
        return NULL;
    case FN__STATE_KEY__TYPE_MULTIMAP_KEYS_VALUES_SIDE_INPUT:
        READ_KEY(request, fields, key->multimap_keys_values_side_input, STATE_MULTIMAP_KEYS_VALUES_SIDE_INPUT,
                 side_input_id);
        return NULL;
    case FN__STATE_KEY__TYPE_BAG_USER_STATE:
        READ_KEY(request, fields, key->bag_user_state, STATE_BAG, user_state_id);
        add_bytes(fields, &request->key, key->bag_user_state->key);
        return NULL;
    case FN__STATE_KEY__TYPE_MULTIMAP_USER_STATE:
        READ_KEY(request, fields, key->multimap_user_state, STATE_MULTIMAP, user_state_id);
        add_bytes(fields, &request->key, key->multimap_user_state->key);
        add_bytes(fields, &request->map_key, key->multimap_user_state->map_key);
        return NULL;
    case FN__STATE_KEY__TYPE_MULTIMAP_KEYS_USER_STATE:
        READ_KEY(request, fields, key->multimap_keys_user_state, STATE_MULTIMAP_KEYS, user_state_id);
        add_bytes(fields, &request->key, key->multimap_keys_user_state->key);
        return NULL;
    case FN__STATE_KEY__TYPE_MULTIMAP_ENTRIES_USER_STATE:
        READ_KEY(request, fields, key->multimap_entries_user_state, STATE_MULTIMAP_ENTRIES, user_state_id);
        add_bytes(fields, &request->key, key->multimap_entries_user_state->key);
        return NULL;
    case FN__STATE_KEY__TYPE_ORDERED_LIST_USER_STATE:
        READ_KEY(request, fields, key->ordered_list_user_state, STATE_ORDERED_LIST, user_state_id);
        add_bytes(fields, &request->key, key->ordered_list_user_state->key);
        /* Without a range: all of it. */
        request->range_start = INT64_MIN;
        request->range_end = INT64_MAX;
        if (key->ordered_list_user_state->range) {
            request->range_start = key->ordered_list_user_state->range->start;
            request->range_end = key->ordered_list_user_state->range->end;
        }
        return NULL;
    default:
        return "this kind of state key is not known to the runner";
    }
}

const char *fn_read_state_request(const Fn__StateRequest *message, struct account *account,
                                  struct state_request *request) {
    struct byte_fields fields = {0};
    const char *error;

    request->request_id = message->id;
    switch (message->request_case) {
    case FN__STATE_REQUEST__REQUEST_GET:
        request->operation = STATE_GET;
        add_bytes(&fields, &request->continuation, message->get->continuation_token);
        break;
    case FN__STATE_REQUEST__REQUEST_APPEND:
        request->operation = STATE_APPEND;
        add_bytes(&fields, &request->data, message->append->data);
        break;
    case FN__STATE_REQUEST__REQUEST_CLEAR:
        request->operation = STATE_CLEAR;
        break;
    default:
        return "this kind of state request is not known to the runner";
    }
    if (!message->state_key)
        return "the state request has no key";
    error = read_key(message->state_key, request, &fields);
    if (!error)
        copy_bytes(&fields, account);
    return error;
}

/* ---- out ---- */

/* The response up to and including the length of a GET's data, which follows. */
static struct slice response_header(const char *request_id, enum state_operation operation, const char *error,
                                    struct slice continuation, size_t data_size) {
    static const unsigned fields[] = {
        [STATE_GET] = RESPONSE_GET, [STATE_APPEND] = RESPONSE_APPEND, [STATE_CLEAR] = RESPONSE_CLEAR};
    struct buf out = {0}, get = {0};

    pb_add_string_field(&out, RESPONSE_ID, request_id);
    if (error) {
        pb_add_string_field(&out, RESPONSE_ERROR, error[0] ? error : "state request failed");
        return buf_finish(&out);
    }
    if (continuation.size)
        pb_add_bytes_field(&get, GET_CONTINUATION, continuation.data, continuation.size);
    if (data_size) {
        buf_add_varint(&get, GET_DATA << 3 | WIRE_BYTES);
        buf_add_varint(&get, data_size);
    }
    buf_add_varint(&out, fields[operation] << 3 | WIRE_BYTES);
    buf_add_varint(&out, get.size + data_size);
    buf_add(&out, buf_data(&get), get.size);
    buf_clear(&get);
    return buf_finish(&out);
}

void fn_worker_reply_state(struct fn_worker *worker, uint64_t reply_token, const char *request_id,
                           struct state_response *response) {
    enum state_operation operation = (enum state_operation)(reply_token & ((1 << OPERATION_BITS) - 1));
    uint64_t serial = reply_token >> OPERATION_BITS;
    struct slice pieces[1 + ARRAY_COUNT(response->data)];
    size_t data_size = 0, count = 0;
    bool has_data = operation == STATE_GET && !response->error;

    assert(operation <= STATE_CLEAR && response->data_count <= ARRAY_COUNT(response->data));
    for (size_t i = 0; has_data && i < response->data_count; i++)
        data_size += response->data[i].size;
    pieces[count++] = response_header(request_id, operation, response->error,
                                      has_data ? response->continuation : SLICE_EMPTY, data_size);
    for (size_t i = 0; has_data && i < response->data_count; i++)
        if (response->data[i].size)
            pieces[count++] = slice_ref(response->data[i]);
    state_response_clear(response);

    fn_lock(worker);
    list_foreach (node, &worker->streams) {
        struct fn_stream *stream = CONTAINER_OF(node, struct fn_stream, node);

        if (stream->kind == FN_STATE && stream->serial == serial) {
            rpc_stream_send(stream->rpc, pieces, count);
            count = 0;
            break;
        }
    }
    fn_unlock(worker);
    /* The stream is gone. */
    for (size_t i = 0; i < count; i++)
        slice_unref(&pieces[i]);
}

/* ---- the stream ---- */

static void refuse_request(struct fn_worker *worker, uint64_t token, const char *request_id, const char *why) {
    struct state_response response = {.error = xstrdup(why)};

    fn_worker_reply_state(worker, token, request_id, &response);
}

static void state_request(struct fn_stream *stream, const Fn__StateRequest *message, struct state_request *request) {
    struct fn_worker *worker = stream->worker;
    struct account *account = fn_worker_account(worker);
    const char *error = fn_read_state_request(message, account, request);
    uint64_t token = stream->serial << OPERATION_BITS | (uint64_t)request->operation;
    const struct fn_bundle *bundle;
    uint64_t number = 0;

    account_unref(account);
    if (!error) {
        bool is_known = fn_bundle_of_instruction_id(message->instruction_id, strlen(message->instruction_id), &number);

        fn_lock(worker);
        bundle = is_known ? fn_worker_bundle(worker, number) : NULL;
        if (!bundle || bundle->has_failed || !fn_worker_is_live(worker))
            error = "the bundle of this state request is over";
        fn_unlock(worker);
        if (error)
            fn_worker_ignore(worker);
    }
    if (!error && !worker->handler->state)
        error = "the runner has no state";
    if (error) {
        /* Every request is answered: nobody on the other side has a time-out. */
        refuse_request(worker, token, message->id, error);
        state_request_clear(request);
    } else {
        worker->handler->state(worker->user, number, token, request);
    }
}

static void state_message(struct rpc_stream *rpc, void *user, struct slice bytes) {
    struct fn_stream *stream = user;
    struct state_request request = {0};
    Fn__StateRequest *message;
    struct status st = {0};

    if (stream) {
        if (PB_UNPACK(Fn__StateRequest, fn__state_request, bytes, PB_STRINGS_STRICT, &request.arena, &message, &st) <
            0) {
            fn_worker_fail(stream->worker, STATUS_INVALID_ARGUMENT,
                           "the SDK harness sent nonsense on its State stream: %s", status_message(&st));
            rpc_stream_cancel(rpc);
            state_request_clear(&request);
        } else {
            state_request(stream, message, &request);
        }
    }
    status_clear(&st);
    slice_unref(&bytes);
}

static void state_opened(struct rpc_stream *rpc, void *context) {
    fn_service_attach(context, rpc, FN_STATE);
}

static void state_half_closed(struct rpc_stream *rpc, void *user) {
    if (user)
        rpc_stream_finish(rpc, STATUS_OK, NULL);
}

static void state_closed(struct rpc_stream *rpc, void *user, const struct status *status) {
    (void)rpc;
    if (!user)
        return;
    /* A harness may well end it in good order and open another when it needs one. */
    if (status->code != STATUS_OK)
        fn_worker_lose_stream(user, "State");
    fn_stream_detach(user);
}

const struct rpc_handler fn_state_handler = {
    .opened = state_opened,
    .message = state_message,
    .half_closed = state_half_closed,
    .closed = state_closed,
};
