#include "http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "http/guard.h"

enum {
    MAX_CONNECTIONS = 128,
    MAX_BODY_BYTES = 64 * 1024,
    IDLE_TIMEOUT_S = 30,
    REQUEST_TIMEOUT_S = 60,
    CONNECTION_BYTES = 32 * 1024, /* of memory for a request's line and headers */
    BACKLOG = 128,
    /* Beyond max_connections: at its own limit libmicrohttpd no longer accepts, and nobody would look for those that are slow. */
    SPARE_CONNECTIONS = 8,
};

static const char content_security_policy[] =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct http_server {
    struct http_server_options options;
    char *address;
    char *hosts;
    int fd;
    struct MHD_Daemon *daemon;
    struct list connections; /* of struct connection; libmicrohttpd's thread alone, as the next */
    unsigned connection_count;
    pthread_mutex_t mutex;
    pthread_cond_t emptied;
    size_t running; /* handlers */
    bool is_stopping;
};

/* What is known of a socket. A request that takes its time byte by byte is never idle: its time is taken here. */
struct connection {
    struct list node;
    int fd;
    int64_t began_ns; /* what is under way, the wait for the next request included */
    bool is_idle;     /* nothing was asked since the last answer */
};

enum request_step { REQUEST_READING, REQUEST_RUNNING, REQUEST_DONE };

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    enum request_step step;
    char *method;
    char *path;
    struct buf body;
    struct http_response response;
};

/* ---- the socket ---- */

static int open_socket(const struct addrinfo *info) {
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol), on = 1,
        error;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

/* The host of HOST:PORT, without brackets; the caller's to free. */
static char *host_of(const char *address, const char *colon) {
    if (address[0] == '[')
        return xmemdup0(address + 1, (size_t)(colon - address) - 2);
    return xmemdup0(address, (size_t)(colon - address));
}

static unsigned port_of(int fd) {
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    char port[NI_MAXSERV] = "0";

    getsockname(fd, (struct sockaddr *)&bound, &size);
    getnameinfo((struct sockaddr *)&bound, size, NULL, 0, port, sizeof(port), NI_NUMERICSERV);
    return (unsigned)strtoul(port, NULL, 10);
}

static int listen_on(struct http_server *server, const char *address, struct status *st) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *infos;
    const char *colon = strrchr(address, ':');
    CLEANUP(freep) char *host = NULL;
    int error, fd = -EADDRNOTAVAIL;

    if (!colon || strncmp(address, "unix:", 5) == 0)
        return status_set(st, STATUS_INVALID_ARGUMENT, "cannot serve HTTP on \"%s\": write HOST:PORT", address);
    host = host_of(address, colon);
    error = getaddrinfo(host, colon + 1, &hints, &infos);
    if (error)
        return status_set(st, STATUS_INVALID_ARGUMENT, "cannot serve HTTP on %s: %s", address, gai_strerror(error));
    for (const struct addrinfo *info = infos; info && fd < 0; info = info->ai_next)
        fd = open_socket(info);
    freeaddrinfo(infos);
    if (fd < 0)
        return status_set_errno(st, -fd, "cannot serve HTTP on %s", address);
    server->fd = fd;
    server->address = xasprintf("%.*s:%u", (int)(colon - address), address, port_of(fd));
    return 0;
}

/* ---- answers ---- */

/* In the form that the API's errors have; neither text needs an escape. */
static void refuse(struct http_request *request, unsigned code, const char *name, const char *why) {
    struct buf body = {0};

    buf_printf(&body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n", name, why);
    request->response.code = code;
    request->response.content_type = "application/json";
    request->response.body = buf_finish(&body);
    request->step = REQUEST_DONE;
}

static void free_body(void *cls) {
    slice_unref(cls);
    free(cls);
}

static void add_headers(struct MHD_Response *out, const struct http_response *response) {
    static const char *const headers[][2] = {
        {"Content-Security-Policy", content_security_policy},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(headers); i++)
        MHD_add_response_header(out, headers[i][0], headers[i][1]);
    MHD_add_response_header(out, MHD_HTTP_HEADER_CACHE_CONTROL, response->etag ? "no-cache" : "no-store");
    if (response->etag)
        MHD_add_response_header(out, MHD_HTTP_HEADER_ETAG, response->etag);
    if (response->content_type)
        MHD_add_response_header(out, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
    if (response->authenticate)
        MHD_add_response_header(out, MHD_HTTP_HEADER_WWW_AUTHENTICATE, response->authenticate);
    if (response->allow)
        MHD_add_response_header(out, MHD_HTTP_HEADER_ALLOW, response->allow);
}

static const char *header(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* The client has that version already. */
static bool is_known(const struct http_request *request) {
    const char *known = header(request->connection, MHD_HTTP_HEADER_IF_NONE_MATCH);

    return known && request->response.etag && strstr(known, request->response.etag);
}

static enum MHD_Result answer(struct http_request *request) {
    struct http_response *response = &request->response;
    unsigned code = response->code ? response->code : HTTP_OK;
    struct slice *body = xmalloc(sizeof(*body));
    struct MHD_Response *out;
    enum MHD_Result result;

    *body = response->body;
    response->body = SLICE_EMPTY;
    if (is_known(request)) {
        code = MHD_HTTP_NOT_MODIFIED;
        slice_unref(body);
    }
    out = MHD_create_response_from_buffer_with_free_callback_cls(body->size, (void *)body->data, free_body, body);
    if (!out) {
        free_body(body);
        return MHD_NO;
    }
    add_headers(out, response);
    result = MHD_queue_response(request->connection, code, out);
    MHD_destroy_response(out);
    return result;
}

/* ---- requests ---- */

const char *http_request_method(const struct http_request *request) {
    return strcmp(request->method, MHD_HTTP_METHOD_HEAD) == 0 ? MHD_HTTP_METHOD_GET : request->method;
}

const char *http_request_path(const struct http_request *request) {
    return request->path;
}

const char *http_request_query(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct slice http_request_body(const struct http_request *request) {
    return slice_of_static(buf_data(&request->body), request->body.size);
}

/* Pool. */
static void run_handler(void *user) {
    struct http_request *request = user;
    struct http_server *server = request->server;

    server->options.handler(server->options.context, request, &request->response);
    request->step = REQUEST_DONE;
    MHD_resume_connection(request->connection);
    pthread_mutex_lock(&server->mutex);
    if (--server->running == 0)
        pthread_cond_broadcast(&server->emptied);
    pthread_mutex_unlock(&server->mutex);
}

/* False: the server is about to stop. */
static bool start_handler(struct http_request *request) {
    struct http_server *server = request->server;
    bool is_stopping;

    pthread_mutex_lock(&server->mutex);
    is_stopping = server->is_stopping;
    server->running += !is_stopping;
    pthread_mutex_unlock(&server->mutex);
    if (is_stopping)
        return false;
    request->step = REQUEST_RUNNING;
    MHD_suspend_connection(request->connection);
    pool_run(server->options.pool, run_handler, request);
    return true;
}

static bool is_reading(const char *method) {
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

static bool is_too_long(const struct http_request *request) {
    const char *length = header(request->connection, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return length && strtoull(length, NULL, 10) > request->server->options.max_body_bytes;
}

static bool is_admitted(const struct http_request *request) {
    const struct http_server_options *options = &request->server->options;

    return !options->admit ||
           options->admit(options->admit_context, request, header(request->connection, MHD_HTTP_HEADER_AUTHORIZATION));
}

/* Everything but the body is there. */
static void check(struct http_request *request) {
    struct http_origin origin = {
        .host = header(request->connection, MHD_HTTP_HEADER_HOST),
        .origin = header(request->connection, MHD_HTTP_HEADER_ORIGIN),
        .fetch_site = header(request->connection, "Sec-Fetch-Site"),
        .content_type = header(request->connection, MHD_HTTP_HEADER_CONTENT_TYPE),
    };
    const char *why;

    if (!http_host_is_ours(origin.host, request->server->hosts)) {
        refuse(request, MHD_HTTP_MISDIRECTED_REQUEST, "MISDIRECTED",
               "this server does not go by the name in the Host header; names are configured as http.hosts");
    } else if (!is_admitted(request)) {
        refuse(request, MHD_HTTP_UNAUTHORIZED, "UNAUTHENTICATED",
               "this server wants a token, as password or as Bearer");
        request->response.authenticate = "Basic realm=\"Trestle\", charset=\"UTF-8\"";
    } else if (is_reading(request->method)) {
        return;
    } else if (strcmp(request->method, MHD_HTTP_METHOD_POST) != 0) {
        refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "only GET, HEAD and POST are served");
        request->response.allow = "GET, HEAD, POST";
    } else if ((why = http_refuse_change(&origin))) {
        refuse(request, MHD_HTTP_FORBIDDEN, "PERMISSION_DENIED", why);
    } else if (is_too_long(request)) {
        refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "RESOURCE_EXHAUSTED", "the request is too large");
    }
}

static struct http_request *request_begin(struct http_server *server, struct MHD_Connection *connection,
                                          const char *path, const char *method) {
    struct http_request *request = xcalloc(1, sizeof(*request));

    request->server = server;
    request->connection = connection;
    request->method = xstrdup(method);
    request->path = xstrdup(path);
    return request;
}

static void request_free(struct http_request *request) {
    slice_unref(&request->response.body);
    buf_clear(&request->body);
    free(request->path);
    free(request->method);
    free(request);
}

static struct connection *connection_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* libmicrohttpd's thread, as the next three. First with the headers, then with each piece of the body, at its end, and once more when it was
 * resumed. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **slot) {
    struct http_request *request = *slot;

    (void)version;
    if (!request) {
        *slot = request = request_begin(user, connection, url, method);
        check(request);
        return request->step == REQUEST_DONE ? answer(request) : MHD_YES;
    }
    if (*upload_size) {
        if (request->body.size + *upload_size > request->server->options.max_body_bytes)
            return MHD_NO;
        buf_add(&request->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (request->step == REQUEST_DONE)
        return answer(request);
    return start_handler(request) ? MHD_YES : MHD_NO;
}

static void on_completed(void *user, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode why) {
    struct connection *connection = connection_of(mhd);

    (void)user;
    (void)why;
    if (connection) {
        connection->began_ns = monotonic_now_ns();
        connection->is_idle = true;
    }
    if (*slot)
        request_free(*slot);
    *slot = NULL;
}

/* The first that is known of a request: its line is there. */
static void *on_line(void *user, const char *uri, struct MHD_Connection *mhd) {
    struct connection *connection = connection_of(mhd);

    (void)user;
    (void)uri;
    if (connection && connection->is_idle) {
        connection->began_ns = monotonic_now_ns();
        connection->is_idle = false;
    }
    return NULL;
}

/* Those that take too long make room, now that somebody needs it. */
static void shut_slow(struct http_server *server) {
    int64_t oldest_ns = monotonic_now_ns() - server->options.request_timeout_s * INT64_C(1000000000);

    list_foreach (node, &server->connections) {
        struct connection *connection = CONTAINER_OF(node, struct connection, node);

        if (connection->began_ns < oldest_ns)
            shutdown(connection->fd, SHUT_RDWR);
    }
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode what) {
    struct http_server *server = user;
    struct connection *connection = *slot;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        list_remove(&connection->node);
        free(connection);
        *slot = NULL;
        server->connection_count--;
        return;
    }
    shut_slow(server);
    *slot = connection = xcalloc(1, sizeof(*connection));
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->began_ns = monotonic_now_ns();
    list_append(&server->connections, &connection->node);
    if (++server->connection_count > server->options.max_connections)
        shutdown(connection->fd, SHUT_RDWR);
}

/* ---- the server ---- */

static void set_defaults(struct http_server_options *options) {
    if (!options->max_connections)
        options->max_connections = MAX_CONNECTIONS;
    if (!options->max_body_bytes)
        options->max_body_bytes = MAX_BODY_BYTES;
    if (!options->idle_timeout_s)
        options->idle_timeout_s = IDLE_TIMEOUT_S;
    if (!options->request_timeout_s)
        options->request_timeout_s = REQUEST_TIMEOUT_S;
}

static int start(struct http_server *server, struct status *st) {
    const struct http_server_options *options = &server->options;
    int r = listen_on(server, options->address, st);

    if (r < 0)
        return r;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, server->fd, MHD_OPTION_CONNECTION_LIMIT, options->max_connections + SPARE_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_URI_LOG_CALLBACK, on_line, server, MHD_OPTION_END);
    if (!server->daemon)
        return status_set(st, STATUS_INTERNAL, "cannot serve HTTP on %s: libmicrohttpd does not start",
                          server->address);
    server->fd = -1; /* libmicrohttpd's */
    return 0;
}

int http_server_start(const struct http_server_options *options, struct http_server **ret, struct status *st) {
    struct http_server *server = xcalloc(1, sizeof(*server));
    int r;

    server->options = *options;
    set_defaults(&server->options);
    server->hosts = xstrdup(options->hosts ? options->hosts : "");
    server->fd = -1;
    list_init(&server->connections);
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->emptied, NULL);
    r = start(server, st);
    server->options.address = NULL; /* the caller's */
    if (r < 0)
        http_server_stop(server);
    else
        *ret = server;
    return r;
}

const char *http_server_address(const struct http_server *server) {
    return server->address;
}

void http_server_stop(struct http_server *server) {
    if (!server)
        return;
    if (server->daemon) {
        int fd = MHD_quiesce_daemon(server->daemon);

        /* Connections that are suspended must be resumed before the end. */
        pthread_mutex_lock(&server->mutex);
        server->is_stopping = true;
        while (server->running)
            pthread_cond_wait(&server->emptied, &server->mutex);
        pthread_mutex_unlock(&server->mutex);
        MHD_stop_daemon(server->daemon);
        if (fd >= 0)
            close(fd);
    }
    if (server->fd >= 0)
        close(server->fd);
    pthread_cond_destroy(&server->emptied);
    pthread_mutex_destroy(&server->mutex);
    free(server->hosts);
    free(server->address);
    free(server);
}
