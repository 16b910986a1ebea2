#include "http/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* The host of HOST[:PORT] or [IPv6][:PORT], without brackets. False: it is too long to be one of ours. */
static bool host_name(const char *host, char *out, size_t size) {
    size_t length;

    if (host[0] == '[')
        length = strcspn(++host, "]");
    else
        length = strcspn(host, ":");
    if (length == 0 || length >= size)
        return false;
    memcpy(out, host, length);
    out[length] = '\0';
    return true;
}

/* Nobody can make an address point elsewhere. */
static bool is_ip_address(const char *name) {
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static bool is_listed(const char *name, const char *names) {
    size_t size = strlen(name);

    while (*names) {
        size_t length = strcspn(names, " ,\t");

        if (length == size && strncasecmp(names, name, size) == 0)
            return true;
        names += length + (names[length] != '\0');
    }
    return false;
}

bool http_host_is_ours(const char *host, const char *names) {
    char name[256];

    return host && host_name(host, name, sizeof(name)) &&
           (is_ip_address(name) || strcasecmp(name, "localhost") == 0 || is_listed(name, names));
}

/* "http://HOST" where HOST is the one that was asked; behind a proxy that ends TLS it is https. */
static bool is_same_origin(const struct http_origin *request) {
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        size_t length = strlen(schemes[i]);

        if (strncmp(request->origin, schemes[i], length) == 0 &&
            strcasecmp(request->origin + length, request->host) == 0)
            return true;
    }
    return false;
}

const char *http_refuse_change(const struct http_origin *request) {
    static const char json[] = "application/json";

    if (request->fetch_site && strcmp(request->fetch_site, "same-origin") != 0 &&
        strcmp(request->fetch_site, "none") != 0)
        return "the request comes from another site's page";
    if (request->origin && !is_same_origin(request))
        return "the request comes from a page of another origin";
    /* What a form cannot send without the browser asking first, which is refused (405). */
    if (!request->content_type || strncasecmp(request->content_type, json, sizeof(json) - 1) != 0)
        return "a request that changes something needs the header Content-Type: application/json";
    return NULL;
}
