/* The web page of a daemon under test, asked by hand. */
#ifndef HARNESS_PAGE_H
#define HARNESS_PAGE_H

#include "daemon.h"

/* A connection to it. Aborts the test when there is no page, which the daemon's log tells. */
int page_connect(const struct daemon_process *daemon);
/* One request on a connection of its own; `headers` are further ones, each with its \r\n. The whole answer from its first line on; the caller's to
 * free. */
char *page_ask(const struct daemon_process *daemon, const char *method, const char *path, const char *headers);

#endif
