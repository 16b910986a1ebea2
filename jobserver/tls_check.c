#include "jobserver/tls_check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <time.h>

#include "base/log.h"

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

static int use_first(SSL_CTX *context, BIO *bio, const char *path, struct tls_validity *ret, struct status *st) {
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    int r = 0;

    if (!certificate || SSL_CTX_use_certificate(context, certificate) != 1 ||
        time_of(X509_get0_notBefore(certificate), &ret->from_s) < 0 ||
        time_of(X509_get0_notAfter(certificate), &ret->until_s) < 0)
        r = refuse(path, "the certificate cannot be used", st);
    X509_free(certificate);
    return r;
}

/* Whether reading ended because there is no more. */
static bool is_at_end(void) {
    unsigned long error = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

    if (is_end)
        ERR_clear_error();
    return is_end;
}

/* All that follow in a file, for which `use` takes a reference of its own. */
static int use_rest(BIO *bio, int (*use)(void *user, X509 *certificate), void *user, const char *path,
                    struct status *st) {
    X509 *certificate;
    bool good = true;

    while (good && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        good = use(user, certificate) == 1;
        X509_free(certificate);
    }
    return good && is_at_end() ? 0 : refuse(path, "not all certificates in it can be used", st);
}

static int add_to_chain(void *context, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}

static int add_authority(void *context, X509 *certificate) {
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
}

static int use_certificates(SSL_CTX *context, const char *text, const char *path, struct tls_validity *ret,
                            struct status *st) {
    BIO *bio = BIO_new_mem_buf(text, -1);
    int r = use_first(context, bio, path, ret, st);

    if (r == 0)
        r = use_rest(bio, add_to_chain, context, path, st);
    BIO_free(bio);
    return r;
}

static int use_key(SSL_CTX *context, const char *text, const char *path, struct status *st) {
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    int r = 0;

    if (!key || SSL_CTX_use_PrivateKey(context, key) != 1)
        r = refuse(path, "the key cannot be used", st);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return r;
}

static int use_authorities(SSL_CTX *context, const char *text, const char *path, struct status *st) {
    BIO *bio = BIO_new_mem_buf(text, -1);
    int r = use_rest(bio, add_authority, context, path, st);

    BIO_free(bio);
    return r;
}

int tls_check(const struct tls_files *files, const char *certificate_path, const char *key_path,
              const char *client_ca_path, struct tls_validity *ret, struct status *st) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    int r;

    ERR_clear_error();
    r = use_certificates(context, files->certificate, certificate_path, ret, st);
    if (r == 0)
        r = use_key(context, files->key, key_path, st);
    if (r == 0 && files->client_ca)
        r = use_authorities(context, files->client_ca, client_ca_path, st);
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
