#include "worker/launcher_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/mem.h"

struct packet {
    struct list link;
    size_t size;
    char bytes[];
};

void outbox_init(struct outbox *outbox) {
    list_init(&outbox->packets);
}

void outbox_add(struct outbox *outbox, const struct launch_message *message, const char *strings, size_t size) {
    struct packet *packet = xmalloc(sizeof(*packet) + sizeof(*message) + size);

    list_init(&packet->link);
    packet->size = sizeof(*message) + size;
    memcpy(packet->bytes, message, sizeof(*message));
    if (size)
        memcpy(packet->bytes + sizeof(*message), strings, size);
    list_append(&outbox->packets, &packet->link);
}

int outbox_flush(struct outbox *outbox, int fd) {
    list_foreach (node, &outbox->packets) {
        struct packet *packet = CONTAINER_OF(node, struct packet, link);
        ssize_t sent;

        do
            sent = send(fd, packet->bytes, packet->size, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return 1;
        if (sent < 0)
            return -errno;
        list_remove(node);
        free(packet);
    }
    return 0;
}

void outbox_clear(struct outbox *outbox) {
    list_foreach (node, &outbox->packets) {
        list_remove(node);
        free(CONTAINER_OF(node, struct packet, link));
    }
}

int launch_receive(int fd, struct launch_message *message, char *buffer, size_t *ret_size) {
    struct iovec parts[] = {{message, sizeof(*message)}, {buffer, LAUNCH_MESSAGE_MAX_BYTES}};
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = ARRAY_COUNT(parts)};
    ssize_t got;
    size_t size;

    do
        got = recvmsg(fd, &header, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got < 0)
        return -errno;
    if (got == 0)
        return -EPIPE;
    if ((header.msg_flags & MSG_TRUNC) || (size_t)got < sizeof(*message))
        return -EBADMSG;
    size = (size_t)got - sizeof(*message);
    buffer[size] = '\0';
    *ret_size = size;
    return 1;
}
