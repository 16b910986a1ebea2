/* bench-stream: what gRPC alone carries on this machine: one process streams messages to another and gets each of them back, over one
 * bidirectional call, with the channel and server settings that the daemon and the harness use (rpc/), one RPC thread on each side.
 *
 *   bench-stream [--bytes N] [--message BYTES] [--hold 1]
 *
 * `--hold 1`: the other side keeps all messages until it has the last one, as a runner must that groups them; otherwise each goes back at
 * once. Prints one JSON object. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/vec.h"
#include "rpc/rpc.h"

#define PATH "/trestle.bench.Stream/Echo"

enum { MAX_QUEUED_BYTES = 32 << 20 };

struct options {
    uint64_t bytes;
    size_t message_bytes;
    bool hold;
};

static void die(const char *what) {
    fprintf(stderr, "bench-stream: %s\n", what);
    exit(EXIT_FAILURE);
}

/* ---- the other side ---- */

struct echo {
    bool hold;
    VEC(struct slice) held;
};

static void echo_opened(struct rpc_stream *stream, void *context) {
    rpc_stream_set_user(stream, context);
}

static void echo_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct echo *echo = user;

    if (echo->hold)
        vec_push(&echo->held, message);
    else
        rpc_stream_send(stream, &message, 1);
}

static void echo_half_closed(struct rpc_stream *stream, void *user) {
    struct echo *echo = user;

    vec_foreach (message, &echo->held)
        rpc_stream_send(stream, message, 1);
    vec_free(&echo->held);
    rpc_stream_finish(stream, STATUS_OK, NULL);
}

/* Serves until its standard input ends. */
static void serve(const struct options *options, int in, int out) {
    static const struct rpc_handler handler = {
        .opened = echo_opened, .message = echo_message, .half_closed = echo_half_closed};
    static const struct rpc_method method = {.path = PATH, .streaming = &handler};
    struct rpc_server_options server_options = {.threads = 1};
    struct echo echo = {.hold = options->hold};
    CLEANUP_STATUS struct status st = {0};
    struct rpc_server *server;
    int port = 0;
    char c;

    rpc_init();
    server = rpc_server_create(&server_options);
    rpc_server_register(server, &method, 1, &echo);
    if (rpc_server_listen(server, "127.0.0.1:0", &port, &st) < 0)
        die(status_message(&st));
    rpc_server_start(server);
    if (write(out, &port, sizeof(port)) != sizeof(port))
        die("the pipe broke");
    while (read(in, &c, 1) > 0)
        ;
    rpc_server_stop(server, 0);
    rpc_shutdown();
    _exit(EXIT_SUCCESS);
}

/* ---- this side ---- */

struct sender {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t received_bytes;
    bool is_over, is_good;
};

static void on_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct sender *sender = user;

    (void)stream;
    pthread_mutex_lock(&sender->lock);
    sender->received_bytes += message.size;
    pthread_mutex_unlock(&sender->lock);
    slice_unref(&message);
}

static void on_sent(struct rpc_stream *stream, void *user, size_t bytes) {
    struct sender *sender = user;

    (void)stream;
    (void)bytes;
    pthread_mutex_lock(&sender->lock);
    pthread_cond_broadcast(&sender->changed);
    pthread_mutex_unlock(&sender->lock);
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct sender *sender = user;

    (void)stream;
    pthread_mutex_lock(&sender->lock);
    sender->is_over = true;
    sender->is_good = status->code == STATUS_OK;
    pthread_cond_broadcast(&sender->changed);
    pthread_mutex_unlock(&sender->lock);
}

static struct slice make_message(size_t size) {
    struct block *block = block_create(size, NULL);

    for (size_t i = 0; i < size; i++)
        block->data[i] = (uint8_t)(i * 2654435761u >> 13);
    return slice_of_block(block, 0, size);
}

static double now_s(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* There and back; how long it took. */
static double stream_all(struct sender *sender, struct rpc_channel *channel, const struct options *options,
                         uint64_t *ret_bytes) {
    static const struct rpc_handler handler = {.message = on_message, .sent = on_sent, .closed = on_closed};
    struct slice message = make_message(options->message_bytes), one;
    uint64_t sent = 0;
    double begin = now_s();
    struct rpc_stream *stream = rpc_channel_open(channel, PATH, NULL, 0, 0, true, &handler, sender);

    for (; sent < options->bytes; sent += message.size) {
        pthread_mutex_lock(&sender->lock);
        while (rpc_stream_queued_bytes(stream) > MAX_QUEUED_BYTES && !sender->is_over)
            pthread_cond_wait(&sender->changed, &sender->lock);
        pthread_mutex_unlock(&sender->lock);
        one = slice_ref(message);
        rpc_stream_send(stream, &one, 1);
    }
    rpc_stream_finish(stream, STATUS_OK, NULL);
    pthread_mutex_lock(&sender->lock);
    while (!sender->is_over)
        pthread_cond_wait(&sender->changed, &sender->lock);
    pthread_mutex_unlock(&sender->lock);
    rpc_stream_unref(stream);
    slice_unref(&message);
    *ret_bytes = sent;
    return now_s() - begin;
}

static bool run(const struct options *options, int port) {
    struct sender sender = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct rpc_client *client = rpc_client_create(1);
    struct rpc_channel *channel;
    char target[32];
    uint64_t bytes;
    double wall_s;

    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    channel = rpc_channel_create(client, target);
    wall_s = stream_all(&sender, channel, options, &bytes);
    rpc_channel_destroy(channel);
    rpc_client_destroy(client);
    if (!sender.is_good || sender.received_bytes != bytes) {
        fprintf(stderr, "bench-stream: %" PRIu64 " bytes went, %" PRIu64 " came back\n", bytes, sender.received_bytes);
        return false;
    }
    printf("{\"bench\": \"stream\", \"message_bytes\": %zu, \"hold\": %s, \"bytes\": %" PRIu64
           ", \"wall_s\": %.3f, \"bytes_per_s\": %.0f}\n",
           options->message_bytes, options->hold ? "true" : "false", bytes, wall_s, (double)bytes / wall_s);
    return true;
}

static void read_options(int argc, char **argv, struct options *options) {
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            die("every option takes a value");
        if (strcmp(argv[i], "--bytes") == 0)
            options->bytes = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--message") == 0)
            options->message_bytes = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--hold") == 0)
            options->hold = strtoul(argv[i + 1], NULL, 10) != 0;
        else
            die("options are --bytes, --message and --hold");
    }
    if (options->message_bytes == 0)
        die("a message has at least one byte");
}

int main(int argc, char **argv) {
    struct options options = {.bytes = UINT64_C(512) << 20, .message_bytes = 1 << 20};
    int to_child[2], from_child[2], port = 0, status = 0;
    bool good;
    pid_t pid;

    read_options(argc, argv, &options);
    if (pipe(to_child) < 0 || pipe(from_child) < 0)
        die("no pipes");
    pid = fork(); /* before gRPC has a thread */
    if (pid == 0) {
        close(to_child[1]);
        close(from_child[0]);
        serve(&options, to_child[0], from_child[1]);
    }
    close(to_child[0]);
    close(from_child[1]);
    if (pid < 0 || read(from_child[0], &port, sizeof(port)) != sizeof(port))
        die("the other side did not start");
    rpc_init();
    good = run(&options, port);
    close(to_child[1]);
    good = waitpid(pid, &status, 0) == pid && status == 0 && good;
    rpc_shutdown();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
