/* HTTP: routes to the methods of the inspection, to what can be done with a job, and to the page's files. */
#include <stdlib.h>
#include <string.h>

#include "jobserver/host.h"
#include "jobserver/inspection/internal.h"
#include "web/resources.h"
#include "wire/json.h"

static const char json_type[] = "application/json";

/* ---- answers ---- */

static const struct {
    enum status_code code;
    unsigned http;
} http_codes[] = {
    {STATUS_INVALID_ARGUMENT, 400}, {STATUS_UNAUTHENTICATED, 401},    {STATUS_PERMISSION_DENIED, 403},
    {STATUS_NOT_FOUND, 404},        {STATUS_ALREADY_EXISTS, 409},     {STATUS_FAILED_PRECONDITION, 409},
    {STATUS_ABORTED, 409},          {STATUS_RESOURCE_EXHAUSTED, 429}, {STATUS_UNIMPLEMENTED, 501},
    {STATUS_UNAVAILABLE, 503},      {STATUS_DEADLINE_EXCEEDED, 504},
};

static unsigned http_code(enum status_code code) {
    for (size_t i = 0; i < ARRAY_COUNT(http_codes); i++)
        if (http_codes[i].code == code)
            return http_codes[i].http;
    return 500;
}

/* {"error": {"code": "NOT_FOUND", "message": "..."}} */
static void answer_error(struct http_response *response, unsigned code, const char *name, const char *message) {
    struct buf out = {0};

    buf_printf(&out, "{\"error\":{\"code\":");
    json_add_string(&out, name);
    buf_printf(&out, ",\"message\":");
    json_add_string(&out, message);
    buf_printf(&out, "}}\n");
    response->code = code;
    response->content_type = json_type;
    response->body = buf_finish(&out);
}

static void answer_status(struct http_response *response, const struct status *st) {
    answer_error(response, http_code(st->code), status_code_name(st->code), status_message(st));
}

static void answer_message(struct http_response *response, const ProtobufCMessage *message) {
    struct buf out = {0};

    json_add_message(&out, message);
    buf_add(&out, "\n", 1);
    response->content_type = json_type;
    response->body = buf_finish(&out);
}

/* ---- what is asked ---- */

/* "/jobs/{job_id}/graph": a piece in braces is the field of that name. */
struct route {
    const char *path;
    const char *method;   /* of inspection_methods; NULL: */
    inspection_fn change; /* a POST */
    const ProtobufCMessageDescriptor *request;
};

static int cancel(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                  ProtobufCMessage **ret, struct status *st);
static int drain(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                 ProtobufCMessage **ret, struct status *st);

static const struct route routes[] = {
    {.path = "/api/v1/server", .method = "GetServer"},
    {.path = "/api/v1/jobs", .method = "ListJobs"},
    {.path = "/api/v1/jobs/{job_id}", .method = "GetJob"},
    {.path = "/api/v1/jobs/{job_id}/graph", .method = "GetGraph"},
    {.path = "/api/v1/jobs/{job_id}/messages", .method = "ListMessages"},
    {.path = "/api/v1/jobs/{job_id}/metrics", .method = "GetMetrics"},
    {.path = "/api/v1/jobs/{job_id}/samples", .method = "SampleElements"},
    {.path = "/api/v1/jobs/{job_id}/workers/{worker_id}/status", .method = "GetWorkerStatus"},
    {.path = "/api/v1/jobs/{job_id}/cancel", .change = cancel, .request = &trestle__v1__get_job_request__descriptor},
    {.path = "/api/v1/jobs/{job_id}/drain", .change = drain, .request = &trestle__v1__get_job_request__descriptor},
};

static int cancel(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                  ProtobufCMessage **ret, struct status *st) {
    struct job *job;
    int r = catalogue_find_job(inspection->options.catalogue, ((const Trestle__V1__GetJobRequest *)request)->job_id,
                               &job, st);

    if (r < 0)
        return r;
    host_cancel_job(inspection->options.host, job, "the job was cancelled from the web page");
    job_unref(job);
    return inspect_job(inspection, request, arena, ret, st);
}

static int drain(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                 ProtobufCMessage **ret, struct status *st) {
    struct job *job;
    int r = catalogue_find_job(inspection->options.catalogue, ((const Trestle__V1__GetJobRequest *)request)->job_id,
                               &job, st);

    if (r < 0)
        return r;
    r = host_drain_job(inspection->options.host, job, st);
    job_unref(job);
    return r < 0 ? r : inspect_job(inspection, request, arena, ret, st);
}

/* Whether the path is one of the route's. With a message, fields that the path names are set. */
static bool match(const char *route, const char *path, ProtobufCMessage *message, struct arena *arena) {
    while (*route && *path) {
        if (*route == '{') {
            size_t name_size = strcspn(++route, "}"), size = strcspn(path, "/");
            char name[32];

            if (size == 0)
                return false;
            memcpy(name, route, name_size);
            name[name_size] = '\0';
            if (message)
                inspection_set_field(message,
                                     protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name),
                                     arena_copy(arena, path, size), arena, NULL);
            route += name_size + 1;
            path += size;
        } else if (*route++ != *path++) {
            return false;
        }
    }
    return *route == *path;
}

static int read_query(const struct http_request *request, ProtobufCMessage *message, struct arena *arena,
                      struct status *st) {
    int r = 0;

    for (unsigned i = 0; i < message->descriptor->n_fields && r == 0; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *text = http_request_query(request, field->name);

        if (text)
            r = inspection_set_field(message, field, text, arena, st);
    }
    return r;
}

static int run(struct inspection *inspection, const struct route *route, const struct http_request *request,
               struct arena *arena, ProtobufCMessage **ret, struct status *st) {
    const struct inspection_method *method = route->method ? inspection_find_method(route->method) : NULL;
    const ProtobufCMessageDescriptor *type = method ? method->request : route->request;
    ProtobufCMessage *message = arena_zalloc(arena, type->sizeof_message);
    int r;

    protobuf_c_message_init(type, message);
    r = read_query(request, message, arena, st);
    if (r < 0)
        return r;
    match(route->path, http_request_path(request), message, arena);
    return (method ? method->run : route->change)(inspection, message, arena, ret, st);
}

static void serve_route(struct inspection *inspection, const struct route *route, const struct http_request *request,
                        struct http_response *response) {
    CLEANUP_STATUS struct status st = {0};
    struct arena arena = {0};
    ProtobufCMessage *message;
    const char *wanted = route->method ? "GET" : "POST";

    if (strcmp(http_request_method(request), wanted) != 0) {
        answer_error(response, 405, "METHOD_NOT_ALLOWED", route->method ? "this is read with GET" : "this needs POST");
        response->allow = route->method ? "GET, HEAD" : "POST";
    } else if (run(inspection, route, request, &arena, &message, &st) < 0) {
        answer_status(response, &st);
    } else {
        answer_message(response, message);
    }
    arena_clear(&arena);
}

static bool serve_file(const char *path, struct http_response *response) {
    for (size_t i = 0; i < web_resource_count; i++) {
        const struct web_resource *resource = &web_resources[i];

        if (strcmp(resource->path, path) != 0)
            continue;
        response->body = slice_of_static(resource->bytes, resource->size);
        response->content_type = resource->content_type;
        response->etag = resource->etag;
        return true;
    }
    return false;
}

/* ---- for those who watch the daemon ---- */

static void answer_text(struct http_response *response, unsigned code, const char *text) {
    response->code = code;
    response->content_type = "text/plain; charset=utf-8";
    response->body = slice_copy(text, strlen(text), NULL);
}

static void serve_metrics(struct inspection *inspection, struct http_response *response) {
    struct buf out = {0};

    inspection_expose(inspection, &out);
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    response->body = buf_finish(&out);
}

/* The process serves, or this would not run. */
static void serve_health(struct inspection *inspection, struct http_response *response) {
    (void)inspection;
    answer_text(response, HTTP_OK, "ok\n");
}

static void serve_readiness(struct inspection *inspection, struct http_response *response) {
    const char *why;

    if (inspection_is_ready(inspection, &why))
        answer_text(response, HTTP_OK, "ready\n");
    else
        answer_text(response, 503, why);
}

static const struct {
    const char *path;
    void (*serve)(struct inspection *inspection, struct http_response *response);
    bool is_for_everyone;
} probes[] = {
    {"/metrics", serve_metrics, false},
    {"/healthz", serve_health, true},
    {"/readyz", serve_readiness, true},
};

bool inspection_is_for_everyone(const struct http_request *request) {
    for (size_t i = 0; i < ARRAY_COUNT(probes); i++)
        if (probes[i].is_for_everyone && strcmp(probes[i].path, http_request_path(request)) == 0)
            return strcmp(http_request_method(request), "GET") == 0;
    return false;
}

static bool serve_probe(struct inspection *inspection, const char *path, struct http_response *response) {
    for (size_t i = 0; i < ARRAY_COUNT(probes); i++)
        if (strcmp(probes[i].path, path) == 0) {
            probes[i].serve(inspection, response);
            return true;
        }
    return false;
}

void inspection_serve_http(void *context, const struct http_request *request, struct http_response *ret_response) {
    const char *path = http_request_path(request);
    CLEANUP(freep) char *why = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(routes); i++)
        if (match(routes[i].path, path, NULL, NULL)) {
            serve_route(context, &routes[i], request, ret_response);
            return;
        }
    if (serve_probe(context, path, ret_response) || serve_file(path, ret_response))
        return;
    why = xasprintf("there is nothing at %.200s", path);
    answer_error(ret_response, 404, "NOT_FOUND", why);
}
