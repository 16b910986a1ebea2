/* What the service manager is told, by systemd's notification protocol (sd_notify(3)): datagrams of "KEY=VALUE" lines to the socket that $NOTIFY_SOCKET
 * names. Without one nothing is sent and nothing fails.
 *
 * One thread. */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include <stdint.h>

#include "base/status.h"

struct notify {
    int fd;                 /* connected; negative: nobody listens */
    uint64_t watchdog_usec; /* a sign of life is wanted within this time (sd_watchdog_enabled(3)); 0: none is */
};

/* Takes $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID out of the environment, so that no child finds them: before anything is forked. An
 * address that nobody can send to is an error, since the service manager would wait for ever. */
int notify_open(struct notify *ret, struct status *st);
void notify_close(struct notify *notify);

void notify_send(const struct notify *notify, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
