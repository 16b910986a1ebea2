#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jobserver/native/native.h"
#include "jobserver/native/tree.h"
#include "temp_dir.h"

enum { LIMIT_S = 30, MAX_REQUESTS = 2 };

#define PYTHON_IMAGE "apache/beam_python3.11_sdk:2.77.0"

/* One request and what was heard of it. */
struct client {
    struct native_request *request;
    char *messages;
    bool is_done;
    struct native_environment *environment;
    char *error;
};

static struct launcher *launcher;
static struct native *native;
static char *directory;
static char *journal; /* what the stand-in for Python was called with */
static char *gate;    /* a FIFO that `pip` may wait for */
static struct client clients[MAX_REQUESTS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* ---------------------------------------------------------------- the fixture */

static char *path_of(const char *name) {
    return xasprintf("%s/%s", directory, name);
}

static void write_text(const char *path, const char *text) {
    ck_assert_int_eq(tree_write(path, text, strlen(text), NULL), 0);
}

static char *read_text(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = xcalloc(1, 65536);

    if (file) {
        text[fread(text, 1, 65535, file)] = '\0';
        fclose(file);
    }
    return text;
}

/* An interpreter that makes virtual environments without Python; `pip`: shell, for everything that is installed. */
static void write_python(const char *pip) {
    CLEANUP(freep) char *bin = path_of("bin");
    CLEANUP(freep) char *python = path_of("bin/python3.11");
    FILE *file;

    mkdir(bin, 0700);
    file = fopen(python, "w");
    fprintf(file,
            "#!/bin/sh\necho \"$*\" >>%s\ncase \"$*\" in\n"
            "*'-m venv '*) mkdir -p $4/bin $4/lib/python3.11/site-packages && cp \"$0\" $4/bin/python ;;\n"
            "*) %s ;;\nesac\n",
            journal, pip);
    fclose(file);
    chmod(python, 0700);
}

static void start_native(void) {
    CLEANUP(freep) char *cache = path_of("cache");
    CLEANUP(freep) char *state = path_of("state");
    CLEANUP(freep) char *bin = path_of("bin");

    native = native_create(&(struct native_options){
        .launcher = launcher, .cache_directory = cache, .state_directory = state, .search_path = bin});
}

static void set_up(void) {
    directory = temp_dir_create();
    journal = path_of("journal");
    gate = path_of("gate");
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
    launcher_start(launcher);
    start_native();
}

static void release(struct client *client) {
    native_request_release(client->request);
    native_environment_unref(client->environment);
    free(client->messages);
    free(client->error);
    *client = (struct client){0};
}

static void tear_down(void) {
    for (size_t i = 0; i < MAX_REQUESTS; i++)
        release(&clients[i]);
    native_destroy(native);
    launcher_destroy(launcher);
    temp_dir_destroy(directory);
    free(journal);
    free(gate);
}

static void on_message(void *user, bool is_detail, const char *text) {
    struct client *client = user;
    char *longer;

    pthread_mutex_lock(&lock);
    longer = xasprintf("%s%s%s\n", client->messages ? client->messages : "", is_detail ? "> " : "", text);
    free(client->messages);
    client->messages = longer;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_done(void *user, struct native_environment *environment, const struct status *why) {
    struct client *client = user;

    pthread_mutex_lock(&lock);
    client->is_done = true;
    client->environment = environment;
    client->error = environment ? NULL : xstrdup(status_message(why));
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Until a message holds `text`; NULL: until it is done. */
static void await(struct client *client, const char *text) {
    struct timespec limit;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_S;
    pthread_mutex_lock(&lock);
    while (!error && !(text ? client->messages && strstr(client->messages, text) : client->is_done))
        error = pthread_cond_timedwait(&changed, &lock, &limit);
    pthread_mutex_unlock(&lock);
    ck_assert_msg(!error, "waited for \"%s\", got:\n%s", text ? text : "the end", client->messages);
}

static struct client *prepare(unsigned number, const char *image, const struct native_artifact *artifacts,
                              size_t count) {
    static const struct native_handler handler = {.message = on_message, .done = on_done};
    struct native_spec spec = {
        .image = image,
        .artifacts = artifacts,
        .artifact_count = count,
        .job_id = "the-job",
        .job_name = "a name",
        .runner_capabilities = "one two",
    };

    clients[number].request = native_prepare(native, &spec, &handler, &clients[number]);
    return &clients[number];
}

static struct native_artifact artifact(char *path, const char *name) {
    write_text(path, name);
    return (struct native_artifact){
        .name = name, .path = path, .sha256 = name, .role_urn = "beam:artifact:role:staging_to:v1"};
}

static unsigned count_lines(const char *text, const char *what) {
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* Names below cache/native/python, without the two of every directory. */
static unsigned count_cached(void) {
    CLEANUP(freep) char *path = path_of("cache/native/python");
    DIR *dir = opendir(path);
    unsigned count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count > 2 ? count - 2 : 0;
}

static bool holds(const char *const *strings, const char *text) {
    for (; *strings; strings++)
        if (strcmp(*strings, text) == 0)
            return true;
    return false;
}

/* ---------------------------------------------------------------- Python */

START_TEST(an_environment_is_built_once_and_then_found)
{
    CLEANUP(freep) char *calls = NULL;

    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, NULL, 0), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    await(prepare(1, PYTHON_IMAGE, NULL, 0), NULL);
    ck_assert_ptr_nonnull(clients[1].environment);
    calls = read_text(journal);
    ck_assert_uint_eq(count_lines(calls, "-m venv"), 1);
    ck_assert_uint_eq(count_lines(calls, "apache-beam==2.77.0"), 1);
    ck_assert_uint_eq(count_cached(), 1);
}
END_TEST

/* The folder in the cache that is there besides `other` (NULL: none). The caller frees. */
static char *cached_besides(const char *other) {
    CLEANUP(freep) char *path = path_of("cache/native/python");
    DIR *dir = opendir(path);
    struct dirent *entry;
    char *found = NULL;

    ck_assert_ptr_nonnull(dir);
    while (!found && (entry = readdir(dir))) {
        found = entry->d_name[0] == '.' ? NULL : xasprintf("%s/%s", path, entry->d_name);
        if (found && other && strcmp(found, other) == 0) {
            free(found);
            found = NULL;
        }
    }
    closedir(dir);
    ck_assert_ptr_nonnull(found);
    return found;
}

/* As if it had been used then, and took so much. */
static void pretend(const char *folder, const char *bytes, time_t used) {
    CLEANUP(freep) char *path = xasprintf("%s/.complete", folder);
    struct timespec times[2] = {{.tv_sec = used}, {.tv_sec = used}};
    FILE *file = fopen(path, "r+");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(ftruncate(fileno(file), 0), 0);
    fputs(bytes, file);
    fclose(file);
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* What another daemon with the same cache does when it starts. */
static void evict(uint64_t keep_ms, uint64_t max_bytes) {
    CLEANUP(freep) char *cache = path_of("cache");
    CLEANUP(freep) char *state = path_of("other-state");

    native_destroy(native_create(&(struct native_options){.launcher = launcher,
                                                          .cache_directory = cache,
                                                          .state_directory = state,
                                                          .search_path = "",
                                                          .keep_ms = keep_ms,
                                                          .max_bytes = max_bytes}));
}

START_TEST(what_nobody_used_for_long_is_removed_and_what_is_used_stays)
{
    CLEANUP(freep) char *folder = NULL;

    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, NULL, 0), NULL);
    ck_assert_ptr_nonnull(clients[0].environment);
    folder = cached_besides(NULL);
    pretend(folder, "1", 1000);
    evict(3600 * 1000, 0);
    ck_assert_int_eq(access(folder, F_OK), 0);
    release(&clients[0]);
    evict(3600 * 1000, 0); /* it was used until now */
    ck_assert_int_eq(access(folder, F_OK), 0);
    pretend(folder, "1", 1000);
    evict(0, 0);
    ck_assert_int_eq(access(folder, F_OK), 0);
    evict(3600 * 1000, 0);
    ck_assert_uint_eq(count_cached(), 0);
    /* It is made anew. */
    await(prepare(1, PYTHON_IMAGE, NULL, 0), NULL);
    ck_assert_ptr_nonnull(clients[1].environment);
    evict(3600 * 1000, 0);
    ck_assert_uint_eq(count_cached(), 1);
}
END_TEST

START_TEST(of_what_is_too_much_the_one_used_last_longest_ago_is_removed)
{
    CLEANUP(freep) char *older = NULL, *newer = NULL;

    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, NULL, 0), NULL);
    older = cached_besides(NULL);
    await(prepare(1, "apache/beam_python3.11_sdk:2.76.0", NULL, 0), NULL);
    newer = cached_besides(older);
    release(&clients[0]);
    release(&clients[1]);
    pretend(older, "1000000", 1000);
    pretend(newer, "1000000", 2000);
    evict(0, 2000000);
    ck_assert_uint_eq(count_cached(), 2);
    evict(0, 1999999);
    ck_assert_int_eq(access(newer, F_OK), 0);
    ck_assert_int_ne(access(older, F_OK), 0);
}
END_TEST

START_TEST(a_worker_is_told_where_and_who_it_is)
{
    CLEANUP(freep) char *path = path_of("main");
    struct native_artifact staged = artifact(path, "pickled_main_session");
    struct worker_endpoints endpoints = {"host:1", "host:2", "host:3", "host:4"};
    CLEANUP(freep) char *home = path_of("state/native/0");
    CLEANUP(freep) char *session = path_of("state/native/0/staged/pickled_main_session");
    CLEANUP(freep) char *options = path_of("state/native/0/pipeline_options.json");
    CLEANUP(freep) char *semi_persistent = xasprintf("SEMI_PERSISTENT_DIRECTORY=%s", home);
    CLEANUP(freep) char *json = NULL;
    struct process_spec command;
    struct arena arena = {0};

    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, &staged, 1), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    command = native_environment_command(clients[0].environment, "w1", &endpoints, &arena);
    ck_assert_ptr_nonnull(strstr(command.argv[0], "/bin/python"));
    ck_assert(holds(command.argv, "apache_beam.runners.worker.sdk_worker_main"));
    ck_assert(holds(command.environment, "WORKER_ID=w1"));
    ck_assert(holds(command.environment, "CONTROL_API_SERVICE_DESCRIPTOR=url: \"host:1\""));
    ck_assert(holds(command.environment, "LOGGING_API_SERVICE_DESCRIPTOR=url: \"host:2\""));
    ck_assert(holds(command.environment, "RUNNER_CAPABILITIES=one two"));
    ck_assert(holds(command.environment, "JOB_NAME=a name"));
    ck_assert(holds(command.environment, semi_persistent));
    arena_clear(&arena);
    ck_assert_int_eq(access(session, R_OK), 0);
    json = read_text(options);
    ck_assert_str_eq(json, "{}");
    /* The home goes with the last who has the environment. */
    release(&clients[0]);
    native_destroy(native);
    ck_assert_int_ne(access(home, F_OK), 0);
    start_native();
}
END_TEST

START_TEST(what_was_staged_is_installed_on_top)
{
    CLEANUP(freep) char *requirements = path_of("r");
    CLEANUP(freep) char *manifest = path_of("m");
    CLEANUP(freep) char *package = path_of("p");
    CLEANUP(freep) char *workflow = path_of("w");
    CLEANUP(freep) char *calls = NULL;
    struct native_artifact staged[] = {artifact(requirements, "requirements.txt"),
                                       artifact(manifest, "extra_packages.txt"), artifact(package, "extra.tar.gz"),
                                       artifact(workflow, "workflow.tar.gz")};

    write_text(manifest, "extra.tar.gz\n");
    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, staged, 4), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    calls = read_text(journal);
    ck_assert_uint_eq(count_lines(calls, "-m venv"), 2);
    ck_assert_uint_eq(count_lines(calls, "staged/requirements.txt --no-index --no-deps --find-links"), 1);
    ck_assert_uint_eq(count_lines(calls, "staged/requirements.txt --find-links"), 1);
    ck_assert_uint_eq(count_lines(calls, "extra.tar.gz --upgrade --force-reinstall --no-deps --no-build-isolation"), 1);
    ck_assert_uint_eq(count_lines(calls, "staged/workflow.tar.gz --no-build-isolation"), 1);
    ck_assert_uint_eq(count_cached(), 2);
}
END_TEST

/* The client writes Python's notation of the bytes that `pip freeze` printed. */
START_TEST(packages_of_the_image_come_in_the_versions_of_who_submits)
{
    CLEANUP(freep) char *list = path_of("l");
    CLEANUP(freep) char *calls = NULL;
    struct native_artifact staged = artifact(list, "submission_environment_dependencies.txt");

    write_text(list, "Python Path: /home/me/pandas==1/python\n"
                     "b'apache-beam==2.77.0\\nnumpy==2.2.6\\npandas==2.2.3\\nscikit_learn==1.7.2\\ntorch==2.9.1\\n"
                     "scipy==1.16.0+mine\\nnltk @ file:///home/me/nltk\\n'");
    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, &staged, 1), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    calls = read_text(journal);
    ck_assert_uint_eq(count_lines(calls, "-m venv"), 2);
    ck_assert_uint_eq(count_lines(calls, "off pandas==2.2.3 scikit_learn==1.7.2 numpy==2.2.6"), 1);
    ck_assert_uint_eq(count_lines(calls, "torch") + count_lines(calls, "scipy") + count_lines(calls, "nltk"), 0);
}
END_TEST

/* What is staged changes often, and pandas is large. */
START_TEST(packages_of_the_image_are_installed_once_for_all_that_is_staged)
{
    CLEANUP(freep) char *list = path_of("l");
    CLEANUP(freep) char *requirements = path_of("r");
    CLEANUP(freep) char *calls = NULL;
    struct native_artifact staged[] = {artifact(list, "submission_environment_dependencies.txt"),
                                       artifact(requirements, "requirements.txt")};

    write_text(list, "b'pandas==2.2.3\\n'");
    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, staged, 1), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    await(prepare(1, PYTHON_IMAGE, staged, 2), NULL);
    ck_assert_msg(clients[1].environment != NULL, "%s", clients[1].error);
    calls = read_text(journal);
    ck_assert_uint_eq(count_lines(calls, "-m venv"), 3);
    ck_assert_uint_eq(count_lines(calls, "pandas==2.2.3"), 1);
    ck_assert_uint_eq(count_lines(calls, "staged/requirements.txt --find-links"), 1);
    ck_assert_uint_eq(count_cached(), 3);
}
END_TEST

START_TEST(packages_that_come_with_the_sdk_need_no_environment_of_their_own)
{
    CLEANUP(freep) char *list = path_of("l");
    struct native_artifact staged = artifact(list, "submission_environment_dependencies.txt");

    write_text(list, "Python Path: /usr/bin/python3\nb'apache-beam==2.77.0\\nnumpy==2.2.6\\npyarrow==22.0.0\\n'");
    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, &staged, 1), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    ck_assert_uint_eq(count_cached(), 1);
}
END_TEST

START_TEST(a_build_that_fails_tells_the_last_lines_and_leaves_nothing)
{
    write_python("echo first; echo no such package >&2; exit 3");
    await(prepare(0, PYTHON_IMAGE, NULL, 0), NULL);
    ck_assert_ptr_null(clients[0].environment);
    ck_assert_ptr_nonnull(strstr(clients[0].error, "exited with code 3; its last lines:\nfirst\nno such package"));
    ck_assert_uint_eq(count_cached(), 0);
    /* It is tried again for the next job. */
    write_python("exit 0");
    await(prepare(1, PYTHON_IMAGE, NULL, 0), NULL);
    ck_assert_msg(clients[1].environment != NULL, "%s", clients[1].error);
}
END_TEST

START_TEST(who_needs_the_same_environment_waits_for_it)
{
    CLEANUP(freep) char *pip = xasprintf("read line <%s", gate);
    CLEANUP(freep) char *calls = NULL;

    write_python(pip);
    await(prepare(0, PYTHON_IMAGE, NULL, 0), "installing apache-beam==2.77.0");
    await(prepare(1, PYTHON_IMAGE, NULL, 0), "waiting for");
    write_text(gate, "go\n");
    await(&clients[0], NULL);
    await(&clients[1], NULL);
    ck_assert_ptr_nonnull(clients[0].environment);
    ck_assert_ptr_nonnull(clients[1].environment);
    calls = read_text(journal);
    ck_assert_uint_eq(count_lines(calls, "-m venv"), 1);
}
END_TEST

START_TEST(a_build_that_nobody_wants_any_more_is_ended_and_leaves_nothing)
{
    CLEANUP(freep) char *pip = xasprintf("read line <%s", gate);

    write_python(pip);
    await(prepare(0, PYTHON_IMAGE, NULL, 0), "installing apache-beam==2.77.0");
    release(&clients[0]);
    native_destroy(native); /* waits for it */
    ck_assert_uint_eq(count_cached(), 0);
    start_native();
}
END_TEST

START_TEST(a_build_that_others_wait_for_goes_on_without_the_job_that_began_it)
{
    CLEANUP(freep) char *pip = xasprintf("read line <%s", gate);

    write_python(pip);
    await(prepare(0, PYTHON_IMAGE, NULL, 0), "installing apache-beam==2.77.0");
    await(prepare(1, PYTHON_IMAGE, NULL, 0), "waiting for");
    release(&clients[0]);
    write_text(gate, "go\n");
    await(&clients[1], NULL);
    ck_assert_msg(clients[1].environment != NULL, "%s", clients[1].error);
}
END_TEST

START_TEST(a_missing_interpreter_is_named_with_the_places)
{
    write_python("exit 0");
    await(prepare(0, "apache/beam_python3.2_sdk:2.77.0", NULL, 0), NULL);
    ck_assert_ptr_nonnull(strstr(clients[0].error, "needs Python 3.2"));
    ck_assert_ptr_nonnull(strstr(clients[0].error, directory));
    ck_assert_ptr_nonnull(strstr(clients[0].error, "/usr/bin/python3.2"));
    ck_assert_ptr_nonnull(strstr(clients[0].error, "native.search_path"));
}
END_TEST

START_TEST(an_artifact_cannot_leave_its_folder)
{
    static const char *const names[] = {"../evil", "/evil", "a/../../evil", "", "a//b", ".."};
    CLEANUP(freep) char *path = path_of("file");
    struct native_artifact staged = artifact(path, "../evil");

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        ck_assert_msg(!tree_is_safe_name(names[i]), "%s", names[i]);
    ck_assert(tree_is_safe_name("a/b..c"));
    write_python("exit 0");
    await(prepare(0, PYTHON_IMAGE, &staged, 1), NULL);
    ck_assert_ptr_nonnull(strstr(clients[0].error, "../evil"));
}
END_TEST

/* ---------------------------------------------------------------- Go */

START_TEST(a_go_worker_is_the_staged_binary)
{
    CLEANUP(freep) char *path = path_of("binary");
    CLEANUP(freep) char *worker = path_of("state/native/0/worker");
    struct native_artifact staged[] = {artifact(path, "0-binary"), artifact(path, "1-other")};
    struct worker_endpoints endpoints = {"host:1", "host:2", "host:3", "host:4"};
    struct process_spec command;
    struct arena arena = {0};

    staged[0].role_urn = "beam:artifact:role:go_worker_binary:v1";
    await(prepare(0, "apache/beam_go_sdk:2.77.0", staged, 2), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    command = native_environment_command(clients[0].environment, "w1", &endpoints, &arena);
    ck_assert_str_eq(command.argv[0], worker);
    ck_assert(holds(command.argv, "--worker=true"));
    ck_assert(holds(command.argv, "--id=w1"));
    ck_assert(holds(command.argv, "--control_endpoint=host:1"));
    ck_assert_int_eq(access(worker, X_OK), 0);
    arena_clear(&arena);
    await(prepare(1, "apache/beam_go_sdk:2.77.0", NULL, 0), NULL);
    ck_assert_ptr_nonnull(strstr(clients[1].error, "staged no Go worker binary"));
}
END_TEST

/* ---------------------------------------------------------------- TypeScript */

/* Stands for npm and node. */
static void write_program(const char *name) {
    CLEANUP(freep) char *bin = path_of("bin");
    CLEANUP(freep) char *program = xasprintf("%s/%s", bin, name);
    FILE *file;

    mkdir(bin, 0700);
    file = fopen(program, "w");
    fprintf(file, "#!/bin/sh\necho \"%s $*\" >>%s\ncat package.json >>%s\n", name, journal, journal);
    fclose(file);
    chmod(program, 0700);
}

START_TEST(a_typescript_worker_is_node_with_the_staged_packages)
{
    CLEANUP(freep) char *path = path_of("package");
    CLEANUP(freep) char *calls = NULL;
    struct native_artifact staged[] = {artifact(path, "0-package"), artifact(path, "1-dependency")};
    struct worker_endpoints endpoints = {"host:1", "host:2", "host:3", "host:4"};
    struct process_spec command;
    struct arena arena = {0};

    staged[0].role_urn = "beam:artifact:type:npm:v1";
    staged[1].role_urn = "beam:artifact:type:npm_dep:v1";
    staged[1].role_payload = slice_of_literal("the-dependency");
    write_program("npm");
    write_program("node");
    await(prepare(0, "apache/beam_typescript_sdk:2.49.0", staged, 2), NULL);
    ck_assert_msg(clients[0].environment != NULL, "%s", clients[0].error);
    calls = read_text(journal);
    ck_assert_ptr_nonnull(strstr(calls, "npm install"));
    ck_assert_ptr_nonnull(strstr(calls, "/package-0.tgz\n"));
    ck_assert_ptr_null(strstr(calls, "/package-1.tgz\n"));
    ck_assert_ptr_nonnull(strstr(calls, "\"overrides\": {\"the-dependency\": \"file:"));
    command = native_environment_command(clients[0].environment, "w1", &endpoints, &arena);
    ck_assert_ptr_nonnull(strstr(command.argv[0], "/bin/node"));
    ck_assert_ptr_nonnull(strstr(command.argv[1], "/node_modules/.bin/apache-beam-worker"));
    ck_assert(holds(command.argv, "--options={}"));
    ck_assert(holds(command.argv, "--id=w1"));
    ck_assert(holds(command.argv, "--control_endpoint=host:1"));
    ck_assert_ptr_nonnull(command.working_directory);
    arena_clear(&arena);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("native");
    TCase *tests = tcase_create("native");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 2 * LIMIT_S);
    tcase_add_test(tests, an_environment_is_built_once_and_then_found);
    tcase_add_test(tests, what_nobody_used_for_long_is_removed_and_what_is_used_stays);
    tcase_add_test(tests, of_what_is_too_much_the_one_used_last_longest_ago_is_removed);
    tcase_add_test(tests, a_worker_is_told_where_and_who_it_is);
    tcase_add_test(tests, what_was_staged_is_installed_on_top);
    tcase_add_test(tests, packages_of_the_image_come_in_the_versions_of_who_submits);
    tcase_add_test(tests, packages_of_the_image_are_installed_once_for_all_that_is_staged);
    tcase_add_test(tests, packages_that_come_with_the_sdk_need_no_environment_of_their_own);
    tcase_add_test(tests, a_build_that_fails_tells_the_last_lines_and_leaves_nothing);
    tcase_add_test(tests, who_needs_the_same_environment_waits_for_it);
    tcase_add_test(tests, a_build_that_nobody_wants_any_more_is_ended_and_leaves_nothing);
    tcase_add_test(tests, a_build_that_others_wait_for_goes_on_without_the_job_that_began_it);
    tcase_add_test(tests, a_missing_interpreter_is_named_with_the_places);
    tcase_add_test(tests, an_artifact_cannot_leave_its_folder);
    tcase_add_test(tests, a_go_worker_is_the_staged_binary);
    tcase_add_test(tests, a_typescript_worker_is_node_with_the_staged_packages);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
