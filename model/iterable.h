/* An iterable's values one by one (StandardCoders.ITERABLE, nested): a count of 4 bytes and so many values; or -1 and batches, each a varint
 * count and so many values, that end with a 0. The form of harnesses that goes on in a state request, -1 in place of a count, is not read
 * here. */
#ifndef MODEL_ITERABLE_H
#define MODEL_ITERABLE_H

#include "base/buf.h"

struct iterable {
    uint64_t left; /* of this batch */
    bool has_batches;
};

/* Moves *at behind the count. The bytes were skipped over before with the iterable's coder: they are whole. */
struct iterable iterable_begin(struct cursor *at);
/* 1: the next value begins at *at, and is the caller's to move over; 0: there is none, and *at is behind the iterable; negative: the rest
 * is elsewhere. */
int iterable_next(struct iterable *iterable, struct cursor *at);

#endif
