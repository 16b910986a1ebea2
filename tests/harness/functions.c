/* What the harness can do: FunctionSpec urn "trestle:test:fn:v1", payload "NAME" or "NAME:ARGUMENTS".
 *
 *   identity, drop            every element on, or none
 *   generate:COUNT:KEYS:SIZE  for each element COUNT KV<bytes,bytes>, of KEYS keys k0, k1, ... in turn, values of SIZE bytes
 *   noise:COUNT:KEYS:SIZE     the same with values that do not compress (noise.h)
 *   key_by:N                  bytes to KV<k(hash % N), bytes>
 *   count_iterable            KV<K,iterable<bytes>> to KV<K, bytes>: how many, in decimal
 *   sum_iterable              KV<K,iterable<bytes>> to KV<K, bytes>: "COUNT elements, SIZE bytes, hash HASH, WHERE", where the values were in
 *                             the element ("here") or had to be read with a token ("elsewhere")
 *   sum_side_input            reads its side input of bytes elements, to its end, page by page: "COUNT elements, SIZE bytes" as bytes
 *   big:SIZE                  for each element one of SIZE bytes
 *   log:SEVERITY:TEXT         a log line of that number (3 INFO, 6 ERROR) for each element, and the element on
 *   chatter:MS                a thread that logs every MS milliseconds, until the harness ends; the element on (chatter.c)
 *   log_process:SEVERITY      the same with "process PID;"
 *   log_value:SEVERITY        the same with the element itself as text, unprintable bytes as '.'
 *   count:ASKS                counts each element (counters.h) and hands it on; a bundle's first waits until its progress was asked for that
 *                             often, and logs "asked" after the first time
 *   count_and_fail:ASKS       the same, and then raises
 *   fail:MESSAGE              raises
 *   until_opened:FIFO         waits until somebody opens that FIFO to write to it; the element on
 *   until_split:MANNER        the element whose key is k0 waits for a split of its bundle (split.c)
 *
 * The benchmarks' (groups.c; SHAPE is TOTAL:KEYS:SIZE:RANDOM, as in records.h):
 *
 *   fan:COUNT                 for each element COUNT of them: "0", "1", ...
 *   records:SHARDS:SHAPE      for the element "N" every record i with i % SHARDS = N
 *   check_groups:SHAPE        fails unless a key's values are those it should have; at the end of the bundle KV<"totals", what they are>
 *   check_totals:SHAPE        fails unless all totals together are those of all records; a log line that says so
 *
 * Misbehaviour, each when the first element comes:
 *
 *   response_without_data     a response, but nothing on Data, not even the ends
 *   data_without_end          output and response, but no end marks
 *   data_without_end_once:FILE  the same, unless the file is there, which it makes
 *   duplicate_end             each end mark twice
 *   duplicate_response        the response twice
 *   stall                     nothing any more, for this bundle
 *   stall_once:FILE           the same, unless the file is there, which it makes
 *   half_close                Control half-closed
 *   split_element             output cut into two messages inside an element
 *   nonsense_control, nonsense_data   bytes that are no message
 *   exit:CODE[:TEXT], signal:NUMBER[:TEXT]   the process ends, after TEXT on its standard error */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "beam_fn_api.pb-c.h"
#include "counters.h"
#include "functions.h"
#include "noise.h"
#include "wire/pb.h"

/* ---- well-behaved ---- */

static int identity(struct bundle *bundle, const struct node *node, const struct value *value) {
    return node_emit(bundle, node, value);
}

static int drop(struct bundle *bundle, const struct node *node, const struct value *value) {
    (void)bundle;
    (void)node;
    (void)value;
    return 0;
}

int emit_scratch(struct bundle *bundle, const struct node *node, const struct value *like) {
    struct value value = *like;

    value.bytes = cursor_of(buf_data(&bundle->scratch), bundle->scratch.size);
    return node_emit(bundle, node, &value);
}

/* The value's bytes are written once; only the key in front of them changes. */
static int generate_values(struct bundle *bundle, const struct node *node, const struct value *value, bool is_noise) {
    uint64_t count = node->numbers[0], keys = MAX(node->numbers[1], (uint64_t)1), size = node->numbers[2];
    struct buf *out = &bundle->scratch;

    for (uint64_t i = 0; i < count && !bundle->is_stopped; i++) {
        char key[24];
        uint8_t *to;

        out->size = 0;
        buf_add_prefixed(out, key, (size_t)snprintf(key, sizeof(key), "k%" PRIu64, i % keys));
        buf_add_varint(out, size);
        to = buf_reserve(out, size);
        if (is_noise)
            noise_fill(to, size, i);
        else
            memset(to, 'a' + (int)(i % 26), size);
        buf_advance(out, size);
        if (emit_scratch(bundle, node, value) < 0)
            return -1;
    }
    return 0;
}

static int generate(struct bundle *bundle, const struct node *node, const struct value *value) {
    return generate_values(bundle, node, value, false);
}

static int noise(struct bundle *bundle, const struct node *node, const struct value *value) {
    return generate_values(bundle, node, value, true);
}

static int key_by(struct bundle *bundle, const struct node *node, const struct value *value) {
    uint64_t n = MAX(node->numbers[0], (uint64_t)1);
    char key[24];

    bundle->scratch.size = 0;
    buf_add_prefixed(
        &bundle->scratch, key,
        (size_t)snprintf(key, sizeof(key), "k%" PRIu64, hash_bytes(value->bytes.at, cursor_left(&value->bytes)) % n));
    buf_add(&bundle->scratch, value->bytes.at, cursor_left(&value->bytes));
    return emit_scratch(bundle, node, value);
}

static int count_iterable(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct cursor at = value->bytes, key, inner;
    uint64_t count = 0, left;
    uint32_t fixed;
    char text[24];

    if (!cursor_prefixed(&at, &key) || !cursor_be32(&at, &fixed))
        return bundle_fail(bundle, "%s: not a KV of bytes and an iterable", node->id);
    for (left = fixed; fixed == UINT32_MAX;) { /* in batches, each with its count, until one of 0 */
        if (!cursor_varint(&at, &left) || left == 0)
            break;
        for (count += left; left > 0; left--)
            if (!cursor_prefixed(&at, &inner))
                return bundle_fail(bundle, "%s: an iterable that is cut short", node->id);
    }
    for (left = fixed == UINT32_MAX ? 0 : fixed; left > 0; left--, count++)
        if (!cursor_prefixed(&at, &inner))
            return bundle_fail(bundle, "%s: an iterable that is cut short", node->id);
    bundle->scratch.size = 0;
    buf_add_prefixed(&bundle->scratch, key.at, cursor_left(&key));
    buf_add_prefixed(&bundle->scratch, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, count));
    return emit_scratch(bundle, node, value);
}

struct sums {
    uint64_t count, size;
    uint64_t hash; /* of all values, in whatever order */
};

static int add_values(struct bundle *bundle, const struct node *node, struct cursor at, struct sums *sums) {
    struct cursor item;

    while (cursor_left(&at)) {
        if (!cursor_prefixed(&at, &item))
            return bundle_fail(bundle, "%s: a page that does not end at an element", node->id);
        sums->count++;
        sums->size += cursor_left(&item);
        sums->hash += hash_bytes(item.at, cursor_left(&item));
    }
    return 0;
}

/* One page into the sums; *continuation becomes that of the next one. */
static int add_page(struct bundle *bundle, const struct node *node, struct slice response, struct slice *continuation,
                    struct sums *sums) {
    Fn__StateResponse *message;
    struct arena arena = {0};
    int r = 0;

    slice_unref(continuation);
    if (PB_UNPACK(Fn__StateResponse, fn__state_response, response, PB_STRINGS_LENIENT, &arena, &message, NULL) < 0) {
        r = bundle_fail(bundle, "%s: a state response that cannot be read", node->id);
    } else if (message->error[0]) {
        r = bundle_fail(bundle, "%s", message->error);
    } else if (message->response_case == FN__STATE_RESPONSE__RESPONSE_GET) {
        r = add_values(bundle, node, cursor_of(message->get->data.data, message->get->data.len), sums);
        *continuation = slice_copy(message->get->continuation_token.data, message->get->continuation_token.len, NULL);
    }
    arena_clear(&arena);
    return r;
}

/* All pages of the node's side input or, when there is a token, of the values that it stands for. */
static int add_pages(struct bundle *bundle, const struct node *node, const struct value *value,
                     const struct cursor *token, struct sums *sums) {
    struct slice continuation = SLICE_EMPTY, response = SLICE_EMPTY;
    bool is_there;
    int r;

    do {
        is_there = token ? harness_ask_values(bundle->harness, bundle, *token, continuation, &response)
                         : harness_ask_state(bundle->harness, bundle, node, value->window, continuation, &response);
        if (is_there)
            r = add_page(bundle, node, response, &continuation, sums);
        else
            r = bundle_fail(bundle, "%s: the runner went away", node->id);
        slice_unref(&response);
    } while (r == 0 && continuation.size);
    slice_unref(&continuation);
    return r;
}

static int sum_side_input(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct sums sums = {0};
    char text[64];

    if (add_pages(bundle, node, value, NULL, &sums) < 0)
        return -1;
    bundle->scratch.size = 0;
    buf_add_prefixed(
        &bundle->scratch, text,
        (size_t)snprintf(text, sizeof(text), "%" PRIu64 " elements, %" PRIu64 " bytes", sums.count, sums.size));
    return emit_scratch(bundle, node, value);
}

/* beam:coder:state_backed_iterable:v1 with a count per batch: here the first batch's is -1, and a token follows. */
static bool find_token(struct cursor at, struct cursor *ret_token) {
    uint32_t count;
    uint64_t batch;

    return cursor_be32(&at, &count) && count == UINT32_MAX && cursor_varint(&at, &batch) && batch == UINT64_MAX &&
           cursor_prefixed(&at, ret_token);
}

static int sum_iterable(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct cursor at = value->bytes, key, token;
    bool has_token;
    struct sums sums = {0};
    uint32_t count;
    char text[120];
    int r;

    if (!cursor_prefixed(&at, &key))
        return bundle_fail(bundle, "%s: not a KV of bytes and an iterable", node->id);
    has_token = find_token(at, &token);
    if (has_token)
        r = add_pages(bundle, node, value, &token, &sums);
    else
        r = cursor_be32(&at, &count) ? add_values(bundle, node, at, &sums) : -1;
    if (r == 0 && !has_token && sums.count != count)
        r = bundle_fail(bundle, "%s: %" PRIu64 " values, and a count of %u", node->id, sums.count, count);
    if (r < 0)
        return r;
    bundle->scratch.size = 0;
    buf_add_prefixed(&bundle->scratch, key.at, cursor_left(&key));
    buf_add_prefixed(&bundle->scratch, text,
                     (size_t)snprintf(text, sizeof(text),
                                      "%" PRIu64 " elements, %" PRIu64 " bytes, hash %" PRIx64 ", %s", sums.count,
                                      sums.size, sums.hash, has_token ? "elsewhere" : "here"));
    return emit_scratch(bundle, node, value);
}

static int big(struct bundle *bundle, const struct node *node, const struct value *value) {
    size_t size = node->numbers[0];

    bundle->scratch.size = 0;
    buf_add_varint(&bundle->scratch, size);
    memset(buf_reserve(&bundle->scratch, size), 'x', size);
    buf_advance(&bundle->scratch, size);
    return emit_scratch(bundle, node, value);
}

static int log_text(struct bundle *bundle, const struct node *node, const struct value *value) {
    const char *colon = strchr(node->text, ':'), *text = colon ? colon + 1 : "";

    harness_log(bundle->harness, bundle, node, (int)node->numbers[0], text, strlen(text));
    return node_emit(bundle, node, value);
}

static int log_process(struct bundle *bundle, const struct node *node, const struct value *value) {
    char text[40];

    harness_log(bundle->harness, bundle, node, (int)node->numbers[0], text,
                (size_t)snprintf(text, sizeof(text), "process %d;", (int)getpid()));
    return node_emit(bundle, node, value);
}

static int log_value(struct bundle *bundle, const struct node *node, const struct value *value) {
    size_t size = MIN(cursor_left(&value->bytes), (size_t)200);
    char text[200];

    for (size_t i = 0; i < size; i++)
        text[i] = (char)(value->bytes.at[i] >= 0x20 && value->bytes.at[i] < 0x7f ? value->bytes.at[i] : '.');
    harness_log(bundle->harness, bundle, node, (int)node->numbers[0], text, size);
    return node_emit(bundle, node, value);
}

static int fail(struct bundle *bundle, const struct node *node, const struct value *value) {
    (void)value;
    return bundle_fail(bundle, "%s [while running '%s']", node->text, node->name);
}

static int until_opened(struct bundle *bundle, const struct node *node, const struct value *value) {
    int fd = open(node->text, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return bundle_fail(bundle, "%s: %s", node->text, strerror(errno));
    close(fd);
    return node_emit(bundle, node, value);
}

/* ---- misbehaviour ---- */

static int response_without_data(struct bundle *bundle, const struct node *node, const struct value *value) {
    (void)node;
    (void)value;
    bundle->without_data = bundle->is_stopped = true;
    return 0;
}

static int data_without_end(struct bundle *bundle, const struct node *node, const struct value *value) {
    bundle->without_end = true;
    return node_emit(bundle, node, value);
}

/* Makes the file of that name; false: it is there. */
static bool is_first(const struct node *node) {
    int fd = open(node->text, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int data_without_end_once(struct bundle *bundle, const struct node *node, const struct value *value) {
    bundle->without_end |= is_first(node);
    return node_emit(bundle, node, value);
}

static int duplicate_end(struct bundle *bundle, const struct node *node, const struct value *value) {
    bundle->twice_end = true;
    return node_emit(bundle, node, value);
}

static int duplicate_response(struct bundle *bundle, const struct node *node, const struct value *value) {
    bundle->twice_response = true;
    return node_emit(bundle, node, value);
}

static int split_element(struct bundle *bundle, const struct node *node, const struct value *value) {
    bundle->in_pieces = true;
    return node_emit(bundle, node, value);
}

static int stall(struct bundle *bundle, const struct node *node, const struct value *value) {
    (void)node;
    (void)value;
    bundle->without_data = bundle->without_response = bundle->is_stopped = true;
    return 0;
}

static int stall_once(struct bundle *bundle, const struct node *node, const struct value *value) {
    return is_first(node) ? stall(bundle, node, value) : node_emit(bundle, node, value);
}

static int half_close(struct bundle *bundle, const struct node *node, const struct value *value) {
    rpc_stream_finish(bundle->harness->control, STATUS_OK, NULL);
    return stall(bundle, node, value);
}

static int nonsense(struct bundle *bundle, struct rpc_stream *stream, const struct node *node,
                    const struct value *value) {
    struct slice bytes = slice_of_literal("\xff\xff\xff\xff nonsense \x07\x08");

    rpc_stream_send(stream, &bytes, 1);
    return stall(bundle, node, value);
}

static int nonsense_control(struct bundle *bundle, const struct node *node, const struct value *value) {
    return nonsense(bundle, bundle->harness->control, node, value);
}

static int nonsense_data(struct bundle *bundle, const struct node *node, const struct value *value) {
    return nonsense(bundle, bundle->harness->data, node, value);
}

static void say_last_words(const struct node *node) {
    const char *colon = strchr(node->text, ':');

    if (colon)
        fprintf(stderr, "%s\n", colon + 1);
}

static int end_process(struct bundle *bundle, const struct node *node, const struct value *value) {
    (void)bundle;
    (void)value;
    say_last_words(node);
    _exit((int)node->numbers[0]);
}

static int end_by_signal(struct bundle *bundle, const struct node *node, const struct value *value) {
    int signal_number = (int)node->numbers[0];

    say_last_words(node);
    signal(signal_number, SIG_DFL);
    kill(getpid(), signal_number);
    return stall(bundle, node, value);
}

/* ---- the table ---- */

const struct function *function_find(const char *name, size_t size) {
    static const struct function functions[] = {
        {"fan", function_fan, NULL},
        {"records", function_records, NULL},
        {"check_groups", function_check_groups, finish_check_groups},
        {"check_totals", function_check_totals, NULL},
        {"identity", identity, NULL},
        {"drop", drop, NULL},
        {"generate", generate, NULL},
        {"noise", noise, NULL},
        {"key_by", key_by, NULL},
        {"count_iterable", count_iterable, NULL},
        {"sum_iterable", sum_iterable, NULL},
        {"sum_side_input", sum_side_input, NULL},
        {"big", big, NULL},
        {"count", count_elements, NULL},
        {"count_and_fail", count_and_fail, NULL},
        {"chatter", function_chatter, NULL},
        {"log", log_text, NULL},
        {"log_process", log_process, NULL},
        {"log_value", log_value, NULL},
        {"fail", fail, NULL},
        {"until_opened", until_opened, NULL},
        {"until_split", until_split, NULL},
        {"response_without_data", response_without_data, NULL},
        {"data_without_end", data_without_end, NULL},
        {"data_without_end_once", data_without_end_once, NULL},
        {"duplicate_end", duplicate_end, NULL},
        {"duplicate_response", duplicate_response, NULL},
        {"split_element", split_element, NULL},
        {"stall", stall, NULL},
        {"stall_once", stall_once, NULL},
        {"half_close", half_close, NULL},
        {"nonsense_control", nonsense_control, NULL},
        {"nonsense_data", nonsense_data, NULL},
        {"exit", end_process, NULL},
        {"signal", end_by_signal, NULL},
    };

    for (size_t i = 0; i < ARRAY_COUNT(functions); i++)
        if (strlen(functions[i].name) == size && memcmp(functions[i].name, name, size) == 0)
            return &functions[i];
    return NULL;
}
