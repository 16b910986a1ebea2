#include "worker/confine.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/cgroup.h"
#include "worker/command.h"
#include "worker/launcher_procfs.h"
#include "worker/orphans.h"

static size_t count_strings(const char *const *strings) {
    size_t count = 0;

    while (strings && strings[count])
        count++;
    return count;
}

/* Whether there is one of the same name; of `variable` the value does not matter. */
static bool has_variable(const char *const *variables, const char *variable) {
    size_t name_size = strcspn(variable, "=");

    for (; variables && *variables; variables++)
        if (strcspn(*variables, "=") == name_size && strncmp(*variables, variable, name_size) == 0)
            return true;
    return false;
}

/* The settings' variables win. */
static const char *const *merge_variables(struct worker *worker, const char *const *variables) {
    const char *const *set = worker->settings.variables;
    const char **merged =
        arena_new_array(&worker->arena, const char *, count_strings(variables) + count_strings(set) + 1);
    size_t count = 0;

    for (; variables && *variables; variables++)
        if (!has_variable(set, *variables))
            merged[count++] = *variables;
    for (; set && *set; set++)
        merged[count++] = *set;
    return merged;
}

/* ---- a transient service ---- */

/* Of the daemon's own environment a service gets what programs commonly look for. */
static const char *const passed_on[] = {"PATH",       "HOME",     "USER",        "LOGNAME",     "LANG",
                                        "LC_ALL",     "TMPDIR",   "JAVA_HOME",   "HTTP_PROXY",  "NO_PROXY",
                                        "http_proxy", "no_proxy", "HTTPS_PROXY", "https_proxy", "XDG_RUNTIME_DIR"};

static const char *unit_name(struct worker *worker) {
    char *name = arena_printf(&worker->arena, "trestle-%.200s.service", worker->name);

    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.:", *at))
            *at = '_';
    return name;
}

static const char *working_directory(struct worker *worker, const struct process_spec *spec) {
    char *current = spec->working_directory ? NULL : getcwd(NULL, 0);
    const char *directory = current ? arena_string(&worker->arena, current) : spec->working_directory;

    free(current);
    return directory ? directory : "/";
}

static const char **service_arguments(struct worker *worker, const struct process_spec *spec, const char *unit,
                                      bool is_user) {
    const struct worker_isolation *isolation = worker_manager_isolation(worker->manager);
    size_t argc = count_strings(spec->argv), variables = count_strings(spec->environment), count = 0;
    const char **argv = arena_new_array(&worker->arena, const char *, argc + variables + ARRAY_COUNT(passed_on) + 24);

    argv[count++] = "systemd-run";
    if (is_user)
        argv[count++] = "--user";
    argv[count++] = "--collect";
    argv[count++] = "--wait";
    argv[count++] = "--pipe";
    argv[count++] = "--service-type=exec";
    argv[count++] = arena_printf(&worker->arena, "--unit=%s", unit);
    argv[count++] = arena_printf(&worker->arena, "--working-directory=%s", working_directory(worker, spec));
    if (!is_user) {
        argv[count++] = arena_printf(&worker->arena, "--uid=%u", spec->user ? spec->user->uid : geteuid());
        argv[count++] = arena_printf(&worker->arena, "--gid=%u", spec->user ? spec->user->gid : getegid());
    }
    if (spec->user)
        argv[count++] = "--property=NoNewPrivileges=yes";
    argv[count++] = "--property=OOMPolicy=kill";
    /* 0 would be no time-out at all. */
    argv[count++] = arena_printf(&worker->arena, "--property=TimeoutStopSec=%ums", MAX(isolation->stop_grace_ms, 1u));
    if (worker->settings.memory_bytes)
        argv[count++] = arena_printf(&worker->arena, "--property=MemoryMax=%llu",
                                     (unsigned long long)worker->settings.memory_bytes);
    if (worker->settings.milli_cpus)
        argv[count++] =
            arena_printf(&worker->arena, "--property=CPUQuota=%u%%", MAX(worker->settings.milli_cpus / 10, 1u));
    /* Names only: systemd-run takes the values from its own environment, and no command line shows them. */
    argv[count++] = "--setenv=" ORPHANS_VARIABLE;
    argv[count++] = "--setenv=" LAUNCH_MARKER;
    for (size_t i = 0; i < ARRAY_COUNT(passed_on); i++)
        if (getenv(passed_on[i]) && !has_variable(spec->environment, passed_on[i]))
            argv[count++] = arena_printf(&worker->arena, "--setenv=%s", passed_on[i]);
    for (size_t i = 0; i < variables; i++)
        argv[count++] = arena_printf(&worker->arena, "--setenv=%.*s", (int)strcspn(spec->environment[i], "="),
                                     spec->environment[i]);
    argv[count++] = "--";
    for (size_t i = 0; i < argc; i++)
        argv[count++] = spec->argv[i];
    return argv;
}

/* The service outlives systemd-run, which may be killed: it is stopped by its name, as a container is removed. */
static void start_service(struct worker *worker, const struct process_spec *spec, const char *what, bool is_user) {
    const char *unit = unit_name(worker);
    const char **stop = arena_new_array(&worker->arena, const char *, 5);
    struct process_spec run = {.argv = service_arguments(worker, spec, unit, is_user),
                               .environment = spec->environment};
    size_t count = 0;

    stop[count++] = "systemctl";
    if (is_user)
        stop[count++] = "--user";
    stop[count++] = "stop";
    stop[count++] = unit;
    worker_command_start(worker, &run, what, stop);
}

/* ---- limits without it ---- */

static int enter_cgroup(struct worker *worker, struct process_spec *spec, struct cgroups *cgroups, struct status *st) {
    char *directory = NULL;
    int r =
        cgroups_make(cgroups, worker->name, worker->settings.memory_bytes, worker->settings.milli_cpus, &directory, st);

    if (r == 0)
        spec->cgroup = worker->cgroup = arena_string(&worker->arena, directory);
    free(directory);
    return r;
}

void worker_confined_start(struct worker *worker, const struct process_spec *asked, const char *what) {
    const struct worker_isolation *isolation = worker_manager_isolation(worker->manager);
    struct process_spec spec = *asked;
    struct status why = {0};

    spec.environment = merge_variables(worker, asked->environment);
    if (worker->settings.working_directory)
        spec.working_directory = worker->settings.working_directory;
    if (isolation->user)
        worker_user_run_as(isolation->user, &spec, &worker->arena);
    if (isolation->way != WORKER_ISOLATION_NONE) {
        start_service(worker, &spec, what, isolation->way == WORKER_ISOLATION_SYSTEMD_USER);
        return;
    }
    if (isolation->cgroups && (worker->settings.memory_bytes || worker->settings.milli_cpus)) {
        if (enter_cgroup(worker, &spec, isolation->cgroups, &why) < 0) {
            worker_cannot_start(worker, &why);
            return;
        }
    } else {
        spec.data_limit_bytes = worker->settings.memory_bytes;
        spec.cores = (worker->settings.milli_cpus + 999) / 1000;
    }
    worker_command_start(worker, &spec, what, NULL);
}
