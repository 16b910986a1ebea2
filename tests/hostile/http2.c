#include "http2.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

int raw_connect(const char *endpoint) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect: %s", strerror(errno));
    return fd;
}

bool raw_send(int fd, const void *bytes, size_t size) {
    const char *at = bytes;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* False: the peer has closed. */
static bool drain(int fd) {
    char dropped[65536];
    ssize_t got;

    while ((got = recv(fd, dropped, sizeof(dropped), MSG_DONTWAIT)) > 0)
        ;
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

bool raw_send_draining(int fd, const void *bytes, size_t size) {
    const char *at = bytes;

    while (size > 0) {
        struct pollfd poller = {.fd = fd, .events = POLLIN | POLLOUT};
        ssize_t sent;

        if (poll(&poller, 1, -1) != 1 || !drain(fd))
            return false;
        sent = send(fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        at += MAX(sent, 0);
        size -= (size_t)MAX(sent, 0);
    }
    return true;
}

bool raw_wait_close(int fd, int ms) {
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    char dropped[4096];

    for (;;) {
        ssize_t got;

        if (poll(&poller, 1, ms) != 1)
            return false;
        got = recv(fd, dropped, sizeof(dropped), 0);
        if (got <= 0)
            return true;
    }
}

void http2_frame_header(uint8_t out[HTTP2_FRAME_HEADER_SIZE], enum http2_frame_type type, uint8_t flags,
                        uint32_t stream, size_t size) {
    memcpy(out,
           (const uint8_t[]){(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, (uint8_t)type, flags,
                             (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream},
           HTTP2_FRAME_HEADER_SIZE);
}

bool http2_send(int fd, enum http2_frame_type type, uint8_t flags, uint32_t stream, const void *payload, size_t size) {
    uint8_t header[HTTP2_FRAME_HEADER_SIZE];

    http2_frame_header(header, type, flags, stream, size);
    return raw_send(fd, header, sizeof(header)) && raw_send(fd, payload, size);
}

int http2_connect(const char *endpoint) {
    int fd = raw_connect(endpoint);

    ck_assert(raw_send(fd, HTTP2_PREFACE, strlen(HTTP2_PREFACE)));
    ck_assert(http2_send(fd, HTTP2_SETTINGS, 0, 0, "", 0));
    return fd;
}

/* HPACK without Huffman and without the table; texts are shorter than 127 bytes. */
static size_t add_literal(uint8_t *out, const char *name, const char *value) {
    size_t size = 0, lengths[] = {strlen(name), strlen(value)};

    out[size++] = 0;
    for (int i = 0; i < 2; i++) {
        out[size++] = (uint8_t)lengths[i];
        memcpy(out + size, i ? value : name, lengths[i]);
        size += lengths[i];
    }
    return size;
}

size_t http2_call_block(uint8_t out[HTTP2_CALL_BLOCK_SIZE], const char *path, const char *encoding) {
    size_t size = 0;

    size += add_literal(out + size, ":method", "POST");
    size += add_literal(out + size, ":scheme", "http");
    size += add_literal(out + size, ":path", path);
    size += add_literal(out + size, ":authority", "localhost:1");
    size += add_literal(out + size, "te", "trailers");
    size += add_literal(out + size, "content-type", "application/grpc");
    if (encoding)
        size += add_literal(out + size, "grpc-encoding", encoding);
    return size;
}

bool http2_call(int fd, uint32_t stream, const char *path, const char *encoding, uint8_t flags) {
    uint8_t block[HTTP2_CALL_BLOCK_SIZE];

    return http2_send(fd, HTTP2_HEADERS, flags, stream, block, http2_call_block(block, path, encoding));
}

static bool read_exactly(int fd, uint8_t *out, size_t size) {
    while (size > 0) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (poll(&poller, 1, PATIENCE_MS) != 1)
            return false;
        got = recv(fd, out, size, 0);
        if (got <= 0)
            return false;
        out += got;
        size -= (size_t)got;
    }
    return true;
}

static bool read_frame(int fd, struct http2_frame *ret) {
    uint8_t header[HTTP2_FRAME_HEADER_SIZE], dropped[1];

    if (!read_exactly(fd, header, sizeof(header)))
        return false;
    ret->size = (uint32_t)header[0] << 16 | (uint32_t)header[1] << 8 | header[2];
    ret->type = header[3];
    ret->flags = header[4];
    ret->stream = (uint32_t)header[5] << 24 | (uint32_t)header[6] << 16 | (uint32_t)header[7] << 8 | header[8];
    if (!read_exactly(fd, ret->payload, MIN(ret->size, (uint32_t)sizeof(ret->payload))))
        return false;
    for (size_t i = sizeof(ret->payload); i < ret->size; i++)
        if (!read_exactly(fd, dropped, 1))
            return false;
    return true;
}

static bool is_asking(const struct http2_frame *frame) {
    return frame->type == HTTP2_PING || frame->type == HTTP2_SETTINGS;
}

bool http2_read_any(int fd, struct http2_frame *ret) {
    if (!read_frame(fd, ret))
        return false;
    if (is_asking(ret) && !(ret->flags & HTTP2_ACK))
        http2_send(fd, ret->type, HTTP2_ACK, 0, ret->payload, ret->type == HTTP2_PING ? ret->size : 0);
    return true;
}

bool http2_read(int fd, struct http2_frame *ret) {
    while (http2_read_any(fd, ret))
        if (!is_asking(ret))
            return true;
    return false;
}

bool http2_wait_end(int fd, uint32_t stream) {
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    struct http2_frame frame;

    while (http2_read(fd, &frame)) {
        if (frame.type == HTTP2_GOAWAY)
            return true;
        if (frame.stream == stream &&
            (frame.type == HTTP2_RST_STREAM || (frame.type == HTTP2_HEADERS && frame.flags & HTTP2_END_STREAM)))
            return true;
    }
    return poll(&poller, 1, 0) == 1; /* closed */
}

size_t process_memory_bytes(int pid) {
    CLEANUP(freep) char *path = xasprintf("/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    size_t pages = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%*u %zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}
