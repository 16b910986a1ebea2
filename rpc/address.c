/* gRPC says only that it could not bind. Worse, it is content when one of several addresses of a name works
 * ("localhost" is two), and it removes the socket of a daemon that listens on a Unix path. So we look first. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc/internal.h"

bool rpc_address_is_unix(const char *address) {
    return strncmp(address, "unix:", strlen("unix:")) == 0;
}

static int check_unix(const char *address, struct status *st) {
    const char *path = address + strlen("unix:");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd, result;

    if (strncmp(path, "//", 2) == 0)
        path += 2;
    if (strlen(path) >= sizeof(name.sun_path))
        return status_set(st, STATUS_INVALID_ARGUMENT, "cannot listen on %s: the path is longer than %zu bytes",
                          address, sizeof(name.sun_path) - 1);
    strcpy(name.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return status_set_errno(st, errno, "cannot listen on %s", address);
    result = connect(fd, (struct sockaddr *)&name, sizeof(name));
    close(fd);
    if (result == 0)
        return status_set_errno(st, EADDRINUSE, "cannot listen on %s", address);
    return 0; /* nobody there, or nothing gRPC could not tell */
}

/* Splits HOST:PORT and [HOST]:PORT. Returns a copy of the host, NULL when it is neither. */
static char *split(const char *address, const char **ret_port) {
    const char *colon = strrchr(address, ':');
    size_t length;

    if (!colon || colon == address || !colon[1])
        return NULL;
    *ret_port = colon + 1;
    length = (size_t)(colon - address);
    if (address[0] == '[' && address[length - 1] == ']')
        return xmemdup0(address + 1, length - 2);
    return memchr(address, ':', length) ? NULL : xmemdup0(address, length);
}

static int try_bind(const struct addrinfo *info) {
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, info->ai_protocol);
    int yes = 1, error = 0;

    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0)
        error = errno;
    close(fd);
    return error;
}

static int check_tcp(const char *address, struct status *st) {
    const char *port = NULL;
    CLEANUP(freep) char *host = split(address, &port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *infos;
    int error, in_use = 0, first = 0;
    bool works = false;

    if (!host)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "cannot listen on %s: not of the form HOST:PORT, [IPV6]:PORT or unix:PATH", address);
    error = getaddrinfo(host, port, &hints, &infos);
    if (error)
        return status_set(st, STATUS_INVALID_ARGUMENT, "cannot listen on %s: %s", address, gai_strerror(error));
    for (struct addrinfo *info = infos; info; info = info->ai_next) {
        error = try_bind(info);
        works |= error == 0;
        first = first ? first : error;
        in_use = error == EADDRINUSE ? error : in_use;
    }
    freeaddrinfo(infos);
    if (in_use || !works)
        return status_set_errno(st, in_use ? in_use : first, "cannot listen on %s", address);
    return 0;
}

int rpc_address_check(const char *address, struct status *st) {
    return rpc_address_is_unix(address) ? check_unix(address, st) : check_tcp(address, st);
}
