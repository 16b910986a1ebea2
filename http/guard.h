/* Whether a request may be answered: what browsers say of where it comes from. See http.h for the rules. Any thread. */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <stdbool.h>

/* As sent; NULL: the header is not there. */
struct http_origin {
    const char *host;
    const char *origin;
    const char *fetch_site;
    const char *content_type;
};

/* Whether `host` (a Host header) is an IP address, localhost or one of `names`, with blanks or commas between them. */
bool http_host_is_ours(const char *host, const char *names);
/* NULL: a request that changes something may be done; else why not. */
const char *http_refuse_change(const struct http_origin *request);

#endif
