#include "base/distance.h"

#include <string.h>

#include "base/mem.h"

enum { MAX_WORD = 64, MAX_SLIPS = 2 };

size_t text_distance(const char *a, const char *b, size_t most) {
    size_t rows[3][MAX_WORD + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    size_t a_size = strlen(a), b_size = strlen(b);

    if (a_size > MAX_WORD || b_size > MAX_WORD)
        return most + 1;
    for (size_t j = 0; j <= b_size; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *oldest = before;

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        before = above;
        above = row;
        row = oldest;
    }
    return MIN(above[b_size], most + 1);
}

bool text_is_near(const char *a, const char *b) {
    size_t most = MIN(MAX(strlen(a), strlen(b)) / 3, (size_t)MAX_SLIPS);

    return text_distance(a, b, most) <= most;
}
