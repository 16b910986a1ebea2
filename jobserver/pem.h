/* PEM files, read and checked, so that what is wrong with one is said with its name before gRPC gets it, which would only fail every handshake. */
#ifndef JOBSERVER_PEM_H
#define JOBSERVER_PEM_H

#include "base/status.h"

/* The text of a file, a MiB at most. The caller frees it with pem_erase(). */
int pem_read(const char *path, char **ret, struct status *st);
/* Overwrites the text, frees it and sets it to NULL; NULL is fine. */
void pem_erase(char **text);

/* The paths are for errors, which are INVALID_ARGUMENT. */
int pem_check_certificate(const char *text, const char *path, struct status *st);
/* That the key is the first certificate's, and needs no password. */
int pem_check_pair(const char *certificate, const char *certificate_path, const char *key, const char *key_path,
                   struct status *st);

#endif
