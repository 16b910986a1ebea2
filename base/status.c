#include "base/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void status_store(struct status *st, enum status_code code, char *message) {
    if (!st) {
        free(message);
        return;
    }
    free(st->message);
    st->code = code;
    st->message = message;
}

int status_set(struct status *st, enum status_code code, const char *format, ...) {
    va_list args;

    va_start(args, format);
    status_store(st, code, st ? xvasprintf(format, args) : NULL);
    va_end(args);
    return -(int)code;
}

static enum status_code code_of_errno(int error_number) {
    switch (error_number) {
    case ENOENT:
    case ESRCH:
        return STATUS_NOT_FOUND;
    case EEXIST:
        return STATUS_ALREADY_EXISTS;
    case EACCES:
    case EPERM:
        return STATUS_PERMISSION_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return STATUS_RESOURCE_EXHAUSTED;
    case EINVAL:
        return STATUS_INVALID_ARGUMENT;
    case ETIMEDOUT:
        return STATUS_DEADLINE_EXCEEDED;
    case ECONNREFUSED:
    case EADDRINUSE:
        return STATUS_UNAVAILABLE;
    default:
        return STATUS_INTERNAL;
    }
}

int status_set_errno(struct status *st, int error_number, const char *format, ...) {
    enum status_code code = code_of_errno(error_number);
    char reason[128];

    if (st) {
        CLEANUP(freep) char *what = NULL;
        va_list args;

        va_start(args, format);
        what = xvasprintf(format, args);
        va_end(args);
        status_store(st, code, xasprintf("%s: %s", what, strerror_r(error_number, reason, sizeof(reason))));
    }
    return -(int)code;
}

int status_prefix(struct status *st, const char *format, ...) {
    if (!st)
        return -STATUS_UNKNOWN;

    CLEANUP(freep) char *where = NULL;
    va_list args;

    va_start(args, format);
    where = xvasprintf(format, args);
    va_end(args);
    status_store(st, st->code, xasprintf("%s: %s", where, status_message(st)));
    return -(int)st->code;
}

int status_move(struct status *to, struct status *from) {
    int code = -(int)from->code;

    status_store(to, from->code, from->message);
    *from = (struct status){0};
    return code;
}

void status_clear(struct status *st) {
    free(st->message);
    *st = (struct status){0};
}

const char *status_message(const struct status *st) {
    if (st->message)
        return st->message;
    return status_code_name(st->code);
}

const char *status_code_name(enum status_code code) {
    static const char *const names[] = {
        [STATUS_OK] = "OK",
        [STATUS_CANCELLED] = "CANCELLED",
        [STATUS_UNKNOWN] = "UNKNOWN",
        [STATUS_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [STATUS_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [STATUS_NOT_FOUND] = "NOT_FOUND",
        [STATUS_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [STATUS_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [STATUS_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [STATUS_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [STATUS_ABORTED] = "ABORTED",
        [STATUS_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [STATUS_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [STATUS_INTERNAL] = "INTERNAL",
        [STATUS_UNAVAILABLE] = "UNAVAILABLE",
        [STATUS_DATA_LOSS] = "DATA_LOSS",
        [STATUS_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };

    if ((size_t)code < ARRAY_COUNT(names) && names[code])
        return names[code];
    return "UNKNOWN";
}
