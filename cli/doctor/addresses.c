#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"
#include "cli/inspection.h"

static const char area[] = "address";

/* ------------------------------------------------------------------ asking */

/* What is at an address. */
enum served { SERVED_BY_NOBODY, SERVED_BY_TRESTLE, SERVED_BY_OTHERS };

/* *ret_said: its version, or why it is none; the caller frees. */
static enum served ask(const struct doctor *doctor, const char *address, char **ret_said) {
    CLEANUP_STATUS struct status st = {0};
    struct connection *connection;
    Trestle__V1__Server *server;
    struct arena arena = {0};
    enum served served;

    if (connection_create(address, doctor->token, &connection, &st) < 0) {
        *ret_said = xstrdup(status_message(&st));
        return SERVED_BY_NOBODY;
    }
    if (inspection_server(connection, &arena, &server, &st) == 0) {
        served = SERVED_BY_TRESTLE;
        *ret_said = xstrdup(server->version);
    } else {
        /* That it wants a token says who it is as well. */
        served = st.code == STATUS_UNAVAILABLE       ? SERVED_BY_NOBODY
                 : st.code == STATUS_UNAUTHENTICATED ? SERVED_BY_TRESTLE
                                                     : SERVED_BY_OTHERS;
        *ret_said = xstrdup(status_message(&st));
    }
    arena_clear(&arena);
    connection_destroy(connection);
    return served;
}

/* ------------------------------------------------------------------ listening */

/* 0 or an errno; or a negative getaddrinfo() error. */
static int try_to_listen(const char *address) {
    const char *colon = strrchr(address, ':');
    bool has_brackets = address[0] == '[';
    CLEANUP(freep)
    char *host = xmemdup0(address + has_brackets, (size_t)(colon - address) - 2 * (size_t)has_brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    int on = 1, error, fd;

    error = getaddrinfo(host, colon + 1, &hints, &found);
    if (error)
        return error < 0 ? error : -error;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    error = fd < 0 ? errno : 0;
    if (!error)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!error && (bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1) < 0))
        error = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return error;
}

static void check_free(struct doctor *doctor, const char *key, const char *address) {
    CLEANUP(freep) char *advice = xasprintf("set %s to an address of this machine with a free port", key);
    int error;

    if (strncmp(address, "unix:", 5) == 0)
        return;
    error = try_to_listen(address);
    if (error)
        doctor_say(doctor, DOCTOR_FAIL, area, advice, "%s cannot be listened on (%s): %s", address, key,
                   error < 0 ? gai_strerror(error) : strerror(error));
    else
        doctor_say(doctor, DOCTOR_OK, area, NULL, "%s is free (%s)", address, key);
}

/* Whether a daemon serves. */
static bool check_endpoint(struct doctor *doctor) {
    CLEANUP(freep) char *said = NULL;
    enum served served = ask(doctor, doctor->endpoint, &said);

    if (served == SERVED_BY_TRESTLE)
        doctor_say(doctor, DOCTOR_OK, area, NULL, "a Trestle serves at %s: %s", doctor->endpoint, said);
    else if (served == SERVED_BY_OTHERS)
        doctor_say(doctor, DOCTOR_FAIL, area, "stop it, or set listen to another port",
                   "something else serves at %s: %s", doctor->endpoint, said);
    else
        check_free(doctor, "listen", doctor->config->listen);
    return served == SERVED_BY_TRESTLE;
}

/* ------------------------------------------------------------------ advertised */

/* Addresses that mean "all of them", or "any port", cannot be dialled. */
static bool can_be_dialled(const char *address) {
    static const char *const wildcards[] = {"0.0.0.0:", "[::]:"};
    const char *colon = strrchr(address, ':');

    for (size_t i = 0; i < ARRAY_COUNT(wildcards); i++)
        if (strncmp(address, wildcards[i], strlen(wildcards[i])) == 0)
            return false;
    return !colon || strcmp(colon, ":0") != 0;
}

static void check_advertised(struct doctor *doctor, const char *urn, const char *who, const char *key) {
    const char *told = config_advertise(doctor->config, urn);
    CLEANUP(freep) char *advice = xasprintf("set %s to an address that such workers reach the daemon by", key);
    CLEANUP(freep) char *said = NULL;

    if (!told)
        told = doctor->endpoint;
    if (!can_be_dialled(told))
        doctor_say(doctor, DOCTOR_OK, area, NULL, "%s are told the address on this machine, since %s is none to dial",
                   who, told);
    else if (ask(doctor, told, &said) == SERVED_BY_TRESTLE)
        doctor_say(doctor, DOCTOR_OK, area, NULL, "%s are told %s, where the daemon answers", who, told);
    else
        doctor_say(doctor, DOCTOR_FAIL, area, advice, "%s are told %s, where no Trestle answers: %s", who, told, said);
}

void doctor_check_addresses(struct doctor *doctor) {
    static const struct {
        const char *urn, *who, *key;
    } kinds[] = {
        {"beam:env:external:v1", "workers in external pools", "advertise.external"},
        {"beam:env:process:v1", "worker processes", "advertise.process"},
        {"beam:env:docker:v1", "workers in containers", "advertise.container"},
    };

    if (!check_endpoint(doctor)) {
        if (doctor->config->http_listen[0])
            check_free(doctor, "http.listen", doctor->config->http_listen);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        check_advertised(doctor, kinds[i].urn, kinds[i].who, kinds[i].key);
}
