#include "jobserver/inspection/sdk_name.h"

#include <string.h>

static const struct {
    const char *image; /* begins so, after its last slash */
    const char *name;
} sdks[] = {
    {"beam_python", "Python"},
    {"beam_java", "Java"},
    {"go:", "Go"},
    {"beam_typescript", "TypeScript"},
};

char *sdk_name(const struct plan_environment *environment, struct arena *arena) {
    static const char prefix[] = "beam:version:sdk_base:";

    for (size_t i = 0; i < environment->capability_count; i++) {
        const char *image = environment->capabilities[i], *slash, *version;

        if (strncmp(image, prefix, strlen(prefix)) != 0)
            continue;
        image += strlen(prefix);
        slash = strrchr(image, '/');
        image = slash ? slash + 1 : image;
        version = strrchr(image, ':');
        for (size_t j = 0; j < ARRAY_COUNT(sdks); j++)
            if (strncmp(image, sdks[j].image, strlen(sdks[j].image)) == 0)
                return arena_printf(arena, "%s %s", sdks[j].name, version ? version + 1 : "");
        return arena_string(arena, image);
    }
    return (char *)"";
}

/* Whether it is one of the names in the list, as a whole. */
static bool is_in(const char *names, const char *name) {
    size_t size = strlen(name);

    for (const char *at = names; (at = strstr(at, name)); at += size)
        if ((at == names || at[-1] == ' ') && (at[size] == '\0' || at[size] == ','))
            return true;
    return false;
}

char *sdk_names(const struct plan *plan, struct arena *arena) {
    char *names = (char *)"";

    for (size_t i = 0; plan && i < plan->environment_count; i++) {
        const char *name = sdk_name(&plan->environments[i], arena);

        if (name[0] && !is_in(names, name))
            names = arena_printf(arena, "%s%s%s", names, names[0] ? ", " : "", name);
    }
    return names;
}
