/* Bearer tokens: who may use the Job API. A file with a line for each,
 *
 *      NAME:SALT:HASH        alice:5f2c...:9b41...
 *
 * where NAME says whose token it is (letters, digits, . _ - @), SALT is 32 hexadecimal digits and HASH the 64 of sha256(salt bytes, token).
 * Blank lines and lines that begin with # say nothing. One hash is enough because tokens are made here, of 256 random bits: there is nothing
 * to guess them by, as there is with passwords; the salt keeps equal tokens from looking equal.
 *
 * Immutable once loaded; any thread. */
#ifndef JOBSERVER_TOKENS_H
#define JOBSERVER_TOKENS_H

#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"

enum { TOKENS_MAX = 1000 }; /* lines: each is tried for each call */

struct tokens;

/* With a reference for the caller. Errors name file and line. */
int tokens_load(const char *path, struct tokens **ret, struct status *st);
struct tokens *tokens_ref(struct tokens *tokens);
/* NULL is fine, for both. */
void tokens_unref(struct tokens *tokens);
unsigned tokens_count(const struct tokens *tokens);
/* Whose the value of the metadata or header `authorization` is, borrowed; NULL: nobody's. "Bearer TOKEN", or what browsers make of a token that
 * is typed as a password, "Basic base64(ANYTHING:TOKEN)". Takes the same time for any token. */
const char *tokens_find(const struct tokens *tokens, struct slice authorization);
/* A new token, and the line for the file. The caller frees both. INVALID_ARGUMENT: a name may not be like that. */
int tokens_make(const char *name, char **ret_token, char **ret_line, struct status *st);

#endif
