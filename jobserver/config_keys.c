#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/config.h"
#include "jobserver/config_internal.h"
#include "worker/user.h"

static const char *const log_levels[] = {"debug", "info", "warning", "error",
                                         NULL};                              /* in the order of enum log_level */
static const char *const log_formats[] = {"plain", "journal", "json", NULL}; /* in the order of enum log_format */

static const char *const isolations[] = {"none", "systemd", "systemd-user", NULL}; /* enum config_isolation */

static const char *const unfinished[] = {"cancel", "requeue", NULL}; /* enum config_unfinished */

static const char *const pull_policies[] = {"missing", "always", "never", NULL}; /* enum config_pull */

#define FIELD(name) offsetof(struct config, name)
#define DAY_MS (24ull * 60 * 60 * 1000)
#define GIB (1024ull * 1024 * 1024)

/* Rows leave out what is false at their ends. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct config_key keys[] = {
    {"listen", CONFIG_ADDRESS, FIELD(listen), 1, 0, "127.0.0.1:8099", NULL,
     "address of every service, for SDK clients and workers; port 0: the system picks"},
    {"http.listen", CONFIG_ADDRESS, FIELD(http_listen), 0, 0, "127.0.0.1:8100", NULL,
     "address of the web page, its JSON, /metrics and health checks; port 0: the system picks; empty: none"},
    {"http.hosts", CONFIG_PATH, FIELD(http_hosts), 0, 0, "", NULL,
     "host names, with blanks between them, that the page is reached by, besides addresses and localhost; requests for "
     "others are refused"},
    {"state_dir", CONFIG_PATH, FIELD(state_dir), 0, 0, "", NULL,
     "directory for staged files, job data and scratch files; empty: $STATE_DIRECTORY (a systemd service), "
     "else "
     "$XDG_STATE_HOME/trestle, else ~/.local/state/trestle"},
    {"cache_dir", CONFIG_PATH, FIELD(cache_dir), 0, 0, "", NULL,
     "directory for what is built once and can be built again, such as virtual environments; empty: $CACHE_DIRECTORY "
     "(a "
     "systemd service), else $XDG_CACHE_HOME/trestle, else ~/.cache/trestle"},
    {"auth.tokens_file", CONFIG_PATH, FIELD(auth_tokens_file), 0, 0, "", NULL,
     "file with the hashed tokens of those who may use the Job API (trestle token); empty: everybody may", true},
    {"tls.certificate", CONFIG_PATH, FIELD(tls_certificate), 0, 0, "", NULL,
     "PEM file with the certificate that `listen` is served with, and those between it and its root; empty: no TLS",
     true, true},
    {"tls.key", CONFIG_PATH, FIELD(tls_key), 0, 0, "", NULL, "PEM file with the certificate's private key", true, true},
    {"tls.client_ca", CONFIG_PATH, FIELD(tls_client_ca), 0, 0, "", NULL,
     "PEM file with the authorities one of which must have signed a client's certificate; empty: clients need none",
     true, true},
    {"advertise.default", CONFIG_ADDRESS, FIELD(advertise_default), 0, 0, "", NULL,
     "the address that workers are told to connect to; empty: the listen address"},
    {"advertise.external", CONFIG_ADDRESS, FIELD(advertise_external), 0, 0, "", NULL,
     "the same for workers in external pools (LOOPBACK is one); empty: as advertise.default"},
    {"advertise.process", CONFIG_ADDRESS, FIELD(advertise_process), 0, 0, "", NULL,
     "the same for workers that are processes of this machine; empty: as advertise.default"},
    {"advertise.container", CONFIG_ADDRESS, FIELD(advertise_container), 0, 0, "", NULL,
     "the same for workers in containers, which are given the machine's network unless containers.options says "
     "otherwise; empty: as advertise.default"},
    {"containers.cli", CONFIG_PATH, FIELD(containers_cli), 0, 0, "", NULL,
     "the container engine's program (docker, podman, nerdctl, or a path) that DOCKER environments are run with; "
     "empty: "
     "Beam's own images are run natively"},
    {"containers.pull", CONFIG_CHOICE, FIELD(containers_pull), 0, 0, "missing", pull_policies,
     "when images are fetched: missing, always or never"},
    {"containers.mounts", CONFIG_PATH, FIELD(containers_mounts), 0, 0, "", NULL,
     "files and directories, with colons between them, that containers see at the same place as the machine"},
    {"containers.options", CONFIG_PATH, FIELD(containers_options), 0, 0, "", NULL,
     "further options for the engine's `run`, with blanks between them, such as --memory=4g"},
    {"native.search_path", CONFIG_PATH, FIELD(native_search_path), 0, 0, "", NULL,
     "directories, with colons between them, where interpreters (python3.11, java, node, mvn) are looked for before "
     "PATH and the usual places"},
    {"native.keep", CONFIG_DURATION, FIELD(native_keep_ms), 0, 10000 * DAY_MS, "720h", NULL,
     "how long an environment in cache_dir is kept that no job uses; 0s: for ever"},
    {"native.max_size", CONFIG_SIZE, FIELD(native_max_bytes), 0, 1024 * 1024 * GIB, "0B", NULL,
     "what all environments in cache_dir may take together; beyond it those that no job uses go, the one used last "
     "longest ago first; 0B: no limit"},
    {"worker_connect_timeout", CONFIG_DURATION, FIELD(worker_connect_timeout_ms), 100, DAY_MS, "60s", NULL,
     "how long a started worker may take to connect", true},
    {"jobs.max_running", CONFIG_NUMBER, FIELD(jobs_max_running), 1, 10000, "100", NULL,
     "jobs that run at once; others wait for their turn, by --trestle_priority and then as they came", true},
    {"jobs.max_queued", CONFIG_NUMBER, FIELD(jobs_max_queued), 0, 100000, "1000", NULL,
     "jobs that may wait for their turn; more are refused"},
    {"jobs.max_runs", CONFIG_NUMBER, FIELD(jobs_max_runs), 1, 1000000, "3", NULL,
     "how often a batch job is run, the first time included, when the server is restarted while it runs; then it "
     "fails, "
     "since it may be the reason"},
    {"shutdown.drain", CONFIG_DURATION, FIELD(shutdown_drain_ms), 0, DAY_MS, "0s", NULL,
     "how long a shutdown waits for the jobs that run, while streams are drained and nothing new is taken", true},
    {"shutdown.unfinished", CONFIG_CHOICE, FIELD(shutdown_unfinished), 0, 0, "cancel", unfinished,
     "what it makes of batch jobs that have not ended by then: cancel; requeue: they are run again from their start "
     "when the server is back, where it starts their workers; streams are cancelled",
     true},
    {"workers.max_processes", CONFIG_NUMBER, FIELD(workers_max_processes), 0, 100000, "0", NULL,
     "worker processes of all running jobs together, of which each gets its fair share when it starts, and one for "
     "each "
     "of its environments at least; 0: 32 for each core",
     true},
    {"workers.per_environment", CONFIG_NUMBER, FIELD(workers_per_environment), 0, 1024, "0", NULL,
     "workers (processes) that are started for each environment of a job; 0: one, or one per core where the runner "
     "starts the "
     "processes and the SDK says that one process uses one core (Python)",
     true},
    {"workers.slots", CONFIG_NUMBER, FIELD(workers_slots), 0, 1024, "0", NULL,
     "bundles that one worker works on at once; 0: one, or one per core where the SDK says that one process uses all "
     "of them (Java, Go); in a stream two at least, and one more for each source, up to 16",
     true},
    {"workers.isolation", CONFIG_CHOICE, FIELD(workers_isolation), 0, 0, "none", isolations,
     "none: worker processes are the daemon's own, and run in its service's sandbox; systemd: each is a transient "
     "service of the system's manager, started by systemd-run; systemd-user: of the user's manager"},
    {"workers.user", CONFIG_USER, FIELD(workers_user), 0, 0, "", NULL,
     "the user of this machine that worker processes run as, and environments are built as; the server must be root; "
     "empty: the server's own"},
    {"workers.listen", CONFIG_ADDRESS, FIELD(workers_listen), 0, 0, "", NULL,
     "a second address, without TLS, for workers, whose SDKs have none; empty: they use `listen`, and with TLS a "
     "loopback port of the system's choice"},
    {"workers.stop_grace", CONFIG_DURATION, FIELD(workers_stop_grace_ms), 0, DAY_MS, "10s", NULL,
     "time from SIGTERM to SIGKILL when a worker process is stopped", true},
    {"workers.keep_warm", CONFIG_DURATION, FIELD(workers_keep_warm_ms), 0, DAY_MS, "60s", NULL,
     "how long a worker process of a job that is done is kept for another job of the same environment and options; 0s: "
     "it is stopped at once",
     true},
    {"workers.keep_warm_max", CONFIG_NUMBER, FIELD(workers_keep_warm_max), 0, 4096, "16", NULL,
     "worker processes that are kept at once; one more, and the oldest is stopped", true},
    {"retry.worker_lost", CONFIG_NUMBER, FIELD(retry_worker_lost_attempts), 1, 1000, "4", NULL,
     "attempts, the first included, of a bundle whose worker is lost", true},
    {"retry.user_exception", CONFIG_NUMBER, FIELD(retry_user_exception_attempts), 1, 1000, "2", NULL,
     "attempts, the first included, of a bundle in which user code fails", true},
    {"bundle.output_timeout", CONFIG_DURATION, FIELD(bundle_output_timeout_ms), 10, DAY_MS, "60s", NULL,
     "how long a harness that reported a bundle as processed may take to send the rest of its output", true},
    {"bundle.split_after", CONFIG_DURATION, FIELD(bundle_split_after_ms), 1, DAY_MS, "500ms", NULL,
     "how long a bundle runs before it is asked to give a part of its input to a worker that has nothing to do", true},
    {"bundle.stuck_report", CONFIG_DURATION, FIELD(bundle_stuck_report_ms), 0, 100 * DAY_MS, "10m", NULL,
     "a bundle that gives no sign of life for this long is reported in the job's messages, with its worker's status; "
     "again after twice that time, and so on; 0s: never",
     true},
    {"bundle.stuck_kill", CONFIG_DURATION, FIELD(bundle_stuck_kill_ms), 0, 100 * DAY_MS, "0s", NULL,
     "the worker of a bundle that gives no sign of life for this long is stopped, and its bundles run again on "
     "another; "
     "0s: never",
     true},
    {"stream.latency", CONFIG_DURATION, FIELD(stream_latency_ms), 1, DAY_MS, "10ms", NULL,
     "how long a source without an end may keep what it has put out, so that there is more of it, before it is asked "
     "for a checkpoint",
     true},
    {"stream.checkpoint_after", CONFIG_DURATION, FIELD(stream_checkpoint_after_ms), 1, DAY_MS, "100ms", NULL,
     "the same for a source that put out nothing, or so much that larger bundles are worth it", true},
    {"stream.open_ahead", CONFIG_DURATION, FIELD(stream_open_ahead_ms), 0, 100000, "1ms", NULL,
     "how long before its input is due a bundle is opened on an idle worker, where it is known: a source's wait is "
     "over, or a bundle before it ends; "
     "0s: not before",
     true},
    {"limits.max_message", CONFIG_SIZE, FIELD(limits_max_message_bytes), 1024 * 1024, 2 * GIB - 1, "512MiB", NULL,
     "the largest gRPC message that is accepted"},
    {"limits.max_element", CONFIG_SIZE, FIELD(limits_max_element_bytes), 1024, 2 * GIB - 1, "256MiB", NULL,
     "the largest encoded element of a PCollection; at most limits.max_message", true},
    {"limits.max_inline_group", CONFIG_SIZE, FIELD(limits_max_inline_group_bytes), 1024, 2 * GIB - 1, "32MiB", NULL,
     "the values of one key in one window, after a GroupByKey, that are sent in one element; where there are more and "
     "the SDK "
     "can, it reads them page by page; less where the memory budget is small",
     true},
    {"limits.max_artifact", CONFIG_SIZE, FIELD(limits_max_artifact_bytes), 1024 * 1024, 1024 * GIB, "4GiB", NULL,
     "the largest file that a client may stage"},
    {"limits.max_receiving", CONFIG_SIZE, FIELD(limits_max_receiving_bytes), 0, 1024 * GIB, "0B", NULL,
     "memory for messages that have arrived in part, all connections together; beyond it calls are ended; 0B: twice "
     "limits.max_message, at least 1GiB"},
    {"limits.max_connection_streams", CONFIG_NUMBER, FIELD(limits_max_connection_streams), 16, 1000000, "4096", NULL,
     "calls that one connection may have open"},
    {"limits.max_waiting_calls", CONFIG_NUMBER, FIELD(limits_max_waiting_calls), 16, 1000000, "4096", NULL,
     "calls, of all connections, that may be open without their request having arrived; the oldest goes for one more"},
    {"limits.request_timeout", CONFIG_DURATION, FIELD(limits_request_timeout_ms), 100, DAY_MS, "120s", NULL,
     "how long a request may take to arrive"},
    {"limits.handshake_timeout", CONFIG_DURATION, FIELD(limits_handshake_timeout_ms), 100, DAY_MS, "20s", NULL,
     "how long a new connection may take to say what it is (TLS, HTTP/2)"},
    {"memory.total", CONFIG_SIZE, FIELD(memory_total_bytes), 0, 1024 * 1024 * GIB, "0B", NULL,
     "memory for the data of all jobs; when more is needed, grouped data, side inputs and waiting elements go to disk; "
     "0B: half of "
     "what the machine has, or the service may use"},
    {"memory.per_job", CONFIG_SIZE, FIELD(memory_per_job_bytes), 0, 1024 * 1024 * GIB, "0B", NULL,
     "memory for the data of one job; 0B: as memory.total", true},
    {"disk.total", CONFIG_SIZE, FIELD(disk_total_bytes), 0, 1024 * 1024 * GIB, "0B", NULL,
     "disk space for what does not fit into memory, all jobs together, in the state directory; a job that needs more "
     "fails; 0B: no "
     "limit"},
    {"disk.per_job", CONFIG_SIZE, FIELD(disk_per_job_bytes), 0, 1024 * 1024 * GIB, "0B", NULL,
     "the same for one job; 0B: no limit", true},
    {"retention.max_age", CONFIG_DURATION, FIELD(retention_max_age_ms), 0, 3660 * DAY_MS, "720h", NULL,
     "how long finished jobs are kept, with pipeline, messages and metrics; 0s: no limit"},
    {"retention.max_jobs", CONFIG_NUMBER, FIELD(retention_max_jobs), 0, 100000, "1000", NULL,
     "finished jobs that are kept; one more, and the oldest is dropped; 0: no limit"},
    {"retention.max_size", CONFIG_SIZE, FIELD(retention_max_size_bytes), 0, 1024 * 1024 * GIB, "10GiB", NULL,
     "what finished jobs may take on disk: pipelines, messages, metrics and staged files; the oldest are dropped "
     "first; "
     "0B: no limit"},
    {"retention.artifact_grace", CONFIG_DURATION, FIELD(retention_artifact_grace_ms), 0, 3660 * DAY_MS, "1h", NULL,
     "how long a staged file is kept that no prepared, running or kept job refers to"},
    {"log.level", CONFIG_CHOICE, FIELD(log_level), 0, 0, "info", log_levels,
     "the daemon's own log on standard error: lines below this level are dropped", true},
    {"log.format", CONFIG_CHOICE, FIELD(log_format), 0, 0, "plain", log_formats,
     "plain: lines with the time; json: a JSON object a line; journal: to journald, with fields (without it, lines "
     "with its "
     "priority prefix)"},
    {"log.max_messages_per_job", CONFIG_NUMBER, FIELD(log_max_messages_per_job), 100, 10000000, "10000", NULL,
     "messages that are kept for a job's clients; beyond it the least important, oldest ones go"},
};

const struct config_key *config_keys(size_t *ret_count) {
    *ret_count = ARRAY_COUNT(keys);
    return keys;
}

const struct config_key *config_find_key(const char *path) {
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        if (strcmp(keys[i].path, path) == 0)
            return &keys[i];
    return NULL;
}

/* ---------------------------------------------------------------- values */

struct unit {
    const char *name;
    uint64_t factor;
};

/* From small to large: ranges are told in the largest that fits. */
static const struct unit number_units[] = {{"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {NULL, 0}};
static const struct unit size_units[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", GIB}, {NULL, 0}};

static const struct unit cpu_units[] = {{"/1000", 1}, {"", 1000}, {NULL, 0}};

static const struct {
    const struct unit *units;
    const char *what;
} quantities[] = {
    [CONFIG_NUMBER] = {number_units, "a whole number"},
    [CONFIG_DURATION] = {duration_units, "a whole number with a unit (ms, s, m or h), like 60s"},
    [CONFIG_SIZE] = {size_units, "a whole number with a unit (B, KiB, MiB or GiB), like 64MiB"},
    [CONFIG_CPUS] = {cpu_units, "a number of cores, like 2 or 0.5"},
};

/* "4096MiB" for people. The caller frees. */
static char *format_quantity(const struct unit *units, uint64_t value) {
    const struct unit *unit = units;

    for (const struct unit *at = units; at->name; at++)
        if (value && value % at->factor == 0)
            unit = at;
    return xasprintf("%llu%s", (unsigned long long)(value / unit->factor), unit->name);
}

/* Digits, perhaps blanks, and one of the units. False also on overflow. */
static bool parse_quantity(const struct unit *units, const char *text, uint64_t *ret) {
    uint64_t value = 0;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    text += strspn(text, " ");
    for (; units->name; units++)
        if (strcmp(units->name, text) == 0)
            return !__builtin_mul_overflow(value, units->factor, ret);
    return false;
}

/* "1.5": up to three decimals. */
static bool parse_cpus(const struct unit *units, const char *text, uint64_t *ret) {
    size_t digits = strspn(text, "0123456789"),
           decimals = text[digits] == '.' ? strspn(text + digits + 1, "0123456789") : 0;
    CLEANUP(freep) char *whole = xmemdup0(text, digits);
    uint64_t value, rest = 0;

    if (text[digits] == '.' && (decimals == 0 || decimals > 3 || text[digits + 1 + decimals]))
        return false;
    if (!parse_quantity(units, text[digits] == '.' ? whole : text, &value))
        return false;
    for (size_t i = 0; i < 3; i++)
        rest = 10 * rest + (i < decimals ? (uint64_t)(text[digits + 1 + i] - '0') : 0);
    return !__builtin_add_overflow(value, rest, ret);
}

static int parse_in_range(uint64_t *ret_value, const struct config_key *key, const char *text, struct status *st) {
    const struct unit *units = quantities[key->type].units;
    CLEANUP(freep) char *min = format_quantity(units, key->min);
    CLEANUP(freep) char *max = format_quantity(units, key->max);
    uint64_t value;

    if (!(key->type == CONFIG_CPUS ? parse_cpus : parse_quantity)(units, text, &value))
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: \"%s\" is not %s", key->path, text,
                          quantities[key->type].what);
    if (value < key->min || value > key->max)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: %s is out of range, it must be from %s to %s", key->path,
                          text, min, max);
    *ret_value = value;
    return 0;
}

static int set_number(unsigned *field, const struct config_key *key, const char *text, struct status *st) {
    uint64_t value;
    int error = parse_in_range(&value, key, text, st);

    if (!error)
        *field = (unsigned)value; /* the table's maximum fits */
    return error;
}

static int set_choice(unsigned *field, const struct config_key *key, const char *text, struct status *st) {
    CLEANUP(freep) char *known = xstrdup("");

    for (size_t i = 0; key->choices[i]; i++) {
        char *longer = xasprintf("%s%s%s", known, i ? ", " : "", key->choices[i]);

        free(known);
        known = longer;
        if (strcmp(key->choices[i], text) == 0) {
            *field = (unsigned)i;
            return 0;
        }
    }
    return status_set(st, STATUS_INVALID_ARGUMENT, "%s: \"%s\" is not one of: %s", key->path, text, known);
}

bool config_is_address(const char *text) {
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (strncmp(text, "unix:", 5) == 0)
        return text[5] != '\0';
    if (!colon || colon == text || strpbrk(text, " \t/"))
        return false;
    if (text[0] == '[' ? colon[-1] != ']' || colon - text < 3 : memchr(text, ':', (size_t)(colon - text)) != NULL)
        return false;
    return parse_quantity(number_units, colon + 1, &port) && port <= 65535;
}

static int check_user(const struct config_key *key, const char *name, struct status *st) {
    struct worker_user user;
    int r = worker_user_find(name, &user, st);

    if (r < 0)
        return status_prefix(st, "%s", key->path);
    worker_user_clear(&user);
    return 0;
}

static int set_text(char **field, const struct config_key *key, const char *text, struct status *st) {
    if (!text[0] && key->min > 0)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: must not be empty", key->path);
    if (text[0] && key->type == CONFIG_ADDRESS && !config_is_address(text))
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "%s: \"%s\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH", key->path, text);
    if (text[0] && key->type == CONFIG_USER && check_user(key, text, st) < 0)
        return -(int)STATUS_INVALID_ARGUMENT;
    free(*field);
    *field = xstrdup(text);
    return 0;
}

int config_set_field(void *fields, const struct config_key *key, const char *text, struct status *st) {
    void *field = (char *)fields + key->offset;

    switch (key->type) {
    case CONFIG_PATH:
    case CONFIG_USER:
    case CONFIG_ADDRESS:
        return set_text(field, key, text, st);
    case CONFIG_CHOICE:
        return set_choice(field, key, text, st);
    case CONFIG_NUMBER:
    case CONFIG_CPUS:
        return set_number(field, key, text, st);
    default:
        return parse_in_range(field, key, text, st);
    }
}

int config_set(struct config *config, const struct config_key *key, const char *text, struct status *st) {
    return config_set_field(config, key, text, st);
}

/* ---------------------------------------------------------------- life */

void config_init_defaults(struct config *config) {
    *config = (struct config){0};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        if (config_set(config, &keys[i], keys[i].default_text, NULL) < 0)
            abort(); /* the table contradicts itself; the unit test sees it */
}

void config_clear(struct config *config) {
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        if (keys[i].type == CONFIG_PATH || keys[i].type == CONFIG_USER || keys[i].type == CONFIG_ADDRESS)
            free(*(char **)(void *)((char *)config + keys[i].offset));
    config_clear_environments(config);
    *config = (struct config){0};
}

/* Names of variables, and of directories where those are not set: below the home directory, and without one. */
static void settle_directory(char **field, const char *service_variable, const char *user_variable,
                             const char *below_home, const char *otherwise) {
    const char *service = getenv(service_variable);
    const char *user = getenv(user_variable);
    const char *home = getenv("HOME");
    char *chosen;

    if ((*field)[0])
        return;
    if (service && service[0])
        chosen = xmemdup0(service, strcspn(service, ":")); /* one of several, where the unit names several */
    else if (user && user[0] == '/')
        chosen = xasprintf("%s/trestle", user);
    else if (home && home[0] == '/')
        chosen = xasprintf("%s/%s/trestle", home, below_home);
    else
        chosen = xstrdup(otherwise);
    free(*field);
    *field = chosen;
}

void config_settle_directories(struct config *config) {
    settle_directory(&config->state_dir, "STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state", "/var/lib/trestle");
    settle_directory(&config->cache_dir, "CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache", "/var/cache/trestle");
}

const char *config_advertise(const struct config *config, const char *environment_urn) {
    const struct {
        const char *urn;
        const char *address;
    } kinds[] = {
        {"beam:env:external:v1", config->advertise_external},
        {"beam:env:process:v1", config->advertise_process},
        {"trestle:env:native:v1", config->advertise_process},
        {"beam:env:docker:v1", config->advertise_container},
    };

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kinds[i].urn, environment_urn) == 0 && kinds[i].address[0])
            return kinds[i].address;
    return config->advertise_default[0] ? config->advertise_default : NULL;
}
