/* Both sides of rpc/ over real sockets, on ports the system picks. Each test has a server and a client of its own. */
#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rpc/rpc.h"

#define PATIENCE_S 60

/* What happened on one side of one stream; the test waits for it. */
struct side {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct rpc_stream *stream; /* server side: a reference, from `opened` on */
    unsigned opened, messages, half_closed, closed;
    size_t message_bytes, sent_bytes;
    struct slice last;
    unsigned next_in_order[4]; /* by sender */
    bool out_of_order;
    unsigned pause_at;                            /* message number to pause at */
    void (*on_opened)(struct rpc_stream *stream); /* what the server does at once */
    struct status status;
    char metadata[64];
};

struct numbered {
    uint32_t sender;
    uint32_t number;
};

static struct rpc_server *server;
static struct rpc_client *client;
static struct rpc_channel *channel;
static struct account *account;
static struct side near_side, far_side; /* the client's and the server's end of the stream under test */
static struct rpc_stream *unanswered;
static int port;

static void side_wait(struct side *side, const unsigned *counter, unsigned at_least) {
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&side->mutex);
    while (*counter < at_least && error == 0)
        error = pthread_cond_timedwait(&side->changed, &side->mutex, &until);
    pthread_mutex_unlock(&side->mutex);
    ck_assert_msg(error == 0, "waited %d s in vain", PATIENCE_S);
}

static unsigned side_read(struct side *side, const unsigned *counter) {
    unsigned value;

    pthread_mutex_lock(&side->mutex);
    value = *counter;
    pthread_mutex_unlock(&side->mutex);
    return value;
}

static void side_count(struct side *side, unsigned *counter) {
    pthread_mutex_lock(&side->mutex);
    ++*counter;
    pthread_cond_broadcast(&side->changed);
    pthread_mutex_unlock(&side->mutex);
}

/* What the server does when a stream opens. */
static void when_opened(void (*on_opened)(struct rpc_stream *stream)) {
    pthread_mutex_lock(&far_side.mutex);
    far_side.on_opened = on_opened;
    pthread_mutex_unlock(&far_side.mutex);
}

static void side_init(struct side *side) {
    *side = (struct side){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
}

static void side_finish(struct side *side) {
    rpc_stream_unref(side->stream);
    slice_unref(&side->last);
    status_clear(&side->status);
    pthread_cond_destroy(&side->changed);
    pthread_mutex_destroy(&side->mutex);
}

/* --- Handlers: both sides record --- */

static void check_order(struct side *side, struct slice message) {
    struct numbered numbered;

    if (message.size < sizeof(numbered))
        return;
    memcpy(&numbered, message.data, sizeof(numbered));
    if (numbered.sender < ARRAY_COUNT(side->next_in_order) && side->next_in_order[numbered.sender]++ != numbered.number)
        side->out_of_order = true;
}

static void record_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct side *side = user;

    if (side->messages + 1 == side->pause_at)
        rpc_stream_pause(stream);
    pthread_mutex_lock(&side->mutex);
    check_order(side, message);
    side->message_bytes += message.size;
    slice_unref(&side->last);
    side->last = message;
    pthread_mutex_unlock(&side->mutex);
    side_count(side, &side->messages);
}

static void record_half_closed(struct rpc_stream *stream, void *user) {
    struct side *side = user;

    (void)stream;
    side_count(side, &side->half_closed);
}

static void record_sent(struct rpc_stream *stream, void *user, size_t bytes) {
    struct side *side = user;

    (void)stream;
    pthread_mutex_lock(&side->mutex);
    side->sent_bytes += bytes;
    pthread_mutex_unlock(&side->mutex);
}

static void record_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct side *side = user;

    (void)stream;
    pthread_mutex_lock(&side->mutex);
    status_set(&side->status, status->code, "%s", status_message(status));
    pthread_mutex_unlock(&side->mutex);
    side_count(side, &side->closed);
}

static void record_opened(struct rpc_stream *stream, void *context) {
    struct slice worker_id = rpc_stream_metadata(stream, "worker_id");
    void (*on_opened)(struct rpc_stream *);

    (void)context;
    rpc_stream_set_user(stream, &far_side);
    far_side.stream = rpc_stream_ref(stream);
    snprintf(far_side.metadata, sizeof(far_side.metadata), "%.*s", (int)worker_id.size, (const char *)worker_id.data);
    pthread_mutex_lock(&far_side.mutex); /* for ThreadSanitizer, which does not know that the network orders this */
    on_opened = far_side.on_opened;
    pthread_mutex_unlock(&far_side.mutex);
    if (on_opened)
        on_opened(stream);
    side_count(&far_side, &far_side.opened);
}

static const struct rpc_handler recorder = {
    .opened = record_opened,
    .message = record_message,
    .half_closed = record_half_closed,
    .sent = record_sent,
    .closed = record_closed,
};

/* --- Methods --- */

static void echo(struct rpc_stream *call, void *context, struct slice request) {
    (void)context;
    rpc_reply(call, request);
}

static void refuse(struct rpc_stream *call, void *context, struct slice request) {
    (void)context;
    slice_unref(&request);
    rpc_fail(call, STATUS_NOT_FOUND, "there is no job \xe2\x80\x9cx\xe2\x80\x9d\nreally 100%");
}

static void answer_later(struct rpc_stream *call, void *context, struct slice request) {
    (void)context;
    slice_unref(&request);
    unanswered = call;
    side_count(&far_side, &far_side.opened);
}

static void fail_at_length(struct rpc_stream *call, void *context, struct slice request) {
    char text[100000];

    (void)context;
    slice_unref(&request);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    rpc_fail(call, STATUS_INTERNAL, text);
}

static void echo_message(struct rpc_stream *stream, void *user, struct slice message) {
    (void)user;
    rpc_stream_send(stream, &message, 1);
}

static void echo_half_closed(struct rpc_stream *stream, void *user) {
    (void)user;
    rpc_stream_finish(stream, STATUS_OK, NULL);
}

static const struct rpc_handler echo_handler = {.message = echo_message, .half_closed = echo_half_closed};

static const struct rpc_method methods[] = {
    {.path = "/test.Test/Echo", .unary = echo},
    {.path = "/test.Test/Fail", .unary = refuse},
    {.path = "/test.Test/FailAtLength", .unary = fail_at_length},
    {.path = "/test.Test/Later", .unary = answer_later},
    {.path = "/test.Test/EchoStream", .streaming = &echo_handler},
    {.path = "/test.Test/Record", .streaming = &recorder},
};

/* --- Fixture --- */

static struct rpc_server *make_server(const struct rpc_server_options *options, const char *address, int *ret_port) {
    CLEANUP_STATUS struct status st = {0};
    struct rpc_server *made = rpc_server_create(options);
    int result;

    rpc_server_register(made, methods, ARRAY_COUNT(methods), NULL);
    result = rpc_server_listen(made, address, ret_port, &st);
    ck_assert_msg(result == 0, "%s", status_message(&st));
    rpc_server_start(made);
    return made;
}

static struct rpc_channel *connect_to(int to_port) {
    char target[64];

    snprintf(target, sizeof(target), "127.0.0.1:%d", to_port);
    return rpc_channel_create(client, target);
}

static void setup(void) {
    side_init(&near_side);
    side_init(&far_side);
    account = account_create("test", NULL, 0);
    /* One thread, so that an answer to a later call says that all earlier events were handled. */
    server = make_server(&(struct rpc_server_options){.threads = 1, .account = account}, "127.0.0.1:0", &port);
    client = rpc_client_create(1);
    channel = connect_to(port);
}

static void stop_server(void) {
    rpc_server_stop(server, 0);
    server = NULL;
}

static void teardown(void) {
    rpc_channel_destroy(channel);
    rpc_client_destroy(client);
    stop_server();
    side_finish(&near_side);
    side_finish(&far_side);
    ck_assert_uint_eq(account_used(account), 0);
    account_unref(account);
}

static int call_on(struct rpc_channel *on, const char *path, struct slice request, struct slice *ret_response,
                   struct status *st) {
    return rpc_channel_call_wait(on, path, NULL, 0, 0, false, request, ret_response, st);
}

/* Once this has returned, the server has handled whatever reached it before. */
static void round_trip(void) {
    ck_assert_int_eq(call_on(channel, "/test.Test/Echo", slice_of_literal("x"), NULL, NULL), 0);
}

static struct rpc_stream *open_stream(const char *path, unsigned deadline_ms) {
    return rpc_channel_open(channel, path, NULL, 0, deadline_ms, false, &recorder, &near_side);
}

static struct rpc_stream *open_recorded(void) {
    struct rpc_stream *stream = open_stream("/test.Test/Record", 0);

    side_wait(&far_side, &far_side.opened, 1);
    return stream;
}

static bool send_numbered(struct rpc_stream *stream, uint32_t sender, uint32_t number) {
    struct numbered numbered = {.sender = sender, .number = number};
    struct slice piece = slice_copy(&numbered, sizeof(numbered), NULL);

    return rpc_stream_send(stream, &piece, 1);
}

static void wait_closed(struct side *side, enum status_code code) {
    side_wait(side, &side->closed, 1);
    ck_assert_msg(side->status.code == code, "closed with %s: %s", status_code_name(side->status.code),
                  status_message(&side->status));
}

static struct slice make_pattern(size_t size) {
    struct block *block = block_create(size, NULL);

    for (size_t i = 0; i < size; i++)
        block->data[i] = (uint8_t)(i * 31 + (i >> 13));
    return slice_of_block(block, 0, size);
}

/* --- Unary --- */

START_TEST(a_unary_call_is_answered)
{
    struct slice response = {0};

    ck_assert_int_eq(call_on(channel, "/test.Test/Echo", slice_of_literal("hello"), &response, NULL), 0);
    ck_assert(slice_equal_string(response, "hello"));
    slice_unref(&response);
}
END_TEST

START_TEST(an_empty_message_is_a_message)
{
    struct slice response = {0};

    ck_assert_int_eq(call_on(channel, "/test.Test/Echo", SLICE_EMPTY, &response, NULL), 0);
    ck_assert_uint_eq(response.size, 0);
    slice_unref(&response);
}
END_TEST

START_TEST(a_failure_carries_its_code_and_message)
{
    CLEANUP_STATUS struct status st = {0};
    struct slice response = slice_of_literal("untouched");

    ck_assert_int_eq(call_on(channel, "/test.Test/Fail", slice_of_literal("x"), &response, &st), -STATUS_NOT_FOUND);
    ck_assert_int_eq(st.code, STATUS_NOT_FOUND);
    ck_assert_str_eq(status_message(&st), "there is no job \xe2\x80\x9cx\xe2\x80\x9d\nreally 100%");
    ck_assert(slice_equal_string(response, "untouched"));
}
END_TEST

START_TEST(a_long_failure_message_is_cut_and_arrives)
{
    CLEANUP_STATUS struct status st = {0};

    ck_assert_int_eq(call_on(channel, "/test.Test/FailAtLength", slice_of_literal("x"), NULL, &st), -STATUS_INTERNAL);
    ck_assert_uint_gt(strlen(status_message(&st)), 5000);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "xxx [...]"));
}
END_TEST

START_TEST(an_unknown_method_is_unimplemented_and_named)
{
    CLEANUP_STATUS struct status st = {0};

    ck_assert_int_eq(call_on(channel, "/test.Test/Nope", slice_of_literal("x"), NULL, &st), -STATUS_UNIMPLEMENTED);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "/test.Test/Nope"));
}
END_TEST

/* Long paths are counted references inside gRPC, short ones are not: the leak checker watches this one. */
START_TEST(a_long_path_is_answered_like_a_short_one)
{
    CLEANUP_STATUS struct status st = {0};
    const char *path = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/NoSuchMethod";

    ck_assert_int_eq(call_on(channel, path, slice_of_literal("x"), NULL, &st), -STATUS_UNIMPLEMENTED);
    ck_assert_ptr_nonnull(strstr(status_message(&st), path));
}
END_TEST

START_TEST(messages_of_64_mib_pass_both_ways)
{
    struct slice pattern = make_pattern(64u << 20), response = {0};

    ck_assert_int_eq(call_on(channel, "/test.Test/Echo", slice_ref(pattern), &response, NULL), 0);
    ck_assert(slice_equal(response, pattern));
    slice_unref(&response);
    slice_unref(&pattern);
}
END_TEST

START_TEST(messages_of_every_size_arrive_whole)
{
    static const size_t sizes[] = {1,    22,   23,   24,    255,   256,   257,   1023,
                                   1024, 1025, 8192, 16383, 16384, 16385, 65536, 1u << 20};
    struct slice pattern = make_pattern(1u << 20);

    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct slice part = slice_sub(pattern, 0, sizes[i]), response = {0};

        ck_assert_int_eq(call_on(channel, "/test.Test/Echo", slice_ref(part), &response, NULL), 0);
        ck_assert(slice_equal(response, part));
        slice_unref(&response);
        slice_unref(&part);
    }
    slice_unref(&pattern);
}
END_TEST

START_TEST(a_server_with_a_message_limit_refuses_larger_ones)
{
    CLEANUP_STATUS struct status st = {0};
    int limited_port;
    struct rpc_server *limited =
        make_server(&(struct rpc_server_options){.max_message_bytes = 1000}, "127.0.0.1:0", &limited_port);
    struct rpc_channel *to_limited = connect_to(limited_port);

    ck_assert_int_eq(call_on(to_limited, "/test.Test/Echo", make_pattern(1000), NULL, &st), 0);
    ck_assert_int_eq(call_on(to_limited, "/test.Test/Echo", make_pattern(1001), NULL, &st), -STATUS_RESOURCE_EXHAUSTED);
    rpc_channel_destroy(to_limited);
    rpc_server_stop(limited, 1000);
}
END_TEST

START_TEST(an_answer_after_the_caller_has_gone_is_dropped)
{
    CLEANUP_STATUS struct status st = {0};
    int result =
        rpc_channel_call_wait(channel, "/test.Test/Later", NULL, 0, 100, false, slice_of_literal("x"), NULL, &st);

    ck_assert_int_eq(result, -STATUS_DEADLINE_EXCEEDED);
    /* Under load the deadline can pass before the call reaches the server. */
    if (side_read(&far_side, &far_side.opened) == 0)
        return;
    stop_server();
    rpc_reply(unanswered, make_pattern(10000));
}
END_TEST

START_TEST(metadata_that_cannot_be_sent_fails_the_call_and_is_named)
{
    CLEANUP_STATUS struct status st = {0};
    const struct rpc_metadata metadata[] = {{.key = "good", .value = "x"}, {.key = "bad", .value = "a\nb"}};

    ck_assert_int_eq(
        rpc_channel_call_wait(channel, "/test.Test/Echo", metadata, 2, 0, false, make_pattern(5000), NULL, &st),
        -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "\"bad\""));
}
END_TEST

/* --- Streaming --- */

START_TEST(ten_thousand_messages_arrive_in_order_both_ways)
{
    struct rpc_stream *stream = open_stream("/test.Test/EchoStream", 0);

    for (uint32_t i = 0; i < 10000; i++)
        ck_assert(send_numbered(stream, 0, i));
    rpc_stream_finish(stream, STATUS_OK, NULL);
    wait_closed(&near_side, STATUS_OK);
    ck_assert_uint_eq(near_side.messages, 10000);
    ck_assert(!near_side.out_of_order);
    ck_assert_uint_eq(near_side.sent_bytes, 10000 * sizeof(struct numbered));
    ck_assert_uint_eq(rpc_stream_queued_bytes(stream), 0);
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(pieces_are_laid_end_to_end)
{
    struct rpc_stream *stream = open_recorded();
    struct slice big = make_pattern(5000), expected;
    struct slice pieces[] = {slice_of_literal("head"), SLICE_EMPTY,    slice_copy("er", 2, NULL),
                             slice_ref(big),           slice_ref(big), slice_of_literal("tail")};
    struct block *block = block_create(4 + 2 + 2 * big.size + 4, NULL);

    memcpy(block->data, "header", 6);
    memcpy(block->data + 6, big.data, big.size);
    memcpy(block->data + 6 + big.size, big.data, big.size);
    memcpy(block->data + 6 + 2 * big.size, "tail", 4);
    expected = slice_of_block(block, 0, block->size);
    ck_assert(rpc_stream_send(stream, pieces, ARRAY_COUNT(pieces)));
    side_wait(&far_side, &far_side.messages, 1);
    ck_assert(slice_equal(far_side.last, expected));
    slice_unref(&expected);
    slice_unref(&big);
    rpc_stream_cancel(stream);
    wait_closed(&near_side, STATUS_CANCELLED);
    wait_closed(&far_side, STATUS_CANCELLED);
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(the_server_sees_metadata_and_peer)
{
    char authority[64];
    const struct rpc_metadata metadata[] = {{.key = "other", .value = "1"}, {.key = "worker_id", .value = "worker-7"}};
    struct rpc_stream *stream =
        rpc_channel_open(channel, "/test.Test/Record", metadata, 2, 0, false, &recorder, &near_side);

    side_wait(&far_side, &far_side.opened, 1);
    ck_assert_str_eq(far_side.metadata, "worker-7");
    ck_assert_uint_eq(rpc_stream_metadata(far_side.stream, "absent").size, 0);
    ck_assert_ptr_nonnull(strstr(rpc_stream_peer(far_side.stream), "127.0.0.1"));
    snprintf(authority, sizeof(authority), "127.0.0.1:%d", port);
    ck_assert(slice_equal_string(rpc_stream_metadata(far_side.stream, ":authority"), authority));
    rpc_stream_finish(far_side.stream, STATUS_OK, NULL);
    wait_closed(&near_side, STATUS_OK);
    wait_closed(&far_side, STATUS_OK);
    /* Still readable: we hold a reference. */
    ck_assert(slice_equal_string(rpc_stream_metadata(far_side.stream, "worker_id"), "worker-7"));
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(after_a_half_close_the_server_may_still_send)
{
    struct rpc_stream *stream = open_recorded();

    ck_assert(send_numbered(stream, 0, 0));
    rpc_stream_finish(stream, STATUS_OK, NULL);
    ck_assert(!send_numbered(stream, 0, 1));
    side_wait(&far_side, &far_side.half_closed, 1);
    ck_assert_uint_eq(far_side.messages, 1);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert(send_numbered(far_side.stream, 1, i));
    rpc_stream_finish(far_side.stream, STATUS_OK, NULL);
    wait_closed(&near_side, STATUS_OK);
    wait_closed(&far_side, STATUS_OK);
    ck_assert_uint_eq(near_side.messages, 3);
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(a_server_finishes_after_what_is_queued_with_status_and_message)
{
    struct rpc_stream *stream = open_recorded();

    for (uint32_t i = 0; i < 1000; i++)
        ck_assert(send_numbered(far_side.stream, 0, i));
    rpc_stream_finish(far_side.stream, STATUS_ABORTED, "that was all");
    rpc_stream_finish(far_side.stream, STATUS_OK, "too late");
    ck_assert(!send_numbered(far_side.stream, 0, 1000));
    wait_closed(&near_side, STATUS_ABORTED);
    ck_assert_str_eq(status_message(&near_side.status), "that was all");
    ck_assert_uint_eq(near_side.messages, 1000);
    ck_assert(!near_side.out_of_order);
    wait_closed(&far_side, STATUS_OK);
    rpc_stream_unref(stream);
}
END_TEST

static void send_much(struct rpc_stream *stream) {
    for (uint32_t i = 0; i < 500; i++)
        send_numbered(stream, 0, i);
}

START_TEST(a_server_may_send_while_it_opens)
{
    struct rpc_stream *stream;

    when_opened(send_much);
    stream = open_recorded();
    side_wait(&near_side, &near_side.messages, 500);
    ck_assert(!near_side.out_of_order);
    rpc_stream_finish(far_side.stream, STATUS_OK, NULL);
    wait_closed(&near_side, STATUS_OK);
    rpc_stream_unref(stream);
}
END_TEST

static void refuse_stream(struct rpc_stream *stream) {
    rpc_stream_finish(stream, STATUS_NOT_FOUND, "no such job");
}

START_TEST(a_server_may_refuse_while_it_opens)
{
    struct rpc_stream *stream;

    when_opened(refuse_stream);
    stream = open_recorded();
    wait_closed(&near_side, STATUS_NOT_FOUND);
    ck_assert_str_eq(status_message(&near_side.status), "no such job");
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(a_server_that_ends_the_call_stops_a_client_that_sends_with_its_own_status)
{
    struct slice big = make_pattern(1u << 20);
    struct rpc_stream *stream;

    when_opened(refuse_stream);
    stream = open_stream("/test.Test/Record", 0);
    for (;;) {
        struct slice piece = slice_ref(big);

        if (!rpc_stream_send(stream, &piece, 1))
            break;
        if (rpc_stream_queued_bytes(stream) > (64u << 20))
            break;
    }
    wait_closed(&near_side, STATUS_NOT_FOUND);
    slice_unref(&big);
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(a_client_that_cancels_is_seen_by_the_server)
{
    struct rpc_stream *stream = open_recorded();

    rpc_stream_cancel(stream);
    wait_closed(&near_side, STATUS_CANCELLED);
    wait_closed(&far_side, STATUS_CANCELLED);
    ck_assert_uint_eq(far_side.half_closed, 0);
    /* All of these are no-ops now. */
    ck_assert(!send_numbered(far_side.stream, 0, 0));
    ck_assert(!send_numbered(stream, 0, 0));
    rpc_stream_finish(far_side.stream, STATUS_OK, "late");
    rpc_stream_finish(stream, STATUS_OK, NULL);
    rpc_stream_cancel(far_side.stream);
    rpc_stream_cancel(stream);
    rpc_stream_pause(stream);
    rpc_stream_resume(stream);
    rpc_stream_resume(far_side.stream);
    ck_assert_ptr_nonnull(rpc_stream_peer(stream));
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(a_server_that_cancels_is_seen_by_the_client)
{
    struct rpc_stream *stream = open_recorded();

    rpc_stream_cancel(far_side.stream);
    wait_closed(&near_side, STATUS_CANCELLED);
    wait_closed(&far_side, STATUS_CANCELLED);
    rpc_stream_unref(stream);
}
END_TEST

static unsigned blocks_freed;

static void count_freed(struct block *block) {
    free(block->data);
    free(block);
    side_count(&near_side, &blocks_freed);
}

START_TEST(cancelling_drops_what_is_queued)
{
    struct rpc_stream *stream = open_recorded();
    struct block *block = xmalloc(sizeof(*block));
    struct slice big;

    blocks_freed = 0;
    block_init(block, count_freed, xcalloc(1, 1u << 20), 1u << 20, NULL);
    big = slice_of_block(block, 0, block->size);

    rpc_stream_pause(far_side.stream);
    for (unsigned i = 0; i < 200; i++) {
        struct slice piece = slice_ref(big);

        ck_assert(rpc_stream_send(stream, &piece, 1));
    }
    ck_assert_uint_gt(rpc_stream_queued_bytes(stream), 100u << 20);
    rpc_stream_cancel(stream);
    wait_closed(&near_side, STATUS_CANCELLED);
    wait_closed(&far_side, STATUS_CANCELLED);
    ck_assert_uint_eq(rpc_stream_queued_bytes(stream), 0);
    slice_unref(&big);
    side_wait(&near_side, &blocks_freed, 1); /* gRPC lets go of what it was writing in its own time */
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(a_deadline_ends_the_call_on_both_sides)
{
    struct rpc_stream *stream = open_stream("/test.Test/Record", 200);

    wait_closed(&near_side, STATUS_DEADLINE_EXCEEDED);
    if (side_read(&far_side, &far_side.opened) > 0)
        wait_closed(&far_side, STATUS_CANCELLED);
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(a_paused_stream_delivers_nothing_until_it_is_resumed)
{
    struct rpc_stream *stream;

    far_side.pause_at = 3;
    stream = open_recorded();
    for (uint32_t i = 0; i < 10; i++)
        ck_assert(send_numbered(stream, 0, i));
    side_wait(&far_side, &far_side.messages, 3);
    for (unsigned i = 0; i < 20; i++)
        round_trip();
    ck_assert_uint_eq(side_read(&far_side, &far_side.messages), 3);
    rpc_stream_resume(far_side.stream);
    side_wait(&far_side, &far_side.messages, 10);
    ck_assert(!far_side.out_of_order);
    rpc_stream_finish(far_side.stream, STATUS_OK, NULL);
    wait_closed(&near_side, STATUS_OK);
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(a_paused_client_stream_still_sees_its_end_when_cancelled)
{
    struct rpc_stream *stream;

    near_side.pause_at = 1;
    when_opened(send_much);
    stream = open_recorded();
    side_wait(&near_side, &near_side.messages, 1);
    rpc_stream_cancel(stream);
    wait_closed(&near_side, STATUS_CANCELLED);
    wait_closed(&far_side, STATUS_CANCELLED);
    rpc_stream_unref(stream);
}
END_TEST

struct sender {
    pthread_t thread;
    struct rpc_stream *stream;
    uint32_t number;
};

static void *send_from_thread(void *user) {
    struct sender *sender = user;

    for (uint32_t i = 0; i < 5000; i++)
        send_numbered(sender->stream, sender->number, i);
    return NULL;
}

START_TEST(threads_that_send_at_once_keep_each_its_order)
{
    struct rpc_stream *stream = open_recorded();
    struct sender senders[4];

    for (uint32_t i = 0; i < ARRAY_COUNT(senders); i++) {
        senders[i] = (struct sender){.stream = stream, .number = i};
        pthread_create(&senders[i].thread, NULL, send_from_thread, &senders[i]);
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(senders); i++)
        pthread_join(senders[i].thread, NULL);
    side_wait(&far_side, &far_side.messages, ARRAY_COUNT(senders) * 5000);
    ck_assert(!far_side.out_of_order);
    rpc_stream_finish(far_side.stream, STATUS_OK, NULL);
    wait_closed(&near_side, STATUS_OK);
    rpc_stream_unref(stream);
}
END_TEST

static void *pause_and_resume(void *user) {
    struct rpc_stream *stream = user;

    for (unsigned i = 0; i < 5000; i++) {
        rpc_stream_pause(stream);
        rpc_stream_resume(stream);
    }
    return NULL;
}

START_TEST(pausing_from_other_threads_loses_nothing)
{
    struct rpc_stream *stream = open_recorded();
    pthread_t thread;

    pthread_create(&thread, NULL, pause_and_resume, far_side.stream);
    for (uint32_t i = 0; i < 10000; i++)
        ck_assert(send_numbered(stream, 0, i));
    side_wait(&far_side, &far_side.messages, 10000);
    ck_assert(!far_side.out_of_order);
    pthread_join(thread, NULL);
    rpc_stream_finish(far_side.stream, STATUS_OK, NULL);
    wait_closed(&near_side, STATUS_OK);
    rpc_stream_unref(stream);
}
END_TEST

/* --- Connecting, listening, stopping --- */

/* A port that is ours and refuses connections. */
static int reserve_port(int *ret_fd) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name);
    int yes = 1;

    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(*ret_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    ck_assert_int_eq(bind(*ret_fd, (struct sockaddr *)&name, sizeof(name)), 0);
    ck_assert_int_eq(getsockname(*ret_fd, (struct sockaddr *)&name, &size), 0);
    return ntohs(name.sin_port);
}

START_TEST(a_call_to_nobody_is_unavailable_at_once)
{
    CLEANUP_STATUS struct status st = {0};
    int fd, free_port = reserve_port(&fd);
    struct rpc_channel *to_nobody = connect_to(free_port);

    ck_assert_int_eq(call_on(to_nobody, "/test.Test/Echo", slice_of_literal("x"), NULL, &st), -STATUS_UNAVAILABLE);
    rpc_channel_destroy(to_nobody);
    close(fd);
}
END_TEST

static void count_response(void *user, const struct status *status, struct slice response) {
    struct side *side = user;

    slice_unref(&response);
    record_closed(NULL, side, status);
}

START_TEST(wait_for_ready_reaches_a_server_that_starts_later)
{
    int fd, free_port = reserve_port(&fd);
    struct rpc_channel *to_late = connect_to(free_port);
    struct rpc_server *late;
    char address[64];

    ck_assert_int_eq(call_on(to_late, "/test.Test/Echo", slice_of_literal("x"), NULL, NULL), -STATUS_UNAVAILABLE);
    rpc_channel_call(to_late, "/test.Test/Echo", NULL, 0, PATIENCE_S * 1000, true, slice_of_literal("x"),
                     count_response, &near_side);
    close(fd);
    snprintf(address, sizeof(address), "127.0.0.1:%d", free_port);
    late = make_server(&(struct rpc_server_options){0}, address, NULL);
    wait_closed(&near_side, STATUS_OK);
    rpc_channel_destroy(to_late);
    rpc_server_stop(late, 1000);
}
END_TEST

static void check_cannot_listen(const char *address, enum status_code code) {
    CLEANUP_STATUS struct status st = {0};
    struct rpc_server *second = rpc_server_create(&(struct rpc_server_options){0});
    int second_port = -1;

    ck_assert_int_eq(rpc_server_listen(second, address, &second_port, &st), -(int)code);
    ck_assert_msg(strstr(status_message(&st), address) != NULL, "%s", status_message(&st));
    ck_assert_int_eq(second_port, -1);
    rpc_server_stop(second, 0);
}

START_TEST(an_address_one_cannot_listen_on_is_named)
{
    char address[64];

    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    check_cannot_listen(address, STATUS_UNAVAILABLE);
    snprintf(address, sizeof(address), "localhost:%d", port);
    check_cannot_listen(address, STATUS_UNAVAILABLE);
    snprintf(address, sizeof(address), "0.0.0.0:%d", port);
    check_cannot_listen(address, STATUS_UNAVAILABLE);
    check_cannot_listen("nonsense", STATUS_INVALID_ARGUMENT);
    check_cannot_listen("127.0.0.1:", STATUS_INVALID_ARGUMENT);
    check_cannot_listen("no.such.host.invalid:0", STATUS_INVALID_ARGUMENT);
    check_cannot_listen("unix:/no/such/folder/socket", STATUS_UNAVAILABLE);
}
END_TEST

START_TEST(a_unix_socket_works_and_is_not_taken_from_who_listens_on_it)
{
    char folder[] = "/tmp/test_rpc.XXXXXX", address[64];
    struct rpc_server *on_unix;
    struct rpc_channel *to_unix;
    struct slice response = {0};

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(address, sizeof(address), "unix:%s/socket", folder);
    on_unix = make_server(&(struct rpc_server_options){0}, address, NULL);
    check_cannot_listen(address, STATUS_UNAVAILABLE);
    to_unix = rpc_channel_create(client, address);
    ck_assert_int_eq(call_on(to_unix, "/test.Test/Echo", slice_of_literal("hello"), &response, NULL), 0);
    ck_assert(slice_equal_string(response, "hello"));
    slice_unref(&response);
    rpc_channel_destroy(to_unix);
    rpc_server_stop(on_unix, 1000);
    unlink(address + strlen("unix:"));
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(one_server_listens_on_several_addresses)
{
    struct rpc_server *several = rpc_server_create(&(struct rpc_server_options){0});
    int ports[2];

    rpc_server_register(several, methods, ARRAY_COUNT(methods), NULL);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(rpc_server_listen(several, "127.0.0.1:0", &ports[i], NULL), 0);
    ck_assert_int_ne(ports[0], ports[1]);
    rpc_server_start(several);
    for (size_t i = 0; i < 2; i++) {
        struct rpc_channel *to_port = connect_to(ports[i]);

        ck_assert_int_eq(call_on(to_port, "/test.Test/Echo", slice_of_literal("x"), NULL, NULL), 0);
        rpc_channel_destroy(to_port);
    }
    rpc_server_stop(several, 1000);
}
END_TEST

START_TEST(stopping_the_server_ends_an_open_stream_once)
{
    struct rpc_stream *stream = open_recorded();

    rpc_server_stop(server, 20);
    server = NULL;
    ck_assert_uint_eq(far_side.closed, 1);
    ck_assert_int_eq(far_side.status.code, STATUS_CANCELLED);
    side_wait(&near_side, &near_side.closed, 1);
    ck_assert_int_ne(near_side.status.code, STATUS_OK);
    ck_assert(!send_numbered(far_side.stream, 0, 0));
    rpc_stream_unref(stream);
}
END_TEST

static void *stop_in_thread(void *user) {
    (void)user;
    rpc_server_stop(server, PATIENCE_S * 1000);
    return NULL;
}

START_TEST(stopping_the_server_lets_a_call_in_flight_finish)
{
    pthread_t thread;

    rpc_channel_call(channel, "/test.Test/Later", NULL, 0, 0, false, slice_of_literal("x"), count_response, &near_side);
    side_wait(&far_side, &far_side.opened, 1);
    pthread_create(&thread, NULL, stop_in_thread, NULL);
    rpc_reply(unanswered, slice_of_literal("done"));
    wait_closed(&near_side, STATUS_OK);
    pthread_join(thread, NULL);
    server = NULL;
}
END_TEST

START_TEST(destroying_the_client_ends_its_streams_once)
{
    struct rpc_stream *stream = open_recorded();

    rpc_channel_destroy(channel);
    rpc_client_destroy(client);
    channel = NULL;
    client = NULL;
    ck_assert_uint_eq(near_side.closed, 1);
    ck_assert_int_eq(near_side.status.code, STATUS_CANCELLED);
    wait_closed(&far_side, STATUS_CANCELLED);
    rpc_stream_unref(stream);
}
END_TEST

START_TEST(received_messages_are_charged_while_they_are_held)
{
    struct rpc_stream *stream = open_recorded();
    struct slice big = make_pattern(100000);

    ck_assert(rpc_stream_send(stream, &big, 1));
    side_wait(&far_side, &far_side.messages, 1);
    ck_assert_uint_eq(account_used(account), 100000);
    rpc_stream_cancel(stream);
    wait_closed(&near_side, STATUS_CANCELLED);
    wait_closed(&far_side, STATUS_CANCELLED);
    slice_unref(&far_side.last);
    ck_assert_uint_eq(account_used(account), 0);
    rpc_stream_unref(stream);
}
END_TEST

static void add_tests(TCase *tcase) {
    tcase_add_test(tcase, a_unary_call_is_answered);
    tcase_add_test(tcase, an_empty_message_is_a_message);
    tcase_add_test(tcase, a_failure_carries_its_code_and_message);
    tcase_add_test(tcase, a_long_failure_message_is_cut_and_arrives);
    tcase_add_test(tcase, an_unknown_method_is_unimplemented_and_named);
    tcase_add_test(tcase, a_long_path_is_answered_like_a_short_one);
    tcase_add_test(tcase, messages_of_64_mib_pass_both_ways);
    tcase_add_test(tcase, messages_of_every_size_arrive_whole);
    tcase_add_test(tcase, a_server_with_a_message_limit_refuses_larger_ones);
    tcase_add_test(tcase, an_answer_after_the_caller_has_gone_is_dropped);
    tcase_add_test(tcase, metadata_that_cannot_be_sent_fails_the_call_and_is_named);
    tcase_add_test(tcase, ten_thousand_messages_arrive_in_order_both_ways);
    tcase_add_test(tcase, pieces_are_laid_end_to_end);
    tcase_add_test(tcase, the_server_sees_metadata_and_peer);
    tcase_add_test(tcase, after_a_half_close_the_server_may_still_send);
    tcase_add_test(tcase, a_server_finishes_after_what_is_queued_with_status_and_message);
    tcase_add_test(tcase, a_server_may_send_while_it_opens);
    tcase_add_test(tcase, a_server_may_refuse_while_it_opens);
    tcase_add_test(tcase, a_server_that_ends_the_call_stops_a_client_that_sends_with_its_own_status);
    tcase_add_test(tcase, a_client_that_cancels_is_seen_by_the_server);
    tcase_add_test(tcase, a_server_that_cancels_is_seen_by_the_client);
    tcase_add_test(tcase, cancelling_drops_what_is_queued);
    tcase_add_test(tcase, a_deadline_ends_the_call_on_both_sides);
    tcase_add_test(tcase, a_paused_stream_delivers_nothing_until_it_is_resumed);
    tcase_add_test(tcase, a_paused_client_stream_still_sees_its_end_when_cancelled);
    tcase_add_test(tcase, threads_that_send_at_once_keep_each_its_order);
    tcase_add_test(tcase, pausing_from_other_threads_loses_nothing);
    tcase_add_test(tcase, a_call_to_nobody_is_unavailable_at_once);
    tcase_add_test(tcase, wait_for_ready_reaches_a_server_that_starts_later);
    tcase_add_test(tcase, an_address_one_cannot_listen_on_is_named);
    tcase_add_test(tcase, a_unix_socket_works_and_is_not_taken_from_who_listens_on_it);
    tcase_add_test(tcase, one_server_listens_on_several_addresses);
    tcase_add_test(tcase, stopping_the_server_ends_an_open_stream_once);
    tcase_add_test(tcase, stopping_the_server_lets_a_call_in_flight_finish);
    tcase_add_test(tcase, destroying_the_client_ends_its_streams_once);
    tcase_add_test(tcase, received_messages_are_charged_while_they_are_held);
}

int main(void) {
    Suite *suite = suite_create("rpc");
    TCase *tcase = tcase_create("rpc");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 0);
    add_tests(tcase);

    rpc_init();
    srunner_set_fork_status(runner, CK_NOFORK); /* gRPC's threads do not survive a fork */
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    rpc_shutdown();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
