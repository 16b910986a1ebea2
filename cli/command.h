/* The commands of `trestle`, as data: one table (commands.c) of what each is called, takes and does. Parsing and help go by that table, so
 * that a new command is a row there and a function.
 *
 *      main.c           the program
 *      commands.c       the table, and the help made of it
 *      arguments.c      a command's words told apart
 *      serve.c          the daemon, and what it tells the service manager, by
 *      notify.c         systemd's notification protocol
 *      job_commands.c   what can be done to a job of a running daemon, through
 *      job_client.c     a client of the Job API
 *      token.c          bearer tokens for it
 *
 * Exit codes of all commands: 0: done; 1: refused or failed; 2: wrong usage. One thread. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { EXIT_USAGE = 2 };
enum { MAX_FLAGS = 8, MAX_OPERANDS = 2 }; /* of one command */

struct flag {
    const char *name;       /* "--listen" */
    const char *value;      /* what its value is called; NULL: it takes none */
    const char *doc;        /* what it is for */
    const char *config_key; /* the configuration's key whose default is the flag's too; NULL: none */
};

struct command;

/* The words behind a command's name; all borrowed from argv and the table. */
struct arguments {
    const struct command *command;
    const char *operands[MAX_OPERANDS]; /* as many as the command takes */
    const char *values[MAX_FLAGS];      /* by the command's flags; NULL: not given; "": given, and takes no value */
    bool wants_help;                    /* --help was among them; nothing else counts */
};

struct command {
    const char *name;
    const char *operands[MAX_OPERANDS]; /* what they are called; all must be given */
    const char *summary;                /* a line */
    const char *more;                   /* for its own help, lines that end with "\n"; NULL: no more to say */
    const struct flag *flags;
    size_t flag_count;
    /* Prints its results; returns the exit code. Where that is not 0, `st` says why, or the log did. */
    int (*run)(const struct arguments *arguments, struct status *st);
};

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);
/* The text of `trestle help`, and of `trestle help COMMAND`. The caller frees. */
char *command_help_all(void);
char *command_help(const struct command *command);

/* INVALID_ARGUMENT says which word is wrong and what to do. */
int arguments_parse(const struct command *command, int argc, char *const *argv, struct arguments *ret,
                    struct status *st);
/* The value of a flag of the command: as given, else its default, else NULL; "" for one that is given and takes no value. */
const char *arguments_value(const struct arguments *arguments, const char *flag);
/* What a flag is when it is not given; NULL: nothing. */
const char *flag_default(const struct flag *flag);

extern const struct command command_serve;  /* serve.c */
extern const struct command command_drain;  /* job_commands.c */
extern const struct command command_cancel; /* job_commands.c */
extern const struct command command_token;  /* token.c */

#endif
