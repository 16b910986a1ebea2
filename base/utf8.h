/* UTF-8 (Unicode, table 3-7). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* How many of the `left` bytes from `at` on, at least one, form a valid character other than NUL; 0 when they do not. */
size_t utf8_character_size(const uint8_t *at, size_t left);

#endif
