#include "jobserver/daemon.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/allocator.h"
#include "base/log.h"
#include "base/pool.h"
#include "jobserver/access.h"
#include "jobserver/artifact_service.h"
#include "jobserver/catalogue.h"
#include "jobserver/host.h"
#include "jobserver/housekeeping.h"
#include "jobserver/inspection/inspection.h"
#include "jobserver/job_service.h"
#include "jobserver/machine.h"
#include "jobserver/native/native.h"
#include "jobserver/recovery.h"
#include "jobserver/secrets.h"
#include "jobserver/state_dir.h"
#include "jobserver/worker_setup.h"
#include "rpc/tls.h"
#include "worker/orphans.h"

enum {
    POOL_THREADS = 4,
    CLIENT_THREADS = 1,
    CANCEL_WAIT_MS = 5000,
    STOP_GRACE_MS = 5000,
    MIN_START_TIMEOUT_MS = 50,
    MAX_STREAM_QUEUE_BYTES = 1 << 20,
};

struct daemon {
    const struct config *config; /* as at the start */
    struct live_config *live_config;
    char *endpoint;         /* of clients */
    char *workers_endpoint; /* NULL: the same */
    struct account *account;
    struct account *disk;
    struct access *access;
    struct state_dir *state_dir;
    struct artifact_store *store;
    struct job_db *db;
    struct pool *pool;
    struct pool *scratch_pool; /* its tasks are long and must not hold up the artifacts */
    struct catalogue *catalogue;
    struct recovery *recovery; /* until the jobs that it has are started */
    struct rpc_server *server;
    struct rpc_client *client;
    struct fn_service *fn_service;
    struct worker_manager *workers;
    struct worker_user user; /* whom workers run as; name NULL: the daemon's own */
    struct worker_setup *worker_setup;
    struct native *native;
    struct host *host;
    struct housekeeping *housekeeping;
    struct job_service *job_service;
    struct artifact_service *artifact_service;
    atomic_bool is_beat_due; /* daemon_beat() asked, and there is no answer yet */
    struct inspection *inspection;
    struct pool *inspection_pool; /* its tasks may wait for engines and workers */
    struct http_server *http;     /* NULL: there is no web page */
};

/* "HOST:0" and the port the system picked make "HOST:PORT"; "unix:PATH" stays. */
static char *endpoint_of(const char *address, int port) {
    const char *colon = strrchr(address, ':');

    if (strncmp(address, "unix:", 5) == 0 || !colon)
        return xstrdup(address);
    return xasprintf("%.*s:%d", (int)(colon - address), address, port);
}

/* An address that can be dialled on this machine: a wildcard cannot. */
static char *local_endpoint(const char *endpoint) {
    static const char *const wildcards[] = {"0.0.0.0:", "[::]:", ":::"};

    for (size_t i = 0; i < ARRAY_COUNT(wildcards); i++)
        if (strncmp(endpoint, wildcards[i], strlen(wildcards[i])) == 0)
            return xasprintf("127.0.0.1:%s", endpoint + strlen(wildcards[i]));
    return xstrdup(endpoint);
}

static size_t max_receiving_bytes(const struct config *config) {
    if (config->limits_max_receiving_bytes)
        return config->limits_max_receiving_bytes;
    return (size_t)MAX(2 * config->limits_max_message_bytes, UINT64_C(1) << 30);
}

static struct rpc_tls tls_of(const struct secrets *secrets) {
    return (struct rpc_tls){
        .certificate = secrets->tls.certificate, .key = secrets->tls.key, .client_ca = secrets->tls.client_ca};
}

static int listen_for_workers(struct daemon *daemon, struct status *st) {
    const char *address = daemon->config->workers_listen;
    int port = 0, r;

    if (!address[0] && !daemon->config->tls_certificate[0])
        return 0;
    if (!address[0])
        address = "127.0.0.1:0";
    r = rpc_server_listen(daemon->server, address, &port, st);
    if (r < 0)
        return status_prefix(st, "workers.listen");
    daemon->workers_endpoint = endpoint_of(address, port);
    log_info("trestle", "workers connect to %s", daemon->workers_endpoint);
    return 0;
}

static int listen_on(struct daemon *daemon, const struct secrets *secrets, struct status *st) {
    const struct config *config = daemon->config;
    struct rpc_tls tls = tls_of(secrets);
    int port = 0, r;

    daemon->server = rpc_server_create(&(struct rpc_server_options){
        .max_message_bytes = config->limits_max_message_bytes,
        .account = daemon->account,
        .limits = {.receiving_bytes = max_receiving_bytes(config),
                   .connection_streams = config->limits_max_connection_streams,
                   .max_waiting_calls = config->limits_max_waiting_calls,
                   .request_timeout_ms = (unsigned)config->limits_request_timeout_ms,
                   .handshake_timeout_ms = (unsigned)config->limits_handshake_timeout_ms},
    });
    r = tls.certificate ? rpc_server_listen_tls(daemon->server, config->listen, &tls, &port, st)
                        : rpc_server_listen(daemon->server, config->listen, &port, st);
    if (r == 0)
        daemon->endpoint = endpoint_of(config->listen, port);
    return r < 0 ? r : listen_for_workers(daemon, st);
}

/* Nobody else has the state directory now: whatever was started in its name by a launcher that is gone belongs to nobody. */
static void take_over_workers(struct daemon *daemon, struct launcher *launcher) {
    const char *instance = state_dir_path(daemon->state_dir);
    unsigned count = orphans_kill(instance);

    if (count)
        log_warning("worker", "%u processes that a killed daemon had left behind were killed", count);
    launcher_set_instance(launcher, instance);
}

static int open_state(struct daemon *daemon, struct status *st) {
    int r = state_dir_open(daemon->config->state_dir, &daemon->state_dir, st);

    if (r == 0)
        r = worker_setup_find_user(daemon->config, state_dir_path(daemon->state_dir), &daemon->user, st);
    if (r == 0)
        r = artifact_store_open(state_dir_path(daemon->state_dir), &daemon->store, st);
    if (r == 0)
        r = job_db_open(state_dir_path(daemon->state_dir), &daemon->db, st);
    return r;
}

static int open_catalogue(struct daemon *daemon, struct status *st) {
    const struct config *config = daemon->config;
    struct catalogue_options options = catalogue_default_options();
    int r;

    options.db = daemon->db;
    options.max_running_jobs = (size_t)config->jobs_max_running + config->jobs_max_queued;
    options.job_limits.max_messages = config->log_max_messages_per_job;
    options.retention = (struct job_db_retention){
        .max_age_ms = (int64_t)config->retention_max_age_ms,
        .max_jobs = config->retention_max_jobs,
        .max_bytes = config->retention_max_size_bytes,
    };
    r = catalogue_create(&options, &daemon->catalogue, st);
    return r < 0 ? r : recovery_create(daemon->db, daemon->catalogue, config, &daemon->recovery, st);
}

/* The page is no reason to refuse jobs: where it cannot be served, the daemon goes on without. */
static void serve_http(struct daemon *daemon) {
    CLEANUP_STATUS struct status st = {0};

    if (!daemon->config->http_listen[0])
        return;
    if (http_server_start(
            &(struct http_server_options){
                .address = daemon->config->http_listen,
                .hosts = daemon->config->http_hosts,
                .pool = daemon->inspection_pool,
                .handler = inspection_serve_http,
                .context = daemon->inspection,
                .admit = access_admits_http,
                .admit_context = daemon->access,
            },
            &daemon->http, &st) < 0)
        log_warning("http", "there is no web page: %s (http.listen)", status_message(&st));
    else
        log_info("http", "web page on http://%s", http_server_address(daemon->http));
}

static void inspect(struct daemon *daemon, const char *endpoint) {
    daemon->inspection_pool = pool_create(INSPECTION_THREADS);
    daemon->inspection = inspection_create(&(struct inspection_options){
        .catalogue = daemon->catalogue,
        .host = daemon->host,
        .config = daemon->live_config,
        .memory = daemon->account,
        .disk = daemon->disk,
        .pool = daemon->inspection_pool,
        .state_directory = state_dir_path(daemon->state_dir),
        .endpoint = endpoint,
    });
    inspection_register(daemon->inspection, daemon->server);
}

/* While nobody waits. */
static void give_memory_back(void *user) {
    struct daemon *daemon = user;

    catalogue_release(daemon->catalogue);
    allocator_trim();
}

static void serve(struct daemon *daemon, struct launcher *launcher) {
    const struct config *config = daemon->config;
    CLEANUP(freep) char *local = local_endpoint(daemon->endpoint);
    CLEANUP(freep)
    char *for_workers = local_endpoint(daemon->workers_endpoint ? daemon->workers_endpoint : daemon->endpoint);

    access_warn(daemon->access, daemon->endpoint);
    daemon->pool = pool_create(POOL_THREADS);
    daemon->scratch_pool = pool_create(MAX(machine_cores(), 2u));
    daemon->client = rpc_client_create(CLIENT_THREADS);
    daemon->fn_service = fn_service_create(daemon->server);
    daemon->workers = worker_manager_create(launcher, daemon->client);
    /* Before the host gives up waiting, so that it is the pool's own reason that the job fails with. */
    worker_manager_set_start_timeout(
        daemon->workers, (unsigned)MAX(config->worker_connect_timeout_ms / 10 * 9, (uint64_t)MIN_START_TIMEOUT_MS));
    daemon->worker_setup = worker_setup_create(config, state_dir_path(daemon->state_dir),
                                               daemon->user.name ? &daemon->user : NULL, launcher, daemon->workers);
    daemon->native = native_create(&(struct native_options){
        .launcher = launcher,
        .user = daemon->user.name ? &daemon->user : NULL,
        .cache_directory = config->cache_dir,
        .state_directory = state_dir_path(daemon->state_dir),
        .search_path = config->native_search_path,
        .keep_ms = config->native_keep_ms,
        .max_bytes = config->native_max_bytes,
    });
    daemon->host = host_create(&(struct host_options){
        .config = daemon->live_config,
        .fn_service = daemon->fn_service,
        .workers = daemon->workers,
        .client = daemon->client,
        .endpoint = for_workers,
        .account = daemon->account,
        .disk = daemon->disk,
        .scratch_directory = state_dir_path(daemon->state_dir),
        .pool = daemon->scratch_pool,
        .native = daemon->native,
        .store = daemon->store,
        .on_idle = give_memory_back,
        .on_idle_user = daemon,
    });
    daemon->job_service = job_service_create(&(struct job_service_options){
        .catalogue = daemon->catalogue,
        .host = daemon->host,
        .config = daemon->live_config,
        .pool = daemon->pool,
        .staging_endpoint = config->advertise_default[0] ? config->advertise_default : local,
        .cancel_wait_ms = CANCEL_WAIT_MS,
        .max_stream_queue_bytes = MAX_STREAM_QUEUE_BYTES,
    });
    daemon->artifact_service = artifact_service_create(&(struct artifact_service_options){
        .catalogue = daemon->catalogue,
        .store = daemon->store,
        .pool = daemon->pool,
        .fn_service = daemon->fn_service,
        .max_artifact_bytes = config->limits_max_artifact_bytes,
    });
    job_service_register(daemon->job_service, daemon->server);
    inspect(daemon, local);
    artifact_service_register(daemon->artifact_service, daemon->server);
    access_guard(daemon->access, daemon->server);
    rpc_server_start(daemon->server);
    daemon->housekeeping = housekeeping_start(&(struct housekeeping_options){
        .catalogue = daemon->catalogue,
        .db = daemon->db,
        .store = daemon->store,
        .pool = daemon->pool,
        .artifact_grace_ms = (int64_t)config->retention_artifact_grace_ms,
    });
    recovery_start_jobs(daemon->recovery, daemon->job_service, daemon->host);
    daemon->recovery = NULL;
    serve_http(daemon);
}

int daemon_create(const struct config *config, struct launcher *launcher, struct daemon **ret, struct status *st) {
    struct daemon *daemon = xcalloc(1, sizeof(*daemon));
    struct secrets secrets = {0};
    int r;

    daemon->config = config;
    daemon->live_config = live_config_create(config);
    daemon->account = account_create(
        "memory.total", NULL, config->memory_total_bytes ? config->memory_total_bytes : machine_memory_bytes() / 2);
    daemon->disk = account_create("disk.total", NULL, config->disk_total_bytes);
    r = secrets_load(config, &secrets, st);
    daemon->access = access_create(config, secrets.tokens);
    if (r == 0)
        r = open_state(daemon, st);
    if (r == 0)
        take_over_workers(daemon, launcher);
    if (r == 0)
        r = listen_on(daemon, &secrets, st);
    secrets_clear(&secrets);
    if (r == 0)
        r = open_catalogue(daemon, st);
    if (r < 0) {
        daemon_destroy(daemon);
        return r;
    }
    serve(daemon, launcher);
    *ret = daemon;
    return 0;
}

const char *daemon_endpoint(const struct daemon *daemon) {
    return daemon->endpoint;
}

static void answer_beat(void *user) {
    struct daemon *daemon = user;

    preparation_unref(catalogue_find_preparation(daemon->catalogue, ""));
    daemon->is_beat_due = false;
}

bool daemon_beat(struct daemon *daemon) {
    if (atomic_exchange(&daemon->is_beat_due, true))
        return false;
    pool_run(daemon->pool, answer_beat, daemon);
    return true;
}

static void log_names(const char *what, struct buf *names) {
    if (names->size)
        log_info("trestle", "%s: %.*s", what, (int)names->size, (const char *)buf_data(names));
    buf_clear(names);
}

static int load_secrets(const struct daemon *daemon, const struct config *config, struct secrets *ret,
                        struct status *st) {
    int r = 0;

    if (daemon->user.name)
        r = worker_setup_check_user(config, state_dir_path(daemon->state_dir), &daemon->user, st);
    return r < 0 ? r : secrets_load(config, ret, st);
}

/* Takes the snapshot. What new calls and connections are judged by, and the configuration, change together. */
static void put_in_force(struct daemon *daemon, struct config_snapshot *snapshot, const struct secrets *secrets) {
    struct rpc_tls tls = tls_of(secrets);

    access_renew(daemon->access, secrets->tokens);
    access_warn(daemon->access, daemon->endpoint);
    if (tls.certificate)
        rpc_server_renew_tls(daemon->server, &tls);
    log_set_level((enum log_level)snapshot->config.log_level);
    live_config_put(daemon->live_config, snapshot);
    host_reconfigure(daemon->host);
}

void daemon_reload(struct daemon *daemon, const struct config *next) {
    CLEANUP_STATUS struct status st = {0};
    struct buf changed = {0}, waiting = {0};
    struct config_snapshot *snapshot = live_config_prepare(daemon->live_config, next, &changed, &waiting);
    struct secrets secrets = {0};

    if (load_secrets(daemon, &snapshot->config, &secrets, &st) < 0) {
        config_snapshot_unref(snapshot);
        buf_clear(&changed);
        buf_clear(&waiting);
        log_error("trestle", "the configuration is not reloaded: %s", status_message(&st));
        return;
    }
    put_in_force(daemon, snapshot, &secrets);
    secrets_clear(&secrets);
    if (changed.size == 0 && waiting.size == 0)
        log_info("trestle", "the configuration is as it was");
    log_names("changed, from now on", &changed);
    log_names("changed in the file, and waits for a restart", &waiting);
}

uint64_t daemon_drain(struct daemon *daemon) {
    struct config_snapshot *snapshot = live_config_get(daemon->live_config);
    uint64_t limit_ms = snapshot->config.shutdown_drain_ms;

    config_snapshot_unref(snapshot);
    catalogue_close(daemon->catalogue);
    if (limit_ms)
        host_drain(daemon->host, limit_ms);
    return limit_ms;
}

unsigned daemon_await_end(struct daemon *daemon, unsigned ms) {
    return host_await_end(daemon->host, ms);
}

void daemon_destroy(struct daemon *daemon) {
    if (!daemon)
        return;
    if (daemon->host) {
        /* Jobs end while the server still serves: their harnesses say goodbye over it, and clients read how it ended. */
        catalogue_close(daemon->catalogue);
        housekeeping_stop(daemon->housekeeping);
        host_stop(daemon->host);
        native_destroy(daemon->native);
        worker_manager_destroy(daemon->workers);
        worker_setup_destroy(daemon->worker_setup);
        /* How jobs ended is told first; then those who wait for others' ends are let go. */
        job_db_flush(daemon->db);
        job_service_end_streams(daemon->job_service);
    }
    if (daemon->server)
        rpc_server_stop(daemon->server, STOP_GRACE_MS);
    http_server_stop(daemon->http);
    /* What the last calls left to do: their answers wait for the disk, and some go by way of the pool. */
    if (daemon->db)
        job_db_flush(daemon->db);
    pool_destroy(daemon->inspection_pool);
    pool_destroy(daemon->pool);
    pool_destroy(daemon->scratch_pool);
    housekeeping_destroy(daemon->housekeeping);
    artifact_service_destroy(daemon->artifact_service);
    inspection_destroy(daemon->inspection);
    if (daemon->host)
        host_destroy(daemon->host);
    if (daemon->fn_service)
        fn_service_destroy(daemon->fn_service);
    if (daemon->client)
        rpc_client_destroy(daemon->client);
    recovery_destroy(daemon->recovery);
    if (daemon->db)
        job_db_stop(daemon->db);
    job_service_destroy(daemon->job_service);
    catalogue_destroy(daemon->catalogue);
    job_db_close(daemon->db);
    artifact_store_close(daemon->store);
    state_dir_close(daemon->state_dir);
    account_unref(daemon->account);
    account_unref(daemon->disk);
    access_destroy(daemon->access);
    worker_user_clear(&daemon->user);
    live_config_destroy(daemon->live_config);
    free(daemon->endpoint);
    free(daemon->workers_endpoint);
    free(daemon);
}
