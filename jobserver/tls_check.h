/* Whether TLS can be served with what was read: what gRPC asks of OpenSSL for a handshake, asked before, since gRPC says on standard error alone that it
 * goes on without. */
#ifndef JOBSERVER_TLS_CHECK_H
#define JOBSERVER_TLS_CHECK_H

#include <stdint.h>

#include "jobserver/tls_files.h"

/* Of the server's certificate; seconds since 1970. */
struct tls_validity {
    int64_t from_s;
    int64_t until_s;
};

/* The paths are for errors. */
int tls_check(const struct tls_files *files, const char *certificate_path, const char *key_path,
              const char *client_ca_path, struct tls_validity *ret, struct status *st);
/* Says in the log until when the certificate is valid, and warns if that is not, or no longer, or not for long. */
void tls_tell_validity(const struct tls_validity *validity, const char *certificate_path, int64_t now_s);

#endif
