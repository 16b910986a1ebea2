/* An HTTP/2 client that obeys nothing: bytes go out as the test makes them. Reading waits, for PATIENCE_MS at most. */
#ifndef HOSTILE_HTTP2_H
#define HOSTILE_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PATIENCE_MS = 30000 };

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum http2_frame_type {
    HTTP2_DATA = 0,
    HTTP2_HEADERS = 1,
    HTTP2_PRIORITY = 2,
    HTTP2_RST_STREAM = 3,
    HTTP2_SETTINGS = 4,
    HTTP2_PING = 6,
    HTTP2_GOAWAY = 7,
    HTTP2_WINDOW_UPDATE = 8,
    HTTP2_CONTINUATION = 9,
};
enum { HTTP2_ACK = 1, HTTP2_END_STREAM = 1, HTTP2_END_HEADERS = 4 };
enum { HTTP2_FRAME_HEADER_SIZE = 9, HTTP2_CALL_BLOCK_SIZE = 600 };
enum { HTTP2_ENHANCE_YOUR_CALM = 11 };

struct http2_frame {
    uint8_t type, flags;
    uint32_t stream;
    uint32_t size;
    uint8_t payload[16384]; /* what is beyond it was dropped */
};

/* A TCP connection to HOST:PORT; aborts the test when there is none. */
int raw_connect(const char *endpoint);
/* False: the peer has closed the connection. */
bool raw_send(int fd, const void *bytes, size_t size);
/* The same, reading and dropping meanwhile what the peer sends, so that it is not the one that waits. */
bool raw_send_draining(int fd, const void *bytes, size_t size);
/* True when the peer closes the connection; false when it is still open after `ms`. What it sends is dropped. */
bool raw_wait_close(int fd, int ms);

/* What starts a frame. */
void http2_frame_header(uint8_t out[HTTP2_FRAME_HEADER_SIZE], enum http2_frame_type type, uint8_t flags,
                        uint32_t stream, size_t size);
/* The payload of a gRPC call's HEADERS; `encoding` (NULL: none) is its grpc-encoding. Returns its size. */
size_t http2_call_block(uint8_t out[HTTP2_CALL_BLOCK_SIZE], const char *path, const char *encoding);

/* Connects and sends the preface and empty settings. */
int http2_connect(const char *endpoint);
bool http2_send(int fd, enum http2_frame_type type, uint8_t flags, uint32_t stream, const void *payload, size_t size);
/* The headers of a gRPC call. */
bool http2_call(int fd, uint32_t stream, const char *path, const char *encoding, uint8_t flags);
/* The next frame, whatever it is; answers pings and settings. False: closed, or nothing came in PATIENCE_MS. */
bool http2_read_any(int fd, struct http2_frame *ret);
/* The next frame that is neither ping nor settings. */
bool http2_read(int fd, struct http2_frame *ret);
/* Until a frame of the stream ends it (trailers or RST_STREAM), or GOAWAY comes, or the connection ends. False: nothing of that came. */
bool http2_wait_end(int fd, uint32_t stream);

/* By how much the daemon's memory may grow under attack; random frames take it to some 60 MiB. AddressSanitizer keeps what was freed for a
 * while, and pads it: 2.5 GiB after 1.7 million connections. ThreadSanitizer's own notes are several times as large as what they are about. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MAX_GROWTH_BYTES ((size_t)4 << 30)
#else
#define MAX_GROWTH_BYTES ((size_t)128 << 20)
#endif
/* Resident memory of a process. */
size_t process_memory_bytes(int pid);

#endif
