/* An HTTP/1.1 server of a few resources: libmicrohttpd as one C object. No Beam word in here.
 *
 *      connection --(libmicrohttpd's thread)--> checked --> suspended --(pool)--> handler --> resumed, answered
 *
 * The handler may wait: it runs on a thread of the pool, and every other connection goes on meanwhile.
 *
 * What never reaches the handler (RFC 9110 names the codes):
 *   421  a Host that is no name of ours: neither an IP address nor localhost nor one of `hosts`. So a page of somebody else's whose name was made to
 *        point here (DNS rebinding) reads nothing.
 *   401  a request that `admit` did not want; browsers then ask for a name and a password
 *   403  a request that changes something (not GET or HEAD) and that another site's page may have sent: Sec-Fetch-Site or Origin say so, or it
 *        is one that a form could send, without `Content-Type: application/json`.
 *   405  a method that is none of GET, HEAD, POST
 *   413  a Content-Length of more than max_body_bytes; a connection that sends more without having said so is closed
 *
 * Bounded: connections, the bytes of a request's headers, its body, the time in which a connection is silent, and the time that one request may take to
 * come and its answer to go. Every answer forbids scripts, styles and frames of others (Content-Security-Policy).
 *
 * http_server_* belong to one thread. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/slice.h"
#include "base/status.h"

struct http_server;
struct http_request;

enum { HTTP_OK = 200 };

/* Zero-initialised: 200 and nothing. Strings are static or live as long as the server. */
struct http_response {
    unsigned code;
    struct slice body; /* the server's from then on */
    const char *content_type;
    const char *
        etag; /* with its quotes; NULL: the answer is not kept by anyone. An If-None-Match of it makes a 304 of the answer */
    const char *allow;        /* with 405 */
    const char *authenticate; /* with 401 */
};

/* Whether the sender of this Authorization header (NULL: there was none) may ask for this. Method and path are there, the body is not. On
 * libmicrohttpd's thread; must not block. */
typedef bool (*http_admit_fn)(void *context, const struct http_request *request, const char *authorization);
/* On a thread of the pool. */
typedef void (*http_handler_fn)(void *context, const struct http_request *request, struct http_response *ret_response);

struct http_server_options {
    const char *address; /* HOST:PORT or [IPv6]:PORT; port 0: the system picks */
    const char *hosts;   /* further names it goes by, with blanks or commas between them */
    struct pool *pool;
    unsigned max_connections;   /* 0: 128 */
    size_t max_body_bytes;      /* 0: 64 KiB */
    unsigned idle_timeout_s;    /* 0: 30 */
    unsigned request_timeout_s; /* 0: 60 */
    http_handler_fn handler;
    void *context;
    http_admit_fn admit; /* NULL: everybody may */
    void *admit_context;
};

/* Listens and serves. Options are copied but for the context. Errors name the address. */
int http_server_start(const struct http_server_options *options, struct http_server **ret, struct status *st);
/* HOST:PORT, with the port that the system picked if it was to. */
const char *http_server_address(const struct http_server *server);
/* Accepts nothing more, waits for handlers that run, closes the connections, frees. The pool lives. NULL is fine. */
void http_server_stop(struct http_server *server);

/* "GET" (also of a HEAD) or "POST". */
const char *http_request_method(const struct http_request *request);
/* Decoded, with its first slash, without the query. */
const char *http_request_path(const struct http_request *request);
/* The decoded value in the query; NULL: there is none of that name. */
const char *http_request_query(const struct http_request *request, const char *name);
struct slice http_request_body(const struct http_request *request);

#endif
