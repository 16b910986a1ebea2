#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"

enum { ANSWER_MS = 10000 };

static const char area[] = "containers";

/* The last line is what programs that fail end with. The caller frees. */
static char *last_line(const char *text) {
    size_t end = strlen(text), begin;

    while (end > 0 && strchr(" \n\r\t", text[end - 1]))
        end--;
    for (begin = end; begin > 0 && text[begin - 1] != '\n'; begin--)
        ;
    return xmemdup0(text + begin, end - begin);
}

static bool answers(const char *cli, char **ret_said) {
    const char *const argv[] = {cli, "info", NULL};
    CLEANUP(freep) char *said = NULL;
    bool is_fine = doctor_run(argv, ANSWER_MS, &said) == 0;

    *ret_said = last_line(said);
    return is_fine;
}

static void check_mounts(struct doctor *doctor) {
    CLEANUP(freep) char *paths = xstrdup(doctor->config->containers_mounts);
    char *rest = NULL;

    for (char *path = strtok_r(paths, ":", &rest); path; path = strtok_r(NULL, ":", &rest))
        if (access(path, F_OK) != 0)
            doctor_say(doctor, DOCTOR_FAIL, area, "make it, or take it out of containers.mounts",
                       "there is no %s to be mounted", path);
}

static void check_configured(struct doctor *doctor, const char *cli) {
    CLEANUP(freep) char *said = NULL;

    if (answers(cli, &said))
        doctor_say(doctor, DOCTOR_OK, area, NULL, "%s answers; DOCKER environments run in it", cli);
    else
        doctor_say(doctor, DOCTOR_FAIL, area,
                   "start the engine, let this user use it, or empty containers.cli, so that Beam's own images run "
                   "natively",
                   "%s is configured and does not answer: %s", cli, said);
    check_mounts(doctor);
}

void doctor_check_containers(struct doctor *doctor) {
    static const char *const known[] = {"docker", "podman", "nerdctl"};
    CLEANUP(freep) char *found = NULL;

    if (doctor->config->containers_cli[0]) {
        check_configured(doctor, doctor->config->containers_cli);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(known) && !found; i++) {
        CLEANUP(freep) char *said = NULL;

        if (answers(known[i], &said))
            found = xstrdup(known[i]);
    }
    if (found)
        doctor_say(doctor, DOCTOR_OK, area, "set containers.cli to run DOCKER environments in it",
                   "none is configured, so Beam's own images run natively; %s would answer", found);
    else
        doctor_say(doctor, DOCTOR_OK, area, NULL,
                   "no engine is configured or answers: Beam's own images run natively, others are refused");
}
