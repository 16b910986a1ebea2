/* The daemon's configuration: a YAML file, overridden by the command line (cli/serve.h), read at start and at SIGHUP (live_config.h).
 *
 * Every key is a row of one table (config_keys.c): its name, type, unit, limits, default and what it means. The parser, the defaults, the
 * command line and the test of the sample file (deploy/trestle.yaml) go by that table, so that a new key is a field below and a row there.
 *
 * Sizes are kept in bytes, times in milliseconds, whatever unit the file uses. Errors name file, line and key. One thread. */
#ifndef JOBSERVER_CONFIG_H
#define JOBSERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"

/* When the image of a container is fetched. */
enum config_pull { CONFIG_PULL_MISSING, CONFIG_PULL_ALWAYS, CONFIG_PULL_NEVER };

/* Who keeps workers apart from the daemon's own service. */
enum config_isolation { CONFIG_ISOLATION_NONE, CONFIG_ISOLATION_SYSTEMD, CONFIG_ISOLATION_SYSTEMD_USER };

/* What a shutdown makes of batch jobs that have not ended in time. */
enum config_unfinished { CONFIG_UNFINISHED_CANCEL, CONFIG_UNFINISHED_REQUEUE };

/* What is run in place of an image. */
enum config_way {
    CONFIG_RUN_AS_ASKED,  /* nothing else */
    CONFIG_RUN_CONTAINER, /* another image */
    CONFIG_RUN_NATIVE,    /* what one of Beam's own images would run, without it */
    CONFIG_RUN_PROCESS,   /* a command that takes the arguments of the images' boot programs */
    CONFIG_RUN_EXTERNAL,  /* a worker pool at HOST:PORT */
};

/* What an environment's pattern is held against, as the pipeline names it. */
enum config_subject {
    CONFIG_IMAGE,   /* of DOCKER, and of what comes down to it */
    CONFIG_COMMAND, /* of PROCESS */
};

/* How an environment's workers run. 0 and NULL: not said. */
struct config_settings {
    unsigned workers;
    unsigned slots;          /* per worker */
    uint64_t memory_bytes;   /* of one worker, at most */
    unsigned milli_cpus;     /* the same: 1000 is a core */
    char *working_directory; /* absolute */
    char **variables;        /* KEY=VALUE, NULL-terminated */
};

/* A row of the list `environments`. */
struct config_environment {
    enum config_subject subject;
    char *pattern; /* *, ? and [...] as in file names, but a slash is no boundary */
    enum config_way way;
    char *value; /* an image ("same": the one that fits the pattern), a command or an address; NULL: as asked */
    struct config_settings settings;
};

/* Plain data. Strings are owned, never NULL. A field is called like its key, with the unit behind it. */
struct config {
    char *listen;           /* HOST:PORT or unix:PATH */
    char *http_listen;      /* HOST:PORT; "": none */
    char *http_hosts;       /* with blanks between them */
    char *state_dir;        /* "" until config_settle_directories() */
    char *cache_dir;        /* the same */
    char *auth_tokens_file; /* "": everybody may call */
    char *tls_certificate;  /* "": no TLS */
    char *tls_key;
    char *tls_client_ca;     /* "": clients need no certificate */
    char *workers_listen;    /* "": where `listen` is, or with TLS a loopback port of the system's choice */
    char *advertise_default; /* "": the listen address; see config_advertise() */
    char *advertise_external;
    char *advertise_process;
    char *advertise_container;
    uint64_t worker_connect_timeout_ms;
    char *containers_cli;      /* "": none */
    unsigned containers_pull;  /* enum config_pull */
    char *containers_mounts;   /* paths with colons between them */
    char *containers_options;  /* with blanks between them */
    uint64_t native_keep_ms;   /* 0: for ever */
    uint64_t native_max_bytes; /* 0: no limit */
    char *native_search_path;  /* directories with colons between them */
    unsigned jobs_max_running;
    unsigned jobs_max_queued;
    uint64_t shutdown_drain_ms;
    unsigned shutdown_unfinished;     /* enum config_unfinished */
    unsigned workers_max_processes;   /* of all jobs; 0: 32 for each core */
    unsigned workers_per_environment; /* processes */
    unsigned workers_slots;           /* bundles at once in one worker */
    unsigned workers_isolation;       /* enum config_isolation */
    char *workers_user;               /* "": the daemon's */
    uint64_t workers_stop_grace_ms;
    uint64_t workers_keep_warm_ms;       /* 0: not at all */
    unsigned workers_keep_warm_max;      /* processes */
    unsigned retry_worker_lost_attempts; /* of a bundle, the first included */
    unsigned retry_user_exception_attempts;
    uint64_t bundle_output_timeout_ms;   /* from a bundle's response to the end of its output */
    uint64_t bundle_split_after_ms;      /* until a running bundle may be asked to split */
    uint64_t bundle_stuck_report_ms;     /* 0: never */
    uint64_t bundle_stuck_kill_ms;       /* 0: never */
    uint64_t stream_latency_ms;          /* until output of a source without an end is asked for */
    uint64_t stream_checkpoint_after_ms; /* ... of one that put out nothing, or very much */
    uint64_t stream_open_ahead_ms;       /* 0: no bundle is opened before its input is there */
    uint64_t limits_max_message_bytes;   /* one gRPC message */
    uint64_t limits_max_element_bytes;   /* one encoded element */
    uint64_t limits_max_inline_group_bytes;
    uint64_t limits_max_artifact_bytes;  /* one staged file */
    uint64_t limits_max_receiving_bytes; /* 0: twice max_message, at least 1 GiB */
    unsigned limits_max_connection_streams;
    unsigned limits_max_waiting_calls;
    uint64_t limits_request_timeout_ms;
    uint64_t limits_handshake_timeout_ms;
    uint64_t memory_total_bytes;       /* 0: half of what the machine or the service's cgroup has */
    uint64_t memory_per_job_bytes;     /* 0: as the total */
    uint64_t disk_total_bytes;         /* scratch data of all jobs; 0: no limit */
    uint64_t disk_per_job_bytes;       /* 0: no limit */
    unsigned jobs_max_runs;            /* of one job, by daemons one after the other */
    uint64_t retention_max_age_ms;     /* since a job's end; 0: no limit */
    unsigned retention_max_jobs;       /* 0: no limit */
    uint64_t retention_max_size_bytes; /* 0: no limit */
    uint64_t retention_artifact_grace_ms;
    unsigned log_level;  /* enum log_level */
    unsigned log_format; /* enum log_format */
    unsigned log_max_messages_per_job;
    struct config_environment *environments; /* in the file's order */
    size_t environment_count;
};

enum config_type {
    CONFIG_PATH,     /* char * */
    CONFIG_USER,     /* char *: a user of this machine, whom this process can start others as */
    CONFIG_ADDRESS,  /* char *: HOST:PORT, [IPv6]:PORT or unix:PATH */
    CONFIG_NUMBER,   /* unsigned: decimal digits */
    CONFIG_DURATION, /* uint64_t, milliseconds; the text needs a unit: ms, s, m, h */
    CONFIG_SIZE,     /* uint64_t, bytes; the text needs a unit: B, KiB, MiB, GiB */
    CONFIG_CHOICE,   /* unsigned: place in `choices` */
    CONFIG_CPUS,     /* unsigned, thousandths; the text is a decimal number: 2, 0.5 */
};

struct config_key {
    const char *path; /* "workers.per_environment" */
    enum config_type type;
    size_t offset; /* in struct config, or struct config_settings */
    uint64_t min;  /* in the field's unit; for texts 1: may not be empty */
    uint64_t max;
    const char *default_text;   /* as one would write it in the file */
    const char *const *choices; /* NULL-terminated */
    const char *doc;
    bool is_reloadable; /* for what begins after SIGHUP (live_config.h) */
    bool is_switch;     /* of a reloadable text: whether it is empty waits for a restart all the same */
};

const struct config_key *config_keys(size_t *ret_count);
/* NULL: there is no such key. */
const struct config_key *config_find_key(const char *path);
/* From text as in the file. Errors name the key and say what it takes. */
int config_set(struct config *config, const struct config_key *key, const char *text, struct status *st);

/* The same for any struct of which the table's row tells the field. */
int config_set_field(void *fields, const struct config_key *key, const char *text, struct status *st);

/* The first row with something to run in place of this image, or NULL. */
const struct config_environment *config_find_override(const struct config *config, const char *image);
/* Each setting is that of the first row which fits and has it, each variable likewise. `variables` is the caller's to free, all else the
 * configuration's. */
struct config_settings config_find_settings(const struct config *config, enum config_subject subject, const char *name);

void config_init_defaults(struct config *config);
/* Sets what the file says on top of what is there. On an error the configuration is half set: clear it.
 * -STATUS_INVALID_ARGUMENT: "FILE:LINE: KEY: why" of all that is wrong, a line each. */
int config_load(struct config *config, const char *path, struct status *st);
/* Where no state directory was set: systemd's $STATE_DIRECTORY, else $XDG_STATE_HOME/trestle, else ~/.local/state/trestle, else
 * /var/lib/trestle. The cache directory likewise: $CACHE_DIRECTORY, $XDG_CACHE_HOME/trestle, ~/.cache/trestle, /var/cache/trestle. */
void config_settle_directories(struct config *config);
void config_clear(struct config *config);

/* *to is overwritten; clear it later. */
void config_copy(struct config *to, const struct config *from);
bool config_key_is_equal(const struct config_key *key, const struct config *a, const struct config *b);
void config_copy_key(const struct config_key *key, struct config *to, const struct config *from);
bool config_environments_are_equal(const struct config *a, const struct config *b);
void config_copy_environments(struct config *to, const struct config *from);

/* HOST:PORT that workers of this kind of environment (its URN) are told, or NULL: the address that the server listens on. Borrowed. */
const char *config_advertise(const struct config *config, const char *environment_urn);

#endif
