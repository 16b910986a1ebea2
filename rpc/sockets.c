/* Two calls of libc that gRPC 1.51 does not use well, and where it offers no place to intervene: the program has them of its own, which the
 * dynamic linker prefers to libc's in all shared libraries.
 *
 *   accept4    gRPC closes a listening socket for good at the first one that fails, which is when the process has no descriptor left
 *              (CVE-2023-4785): whoever opens enough connections would take the port away from everybody. Ours fails like one that found
 *              nobody, and keeps an eighth of the descriptors for files and processes by closing connections that would take one of those:
 *              numbers are given out from the lowest free one up, so a high number means that many are open.
 *   recvmsg    a thread of gRPC reads from a connection until it finds nothing: as many peers as there are threads, if they send faster than is
 *              read, keep everybody else from being served. Ours finds nothing now and then (connection.c), although there is something, and
 *              has the kernel say so once more. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rpc/internal.h"

int accept4(int listener, struct sockaddr *address, socklen_t *size, int flags);

static int highest_descriptor(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
        return INT32_MAX;
    return (int)(limit.rlim_cur - limit.rlim_cur / 8);
}

/* One connection that ended, or was forbidden, before it began (accept(2)): the next may be better. */
static bool is_of_one_connection(int error) {
    switch (error) {
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

static int take_connection(int listener, struct sockaddr *address, socklen_t *size, int flags) {
    int fd = (int)syscall(SYS_accept4, listener, address, size, flags);

    if (fd >= 0 && fd >= highest_descriptor()) {
        close(fd);
        errno = ECONNABORTED;
        return -1;
    }
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
        errno = EAGAIN; /* those who wait are looked at again when the next one comes */
    return fd;
}

int accept4(int listener, struct sockaddr *address, socklen_t *size, int flags) {
    socklen_t room = size ? *size : 0;
    int fd;

    do {
        if (size)
            *size = room;
        fd = take_connection(listener, address, size, flags);
    } while (fd < 0 && is_of_one_connection(errno));
    if (fd >= 0)
        rpc_connection_accepted(fd);
    return fd;
}

/* A socket that has something to read becomes ready once more, for those who wait on it with EPOLLET, when this is set (tcp(7) does not say
 * so; tcp_set_rcvlowat() of Linux since 4.18). It is what it was. */
static void say_ready_again(int fd) {
    int lowest = 1;

    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lowest, sizeof(lowest));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    ssize_t size;

    if (rpc_connection_has_had_its_turn(fd)) {
        say_ready_again(fd);
        errno = EAGAIN;
        return -1;
    }
    size = (ssize_t)syscall(SYS_recvmsg, fd, message, flags);
    if (size > 0)
        rpc_connection_received(fd, message->msg_iov, message->msg_iovlen, (size_t)size);
    return size;
}

/* Something of this file has to be called for the linker to take it from its library. */
void rpc_sockets_guard(void) {
}
