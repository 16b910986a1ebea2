/* What the daemon and its launcher say to each other, and the queue that each side sends from.
 *
 * One SOCK_SEQPACKET message is a struct launch_message followed by NUL-terminated strings. Both ends are the same binary on the same
 * machine, so the struct goes as it is. Neither side ever waits for the other: what the socket does not take now stays in the outbox
 * until poll(2) says that it is writable, so that two full sockets cannot stop both processes. */
#ifndef WORKER_LAUNCHER_WIRE_H
#define WORKER_LAUNCHER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum {
    /* Below the default send buffer of a socket (net.core.wmem_default, 208 KB), which bounds a message. */
    LAUNCH_MESSAGE_MAX_BYTES = 192 * 1024,
};

enum launch_op {
    LAUNCH_SPAWN, /* strings: argc arguments, envc KEY=VALUE pairs, the working directory, the control group and the user (empty: the daemon's) */
    LAUNCH_SIGNAL, /* number: the signal */
    LAUNCH_STOP,   /* number: milliseconds from SIGTERM to SIGKILL */
    LAUNCH_FAILED, /* number: errno; string: what could not be done */
    LAUNCH_EXITED, /* number: exit code or -1; signal; string: the output's tail */
};

struct launch_message {
    uint32_t op;
    uint32_t argc;
    uint32_t envc;
    int32_t number;
    int32_t signal;
    uint64_t process;
    uint64_t data_limit_bytes;
    uint32_t cores;
    uint32_t uid, gid; /* where there is a user */
};

/* Messages that wait to be sent. Belongs to one thread or to its owner's lock. */
struct outbox {
    struct list packets;
};

void outbox_init(struct outbox *outbox);
/* `strings` may be NULL; copied. */
void outbox_add(struct outbox *outbox, const struct launch_message *message, const char *strings, size_t size);
/* Sends without waiting. 0: empty now; 1: the socket is full; negative errno: the other side is gone. */
int outbox_flush(struct outbox *outbox, int fd);
void outbox_clear(struct outbox *outbox);

/* Reads one message without waiting. Its strings, ending in a NUL, go to `buffer` of LAUNCH_MESSAGE_MAX_BYTES + 1 bytes. 1: read;
 * 0: nothing there now; negative errno: the other side is gone (-EPIPE) or sent nonsense (-EBADMSG). */
int launch_receive(int fd, struct launch_message *message, char *buffer, size_t *ret_size);

#endif
