#include "jobserver/pem.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1 << 20 };

static int read_text(FILE *file, const char *path, char **ret, struct status *st) {
    char *text = xmalloc(FILE_MAX_BYTES + 1);
    size_t size = fread(text, 1, FILE_MAX_BYTES, file);
    int r = 0;

    text[size] = '\0';
    if (ferror(file))
        r = status_set_errno(st, errno, "cannot read %s", path);
    else if (size == FILE_MAX_BYTES)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "%s is larger than %d bytes", path, FILE_MAX_BYTES - 1);
    if (r == 0)
        *ret = text;
    else
        pem_erase(&text);
    return r;
}

int pem_read(const char *path, char **ret, struct status *st) {
    FILE *file = fopen(path, "re");
    int r;

    if (!file)
        return status_set_errno(st, errno, "cannot read %s", path);
    r = read_text(file, path, ret, st);
    fclose(file);
    return r;
}

void pem_erase(char **text) {
    if (*text)
        OPENSSL_cleanse(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static X509 *parse_certificate(const char *text) {
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *parse_key(const char *text) {
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;

    BIO_free(bio);
    return key;
}

static int no_certificate(const char *path, struct status *st) {
    return status_set(st, STATUS_INVALID_ARGUMENT, "%s holds no certificate in PEM form", path);
}

int pem_check_certificate(const char *text, const char *path, struct status *st) {
    X509 *certificate = parse_certificate(text);

    X509_free(certificate);
    return certificate ? 0 : no_certificate(path, st);
}

int pem_check_pair(const char *certificate_text, const char *certificate_path, const char *key_text,
                   const char *key_path, struct status *st) {
    X509 *certificate = parse_certificate(certificate_text);
    EVP_PKEY *key = parse_key(key_text);
    int r = 0;

    if (!certificate)
        r = no_certificate(certificate_path, st);
    else if (!key)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "%s holds no private key in PEM form without a password", key_path);
    else if (X509_check_private_key(certificate, key) != 1)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "the key in %s is not that of the certificate in %s", key_path,
                       certificate_path);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return r;
}
