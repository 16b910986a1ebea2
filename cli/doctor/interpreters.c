#include "jobserver/native/interpreters.h"

#include <stdlib.h>

#include "cli/doctor/doctor.h"

enum { ANSWER_MS = 10000 };

/* The versions that there are images for (docs/environments.md). */
static const char *const pythons[] = {"3.9", "3.10", "3.11", "3.12", "3.13"};
static const unsigned javas[] = {8, 11, 17, 21, 25};

/* ------------------------------------------------------------------ Python */

static bool has_venv(const char *python) {
    const char *const argv[] = {python, "-I", "-c", "import venv, ensurepip", NULL};
    CLEANUP(freep) char *said = NULL;

    return doctor_run(argv, ANSWER_MS, &said) == 0;
}

static bool check_python(struct doctor *doctor, const char *version) {
    CLEANUP(freep) char *looked = NULL;
    CLEANUP(freep)
    char *python = interpreter_find_python(version, doctor->config->native_search_path, &looked);
    CLEANUP(freep) char *advice = xasprintf("install python%s-venv (Debian's name of it)", version);

    if (!python)
        return false;
    if (has_venv(python))
        doctor_say(doctor, DOCTOR_OK, "python", NULL, "%s with venv: %s", version, python);
    else
        doctor_say(doctor, DOCTOR_WARN, "python", advice, "%s cannot make virtual environments: %s", version, python);
    return true;
}

static void check_pythons(struct doctor *doctor) {
    size_t found = 0;

    for (size_t i = 0; i < ARRAY_COUNT(pythons); i++)
        found += check_python(doctor, pythons[i]);
    if (!found)
        doctor_say(doctor, DOCTOR_WARN, "python",
                   "install the version that pipelines are submitted from, with its venv module, or name its directory "
                   "in native.search_path",
                   "no Python from %s to %s: Python pipelines run in containers or over LOOPBACK only", pythons[0],
                   pythons[ARRAY_COUNT(pythons) - 1]);
}

/* ------------------------------------------------------------------ Java */

static void check_maven(struct doctor *doctor) {
    CLEANUP(freep) char *looked = NULL;
    CLEANUP(freep) char *maven = interpreter_find_maven(doctor->config->native_search_path, &looked);

    if (maven)
        doctor_say(doctor, DOCTOR_OK, "java", NULL, "Maven: %s", maven);
    else
        doctor_say(doctor, DOCTOR_WARN, "java",
                   "install Maven, or let pipelines depend on beam-sdks-java-harness and jamm",
                   "no mvn: the harness of Java pipelines cannot be fetched");
}

static void check_java(struct doctor *doctor) {
    size_t found = 0;

    for (size_t i = 0; i < ARRAY_COUNT(javas); i++) {
        CLEANUP(freep) char *looked = NULL;
        CLEANUP(freep)
        char *java = interpreter_find_java(javas[i], javas[i], doctor->config->native_search_path, &looked);

        if (!java)
            continue;
        found++;
        doctor_say(doctor, DOCTOR_OK, "java", NULL, "%u: %s", javas[i], java);
    }
    if (found)
        check_maven(doctor);
    else
        doctor_say(doctor, DOCTOR_WARN, "java",
                   "install a JRE (Debian: default-jre-headless), set JAVA_HOME, or name its bin directory in "
                   "native.search_path",
                   "no JVM: Java pipelines run in containers or over LOOPBACK only");
}

/* ------------------------------------------------------------------ TypeScript, Go */

static void check_node(struct doctor *doctor) {
    CLEANUP(freep) char *looked = NULL;
    CLEANUP(freep) char *looked_npm = NULL;
    CLEANUP(freep) char *node = interpreter_find_node("node", doctor->config->native_search_path, &looked);
    CLEANUP(freep) char *npm = interpreter_find_node("npm", doctor->config->native_search_path, &looked_npm);

    if (node && npm)
        doctor_say(doctor, DOCTOR_OK, "node", NULL, "%s, with npm", node);
    else
        doctor_say(doctor, DOCTOR_WARN, "node", "install Node.js with npm, or name its directory in native.search_path",
                   "no %s: TypeScript pipelines run in containers or over LOOPBACK only", node ? "npm" : "node");
}

void doctor_check_interpreters(struct doctor *doctor) {
    check_pythons(doctor);
    check_java(doctor);
    check_node(doctor);
    doctor_say(doctor, DOCTOR_OK, "go", NULL, "nothing is needed: Go pipelines bring their worker's program");
}
