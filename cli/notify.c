#include "cli/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

/* "/path", or "@name" in the abstract namespace, where the first byte is NUL and the length counts. */
static int parse_address(const char *text, struct sockaddr_un *ret, socklen_t *ret_size, struct status *st) {
    size_t size = strlen(text);

    if (text[0] != '/' && text[0] != '@')
        return status_set(st, STATUS_INVALID_ARGUMENT, "$NOTIFY_SOCKET is %s, which is neither /PATH nor @NAME", text);
    if (size >= sizeof(ret->sun_path))
        return status_set(st, STATUS_INVALID_ARGUMENT, "$NOTIFY_SOCKET has %zu characters, %zu are possible", size,
                          sizeof(ret->sun_path) - 1);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, text, size);
    if (text[0] == '@')
        ret->sun_path[0] = '\0';
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return 0;
}

static int connect_to(const char *text, int *ret, struct status *st) {
    struct sockaddr_un address;
    socklen_t size = 0;
    int fd, r = parse_address(text, &address, &size, st);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) < 0) {
        r = status_set(st, STATUS_UNAVAILABLE, "the service manager's socket %s ($NOTIFY_SOCKET): %s", text,
                       strerror(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    *ret = fd;
    return 0;
}

/* Is it meant for this process, and a number at all? */
static uint64_t watchdog_usec(void) {
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10);
}

int notify_open(struct notify *ret, struct status *st) {
    const char *socket_name = getenv("NOTIFY_SOCKET");
    int r = 0;

    *ret = (struct notify){.fd = -1};
    if (socket_name && socket_name[0]) {
        ret->watchdog_usec = watchdog_usec();
        r = connect_to(socket_name, &ret->fd, st);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return r;
}

void notify_close(struct notify *notify) {
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

void notify_send(const struct notify *notify, const char *format, ...) {
    CLEANUP(freep) char *text = NULL;
    va_list args;

    if (notify->fd < 0)
        return;
    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    if (send(notify->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        log_warning("trestle", "the service manager could not be told \"%s\": %s", text, strerror(errno));
}
