#include "jobserver/native/image.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum native_sdk sdk;
    bool has_language_version;
} sdks[] = {
    {"python", NATIVE_PYTHON, true},
    {"java", NATIVE_JAVA, true},
    {"go", NATIVE_GO, false},
    {"typescript", NATIVE_TYPESCRIPT, false},
};

/* Up to a slash, if that is a registry: it holds a dot or a port, or is "localhost". */
static const char *skip_registry(const char *name) {
    const char *slash = strchr(name, '/');
    size_t size = slash ? (size_t)(slash - name) : 0;

    if (slash && (memchr(name, '.', size) || memchr(name, ':', size) || strncmp(name, "localhost/", size + 1) == 0))
        return slash + 1;
    return name;
}

static const char *skip(const char *text, const char *prefix) {
    return text && strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

/* Of digits and dots, and of a version's letters where `is_tag`. NULL: nothing there, or too long. */
static const char *take_version(const char *text, bool is_tag, char *out, size_t out_size) {
    size_t size = 0;

    while (isdigit((unsigned char)text[size]) || text[size] == '.' ||
           (is_tag && (isalnum((unsigned char)text[size]) || strchr("+_-", text[size])) && text[size]))
        size++;
    if (size == 0 || size >= out_size)
        return NULL;
    memcpy(out, text, size);
    out[size] = '\0';
    return text + size;
}

static bool parse(const char *name, struct native_image *image) {
    const char *rest = skip(skip_registry(name), "apache/beam_");

    for (size_t i = 0; rest && i < ARRAY_COUNT(sdks); i++) {
        const char *at = skip(rest, sdks[i].name), *tag;

        if (!at)
            continue;
        image->sdk = sdks[i].sdk;
        if (sdks[i].has_language_version)
            at = take_version(at, false, image->language_version, sizeof(image->language_version));
        at = skip(at, "_sdk");
        tag = skip(at, "_distroless:");
        tag = tag ? tag : skip(at, ":");
        /* A version begins with a digit; "latest" says nothing. */
        if (!tag || !isdigit((unsigned char)*tag))
            return false;
        tag = take_version(tag, true, image->beam_version, sizeof(image->beam_version));
        return tag && *tag == '\0';
    }
    return false;
}

int native_image_parse(const char *name, struct native_image *ret, struct status *st) {
    struct native_image image = {0};

    if (!parse(name, &image))
        return status_set(st, STATUS_UNIMPLEMENTED,
                          "the image %.500s is none of Beam's own (apache/beam_pythonX.Y_sdk:VERSION, "
                          "apache/beam_javaN_sdk:VERSION, apache/beam_go_sdk:VERSION, "
                          "apache/beam_typescript_sdk:VERSION), so that nothing is known of what it would start",
                          name);
    *ret = image;
    return 0;
}
