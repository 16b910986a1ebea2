/* How much of what comes over a connection is HTTP/2's own (RFC 9113, section 4.1): all but the payloads of DATA frames. */
#ifndef RPC_FRAMES_H
#define RPC_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP2_PREFACE_SIZE = 24, HTTP2_FRAME_HEADER_SIZE = 9 };

/* Zero-initialise, one for each connection. Belongs to one thread at a time. */
struct rpc_frames {
    unsigned preface_size; /* of it, seen */
    bool is_opaque;        /* it began with something else: TLS */
    bool is_data;
    unsigned header_size; /* seen, of the next frame's */
    uint8_t header[HTTP2_FRAME_HEADER_SIZE];
    uint32_t payload_left; /* of the frame that has begun */
};

/* The next bytes. Returns how many of them are not payload of DATA frames; 0 where that cannot be seen. */
size_t rpc_frames_overhead(struct rpc_frames *frames, const uint8_t *bytes, size_t size);

#endif
