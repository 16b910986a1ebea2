/* token: makes a bearer token. The token goes to standard output once, for whoever is to use it; the line for auth.tokens_file below it. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "jobserver/tokens.h"

static int run(const struct arguments *arguments, struct status *st) {
    CLEANUP(freep) char *token = NULL;
    CLEANUP(freep) char *line = NULL;

    if (tokens_make(arguments->operands[0], &token, &line, st) < 0)
        return EXIT_USAGE;
    printf("token: %s\n", token);
    printf("line:  %s\n", line);
    return EXIT_SUCCESS;
}

const struct command command_token = {
    .name = "token",
    .operands = {"NAME"},
    .summary = "make a bearer token, and its line for the server's auth.tokens_file",
    .more =
        "  The token is shown once and kept nowhere. Clients send it as the metadata `authorization: Bearer TOKEN`;\n"
        "  commands of this program take it from the variable TRESTLE_TOKEN, or from the file that TRESTLE_TOKEN_FILE "
        "names.\n",
    .run = run,
};
