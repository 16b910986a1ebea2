#include "jobserver/secrets.h"

#include "base/clock.h"
#include "base/log.h"
#include "jobserver/tls_check.h"

static int load_tls(const struct config *config, struct tls_files *ret, struct status *st) {
    const char *certificate = config->tls_certificate, *key = config->tls_key, *client_ca = config->tls_client_ca;
    struct tls_files files = {0};
    struct tls_validity validity;
    int r = tls_files_load(certificate, key, client_ca, &files, st);

    if (r == 0)
        r = tls_check(&files, certificate, key, client_ca, &validity, st);
    if (r < 0) {
        tls_files_clear(&files);
        return status_prefix(st, "tls");
    }
    tls_tell_validity(&validity, certificate, wall_clock_ms() / 1000);
    *ret = files;
    return 0;
}

int secrets_load(const struct config *config, struct secrets *ret, struct status *st) {
    struct secrets secrets = {0};
    int r = 0;

    if (config->auth_tokens_file[0] && tokens_load(config->auth_tokens_file, &secrets.tokens, st) < 0)
        r = status_prefix(st, "auth.tokens_file");
    if (r == 0 && config->tls_certificate[0])
        r = load_tls(config, &secrets.tls, st);
    if (r == 0 && secrets.tokens)
        log_info("auth", "%u tokens in %s", tokens_count(secrets.tokens), config->auth_tokens_file);
    if (r < 0)
        secrets_clear(&secrets);
    else
        *ret = secrets;
    return r;
}

void secrets_clear(struct secrets *secrets) {
    tokens_unref(secrets->tokens);
    tls_files_clear(&secrets->tls);
    secrets->tokens = NULL;
}
