/* The certificates and the key that TLS is served with, read from files and checked, so that what is wrong with them is said at start and names the
 * file; gRPC would only fail every handshake. */
#ifndef JOBSERVER_TLS_FILES_H
#define JOBSERVER_TLS_FILES_H

#include "base/status.h"
#include "rpc/tls.h"

struct tls_files {
    char *certificate, *key, *client_ca; /* PEM; client_ca may be NULL */
};

/* `client_ca_path` may be "". The key must be the certificate's. */
int tls_files_load(const char *certificate_path, const char *key_path, const char *client_ca_path,
                   struct tls_files *ret, struct status *st);
void tls_files_clear(struct tls_files *files);

#endif
