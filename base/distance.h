/* How far one word is from another, for "did you mean". */
#ifndef BASE_DISTANCE_H
#define BASE_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>

/* Characters to insert, delete, replace or swap with the next one (optimal string alignment); more than `most` is told as most + 1. */
size_t text_distance(const char *a, const char *b, size_t most);
/* Whether one is likely a slip of the other: at most one change in every three characters, and two in all. */
bool text_is_near(const char *a, const char *b);

#endif
