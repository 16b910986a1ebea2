/* The commands of `trestle`, as data: one table (commands.c) of what each is called, takes and does. Parsing, help, shell completion and the
 * manual page go by that table, so that a new command is a row there and a function.
 *
 *      main.c           the program
 *      commands.c       the table, and the help made of it
 *      arguments.c      a command's words told apart
 *      serve.c          the daemon, and what it tells the service manager, by
 *      notify.c         systemd's notification protocol
 *      the other commands, a file each:  jobs, show, logs, metrics, graph, stacks, submit, job_commands (drain, cancel), doctor/, completion,
 *        token (makes bearer tokens)
 *        find_job       which job is meant by JOB
 *        inspection, job_client   the calls of the two services, over a
 *        connection     to a running daemon
 *        credentials, tls_context, handshake   who asks, with TLS; and why a server and we do not come together
 *        terminal, table, format, progress, print, trace, findings   what it looks like
 *
 * One thread. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Beside EXIT_SUCCESS, 0, and EXIT_FAILURE, 1: refused or failed. docs/command-line.md lists them. */
enum {
    EXIT_USAGE = 2,     /* the words are wrong */
    EXIT_JOB_ENDED = 3, /* the job that was waited for ended otherwise than it was to */
    EXIT_NOT_FOUND = 4, /* there is no such job */
    EXIT_NO_DAEMON = 5, /* nobody answers at the endpoint */
};
enum { MAX_FLAGS = 16, MAX_OPERANDS = 2, MAX_REPEATED = 64 }; /* of one command */

struct flag {
    const char *name;  /* "--listen" */
    const char *value; /* what its value is called; NULL: it takes none. FILE and DIR are completed by shells as such */
    const char *doc;   /* what it is for */
    const char *config_key; /* the configuration's key whose default is the flag's too; NULL: none */
    const char *variable;   /* of the environment, whose text counts where the flag is not given; NULL: none */
    const char *choices;    /* for completion: what the value may be, with blanks between them; NULL: anything */
    char letter;            /* 'f': -f is the same; 0: none */
    bool is_repeatable;     /* one flag of a command may be; arguments.repeated has its values */
    bool
        is_shared; /* of all commands that ask a daemon: told of behind the command's own, and once in the manual page */
};

struct command;

/* The words behind a command's name; all borrowed from argv and the table. */
struct arguments {
    const struct command *command;
    const char *operands[MAX_OPERANDS]; /* as many as the command takes */
    const char *values[MAX_FLAGS];      /* by the command's flags; NULL: not given; "": given, and takes no value */
    const char *repeated[MAX_REPEATED];
    size_t repeated_count;
    bool wants_help; /* --help was among them; nothing else counts */
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
/* The command that `name` is likely a slip of; NULL: none. */
const char *command_suggest(const char *name);
/* The text of `trestle help`, and of `trestle help COMMAND`. The caller frees. */
char *command_help_all(void);
char *command_help(const struct command *command);

/* INVALID_ARGUMENT says which word is wrong and what to do. */
int arguments_parse(const struct command *command, int argc, char *const *argv, struct arguments *ret,
                    struct status *st);
/* The value of a flag of the command: as given, else its variable's, else its default, else NULL; "" for one that is given and takes no value. */
const char *arguments_value(const struct arguments *arguments, const char *flag);
/* Among the words, that is, not by its variable or default. */
bool arguments_is_given(const struct arguments *arguments, const char *flag);
/* For messages about the value: the name of the variable that it came from, else the flag's. */
const char *arguments_source(const struct arguments *arguments, const char *flag);
/* Of a flag that takes a number from 1 to `max`: INVALID_ARGUMENT names the flag. *ret is untouched where it is not given. */
int arguments_number(const struct arguments *arguments, const char *flag, uint32_t max, uint32_t *ret,
                     struct status *st);
/* What a flag is when it is not given; NULL: nothing. */
const char *flag_default(const struct flag *flag);

/* The table. */
const struct command *const *command_list(size_t *ret_count);

extern const struct command command_serve;
extern const struct command command_jobs;
extern const struct command command_show;
extern const struct command command_logs;
extern const struct command command_metrics;
extern const struct command command_graph;
extern const struct command command_stacks;
extern const struct command command_submit;
extern const struct command command_drain;
extern const struct command command_cancel;
extern const struct command command_doctor;
extern const struct command command_completion;
extern const struct command command_token;

#endif
