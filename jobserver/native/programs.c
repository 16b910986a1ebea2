#include "jobserver/native/programs.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static bool is_program(const char *path, const struct program_search *search) {
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0 &&
           (!search->accepts || search->accepts(path, search->user));
}

static void note(char **looked, const char *where) {
    char *longer = xasprintf("%s%s%s", *looked, (*looked)[0] ? ", " : "", where);

    free(*looked);
    *looked = longer;
}

static char *find_in_path(const char *name, const char *path, const struct program_search *search, char **looked) {
    while (path && *path) {
        size_t size = strcspn(path, ":");
        CLEANUP(freep) char *directory = xmemdup0(path, size);
        char *candidate = xasprintf("%s/%s", directory, name);

        if (size && is_program(candidate, search))
            return candidate;
        free(candidate);
        if (size)
            note(looked, directory);
        path += size + (path[size] == ':');
    }
    return NULL;
}

static char *find_by_pattern(const char *pattern, const struct program_search *search) {
    glob_t found = {0};
    char *program = NULL;

    if (glob(pattern, GLOB_TILDE, NULL, &found) == 0)
        for (size_t i = 0; !program && i < found.gl_pathc; i++)
            if (is_program(found.gl_pathv[i], search))
                program = xstrdup(found.gl_pathv[i]);
    globfree(&found);
    return program;
}

char *program_find(const char *name, const struct program_search *search, char **ret_looked) {
    char *looked = xstrdup("");
    char *program = find_in_path(name, search->search_path, search, &looked);

    if (!program)
        program = find_in_path(name, getenv("PATH"), search, &looked);
    for (const char *const *pattern = search->patterns; !program && pattern && *pattern; pattern++) {
        program = find_by_pattern(*pattern, search);
        if (!program)
            note(&looked, *pattern);
    }
    if (program)
        free(looked);
    else
        *ret_looked = looked;
    return program;
}
