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

/* What is at an address. SERVED_TO_OTHERS: something that TLS keeps from us. */
enum served { SERVED_BY_NOBODY, SERVED_BY_TRESTLE, SERVED_BY_OTHERS, SERVED_TO_OTHERS };

static enum served who_said(enum status_code code) {
    switch (code) {
    case STATUS_UNAVAILABLE:
        return SERVED_BY_NOBODY;
    case STATUS_OK:
    case STATUS_UNAUTHENTICATED: /* that it wants a token says who it is as well */
        return SERVED_BY_TRESTLE;
    case STATUS_FAILED_PRECONDITION:
        return SERVED_TO_OTHERS;
    default:
        return SERVED_BY_OTHERS;
    }
}

/* *ret_said: its version, or why it is none; the caller frees. */
static enum served ask(const struct credentials *credentials, const char *address, char **ret_said) {
    CLEANUP_STATUS struct status st = {0};
    struct connection *connection;
    Trestle__V1__Server *server;
    struct arena arena = {0};

    if (connection_create(address, credentials, &connection, &st) < 0) {
        *ret_said = xstrdup(status_message(&st));
        return SERVED_BY_NOBODY;
    }
    *ret_said =
        xstrdup(inspection_server(connection, &arena, &server, &st) == 0 ? server->version : status_message(&st));
    arena_clear(&arena);
    connection_destroy(connection);
    return who_said(st.code);
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
    enum served served = ask(doctor->credentials, doctor->endpoint, &said);

    switch (served) {
    case SERVED_BY_TRESTLE:
        doctor_say(doctor, DOCTOR_OK, area, NULL, "a Trestle serves at %s: %s", doctor->endpoint, said);
        break;
    case SERVED_TO_OTHERS:
        doctor_say(doctor, DOCTOR_WARN, area, "give this command the --tls... flags of a client",
                   "something serves at %s that cannot be asked what it is: %s", doctor->endpoint, said);
        break;
    case SERVED_BY_OTHERS:
        doctor_say(doctor, DOCTOR_FAIL, area, "stop it, or set listen to another port",
                   "something else serves at %s: %s", doctor->endpoint, said);
        break;
    case SERVED_BY_NOBODY:
        check_free(doctor, "listen", doctor->config->listen);
        break;
    }
    return served == SERVED_BY_TRESTLE || served == SERVED_TO_OTHERS;
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

/* Where workers connect that are told nothing else. */
static const char *workers_address(const struct doctor *doctor) {
    const struct config *config = doctor->config;

    if (config->workers_listen[0])
        return config->workers_listen;
    return config->tls_certificate[0] ? "127.0.0.1:0" : doctor->endpoint;
}

/* As workers dial it: in plaintext. The token is for daemons that serve the rest there as well. */
static void check_advertised(struct doctor *doctor, const char *urn, const char *who, const char *key) {
    const struct credentials plain = {
        .token = doctor->credentials->token,
        .token_source = doctor->credentials->token_source,
    };
    const char *told = config_advertise(doctor->config, urn);
    CLEANUP(freep) char *advice = xasprintf("set %s to an address that such workers reach the daemon by", key);
    CLEANUP(freep) char *said = NULL;

    if (!told)
        told = workers_address(doctor);
    if (!can_be_dialled(told))
        doctor_say(doctor, DOCTOR_OK, area, NULL, "%s are told the address on this machine, since %s is none to dial",
                   who, told);
    else if (ask(&plain, told, &said) == SERVED_BY_TRESTLE)
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
