#include "jobserver/worker_setup.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/vec.h"
#include "worker/cgroup.h"

struct worker_setup {
    VEC(char *) container_options; /* NULL-terminated once it is handed over */
    struct cgroups *cgroups;       /* NULL: none */
};

/* ---- containers ---- */

/* An option for each piece of `text` between characters of `separators`: the piece itself, or what mounts that path. */
static void add_options(struct worker_setup *setup, const char *text, const char *separators, bool are_mounts) {
    while (*text) {
        size_t size = strcspn(text, separators);

        if (size && are_mounts)
            vec_push(&setup->container_options, xasprintf("--volume=%.*s:%.*s", (int)size, text, (int)size, text));
        else if (size)
            vec_push(&setup->container_options, xmemdup0(text, size));
        text += size + (text[size] != '\0');
    }
}

static void set_containers(struct worker_setup *setup, const struct config *config, const char *instance,
                           struct launcher *launcher, struct worker_manager *workers) {
    static const char *const pull[] = {
        [CONFIG_PULL_MISSING] = "missing", [CONFIG_PULL_ALWAYS] = "always", [CONFIG_PULL_NEVER] = "never"};
    struct worker_containers containers = {
        .cli = config->containers_cli, .pull = pull[config->containers_pull], .instance = instance};

    if (!config->containers_cli[0])
        return;
    add_options(setup, config->containers_mounts, ":", true);
    add_options(setup, config->containers_options, " \t", false);
    vec_push(&setup->container_options, NULL);
    containers.options = (const char *const *)setup->container_options.items;
    worker_containers_sweep(launcher, &containers);
    worker_manager_set_containers(workers, &containers);
}

/* ---- isolation ---- */

/* The subtree that the daemon's service was given; without one limits are held by other means. */
static struct cgroups *open_cgroups(void) {
    CLEANUP(freep) char *directory = cgroups_find();
    CLEANUP_STATUS struct status why = {0};
    struct cgroups *cgroups = NULL;

    if (directory && cgroups_open(directory, &cgroups, &why) < 0)
        log_warning("worker", "limits are not held by control groups: %s", status_message(&why));
    return cgroups;
}

static void set_isolation(struct worker_setup *setup, const struct config *config, const struct worker_user *user,
                          struct worker_manager *workers) {
    static const enum worker_isolation_way ways[] = {
        [CONFIG_ISOLATION_NONE] = WORKER_ISOLATION_NONE,
        [CONFIG_ISOLATION_SYSTEMD] = WORKER_ISOLATION_SYSTEMD,
        [CONFIG_ISOLATION_SYSTEMD_USER] = WORKER_ISOLATION_SYSTEMD_USER,
    };

    setup->cgroups = open_cgroups();
    worker_manager_set_isolation(workers,
                                 &(struct worker_isolation){.way = ways[config->workers_isolation],
                                                            .cgroups = setup->cgroups,
                                                            .user = user,
                                                            .stop_grace_ms = (unsigned)config->workers_stop_grace_ms});
}

/* ---- the user ---- */

int worker_setup_check_user(const struct config *config, const char *state_directory, const struct worker_user *user,
                            struct status *st) {
    const char *const own[] = {state_directory, config->auth_tokens_file, config->tls_key};

    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        if (own[i][0] && worker_user_has_access(user, own[i]))
            return status_set(st, STATUS_FAILED_PRECONDITION,
                              "workers.user: %s is open to the user %s; take away the permissions (chmod go= %s)",
                              own[i], user->name, own[i]);
    return 0;
}

int worker_setup_find_user(const struct config *config, const char *state_directory, struct worker_user *ret,
                           struct status *st) {
    struct worker_user user = {0};
    int r;

    if (!config->workers_user[0])
        return 0;
    if (worker_user_find(config->workers_user, &user, st) < 0)
        return status_prefix(st, "workers.user");
    r = worker_setup_check_user(config, state_directory, &user, st);
    if (r < 0)
        worker_user_clear(&user);
    else
        *ret = user;
    return r;
}

/* ---- the object ---- */

struct worker_setup *worker_setup_create(const struct config *config, const char *instance,
                                         const struct worker_user *user, struct launcher *launcher,
                                         struct worker_manager *workers) {
    struct worker_setup *setup = xcalloc(1, sizeof(*setup));

    set_isolation(setup, config, user, workers);
    set_containers(setup, config, instance, launcher, workers);
    return setup;
}

void worker_setup_destroy(struct worker_setup *setup) {
    if (!setup)
        return;
    cgroups_close(setup->cgroups);
    vec_foreach (option, &setup->container_options)
        free(*option);
    vec_free(&setup->container_options);
    free(setup);
}
