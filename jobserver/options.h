/* The command line of build/trestle. Prints nothing: main does. */
#ifndef JOBSERVER_OPTIONS_H
#define JOBSERVER_OPTIONS_H

#include "jobserver/config.h"

enum options_command { OPTIONS_SERVE, OPTIONS_HELP, OPTIONS_VERSION };

struct options {
    enum options_command command;
    struct config
        config; /* serve: defaults, then the file of --config, then the flags; the state directory is settled */
};

/* Errors say which word is wrong and what to do; main prints "trestle: ERROR" and exits with 2. On success clear it later. */
int options_parse(struct options *ret_options, int argc, char *const *argv, struct status *st);
void options_clear(struct options *options);

/* For --help: commands and flags. The caller frees. */
char *options_help_text(void);
/* "trestle 0.1.0" */
const char *options_version_text(void);

#endif
