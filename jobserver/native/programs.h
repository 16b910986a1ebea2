/* Finding interpreters on this machine. */
#ifndef JOBSERVER_NATIVE_PROGRAMS_H
#define JOBSERVER_NATIVE_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>

struct program_search {
    const char *search_path; /* directories with colons between them, looked at first; may be "" */
    const char *const
        *patterns; /* then PATH, then these: globs of whole file names, ~ is the home directory; NULL-terminated */
    /* Of a file that is there and can be executed: whether it will do. NULL: it will. */
    bool (*accepts)(const char *path, void *user);
    void *user;
};

/* The first of that name, which the caller frees; else NULL, and *ret_looked, the caller's too, says where it was looked for. */
char *program_find(const char *name, const struct program_search *search, char **ret_looked);

#endif
