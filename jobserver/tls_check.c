#include "jobserver/tls_check.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <time.h>

#include "base/log.h"
#include "jobserver/tls_use.h"

enum { DAY_S = 24 * 60 * 60, SOON_S = 14 * DAY_S };

/* Why OpenSSL did not like it, and which file. */
static int refuse(const char *path, const char *what, struct status *st) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    status_set(st, STATUS_INVALID_ARGUMENT, "%s: %s: %s", path, what, reason ? reason : "no reason is known");
    ERR_clear_error();
    return -STATUS_INVALID_ARGUMENT;
}

static int time_of(const ASN1_TIME *time, int64_t *ret) {
    struct tm tm = {0};

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return -1;
    *ret = timegm(&tm);
    return 0;
}

static int read_validity(const SSL_CTX *context, const char *path, struct tls_validity *ret, struct status *st) {
    const X509 *certificate = SSL_CTX_get0_certificate(context);

    if (time_of(X509_get0_notBefore(certificate), &ret->from_s) < 0 ||
        time_of(X509_get0_notAfter(certificate), &ret->until_s) < 0)
        return refuse(path, "the certificate cannot be used", st);
    return 0;
}

int tls_check(const struct tls_files *files, const char *certificate_path, const char *key_path,
              const char *client_ca_path, struct tls_validity *ret, struct status *st) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    int r;

    ERR_clear_error();
    if (!tls_use_certificates(context, files->certificate))
        r = refuse(certificate_path, "not all certificates in it can be used", st);
    else if (!tls_use_key(context, files->key))
        r = refuse(key_path, "the key cannot be used", st);
    else if (files->client_ca && !tls_use_authorities(context, files->client_ca))
        r = refuse(client_ca_path, "not all certificates in it can be used", st);
    else
        r = read_validity(context, certificate_path, ret, st);
    SSL_CTX_free(context);
    return r;
}

void tls_tell_validity(const struct tls_validity *validity, const char *certificate_path, int64_t now_s) {
    int64_t time_s = now_s < validity->from_s ? validity->from_s : validity->until_s;
    struct tm tm;
    char date[40] = "";

    if (gmtime_r(&(time_t){time_s}, &tm))
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &tm);
    if (now_s < validity->from_s)
        log_warning("tls", "the certificate in %s is not valid before %s", certificate_path, date);
    else if (now_s > validity->until_s)
        log_warning("tls", "the certificate in %s is no longer valid since %s", certificate_path, date);
    else if (validity->until_s - now_s < SOON_S)
        log_warning("tls", "the certificate in %s expires in %d days, %s", certificate_path,
                    (int)((validity->until_s - now_s) / DAY_S), date);
    else
        log_info("tls", "the certificate in %s is valid until %s", certificate_path, date);
}
