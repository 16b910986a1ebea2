#include "jobserver/tls_files.h"

#include "jobserver/pem.h"

static int load(const char *certificate_path, const char *key_path, const char *client_ca_path, struct tls_files *files,
                struct status *st) {
    int r = pem_read(certificate_path, &files->certificate, st);

    if (r == 0)
        r = pem_read(key_path, &files->key, st);
    if (r == 0)
        r = pem_check_pair(files->certificate, certificate_path, files->key, key_path, st);
    if (r == 0 && client_ca_path[0])
        r = pem_read(client_ca_path, &files->client_ca, st);
    if (r == 0 && files->client_ca)
        r = pem_check_certificate(files->client_ca, client_ca_path, st);
    return r;
}

int tls_files_load(const char *certificate_path, const char *key_path, const char *client_ca_path,
                   struct tls_files *ret, struct status *st) {
    struct tls_files files = {0};
    int r = load(certificate_path, key_path, client_ca_path, &files, st);

    if (r == 0)
        *ret = files;
    else
        tls_files_clear(&files);
    return r;
}

void tls_files_clear(struct tls_files *files) {
    pem_erase(&files->certificate);
    pem_erase(&files->key);
    pem_erase(&files->client_ca);
}
