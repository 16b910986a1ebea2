/* Who is asking, and which server is believed to be one: what a command's flags and variables say of TLS and of a token, with the files read. */
#ifndef CLI_CREDENTIALS_H
#define CLI_CREDENTIALS_H

#include "cli/command.h"

struct credentials {
    char *token;              /* NULL: none */
    const char *token_source; /* for messages: a flag, a variable, or a file's path; borrowed */
    bool has_tls;
    char *ca, *certificate, *key;           /* PEM; NULL: the system's authorities, and no certificate of our own */
    const char *ca_path, *certificate_path; /* where those came from; borrowed */
    const char *server_name; /* whom the server's certificate is to name; NULL: the endpoint's host; borrowed */
};

/* The words of the arguments, and the environment, must outlive the credentials. INVALID_ARGUMENT or a file's errors name the flag or variable, and the
 * file. */
int credentials_load(const struct arguments *arguments, struct credentials *ret, struct status *st);
/* TLS, if there is none yet, with a server that shows the certificate in this file, or one that it signed. */
int credentials_trust(struct credentials *credentials, const char *path, struct status *st);
void credentials_clear(struct credentials *credentials);

#endif
