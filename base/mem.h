/* Memory from the C heap, for callers that cannot go on without it.
 *
 * The x-functions never return NULL: when the system has no memory left they write one line to standard
 * error and abort. Sizes that come from outside are bounded before they reach these functions, so an abort
 * here means that the machine, not the input, is at fault. Any thread may call. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#define PRINTF_LIKE(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CLEANUP(function) __attribute__((cleanup(function)))
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
/* Resizes to count * size bytes; aborts if the product overflows. */
void *xreallocarray(void *pointer, size_t count, size_t size);
char *xstrdup(const char *string);
/* A NUL-terminated copy of `size` bytes. */
char *xmemdup0(const void *bytes, size_t size);
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2);
char *xvasprintf(const char *format, va_list args) PRINTF_LIKE(1, 0);

/* For CLEANUP(freep) on a pointer variable. */
void freep(void *pointer_to_pointer);

#endif
