#include "jobserver/tokens.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/vec.h"

enum { SALT_BYTES = 16, HASH_BYTES = 32, TOKEN_BYTES = 32, NAME_MAX_BYTES = 100, LINE_MAX_BYTES = 400 };

static const char token_prefix[] = "trestle_"; /* tells scanners for leaked secrets, and people, what it is */

struct entry {
    char *name;
    uint8_t salt[SALT_BYTES];
    uint8_t hash[HASH_BYTES];
};

struct tokens {
    atomic_uint refs;
    VEC(struct entry) entries;
};

/* ------------------------------------------------------------------ hexadecimal, hashes */

static int digit_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly `size` bytes' worth of digits at `text`. */
static bool read_hex(const char *text, uint8_t *out, size_t size) {
    for (size_t i = 0; i < size; i++) {
        int high = digit_of(text[2 * i]), low = high < 0 ? -1 : digit_of(text[2 * i + 1]);

        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void write_hex(char *out, const uint8_t *bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

static void hash_token(const uint8_t salt[SALT_BYTES], const void *token, size_t size, uint8_t ret[HASH_BYTES]) {
    EVP_MD_CTX *digest = EVP_MD_CTX_new();

    if (!digest || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL) || !EVP_DigestUpdate(digest, salt, SALT_BYTES) ||
        !EVP_DigestUpdate(digest, token, size) || !EVP_DigestFinal_ex(digest, ret, NULL))
        abort(); /* a libcrypto without sha256 */
    EVP_MD_CTX_free(digest);
}

/* ------------------------------------------------------------------ the file */

static size_t name_size(const char *text) {
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@");
}

/* NAME:SALT:HASH, without the end of line. */
static bool parse_line(const char *line, struct entry *ret) {
    size_t size = name_size(line);
    const char *salt = line + size + 1, *hash = salt + 2 * SALT_BYTES + 1;

    if (size == 0 || size > NAME_MAX_BYTES || strlen(line) != size + 1 + 2 * SALT_BYTES + 1 + 2 * HASH_BYTES ||
        line[size] != ':' || hash[-1] != ':' || !read_hex(salt, ret->salt, SALT_BYTES) ||
        !read_hex(hash, ret->hash, HASH_BYTES))
        return false;
    ret->name = xmemdup0(line, size);
    return true;
}

static int add_line(struct tokens *tokens, const char *path, unsigned number, char *line, struct status *st) {
    struct entry entry;

    line[strcspn(line, "\r\n")] = '\0';
    if (!line[0] || line[0] == '#')
        return 0;
    if (!parse_line(line, &entry))
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "%s:%u: not a line NAME:SALT:HASH; `trestle token NAME` makes one", path, number);
    vec_push(&tokens->entries, entry);
    if (tokens->entries.count > TOKENS_MAX)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s:%u: more than %d tokens", path, number, TOKENS_MAX);
    return 0;
}

int tokens_load(const char *path, struct tokens **ret, struct status *st) {
    FILE *file = fopen(path, "re");
    struct tokens *tokens;
    char line[LINE_MAX_BYTES];
    int r = 0;

    if (!file)
        return status_set_errno(st, errno, "cannot read the tokens in %s", path);
    tokens = xcalloc(1, sizeof(*tokens));
    atomic_init(&tokens->refs, 1);
    for (unsigned number = 1; r == 0 && fgets(line, sizeof(line), file); number++)
        r = add_line(tokens, path, number, line, st);
    if (r == 0 && ferror(file))
        r = status_set_errno(st, errno, "cannot read the tokens in %s", path);
    fclose(file);
    if (r < 0) {
        tokens_unref(tokens);
        return r;
    }
    *ret = tokens;
    return 0;
}

struct tokens *tokens_ref(struct tokens *tokens) {
    if (tokens)
        atomic_fetch_add_explicit(&tokens->refs, 1, memory_order_relaxed);
    return tokens;
}

void tokens_unref(struct tokens *tokens) {
    if (!tokens || atomic_fetch_sub_explicit(&tokens->refs, 1, memory_order_acq_rel) > 1)
        return;
    vec_foreach (entry, &tokens->entries)
        free(entry->name);
    vec_free(&tokens->entries);
    free(tokens);
}

unsigned tokens_count(const struct tokens *tokens) {
    return (unsigned)tokens->entries.count;
}

/* ------------------------------------------------------------------ what calls carry */

enum { CREDENTIALS_MAX_BYTES = 1024 };

static const char *find(const struct tokens *tokens, const uint8_t *token, size_t size) {
    const char *found = NULL;

    vec_foreach (entry, &tokens->entries) {
        uint8_t hash[HASH_BYTES];

        hash_token(entry->salt, token, size, hash);
        if (CRYPTO_memcmp(hash, entry->hash, sizeof(hash)) == 0)
            found = entry->name;
    }
    return found;
}

/* base64 of USER:PASSWORD (RFC 7617). */
static const char *find_password(const struct tokens *tokens, struct slice encoded) {
    uint8_t text[CREDENTIALS_MAX_BYTES];
    const uint8_t *colon;
    int size;

    if (encoded.size == 0 || encoded.size > CREDENTIALS_MAX_BYTES)
        return NULL;
    size = EVP_DecodeBlock(text, encoded.data, (int)encoded.size);
    if (size < 3)
        return NULL;
    /* It counts what stands for padding as zeros. */
    for (size_t i = encoded.size; i > 0 && encoded.data[i - 1] == '=' && size > 0; i--)
        size--;
    colon = memchr(text, ':', (size_t)size);
    return colon ? find(tokens, colon + 1, (size_t)(text + size - colon - 1)) : NULL;
}

/* Whether it begins with the scheme; *ret is what follows. */
static bool has_scheme(struct slice authorization, const char *scheme, struct slice *ret) {
    size_t size = strlen(scheme);

    if (authorization.size <= size || strncasecmp((const char *)authorization.data, scheme, size) != 0)
        return false;
    *ret = slice_of_static(authorization.data + size, authorization.size - size);
    return true;
}

const char *tokens_find(const struct tokens *tokens, struct slice authorization) {
    struct slice rest;

    if (has_scheme(authorization, "Bearer ", &rest))
        return find(tokens, rest.data, rest.size);
    if (has_scheme(authorization, "Basic ", &rest))
        return find_password(tokens, rest);
    return NULL;
}

int tokens_make(const char *name, char **ret_token, char **ret_line, struct status *st) {
    char token[2 * TOKEN_BYTES + 1], salt_text[2 * SALT_BYTES + 1], hash_text[2 * HASH_BYTES + 1];
    uint8_t random[TOKEN_BYTES], salt[SALT_BYTES], hash[HASH_BYTES];
    size_t size = name_size(name);

    if (size == 0 || size > NAME_MAX_BYTES || name[size])
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "\"%.100s\" cannot name a token: use up to %d letters, digits and . _ - @", name,
                          NAME_MAX_BYTES);
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random) ||
        getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
        abort(); /* cannot fail for so few bytes (getrandom(2)) */
    write_hex(token, random, sizeof(random));
    write_hex(salt_text, salt, sizeof(salt));
    *ret_token = xasprintf("%s%s", token_prefix, token);
    hash_token(salt, *ret_token, strlen(*ret_token), hash);
    write_hex(hash_text, hash, sizeof(hash));
    *ret_line = xasprintf("%s:%s:%s", name, salt_text, hash_text);
    return 0;
}
