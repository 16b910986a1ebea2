/* The files that say who may call and who the server is: auth.tokens_file and tls.*. They are read as one, at start and at SIGHUP, so that a mistake
 * in any of them changes nothing. One thread. */
#ifndef JOBSERVER_SECRETS_H
#define JOBSERVER_SECRETS_H

#include "jobserver/config.h"
#include "jobserver/tls_files.h"
#include "jobserver/tokens.h"

struct secrets {
    struct tokens *tokens; /* NULL: there is no such file */
    struct tls_files tls;  /* of NULLs: the same */
};

/* Says in the log how many tokens there are, and until when the certificate is valid. Errors name the key and the file, and a token's line. */
int secrets_load(const struct config *config, struct secrets *ret, struct status *st);
void secrets_clear(struct secrets *secrets);

#endif
