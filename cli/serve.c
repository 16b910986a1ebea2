/* serve: the daemon. What it does is in daemon.c; here is what belongs to its process: configuration, signals, the launcher's fork. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/allocator.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "cli/command.h"
#include "cli/notify.h"
#include "cli/serve.h"
#include "jobserver/daemon.h"
#include "jobserver/secrets.h"
#include "rpc/rpc.h"

enum {
    DRAIN_REPORT_MS = 1000,
    STOP_MS = 30000, /* for workers to stop and connections to end, ample */
};

static void exit_at_once(int signal_number) {
    (void)signal_number;
    _exit(EXIT_FAILURE);
}

static void awaited_signals(sigset_t *ret) {
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
}

/* Before any thread starts, so that all of them have the signals blocked; main's waits for them. */
static void block_signals(void) {
    sigset_t awaited;

    awaited_signals(&awaited);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Until one of the signals. Half as often as the service manager wants it, the daemon is asked for a sign of life; without one
 * the service manager hears nothing either, and starts the daemon anew. */
static int wait_for_signal(const sigset_t *signals, struct daemon *daemon, const struct notify *notify) {
    uint64_t pause_usec = notify->watchdog_usec / 2;
    struct timespec pause = {.tv_sec = (time_t)(pause_usec / 1000000), .tv_nsec = (long)(pause_usec % 1000000 * 1000)};

    for (;;) {
        int signal_number = sigtimedwait(signals, NULL, pause_usec ? &pause : NULL);

        if (signal_number > 0)
            return signal_number;
        if (errno != EAGAIN)
            continue;
        if (daemon_beat(daemon))
            notify_send(notify, "WATCHDOG=1");
        else
            log_error("trestle", "a thread of the pool has not answered for %llu ms",
                      (unsigned long long)pause_usec / 1000);
    }
}

/* A configuration with mistakes changes nothing. The service manager takes the reload as done when it hears that it is. */
static void reload(const struct arguments *arguments, struct daemon *daemon, const struct notify *notify) {
    CLEANUP_STATUS struct status st = {0};
    struct config config;

    log_info("trestle", "SIGHUP: reading the configuration again");
    notify_send(notify, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)monotonic_now_ns() / 1000);
    if (serve_configure(arguments, &config, &st) < 0) {
        log_error("trestle", "the configuration is not reloaded: %s", status_message(&st));
    } else {
        daemon_reload(daemon, &config);
        config_clear(&config);
    }
    notify_send(notify, "READY=1");
}

static void wait_for_end(const struct arguments *arguments, struct daemon *daemon, const struct notify *notify) {
    sigset_t awaited;
    int signal_number;

    awaited_signals(&awaited);
    while ((signal_number = wait_for_signal(&awaited, daemon, notify)) == SIGHUP)
        reload(arguments, daemon, notify);
    log_info("trestle", "%s: shutting down (once more: at once)", strsignal(signal_number));
    notify_send(notify, "STOPPING=1\nSTATUS=%s: shutting down", strsignal(signal_number));
    signal(SIGTERM, exit_at_once);
    signal(SIGINT, exit_at_once);
    sigdelset(&awaited, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &awaited, NULL);
}

/* Gives the jobs the time that shutdown.drain says. The service manager is told to wait as long, and for what comes then. */
static void drain(struct daemon *daemon, const struct notify *notify) {
    uint64_t limit_ms = daemon_drain(daemon), pause_ms = DRAIN_REPORT_MS;
    int64_t end_ns = monotonic_now_ns() + (int64_t)limit_ms * 1000000, left_ms = (int64_t)limit_ms;
    unsigned count;

    if (notify->watchdog_usec)
        pause_ms = MAX(MIN(pause_ms, notify->watchdog_usec / 2000), UINT64_C(1));
    notify_send(notify, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)(limit_ms + STOP_MS) * 1000);
    while (left_ms > 0 && (count = daemon_await_end(daemon, (unsigned)MIN((uint64_t)left_ms, pause_ms))) > 0) {
        left_ms = (end_ns - monotonic_now_ns()) / 1000000;
        notify_send(notify, "STATUS=Shutting down: %u jobs run and have %lld s left", count,
                    (long long)MAX(left_ms, INT64_C(0)) / 1000);
        if (daemon_beat(daemon))
            notify_send(notify, "WATCHDOG=1");
    }
}

/* Without it every later job that needs a process would fail: better that whoever started the daemon starts it anew. */
static void launcher_died(void *user) {
    atomic_bool *is_launcher_lost = user;

    log_error("trestle", "the process launcher ended unexpectedly, and with it every worker process; shutting down");
    *is_launcher_lost = true;
    kill(getpid(), SIGTERM); /* to the process: this thread has it blocked, main waits for it */
}

/* Connections, scratch files and the launcher's pipes: as many as the system lets us. After the launcher was forked, whose children get the
 * limit that the daemon was started with. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int serve(const struct arguments *arguments, const struct config *config, struct status *st) {
    atomic_bool is_launcher_lost = false;
    struct launcher *launcher;
    struct daemon *daemon;
    struct notify notify;
    int result = EXIT_FAILURE;

    allocator_tune();
    if (notify_open(&notify, st) < 0)
        return EXIT_FAILURE;
    if (launcher_create(&launcher, st) < 0) {
        notify_close(&notify);
        return EXIT_FAILURE;
    }
    raise_descriptor_limit();
    block_signals();
    launcher_on_death(launcher, launcher_died, &is_launcher_lost);
    launcher_start(launcher);
    rpc_init();
    if (daemon_create(config, launcher, &daemon, st) == 0) {
        printf("listening on %s\n", daemon_endpoint(daemon));
        fflush(stdout);
        notify_send(&notify, "READY=1\nSTATUS=Listening on %s", daemon_endpoint(daemon));
        wait_for_end(arguments, daemon, &notify);
        if (!is_launcher_lost)
            drain(daemon, &notify);
        daemon_destroy(daemon);
        result = EXIT_SUCCESS;
    }
    launcher_destroy(launcher);
    rpc_shutdown();
    notify_close(&notify);
    return is_launcher_lost ? EXIT_FAILURE : result;
}

static const struct flag flags[] = {
    {.name = "--listen",
     .value = "ADDRESS",
     .doc = "HOST:PORT, [IPv6]:PORT or unix:PATH to serve on; port 0: the system picks",
     .config_key = "listen"},
    {.name = "--http-listen",
     .value = "ADDRESS",
     .doc = "HOST:PORT of the web page; port 0: the system picks; empty: none",
     .config_key = "http.listen"},
    {.name = "--state-dir",
     .value = "DIR",
     .doc = "where staged files, job data and scratch files go",
     .config_key = "state_dir"},
    {.name = "--cache-dir",
     .value = "DIR",
     .doc = "where virtual environments and the like are kept",
     .config_key = "cache_dir"},
    {.name = "--log-level",
     .value = "LEVEL",
     .choices = "debug info warning error",
     .doc = "debug, info, warning or error",
     .config_key = "log.level"},
    {.name = "--config", .value = "FILE", .doc = "a YAML file with these and all other settings; flags win over it"},
    {.name = "--check-config",
     .doc = "only say what is wrong with the configuration, if anything; the exit code tells"},
};

static int set_keys(const struct arguments *arguments, struct config *config, struct status *st) {
    int r = 0;

    for (size_t i = 0; i < ARRAY_COUNT(flags) && r == 0; i++) {
        if (!flags[i].config_key || !arguments->values[i])
            continue;
        r = config_set(config, config_find_key(flags[i].config_key), arguments->values[i], st);
        if (r < 0)
            r = status_prefix(st, "%s", flags[i].name);
    }
    return r;
}

int serve_configure(const struct arguments *arguments, struct config *ret, struct status *st) {
    const char *file = arguments_value(arguments, "--config");
    struct config config;
    int r = 0;

    config_init_defaults(&config);
    if (file)
        r = config_load(&config, file, st);
    if (r == 0)
        r = set_keys(arguments, &config, st);
    if (r < 0) {
        config_clear(&config);
        return r;
    }
    config_settle_directories(&config);
    *ret = config;
    return 0;
}

/* With the files that it names. */
static int check(const struct config *config, struct status *st) {
    struct secrets secrets = {0};

    if (secrets_load(config, &secrets, st) < 0)
        return EXIT_USAGE;
    secrets_clear(&secrets);
    puts("the configuration is fine");
    return EXIT_SUCCESS;
}

static int run(const struct arguments *arguments, struct status *st) {
    struct config config;
    int result;

    if (serve_configure(arguments, &config, st) < 0)
        return EXIT_USAGE;
    if (arguments_value(arguments, "--check-config")) {
        result = check(&config, st);
        config_clear(&config);
        return result;
    }
    log_set_level((enum log_level)config.log_level);
    log_set_format((enum log_format)config.log_format);
    result = serve(arguments, &config, st);
    config_clear(&config);
    return result;
}

const struct command command_serve = {
    .name = "serve",
    .summary = "serve in the foreground, until SIGTERM",
    .more = "  SIGTERM lets jobs end, as shutdown.* in the configuration says; a second one ends it at once.\n"
            "  SIGHUP reads the file again; the log says what changed, and what waits for a restart.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
