/* What went wrong, in a form that the person who submitted the job can read.
 *
 * A fallible function returns 0 or a negative enum status_code and, when its `st` argument is not NULL, stores
 * the same code with a message there. `ret_` out-parameters stay untouched on failure. Codes are gRPC's, so
 * that a status can end a call without translation (grpc/status.h; the numbers are part of the gRPC protocol).
 *
 * Not thread-safe: a status belongs to one thread at a time. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "base/mem.h"

enum status_code {
    STATUS_OK = 0,
    STATUS_CANCELLED = 1,
    STATUS_UNKNOWN = 2,
    STATUS_INVALID_ARGUMENT = 3,
    STATUS_DEADLINE_EXCEEDED = 4,
    STATUS_NOT_FOUND = 5,
    STATUS_ALREADY_EXISTS = 6,
    STATUS_PERMISSION_DENIED = 7,
    STATUS_RESOURCE_EXHAUSTED = 8,
    STATUS_FAILED_PRECONDITION = 9,
    STATUS_ABORTED = 10,
    STATUS_OUT_OF_RANGE = 11,
    STATUS_UNIMPLEMENTED = 12,
    STATUS_INTERNAL = 13,
    STATUS_UNAVAILABLE = 14,
    STATUS_DATA_LOSS = 15,
    STATUS_UNAUTHENTICATED = 16,
};

/* Zero-initialise. `message` is owned, NULL while code is STATUS_OK. */
struct status {
    enum status_code code;
    char *message;
};

#define CLEANUP_STATUS CLEANUP(status_clear)

/* Replaces what `st` (may be NULL) holds. Returns -code, so that callers can `return status_set(...)`. */
int status_set(struct status *st, enum status_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* From errno: the code that fits it, and "<formatted>: <strerror>". */
int status_set_errno(struct status *st, int error_number, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "<formatted>: " before the message: where it happened, added on the way up. Returns -st->code, or
 * -STATUS_UNKNOWN when st is NULL. */
int status_prefix(struct status *st, const char *format, ...) PRINTF_LIKE(2, 3);
/* Moves *from into *to (may be NULL) and empties *from. Returns -code. */
int status_move(struct status *to, struct status *from);
void status_clear(struct status *st);
/* Never NULL. */
const char *status_message(const struct status *st);
const char *status_code_name(enum status_code code);

#endif
