/* JSON's scalars (RFC 8259). Any thread. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

/* A string in quotes. What is not UTF-8 in it becomes U+FFFD. */
void json_add_string(struct buf *out, const char *text);
/* Whole numbers without an exponent, since readers make integers of those; infinities and NaN as null. */
void json_add_number(struct buf *out, double number);

#endif
