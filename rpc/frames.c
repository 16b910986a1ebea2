#include "rpc/frames.h"

#include <string.h>

#include "base/mem.h"

#define FRAME_TYPE_DATA 0

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static size_t take_preface(struct rpc_frames *frames, const uint8_t *bytes, size_t size) {
    size_t part = MIN(size, HTTP2_PREFACE_SIZE - frames->preface_size);

    frames->is_opaque = memcmp(preface + frames->preface_size, bytes, part) != 0;
    frames->preface_size += (unsigned)part;
    return part;
}

static size_t take_header(struct rpc_frames *frames, const uint8_t *bytes, size_t size) {
    size_t part = MIN(size, HTTP2_FRAME_HEADER_SIZE - frames->header_size);

    memcpy(frames->header + frames->header_size, bytes, part);
    frames->header_size += (unsigned)part;
    if (frames->header_size < HTTP2_FRAME_HEADER_SIZE)
        return part;
    frames->header_size = 0;
    frames->payload_left = (uint32_t)frames->header[0] << 16 | (uint32_t)frames->header[1] << 8 | frames->header[2];
    frames->is_data = frames->header[3] == FRAME_TYPE_DATA;
    return part;
}

static size_t take_payload(struct rpc_frames *frames, size_t size) {
    size_t part = MIN(size, frames->payload_left);

    frames->payload_left -= (uint32_t)part;
    return part;
}

size_t rpc_frames_overhead(struct rpc_frames *frames, const uint8_t *bytes, size_t size) {
    size_t at = 0, data = 0;

    while (at < size && !frames->is_opaque) {
        size_t part;

        if (frames->preface_size < HTTP2_PREFACE_SIZE) {
            part = take_preface(frames, bytes + at, size - at);
        } else if (frames->payload_left == 0) {
            part = take_header(frames, bytes + at, size - at);
        } else {
            part = take_payload(frames, size - at);
            data += frames->is_data ? part : 0;
        }
        at += part;
    }
    return frames->is_opaque ? 0 : at - data;
}
