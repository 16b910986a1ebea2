#include "jobserver/tls_files.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { FILE_MAX_BYTES = 1 << 20 };

static int read_file(const char *path, char **ret, struct status *st) {
    FILE *file = fopen(path, "re");
    char *text;
    size_t size;

    if (!file)
        return status_set_errno(st, errno, "cannot read %s", path);
    text = xmalloc(FILE_MAX_BYTES + 1);
    size = fread(text, 1, FILE_MAX_BYTES, file);
    text[size] = '\0';
    if (ferror(file) || size == FILE_MAX_BYTES) {
        status_set(st, STATUS_INVALID_ARGUMENT, "cannot read %s: it is a directory, or too large", path);
        fclose(file);
        free(text);
        return -STATUS_INVALID_ARGUMENT;
    }
    fclose(file);
    *ret = text;
    return 0;
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

static int check_pair(const struct tls_files *files, const char *certificate_path, const char *key_path,
                      struct status *st) {
    X509 *certificate = parse_certificate(files->certificate);
    EVP_PKEY *key = parse_key(files->key);
    int r = 0;

    if (!certificate)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "%s holds no certificate in PEM form", certificate_path);
    else if (!key)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "%s holds no private key in PEM form without a password", key_path);
    else if (X509_check_private_key(certificate, key) != 1)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "the key in %s is not that of the certificate in %s", key_path,
                       certificate_path);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return r;
}

static int check_ca(const struct tls_files *files, const char *path, struct status *st) {
    X509 *certificate = parse_certificate(files->client_ca);

    X509_free(certificate);
    return certificate ? 0 : status_set(st, STATUS_INVALID_ARGUMENT, "%s holds no certificate in PEM form", path);
}

int tls_files_load(const char *certificate_path, const char *key_path, const char *client_ca_path,
                   struct tls_files *ret, struct status *st) {
    struct tls_files files = {0};
    int r = read_file(certificate_path, &files.certificate, st);

    if (r == 0)
        r = read_file(key_path, &files.key, st);
    if (r == 0)
        r = check_pair(&files, certificate_path, key_path, st);
    if (r == 0 && client_ca_path[0])
        r = read_file(client_ca_path, &files.client_ca, st);
    if (r == 0 && client_ca_path[0])
        r = check_ca(&files, client_ca_path, st);
    if (r < 0)
        tls_files_clear(&files);
    else
        *ret = files;
    return r;
}

void tls_files_clear(struct tls_files *files) {
    if (files->key)
        OPENSSL_cleanse(files->key, strlen(files->key));
    free(files->certificate);
    free(files->key);
    free(files->client_ca);
    *files = (struct tls_files){0};
}
