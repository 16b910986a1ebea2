/* gRPC 1.51 closes a listening socket for good at the first accept4() that fails, which is when the process has no descriptor left
 * (CVE-2023-4785; Debian 12 has that version): whoever opens enough connections would take the port away from everybody until the daemon is
 * started anew. It offers no place to intervene. So the program has an accept4() of its own, which the dynamic linker prefers to libc's in
 * all shared libraries. It fails like one that found nobody, and keeps an eighth of the descriptors for files and processes by closing
 * connections that would take one of those: numbers are given out from the lowest free one up, so a high number means that many are open. */
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

int accept4(int listener, struct sockaddr *address, socklen_t *size, int flags) {
    socklen_t room = size ? *size : 0;

    for (;;) {
        int fd;

        if (size)
            *size = room;
        fd = (int)syscall(SYS_accept4, listener, address, size, flags);
        if (fd >= 0 && fd < highest_descriptor())
            return fd;
        if (fd >= 0)
            close(fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            errno = EAGAIN; /* those who wait are looked at again when the next one comes */
        /* What is left of ECONNABORTED and the like is one connection that ended before it began (accept(2)). */
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == EBADF || errno == EINVAL || errno == ENOTSOCK))
            return -1;
    }
}

/* Something of this file has to be called for the linker to take it from its library. */
void rpc_accept_guard(void) {
}
