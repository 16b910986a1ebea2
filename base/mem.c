#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *pointer, size_t size) {
    if (!pointer && size) {
        fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
    }
    return pointer;
}

void *xmalloc(size_t size) {
    return checked(malloc(size ? size : 1), size);
}

void *xcalloc(size_t count, size_t size) {
    return checked(calloc(count ? count : 1, size ? size : 1), size);
}

void *xreallocarray(void *pointer, size_t count, size_t size) {
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        fprintf(stderr, "out of memory: %zu * %zu bytes\n", count, size);
        abort();
    }
    return checked(realloc(pointer, bytes ? bytes : 1), bytes);
}

char *xstrdup(const char *string) {
    return string ? xmemdup0(string, strlen(string)) : NULL;
}

char *xmemdup0(const void *bytes, size_t size) {
    char *copy = xmalloc(size + 1);

    if (size)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

char *xvasprintf(const char *format, va_list args) {
    char *string = NULL;

    if (vasprintf(&string, format, args) < 0)
        string = NULL;
    return checked(string, 1);
}

char *xasprintf(const char *format, ...) {
    va_list args;
    char *string;

    va_start(args, format);
    string = xvasprintf(format, args);
    va_end(args);
    return string;
}

void freep(void *pointer_to_pointer) {
    free(*(void **)pointer_to_pointer);
}
