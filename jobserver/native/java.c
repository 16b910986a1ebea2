/* Java: a JVM with the SDK's harness and the staged class path (sdks/java/container/boot.go).
 *
 * The image has the harness and what it needs in front of the class path: SLF4J and its bridges, so that log lines come to the runner by
 * whatever library they are written, and jamm, with which caches are measured. Here they come from Maven, once for a version
 * (CACHE/native/java/KEY), unless all of them are on the staged class path. One that has harness and jamm, as in a program that depends on
 * the portable runner and on jamm, is run as it is where Maven cannot help. What the harness itself needs, Beam's core first of all, every
 * pipeline stages. What the image's agent opens of the JDK's modules is opened by options. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/machine.h"
#include "jobserver/native/interpreters.h"
#include "jobserver/native/task.h"
#include "jobserver/native/tree.h"

#define GIB (UINT64_C(1) << 30)

/* ---- the JVM ---- */

/* The image's own version; else a later one, which runs its classes as well. */
static int find_java(struct native_task *task, char **ret, struct status *st) {
    unsigned version = (unsigned)strtoul(task->environment->image.language_version, NULL, 10);
    const char *search_path = native_search_path(task);
    CLEANUP(freep) char *looked = NULL;

    *ret = interpreter_find_java(version, version, search_path, &looked);
    if (*ret)
        return 0;
    free(looked);
    *ret = interpreter_find_java(version, UINT_MAX, search_path, &looked);
    if (*ret) {
        native_say(task, "there is no Java %u here; its pipeline runs on Java %u (%s)", version,
                   interpreter_java_version(*ret), *ret);
        return 0;
    }
    return status_set(st, STATUS_FAILED_PRECONDITION,
                      "the pipeline needs Java %u or later, and there is none on the machine of this server; looked in "
                      "%s. Install it, set JAVA_HOME, or name the directory of its java in native.search_path",
                      version, looked);
}

/* ---- the image's jars ---- */

static const char *const logging_jars[] = {"slf4j-api", "slf4j-jdk14", "jcl-over-slf4j", "log4j-over-slf4j",
                                           "log4j-to-slf4j"};
static const char harness_jar[] = "beam-sdks-java-harness", jamm_jar[] = "jamm";

static const struct {
    const char *group;
    const char *name;
    const char *version; /* NULL: Beam's */
} jars[] = {
    {"org.slf4j", "slf4j-api", "2.0.16"},
    {"org.slf4j", "slf4j-jdk14", "2.0.16"},
    {"org.slf4j", "jcl-over-slf4j", "2.0.16"},
    {"org.slf4j", "log4j-over-slf4j", "2.0.16"},
    {"org.apache.logging.log4j", "log4j-to-slf4j", "2.20.0"},
    {"com.github.jbellis", jamm_jar, "0.4.0"},
    {"org.apache.beam", harness_jar, NULL},
};

static int write_pom(const struct native_task *task, const char *path, struct status *st) {
    char *pom = xstrdup("<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n"
                        "<groupId>trestle</groupId><artifactId>harness</artifactId><version>1</version>\n"
                        "<packaging>pom</packaging><dependencies>\n");
    char *longer;
    int r;

    for (size_t i = 0; i < ARRAY_COUNT(jars); i++) {
        const char *version = jars[i].version ? jars[i].version : task->environment->image.beam_version;

        longer = xasprintf("%s<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>"
                           "</dependency>\n",
                           pom, jars[i].group, jars[i].name, version);
        free(pom);
        pom = longer;
    }
    longer = xasprintf("%s</dependencies></project>\n", pom);
    r = tree_write(path, longer, strlen(longer), st);
    free(pom);
    free(longer);
    return r;
}

static int fetch_jars(struct native_task *task, const char *directory, void *user, struct status *st) {
    const char *maven = user;
    CLEANUP(freep) char *pom = xasprintf("%s/pom.xml", directory);
    CLEANUP(freep) char *output = xasprintf("-DoutputDirectory=%s", directory);
    const char *const argv[] = {
        maven, "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-Dmdep.stripVersion=true", output, NULL};
    int r = write_pom(task, pom, st);

    if (r < 0)
        return r;
    native_say(task, "fetching the Java SDK's harness %s with %s into %s", task->environment->image.beam_version, maven,
               directory);
    r = native_run(task, argv, NULL, directory, st);
    return r < 0
               ? status_prefix(st, "cannot fetch the Java SDK's harness (with it and jamm on the pipeline's own class "
                                   "path, it need not be)")
               : 0;
}

/* A jar of that name and some version. */
static const struct native_artifact *find_staged_jar(const struct native_task *task, const char *name) {
    size_t size = strlen(name);

    for (size_t i = 0; i < task->artifact_count; i++) {
        const char *slash = strrchr(task->artifacts[i].name, '/');
        const char *base = slash ? slash + 1 : task->artifacts[i].name;

        if (strncmp(base, name, size) == 0 && base[size] == '-' && base[size + 1] >= '0' && base[size + 1] <= '9')
            return &task->artifacts[i];
    }
    return NULL;
}

static bool has_all_jars(const struct native_task *task) {
    for (size_t i = 0; i < ARRAY_COUNT(jars); i++)
        if (!find_staged_jar(task, jars[i].name))
            return false;
    return true;
}

static int get_fetched_jars(struct native_task *task, char **ret_directory, struct status *st) {
    bool has_harness = find_staged_jar(task, harness_jar);
    CLEANUP(freep) char *maven = NULL;
    CLEANUP(freep) char *looked = NULL;
    struct string_vec parts = {0};
    int r;

    maven = interpreter_find_maven(native_search_path(task), &looked);
    if (!maven)
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "the pipeline's class path does not hold %s, which its worker needs; there is no mvn here to "
                          "fetch it with (looked in %s). Install Maven, or add the dependency %s to the pipeline",
                          has_harness ? "jamm" : "beam-sdks-java-harness", looked,
                          has_harness ? "com.github.jbellis:jamm:0.4.0" : "org.apache.beam:beam-sdks-java-harness");
    vec_push(&parts, "java 1");
    vec_push(&parts, task->environment->image.beam_version);
    r = native_cached(task, "java", &parts, fetch_jars, maven, ret_directory, st);
    vec_free(&parts);
    return r;
}

/* *ret_directory stays NULL where the staged class path is to be run as it is. */
static int get_jars(struct native_task *task, char **ret_directory, struct status *st) {
    bool can_run = find_staged_jar(task, harness_jar) && find_staged_jar(task, jamm_jar);
    int r;

    if (has_all_jars(task))
        return 0;
    r = get_fetched_jars(task, ret_directory, st);
    if (r == 0 || r == -STATUS_CANCELLED || !can_run)
        return r;
    native_say(
        task,
        "the image's logging libraries cannot be had from Maven; the pipeline's class path has a worker of its "
        "own and is run as it is, so that what is logged by libraries without a bridge to SLF4J is not seen here");
    status_clear(st);
    return 0;
}

/* ---- the command ---- */

static void add_argument(struct native_environment *environment, const char *text) {
    vec_push(&environment->argv, arena_string(&environment->arena, text));
}

/* 70 % of the memory that it may use, or all but 32 GiB where that is more. */
static void add_heap(const struct native_task *task) {
    struct native_environment *environment = task->environment;
    uint64_t machine = machine_memory_bytes();
    uint64_t size = task->memory_bytes && (!machine || task->memory_bytes < machine) ? task->memory_bytes : machine;
    uint64_t limit = size ? size / 10 * 7 : GIB;

    if (size > limit && size - limit > 32 * GIB)
        limit = size - 32 * GIB;
    vec_push(&environment->argv, arena_printf(&environment->arena, "-Xmx%llu", (unsigned long long)limit));
}

static void add_listed(struct native_task *task, const char *option, const char *old_option, const char *flag) {
    size_t count;
    const char *const *values = pipeline_options_list(task->options, option, &count);

    if (!values)
        values = pipeline_options_list(task->options, old_option, &count);
    for (size_t i = 0; values && i < count; i++)
        vec_push(&task->environment->argv, arena_printf(&task->environment->arena, "%s=%s", flag, values[i]));
}

static void add_modules(struct native_task *task, unsigned version) {
    static const char *const open[] = {"java.io",
                                       "java.lang",
                                       "java.lang.invoke",
                                       "java.lang.reflect",
                                       "java.math",
                                       "java.net",
                                       "java.nio",
                                       "java.text",
                                       "java.time",
                                       "java.util",
                                       "java.util.concurrent",
                                       "java.util.concurrent.atomic",
                                       "sun.nio.ch"};

    if (version < 9)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(open); i++)
        vec_push(&task->environment->argv,
                 arena_printf(&task->environment->arena, "--add-opens=java.base/%s=ALL-UNNAMED", open[i]));
    add_listed(task, "jdk_add_open_modules", "jdkAddOpenModules", "--add-opens");
    add_listed(task, "jdk_add_root_modules", "jdkAddRootModules", "--add-modules");
}

static void add_avro_classes(struct native_task *task) {
    static const char by_default[] = "java.math.BigDecimal,java.math.BigInteger,java.net.URI,java.net.URL,java.io.File,"
                                     "java.lang.Integer";
    size_t count = 0;
    const char *const *classes = pipeline_options_list(task->options, "avro_serializable_classes", &count);
    CLEANUP(freep) char *list = xstrdup(classes ? "" : by_default);

    for (size_t i = 0; i < count; i++) {
        char *longer = xasprintf("%s%s%s", list, list[0] ? "," : "", classes[i]);

        free(list);
        list = longer;
    }
    if (list[0])
        vec_push(&task->environment->argv,
                 arena_printf(&task->environment->arena, "-Dorg.apache.avro.SERIALIZABLE_CLASSES=%s", list));
}

static void add_heap_dumps(struct native_task *task) {
    struct native_environment *environment = task->environment;
    bool is_wanted = false;

    pipeline_options_bool(task->options, "enable_heap_dumps", &is_wanted, NULL);
    if (!is_wanted)
        return;
    add_argument(environment, "-XX:+HeapDumpOnOutOfMemoryError");
    vec_push(&environment->argv, arena_printf(&environment->arena, "-Dbeam.fn.heap_dump_dir=%s", environment->home));
    vec_push(&environment->argv, arena_printf(&environment->arena, "-XX:HeapDumpPath=%s", environment->home));
}

static void add_jamm(struct native_task *task, const char *directory) {
    struct native_environment *environment = task->environment;
    const struct native_artifact *staged = find_staged_jar(task, jamm_jar);

    if (pipeline_options_experiment(task->options, "disable_jamm_agent"))
        return;
    if (directory)
        vec_push(&environment->argv, arena_printf(&environment->arena, "-javaagent:%s/%s.jar", directory, jamm_jar));
    else if (staged)
        vec_push(&environment->argv,
                 arena_printf(&environment->arena, "-javaagent:%s/%s", environment->staged, staged->name));
}

/* As the image's java.security: TLS 1.0 and 1.1, which the JDK disables, are there for peers that have nothing newer, and random numbers
 * do not wait for entropy. */
static int add_security(struct native_task *task, unsigned version, struct status *st) {
    static const struct {
        unsigned version; /* and later ones, up to the next row */
        const char *disabled, *legacy;
    } algorithms[] = {
        {0,
         "SSLv3, RC4, DES, MD5withRSA, DH keySize < 1024, EC keySize < 224, 3DES_EDE_CBC, anon, NULL, "
         "include jdk.disabled.namedCurves",
         "K_NULL, C_NULL, M_NULL, DH_anon, ECDH_anon, RC4_128, RC4_40, DES_CBC, DES40_CBC, 3DES_EDE_CBC, TLSv1, "
         "TLSv1.1"},
        {17, "SSLv3, RC4, DES, MD5withRSA, DH keySize < 1024, EC keySize < 224, 3DES_EDE_CBC, anon, NULL",
         "TLSv1, TLSv1.1"},
        {21,
         "SSLv3, DTLSv1.0, RC4, DES, MD5withRSA, DH keySize < 1024, EC keySize < 224, 3DES_EDE_CBC, anon, NULL, ECDH",
         "TLSv1, TLSv1.1"},
    };
    struct native_environment *environment = task->environment;
    CLEANUP(freep) char *path = xasprintf("%s/java.security", environment->home);
    CLEANUP(freep) char *properties = NULL;
    size_t row = 0;
    int r;

    while (row + 1 < ARRAY_COUNT(algorithms) && algorithms[row + 1].version <= version)
        row++;
    properties = xasprintf("jdk.tls.disabledAlgorithms=%s\njdk.tls.legacyAlgorithms=%s\n"
                           "securerandom.source=file:/dev/./urandom\n",
                           algorithms[row].disabled, algorithms[row].legacy);
    r = tree_write(path, properties, strlen(properties), st);
    if (r < 0)
        return r;
    vec_push(&environment->argv, arena_printf(&environment->arena, "-Djava.security.properties=%s", path));
    return 0;
}

static void add_entry(char **class_path, const char *directory, const char *name, const char *end) {
    char *longer = xasprintf("%s%s%s/%s%s", *class_path, (*class_path)[0] ? ":" : "", directory, name, end);

    free(*class_path);
    *class_path = longer;
}

static void add_class_path(struct native_task *task, const char *directory) {
    struct native_environment *environment = task->environment;
    CLEANUP(freep) char *class_path = xstrdup("");

    if (directory && !pipeline_options_experiment(task->options, "use_custom_logging_libraries"))
        for (size_t i = 0; i < ARRAY_COUNT(logging_jars); i++)
            add_entry(&class_path, directory, logging_jars[i], ".jar");
    if (directory)
        add_entry(&class_path, directory, harness_jar, ".jar");
    for (size_t i = 0; i < task->artifact_count; i++)
        add_entry(&class_path, environment->staged, task->artifacts[i].name, "");
    if (directory)
        add_entry(&class_path, directory, "*", "");
    add_argument(environment, "-cp");
    add_argument(environment, class_path);
}

static int java_prepare(struct native_task *task, struct status *st) {
    struct native_environment *environment = task->environment;
    CLEANUP(freep) char *java = NULL;
    CLEANUP(freep) char *directory = NULL;
    unsigned version;
    int r = find_java(task, &java, st);

    if (r == 0)
        r = get_jars(task, &directory, st);
    if (r < 0)
        return r;
    version = interpreter_java_version(java);
    add_argument(environment, java);
    add_heap(task);
    add_argument(environment, "-XX:+UseParallelGC");
    add_argument(environment, "-XX:+AlwaysActAsServerClassMachine");
    add_argument(environment, "-XX:-OmitStackTraceInFastThrow");
    add_jamm(task, directory);
    add_heap_dumps(task);
    add_modules(task, version);
    r = add_security(task, version, st);
    if (r < 0)
        return r;
    add_avro_classes(task);
    add_class_path(task, directory);
    add_argument(environment, "org.apache.beam.fn.harness.FnHarness");
    return 0;
}

static void java_tell(const struct native_environment *environment, const char *worker_id,
                      const struct worker_endpoints *endpoints, struct arena *arena, struct string_vec *argv,
                      struct string_vec *variables) {
    (void)environment;
    (void)argv;
    vec_push(variables, arena_printf(arena, "HARNESS_ID=%s", worker_id));
    native_tell_endpoints(endpoints, arena, variables);
}

const struct native_sdk_kind native_java = {.prepare = java_prepare, .tell = java_tell};
