/* gRPC 1.51 keeps what belongs to a call until the call was seen to its end, so a peer that opens calls and takes them back at once fills its
 * memory without ever having more open than it may (CVE-2023-44487), and it has no call that closes a connection. So sockets.c tells of each
 * connection, its calls are counted, those that came to nothing once more, and one with too many of either is cut.
 *
 * One table for the process, as accept4() is: a connection is in it until its descriptor is given out once more. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "rpc/internal.h"

/* A client that ends with all its calls open, or a program that asks with short deadlines, stays far below. */
#define WASTED_AT_ONCE 1000
#define WASTED_PER_S 100
#define NS_PER_WASTED (1000000000 / WASTED_PER_S)
#define TURN_BYTES ((size_t)512 << 10)
/* HTTP/2's own frames, for one message or while one is sent; of a connection that no call of was let in, all. */
#define OVERHEAD_BYTES ((size_t)4 << 20)

/* Without holes, as it is hashed. */
struct remote {
    uint8_t address[16]; /* IPv4: in its first four bytes, the others zero */
    uint16_t family;
    uint16_t port; /* network order */
};

/* All but the first, and the atomics, under the table's mutex. */
struct rpc_connection {
    struct remote remote;
    int fd;
    unsigned refs;  /* the table's, and one for each call */
    unsigned calls; /* that are not closed */
    bool is_cut;
    size_t turn_bytes; /* received since others had a turn */
    struct rpc_frames frames;
    /* Received since a call or a whole message last came of it, or one was sent; of these, HTTP/2's own; and how many those may be. */
    atomic_size_t vain_bytes;
    atomic_size_t overhead_bytes;
    atomic_size_t max_vain_bytes;
    int64_t paid_until_ns; /* CLOCK_MONOTONIC: each call that came to nothing moves it on by NS_PER_WASTED */
};

static struct {
    pthread_mutex_t mutex;
    struct map by_remote; /* struct remote -> struct rpc_connection */
    struct rpc_connection **by_fd;
    size_t fd_count;
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- Who is at the other end --- */

static bool remote_of_ipv6(struct remote *ret, const struct sockaddr_in6 *address) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    *ret = (struct remote){.family = AF_INET6, .port = address->sin6_port};
    memcpy(ret->address, &address->sin6_addr, sizeof(ret->address));
    if (memcmp(ret->address, mapped, sizeof(mapped)) == 0) { /* gRPC calls it ipv4, too */
        ret->family = AF_INET;
        memmove(ret->address, ret->address + sizeof(mapped), 4);
        memset(ret->address + 4, 0, sizeof(ret->address) - 4);
    }
    return true;
}

/* False where it is no TCP socket, or no longer connected. */
static bool remote_of_socket(struct remote *ret, int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0)
        return false;
    if (address.ss_family == AF_INET6)
        return remote_of_ipv6(ret, (const struct sockaddr_in6 *)&address);
    *ret = (struct remote){.family = AF_INET, .port = ((const struct sockaddr_in *)&address)->sin_port};
    memcpy(ret->address, &((const struct sockaddr_in *)&address)->sin_addr, 4);
    return address.ss_family == AF_INET;
}

/* "ipv4:10.0.0.1:5000" or "ipv6:%5B::1%5D:5000", as grpc_call_get_peer() has it. */
static bool remote_of_peer(struct remote *ret, const char *peer) {
    bool is_ipv6 = strncmp(peer, "ipv6:%5B", 8) == 0;
    const char *host = peer + (is_ipv6 ? 8 : strlen("ipv4:")), *colon = strrchr(peer, ':');
    const char *host_end = is_ipv6 ? strstr(host, "%5D:") : colon;
    char text[INET6_ADDRSTRLEN] = {0};

    if ((!is_ipv6 && strncmp(peer, "ipv4:", 5) != 0) || !host_end || host_end < host ||
        (size_t)(host_end - host) >= sizeof(text))
        return false;
    memcpy(text, host, (size_t)(host_end - host));
    *ret = (struct remote){.family = is_ipv6 ? AF_INET6 : AF_INET, .port = htons((uint16_t)atoi(colon + 1))};
    return inet_pton(ret->family, text, ret->address) == 1;
}

/* --- The table; all locked --- */

static struct rpc_connection **slot_of_fd(int fd) {
    size_t needed = (size_t)fd + 1;

    if (needed > table.fd_count) {
        table.by_fd = xreallocarray(table.by_fd, needed, sizeof(*table.by_fd));
        memset(table.by_fd + table.fd_count, 0, (needed - table.fd_count) * sizeof(*table.by_fd));
        table.fd_count = needed;
    }
    return &table.by_fd[fd];
}

static void unref(struct rpc_connection *connection) {
    if (--connection->refs == 0)
        free(connection);
}

static void forget(struct rpc_connection *connection) {
    if (!connection)
        return;
    if (map_get(&table.by_remote, &connection->remote, sizeof(connection->remote)) == connection)
        map_remove(&table.by_remote, &connection->remote, sizeof(connection->remote));
    unref(connection);
}

static void add(int fd, const struct remote *remote) {
    struct rpc_connection **slot = slot_of_fd(fd);

    forget(*slot);
    *slot = xmalloc(sizeof(**slot));
    **slot = (struct rpc_connection){.remote = *remote, .fd = fd, .refs = 1, .max_vain_bytes = OVERHEAD_BYTES};
    map_set(&table.by_remote, remote, sizeof(*remote), *slot);
}

/* Counts a call that came to nothing. */
static bool is_one_too_many(struct rpc_connection *connection) {
    int64_t now_ns = monotonic_now_ns();

    connection->paid_until_ns = MAX(connection->paid_until_ns, now_ns) + NS_PER_WASTED;
    return connection->paid_until_ns > now_ns + (int64_t)WASTED_AT_ONCE * NS_PER_WASTED;
}

/* The descriptor may be another's meanwhile. */
static bool is_open(const struct rpc_connection *connection) {
    struct remote now;

    return remote_of_socket(&now, connection->fd) && memcmp(&now, &connection->remote, sizeof(now)) == 0;
}

static void log_cut(const struct remote *remote, const char *why) {
    char text[INET6_ADDRSTRLEN];

    inet_ntop(remote->family, remote->address, text, sizeof(text));
    log_warning("rpc", "closed the connection of %s, port %d: %s", text, ntohs(remote->port), why);
}

/* Resets it. What it had sent is dropped by the kernel, where shutdown(2) would leave it to be read. */
static void cut(struct rpc_connection *connection, const char *why) {
    if (connection->is_cut || !is_open(connection))
        return;
    connection->is_cut = true;
    connect(connection->fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr));
    log_cut(&connection->remote, why);
}

static size_t overhead_of(struct rpc_frames *frames, const struct iovec *pieces, size_t count, size_t size_bytes) {
    size_t overhead = 0;

    for (size_t i = 0; i < count && size_bytes > 0; i++) {
        size_t part = MIN(pieces[i].iov_len, size_bytes);

        overhead += rpc_frames_overhead(frames, pieces[i].iov_base, part);
        size_bytes -= part;
    }
    return overhead;
}

/* Adds; returns whether that is more than `maximum`. */
static bool count_bytes(atomic_size_t *bytes, size_t more, size_t maximum) {
    return atomic_fetch_add_explicit(bytes, more, memory_order_relaxed) + more > maximum;
}

static void count_received(struct rpc_connection *connection, size_t size_bytes, size_t overhead) {
    size_t max_bytes = atomic_load_explicit(&connection->max_vain_bytes, memory_order_relaxed);
    bool is_vain = count_bytes(&connection->vain_bytes, size_bytes, max_bytes);

    connection->turn_bytes += size_bytes;
    if (count_bytes(&connection->overhead_bytes, overhead, OVERHEAD_BYTES) || is_vain)
        cut(connection, "too much came of it that is no call and no message");
}

/* --- Interface --- */

void rpc_connection_accepted(int fd) {
    struct remote remote;

    if (!remote_of_socket(&remote, fd))
        return;
    pthread_mutex_lock(&table.mutex);
    add(fd, &remote);
    pthread_mutex_unlock(&table.mutex);
}

static struct rpc_connection *of_fd(int fd) {
    return fd >= 0 && (size_t)fd < table.fd_count ? table.by_fd[fd] : NULL;
}

void rpc_connection_received(int fd, const struct iovec *pieces, size_t count, size_t size_bytes) {
    struct rpc_connection *connection;

    pthread_mutex_lock(&table.mutex);
    connection = of_fd(fd);
    if (connection)
        count_received(connection, size_bytes, overhead_of(&connection->frames, pieces, count, size_bytes));
    pthread_mutex_unlock(&table.mutex);
}

bool rpc_connection_has_had_its_turn(int fd) {
    struct rpc_connection *connection;
    bool is_over;

    pthread_mutex_lock(&table.mutex);
    connection = of_fd(fd);
    is_over = connection && connection->turn_bytes >= TURN_BYTES;
    if (is_over)
        connection->turn_bytes = 0;
    is_over = is_over && is_open(connection);
    pthread_mutex_unlock(&table.mutex);
    return is_over;
}

struct rpc_connection *rpc_connection_call_opened(const char *peer, unsigned max_calls) {
    struct rpc_connection *connection;
    struct remote remote;

    if (!remote_of_peer(&remote, peer))
        return NULL;
    pthread_mutex_lock(&table.mutex);
    connection = map_get(&table.by_remote, &remote, sizeof(remote));
    if (connection) {
        connection->refs++;
        rpc_connection_made_sense(connection);
        if (++connection->calls > max_calls + WASTED_AT_ONCE)
            cut(connection, "it has more calls open than it may (limits.max_connection_streams)");
    }
    pthread_mutex_unlock(&table.mutex);
    return connection;
}

void rpc_connection_made_sense(struct rpc_connection *connection) {
    if (!connection)
        return;
    atomic_store_explicit(&connection->vain_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&connection->overhead_bytes, 0, memory_order_relaxed);
}

void rpc_connection_admitted(struct rpc_connection *connection, size_t max_receiving_bytes) {
    if (connection)
        atomic_store_explicit(&connection->max_vain_bytes, max_receiving_bytes + OVERHEAD_BYTES, memory_order_relaxed);
}

void rpc_connection_call_closed(struct rpc_connection *connection, bool is_wasted) {
    if (!connection)
        return;
    pthread_mutex_lock(&table.mutex);
    connection->calls--;
    if (is_wasted && is_one_too_many(connection))
        cut(connection, "its calls are cancelled or refused, too many too fast");
    unref(connection);
    pthread_mutex_unlock(&table.mutex);
}
