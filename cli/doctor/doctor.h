/* `trestle doctor`: what this machine can run, and what to do about what it cannot.
 *
 *      doctor.c      the command, and the report
 *      containers.c  the container engine           interpreters.c  Python, JVMs, Maven, Node.js, Go
 *      places.c      directories and disk space     limits.c        files, processes, memory, the clock
 *      addresses.c   the addresses of a daemon: free, served, reached by those who are told them
 *      run.c         a program's exit and what it says
 *
 * A check says what it found in as many findings as it takes. None changes anything. One thread. */
#ifndef CLI_DOCTOR_DOCTOR_H
#define CLI_DOCTOR_DOCTOR_H

#include "base/vec.h"
#include "cli/connection.h"
#include "jobserver/config.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct finding {
    enum doctor_level level;
    const char *area; /* a word; static */
    char *text;
    char *advice; /* what to do; NULL: nothing */
};

struct doctor {
    const struct config *config;
    const char *endpoint; /* where a daemon is looked for */
    const struct credentials *credentials;
    VEC(struct finding) findings;
};

/* `advice` may be NULL; it is copied. */
void doctor_say(struct doctor *doctor, enum doctor_level level, const char *area, const char *advice,
                const char *format, ...) PRINTF_LIKE(5, 6);

void doctor_check_containers(struct doctor *doctor);
void doctor_check_interpreters(struct doctor *doctor);
void doctor_check_places(struct doctor *doctor);
void doctor_check_limits(struct doctor *doctor);
void doctor_check_addresses(struct doctor *doctor);

/* Runs a program, found by PATH, without input. The exit code (128 and more: a signal's), or -1: it could not be started, or took longer, and was
 * killed. *ret_said is the beginning of what it wrote, or why it did not run; the caller frees. */
int doctor_run(const char *const *argv, unsigned timeout_ms, char **ret_said);

#endif
