/* Python: a virtual environment in layers, so that a change in one does not install those below once more.
 *
 *      CACHE/native/python/KEY     apache-beam of the image's version, for one interpreter
 *      CACHE/native/python/KEY'    what the image has besides (python_packages.h), if that is anything
 *      CACHE/native/python/KEY"    what was staged with a pipeline, if that is anything to install
 *
 * A .pth file lets a layer see those below.
 *
 * What is installed, in which order and with which of pip's options is the boot program's (sdks/python/container/boot.go and
 * piputil.go). pip is configured as everywhere on this machine: by its files and its variables. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jobserver/native/interpreters.h"
#include "jobserver/native/python_packages.h"
#include "jobserver/native/task.h"
#include "jobserver/native/tree.h"
#include "model/urn.h"

/* The names under which the SDK stages (apache_beam/runners/portability/stager.py, apache_beam/internal/names.py). */
#define SDK_ARCHIVE "dataflow_python_sdk.tar"
#define REQUIREMENTS "requirements.txt"
#define EXTRA_PACKAGES "extra_packages.txt"
#define WORKFLOW "workflow.tar.gz"

struct python {
    struct native_task *task;
    char *interpreter;
    const char *sdk;                  /* the staged archive of the SDK, or NULL: from the index */
    struct string_vec image_packages; /* requirements, in the environment's arena */
    char *base;                       /* the layers' directories */
    char *image;                      /* or NULL */
    bool has_build_isolation;
};

/* ---- the interpreter ---- */

static int find_interpreter(struct native_task *task, char **ret, struct status *st) {
    const char *version = task->environment->image.language_version;
    CLEANUP(freep) char *looked = NULL;

    *ret = interpreter_find_python(version, native_search_path(task), &looked);
    if (*ret)
        return 0;
    return status_set(st, STATUS_FAILED_PRECONDITION,
                      "the pipeline needs Python %s, and there is no python%s on the machine of this server; looked in "
                      "%s. Install it (with its venv module), name its directory in native.search_path, or submit from "
                      "another version of Python",
                      version, version, looked);
}

/* What tells this interpreter from another, and from itself after an upgrade. */
static char *identify(const char *interpreter) {
    CLEANUP(freep) char *real = realpath(interpreter, NULL);
    struct stat info = {0};

    if (real)
        stat(real, &info);
    return xasprintf("%s %lld %lld", real ? real : interpreter, (long long)info.st_size,
                     (long long)info.st_mtim.tv_sec);
}

/* ---- pip ---- */

/* Isolated (-I): the daemon's PYTHONPATH and working directory are none of the pipeline's. */
static int run_python(struct python *python, const char *directory, const struct string_vec *arguments,
                      struct status *st) {
    CLEANUP(freep) char *program = xasprintf("%s/bin/python", directory);
    struct string_vec argv = {0};
    int r;

    vec_push(&argv, program);
    vec_push(&argv, "-I");
    for (size_t i = 0; i < arguments->count; i++)
        vec_push(&argv, arguments->items[i]);
    vec_push(&argv, NULL);
    r = native_run(python->task, argv.items, NULL, NULL, st);
    vec_free(&argv);
    return r;
}

/* `what` ends with NULL. */
static int pip_install(struct python *python, const char *directory, const char *const *what, struct status *st) {
    static const char *const common[] = {
        "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"};
    struct string_vec arguments = {0};
    int r;

    for (size_t i = 0; i < ARRAY_COUNT(common); i++)
        vec_push(&arguments, common[i]);
    for (size_t i = 0; what[i]; i++)
        vec_push(&arguments, what[i]);
    r = run_python(python, directory, &arguments, st);
    vec_free(&arguments);
    return r;
}

static int make_venv(struct python *python, const char *directory, struct status *st) {
    const char *const argv[] = {python->interpreter, "-I", "-m", "venv", directory, NULL};
    int r = native_run(python->task, argv, NULL, NULL, st);

    return r == -STATUS_FAILED_PRECONDITION
               ? status_prefix(st, "cannot make a virtual environment (on Debian that takes the package python%s-venv)",
                               python->task->environment->image.language_version)
               : r;
}

/* ---- the SDK ---- */

/* Python's client says at submission whether its user chose dill, which newer SDKs do not bring. */
static char *beam_requirement(const struct python *python) {
    const char *pickler = pipeline_options_string(python->task->options, "pickle_library", "");

    return xasprintf("apache-beam%s==%s", strncmp(pickler, "dill", 4) == 0 ? "[dill]" : "",
                     python->task->environment->image.beam_version);
}

/* setuptools and wheel: packages are built without isolation, as in the image. */
static int build_base(struct native_task *task, const char *directory, void *user, struct status *st) {
    struct python *python = user;
    CLEANUP(freep) char *beam = beam_requirement(python);
    const char *const packages[] = {"setuptools", "wheel", python->sdk ? NULL : beam, NULL};
    int r = make_venv(python, directory, st);

    if (r == 0) {
        native_say(task, "installing %s for %s into %s", python->sdk ? "build tools" : beam, python->interpreter,
                   directory);
        r = pip_install(python, directory, packages, st);
    }
    return r;
}

static int get_base(struct python *python, struct status *st) {
    CLEANUP(freep) char *identity = identify(python->interpreter);
    CLEANUP(freep) char *beam = beam_requirement(python);
    struct string_vec parts = {0};
    int r;

    vec_push(&parts, "python 1");
    vec_push(&parts, identity);
    vec_push(&parts, python->sdk ? "" : beam);
    r = native_cached(python->task, "python", &parts, build_base, python, &python->base, st);
    vec_free(&parts);
    return r;
}

static char *staged_path(const struct python *python, const char *name) {
    return xasprintf("%s/%s", python->task->environment->staged, name);
}

/* ---- what the image has besides ---- */

/* site-packages of a virtual environment is at the same place in each. The first of `below` that has a package counts. */
static int see_layers(const struct python *python, const char *directory, const char *const *below, struct status *st) {
    const char *version = python->task->environment->image.language_version;
    CLEANUP(freep) char *path = xasprintf("%s/lib/python%s/site-packages/trestle.pth", directory, version);
    CLEANUP(freep) char *lines = xstrdup("");

    for (; *below; below++) {
        char *longer = xasprintf("%s%s/lib/python%s/site-packages\n", lines, *below, version);

        free(lines);
        lines = longer;
    }
    return tree_write(path, lines, strlen(lines), st);
}

enum { MAX_SUBMISSION_PACKAGES_BYTES = 1 << 20 };

/* A client that stages no such list (--experiments=disable_logging_submission_environment, no pip) asks for none of them. */
static int find_image_packages(struct python *python, struct status *st) {
    CLEANUP(freep) char *path = staged_path(python, PYTHON_SUBMISSION_PACKAGES);
    CLEANUP(freep) char *text = NULL;
    FILE *file;

    if (!native_find_artifact(python->task, PYTHON_SUBMISSION_PACKAGES))
        return 0;
    file = fopen(path, "re");
    if (!file)
        return status_set_errno(st, errno, "cannot read %s", path);
    text = xmalloc(MAX_SUBMISSION_PACKAGES_BYTES + 1);
    text[fread(text, 1, MAX_SUBMISSION_PACKAGES_BYTES, file)] = '\0';
    fclose(file);
    python_image_packages(text, &python->task->environment->arena, &python->image_packages);
    return 0;
}

static int build_image(struct native_task *task, const char *directory, void *user, struct status *st) {
    struct python *python = user;
    const char *const below[] = {python->base, NULL};
    struct string_vec what = {0};
    int r = make_venv(python, directory, st);

    if (r == 0)
        r = see_layers(python, directory, below, st);
    if (r < 0)
        return r;
    for (size_t i = 0; i < python->image_packages.count; i++)
        vec_push(&what, python->image_packages.items[i]);
    vec_push(&what, NULL);
    native_say(task, "installing packages of the image that the submitting environment has too into %s", directory);
    r = pip_install(python, directory, what.items, st);
    vec_free(&what);
    return r == -STATUS_FAILED_PRECONDITION
               ? status_prefix(st, "cannot install the packages of the image that the submitting environment has too "
                                   "(--experiments=disable_logging_submission_environment leaves them out)")
               : r;
}

static int get_image(struct python *python, struct status *st) {
    struct string_vec parts = {0};
    int r = find_image_packages(python, st);

    if (r < 0 || python->image_packages.count == 0)
        return r;
    vec_push(&parts, "image 1");
    vec_push(&parts, python->base);
    for (size_t i = 0; i < python->image_packages.count; i++)
        vec_push(&parts, python->image_packages.items[i]);
    r = native_cached(python->task, "python", &parts, build_image, python, &python->image, st);
    vec_free(&parts);
    return r;
}

/* ---- what was staged ---- */

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* A wheel for this interpreter, else the archive of the sources. */
static const char *find_staged_sdk(const struct native_task *task) {
    const char *version = task->environment->image.language_version;
    const char *dot = strchr(version, '.');
    CLEANUP(freep) char *tag = xasprintf("cp%.*s%s", dot ? (int)(dot - version) : 0, version, dot ? dot + 1 : version);

    for (size_t i = 0; i < task->artifact_count; i++) {
        const char *name = task->artifacts[i].name;

        if (strncmp(name, "apache_beam", 11) == 0 && ends_with(name, ".whl") && strstr(name, tag))
            return name;
    }
    return native_find_artifact(task, SDK_ARCHIVE) ? SDK_ARCHIVE : NULL;
}

static bool is_requirements_file(const struct native_artifact *artifact) {
    return strcmp(artifact->name, REQUIREMENTS) == 0 ||
           strcmp(artifact->role_urn, urn_string(URN_ARTIFACT_ROLE_PIP_REQUIREMENTS_FILE)) == 0;
}

/* In two rounds: first only from what was staged, so that the index is not asked for what is there. */
static int install_requirements(struct python *python, const char *directory, const char *name, struct status *st) {
    CLEANUP(freep) char *path = staged_path(python, name);
    const char *staged = python->task->environment->staged;
    const char *const offline[] = {"-r", path, "--no-index", "--no-deps", "--find-links", staged, NULL};
    const char *const online[] = {"-r", path, "--find-links", staged, NULL};
    int r = pip_install(python, directory, offline, NULL);

    return r == -STATUS_CANCELLED ? status_set(st, STATUS_CANCELLED, "cancelled")
                                  : pip_install(python, directory, online, st);
}

/* `is_forced`: it replaces what is there of it, though not its dependencies; then those that are missing are installed. */
static int install_package(struct python *python, const char *directory, const char *name, bool is_forced,
                           struct status *st) {
    CLEANUP(freep) char *path = staged_path(python, name);
    const char *isolation = python->has_build_isolation ? NULL : "--no-build-isolation";
    const char *const forced[] = {path, "--upgrade", "--force-reinstall", "--no-deps", isolation, NULL};
    const char *const plain[] = {path, isolation, NULL};
    int r = is_forced ? pip_install(python, directory, forced, st) : 0;

    return r < 0 ? r : pip_install(python, directory, plain, st);
}

static int install_extra_packages(struct python *python, const char *directory, struct status *st) {
    CLEANUP(freep) char *path = staged_path(python, EXTRA_PACKAGES);
    FILE *file = fopen(path, "re");
    char line[4096];
    int r = 0;

    if (!file)
        return status_set_errno(st, errno, "cannot read %s", path);
    while (r == 0 && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0])
            continue;
        r = tree_is_safe_name(line) ? install_package(python, directory, line, true, st)
                                    : status_set(st, STATUS_INVALID_ARGUMENT, "%s names \"%s\"", EXTRA_PACKAGES, line);
    }
    fclose(file);
    return r;
}

static int build_staged(struct native_task *task, const char *directory, void *user, struct status *st) {
    struct python *python = user;
    const char *const with_image[] = {python->image, python->base, NULL};
    int r = make_venv(python, directory, st);

    if (r == 0)
        r = see_layers(python, directory, python->image ? with_image : with_image + 1, st);
    if (r == 0)
        native_say(task, "installing what was staged with the pipeline into %s", directory);
    if (r == 0 && python->sdk)
        r = install_package(python, directory, python->sdk, false, st);
    for (size_t i = 0; r == 0 && i < task->artifact_count; i++)
        if (is_requirements_file(&task->artifacts[i]))
            r = install_requirements(python, directory, task->artifacts[i].name, st);
    if (r == 0 && native_find_artifact(task, EXTRA_PACKAGES))
        r = install_extra_packages(python, directory, st);
    if (r == 0 && native_find_artifact(task, WORKFLOW))
        r = install_package(python, directory, WORKFLOW, false, st);
    return r;
}

static bool has_something_to_install(const struct python *python) {
    for (size_t i = 0; i < python->task->artifact_count; i++)
        if (is_requirements_file(&python->task->artifacts[i]))
            return true;
    return python->sdk || native_find_artifact(python->task, EXTRA_PACKAGES) ||
           native_find_artifact(python->task, WORKFLOW);
}

/* What pip may look at: everything but the session, which changes with each submission, and the list of what the client has, of which only the
 * image's packages count. */
static bool can_be_installed(const char *name) {
    return strcmp(name, "pickled_main_session") != 0 && strcmp(name, PYTHON_SUBMISSION_PACKAGES) != 0;
}

static int get_staged(struct python *python, char **ret, struct status *st) {
    struct string_vec parts = {0};
    int r;

    vec_push(&parts, "staged 1");
    vec_push(&parts, python->image ? python->image : python->base);
    vec_push(&parts, python->has_build_isolation ? "isolated" : "");
    for (size_t i = 0; i < python->task->artifact_count; i++) {
        const struct native_artifact *artifact = &python->task->artifacts[i];

        if (!can_be_installed(artifact->name))
            continue;
        vec_push(&parts, artifact->name);
        vec_push(&parts, artifact->sha256);
    }
    r = native_cached(python->task, "python", &parts, build_staged, python, ret, st);
    vec_free(&parts);
    return r;
}

/* ---- all of it ---- */

static void set_command(struct native_environment *environment, const char *directory) {
    struct arena *arena = &environment->arena;
    const char *path = getenv("PATH");

    vec_push(&environment->argv, arena_printf(arena, "%s/bin/python", directory));
    vec_push(&environment->argv, "-I");
    vec_push(&environment->argv, "-m");
    vec_push(&environment->argv, "apache_beam.runners.worker.sdk_worker_main");
    vec_push(&environment->variables, arena_printf(arena, "SEMI_PERSISTENT_DIRECTORY=%s", environment->home));
    /* What the pipeline starts as a program comes from its own environment too. */
    vec_push(&environment->variables, arena_printf(arena, "VIRTUAL_ENV=%s", directory));
    vec_push(&environment->variables, arena_printf(arena, "PATH=%s/bin:%s", directory, path ? path : "/usr/bin:/bin"));
}

static int python_prepare(struct native_task *task, struct status *st) {
    struct python python = {.task = task,
                            .sdk = find_staged_sdk(task),
                            .has_build_isolation =
                                pipeline_options_experiment(task->options, "pip_use_build_isolation") != NULL};
    char *directory = NULL;
    int r = find_interpreter(task, &python.interpreter, st);

    if (r == 0)
        r = get_base(&python, st);
    if (r == 0)
        r = get_image(&python, st);
    if (r == 0 && has_something_to_install(&python))
        r = get_staged(&python, &directory, st);
    if (r == 0)
        set_command(task->environment, directory ? directory : python.image ? python.image : python.base);
    free(directory);
    vec_free(&python.image_packages);
    free(python.image);
    free(python.base);
    free(python.interpreter);
    return r;
}

static void python_tell(const struct native_environment *environment, const char *worker_id,
                        const struct worker_endpoints *endpoints, struct arena *arena, struct string_vec *argv,
                        struct string_vec *variables) {
    (void)environment;
    (void)argv;
    vec_push(variables, arena_printf(arena, "WORKER_ID=%s", worker_id));
    native_tell_endpoints(endpoints, arena, variables);
}

const struct native_sdk_kind native_python = {.prepare = python_prepare, .tell = python_tell};
