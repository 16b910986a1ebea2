#include "jobserver/native/interpreters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "jobserver/native/programs.h"

static bool is_no_shim(const char *path, void *user) {
    (void)user;
    return !strstr(path, "/shims/");
}

char *interpreter_find_python(const char *version, const char *search_path, char **ret_looked) {
    CLEANUP(freep) char *name = xasprintf("python%s", version);
    const char *root = getenv("PYENV_ROOT");
    CLEANUP(freep) char *pyenv = xasprintf("%s/versions/%s.*/bin/%s", root ? root : "~/.pyenv", version, name);
    CLEANUP(freep) char *uv = xasprintf("~/.local/share/uv/python/cpython-%s.*/bin/%s", version, name);
    CLEANUP(freep) char *usr = xasprintf("/usr/bin/%s", name);
    CLEANUP(freep) char *local = xasprintf("/usr/local/bin/%s", name);
    CLEANUP(freep) char *opt = xasprintf("/opt/*/bin/%s", name);
    const char *const patterns[] = {usr, local, opt, pyenv, uv, NULL};
    struct program_search search = {.search_path = search_path, .patterns = patterns, .accepts = is_no_shim};

    return program_find(name, &search, ret_looked);
}

/* ---- Java ---- */

/* "17" of JAVA_VERSION="17.0.15", and of "1.8.0_402" the 8. */
unsigned interpreter_java_version(const char *java) {
    CLEANUP(freep) char *real = realpath(java, NULL);
    CLEANUP(freep) char *path = NULL;
    char *bin = real ? strstr(real, "/bin/java") : NULL;
    char line[512];
    unsigned major = 0, minor = 0;
    FILE *file;

    if (!bin)
        return 0;
    path = xasprintf("%.*s/release", (int)(bin - real), real);
    file = fopen(path, "re");
    while (file && !major && fgets(line, sizeof(line), file))
        sscanf(line, "JAVA_VERSION=\"%u.%u", &major, &minor);
    if (file)
        fclose(file);
    return major == 1 ? minor : major;
}

struct wanted_version {
    unsigned at_least;
    unsigned at_most;
};

static bool has_wanted_version(const char *java, void *user) {
    const struct wanted_version *wanted = user;
    unsigned version = interpreter_java_version(java);

    return version >= wanted->at_least && version <= wanted->at_most;
}

char *interpreter_find_java(unsigned at_least, unsigned at_most, const char *search_path, char **ret_looked) {
    static const char *const patterns[] = {"/usr/lib/jvm/*/bin/java", "/opt/*/bin/java",
                                           "~/.sdkman/candidates/java/*/bin/java", "~/.jdks/*/bin/java", NULL};
    struct wanted_version wanted = {at_least, at_most};
    const char *home = getenv("JAVA_HOME");
    CLEANUP(freep)
    char *path = xasprintf("%s%s%s%s", search_path, search_path[0] ? ":" : "", home ? home : "", home ? "/bin" : "");
    struct program_search search = {
        .search_path = path, .patterns = patterns, .accepts = has_wanted_version, .user = &wanted};

    return program_find("java", &search, ret_looked);
}

char *interpreter_find_maven(const char *search_path, char **ret_looked) {
    static const char *const patterns[] = {"/usr/bin/mvn", "/usr/local/bin/mvn", "/opt/*/bin/mvn",
                                           "~/.sdkman/candidates/maven/*/bin/mvn", NULL};
    struct program_search search = {.search_path = search_path, .patterns = patterns};

    return program_find("mvn", &search, ret_looked);
}

/* ---- Node.js ---- */

char *interpreter_find_node(const char *name, const char *search_path, char **ret_looked) {
    CLEANUP(freep) char *usr = xasprintf("/usr/bin/%s", name);
    CLEANUP(freep) char *local = xasprintf("/usr/local/bin/%s", name);
    CLEANUP(freep) char *opt = xasprintf("/opt/*/bin/%s", name);
    CLEANUP(freep) char *nvm = xasprintf("~/.nvm/versions/node/*/bin/%s", name);
    const char *const patterns[] = {usr, local, opt, nvm, NULL};
    struct program_search search = {.search_path = search_path, .patterns = patterns};

    return program_find(name, &search, ret_looked);
}
