#include "cli/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "cli/tls_context.h"
#include "jobserver/pem.h"

/* ------------------------------------------------------------------ the token */

/* Printable ASCII without blanks: what a header takes, and no token of ours has more. */
static bool is_token(const char *text) {
    for (const char *at = text; *at; at++)
        if (*at <= ' ' || *at > '~')
            return false;
    return text[0] != '\0';
}

/* The caller frees. */
static char *without_line_ends(const char *text) {
    size_t size = strlen(text);

    while (size > 0 && strchr("\r\n", text[size - 1]))
        size--;
    return xmemdup0(text, size);
}

static int take_token(struct credentials *credentials, const char *text, const char *source, struct status *st) {
    credentials->token = without_line_ends(text);
    credentials->token_source = source;
    if (!is_token(credentials->token))
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s is to hold a token and nothing else", source);
    return 0;
}

static int read_token(struct credentials *credentials, const char *path, struct status *st) {
    char *text = NULL;
    int r = pem_read(path, &text, st);

    if (r == 0)
        r = take_token(credentials, text, path, st);
    pem_erase(&text);
    return r;
}

/* A word counts before a variable, and the token itself before a file that holds it. */
static int load_token(const struct arguments *arguments, struct credentials *credentials, struct status *st) {
    const char *token = arguments_value(arguments, "--token"), *path = arguments_value(arguments, "--token-file");
    bool is_file_given = arguments_is_given(arguments, "--token-file");

    if (is_file_given && arguments_is_given(arguments, "--token"))
        return status_set(st, STATUS_INVALID_ARGUMENT, "--token and --token-file cannot both be given");
    if (token && !is_file_given)
        return take_token(credentials, token, arguments_source(arguments, "--token"), st);
    if (path && read_token(credentials, path, st) < 0)
        return status_prefix(st, "%s", arguments_source(arguments, "--token-file"));
    return 0;
}

/* ------------------------------------------------------------------ TLS */

static int load_ca(const struct arguments *arguments, struct credentials *credentials, struct status *st) {
    const char *path = arguments_value(arguments, "--tls-ca");

    if (path && credentials_trust(credentials, path, st) < 0)
        return status_prefix(st, "%s", arguments_source(arguments, "--tls-ca"));
    return 0;
}

static int load_key(const struct arguments *arguments, struct credentials *credentials, struct status *st) {
    const char *path = arguments_value(arguments, "--tls-key");
    const char *where = path ? path : credentials->certificate_path;

    if (pem_read(where, &credentials->key, st) == 0 &&
        pem_check_pair(credentials->certificate, credentials->certificate_path, credentials->key, where, st) == 0)
        return 0;
    return path ? status_prefix(st, "%s", arguments_source(arguments, "--tls-key"))
                : status_prefix(st, "--tls-key is not given");
}

static int load_certificate(const struct arguments *arguments, struct credentials *credentials, struct status *st) {
    const char *path = arguments_value(arguments, "--tls-cert");

    if (!path && arguments_value(arguments, "--tls-key"))
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s needs --tls-cert, the certificate that the key is of",
                          arguments_source(arguments, "--tls-key"));
    if (!path)
        return 0;
    if (pem_read(path, &credentials->certificate, st) < 0 ||
        pem_check_certificate(credentials->certificate, path, st) < 0)
        return status_prefix(st, "%s", arguments_source(arguments, "--tls-cert"));
    credentials->certificate_path = path;
    credentials->has_tls = true;
    return load_key(arguments, credentials, st);
}

static int load_tls_switch(const struct arguments *arguments, struct credentials *credentials, struct status *st) {
    static const char *const on[] = {"", "1", "yes", "true", "on"}, *const off[] = {"0", "no", "false", "off"};
    const char *text = arguments_value(arguments, "--tls");

    if (!text)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(on); i++)
        if (strcmp(text, on[i]) == 0) {
            credentials->has_tls = true;
            return 0;
        }
    for (size_t i = 0; i < ARRAY_COUNT(off); i++)
        if (strcmp(text, off[i]) == 0)
            return 0;
    return status_set(st, STATUS_INVALID_ARGUMENT, "%s: \"%s\" is neither yes nor no",
                      arguments_source(arguments, "--tls"), text);
}

/* What OpenSSL has against the certificate, if anything. */
static int check_certificate(const struct credentials *credentials, struct status *st) {
    SSL_CTX *context;
    int r = tls_context_create(credentials, &context, st);

    if (r == 0)
        SSL_CTX_free(context);
    return r;
}

static int load(const struct arguments *arguments, struct credentials *credentials, struct status *st) {
    int r = load_token(arguments, credentials, st);

    if (r == 0)
        r = load_tls_switch(arguments, credentials, st);
    if (r == 0)
        r = load_ca(arguments, credentials, st);
    if (r == 0)
        r = load_certificate(arguments, credentials, st);
    if (r == 0 && credentials->certificate)
        r = check_certificate(credentials, st);
    credentials->server_name = arguments_value(arguments, "--tls-server-name");
    credentials->has_tls |= credentials->server_name != NULL;
    return r;
}

int credentials_load(const struct arguments *arguments, struct credentials *ret, struct status *st) {
    struct credentials credentials = {0};
    int r = load(arguments, &credentials, st);

    if (r == 0)
        *ret = credentials;
    else
        credentials_clear(&credentials);
    return r;
}

int credentials_trust(struct credentials *credentials, const char *path, struct status *st) {
    int r = pem_read(path, &credentials->ca, st);

    if (r == 0)
        r = pem_check_certificate(credentials->ca, path, st);
    credentials->ca_path = path;
    credentials->has_tls = true;
    return r;
}

void credentials_clear(struct credentials *credentials) {
    pem_erase(&credentials->token);
    pem_erase(&credentials->ca);
    pem_erase(&credentials->certificate);
    pem_erase(&credentials->key);
}
