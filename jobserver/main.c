/* trestle: the program. What it does is in daemon.c; here is what belongs to a process: arguments, signals, the launcher's fork,
 * the allocator's knobs, exit codes (0: a clean end; 1: it could not serve, or not go on; 2: wrong usage). */
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "jobserver/daemon.h"
#include "jobserver/options.h"
#include "rpc/rpc.h"

enum { EXIT_USAGE = 2 };

/* Messages of some megabytes come and go all the time. glibc would give each one's memory back to the kernel, and every page of the next
 * would be a fault again; so it keeps some. Blocks travel between threads and live long or very briefly, so that few arenas do. */
static void tune_allocator(void) {
    static const struct {
        int parameter, value;
    } settings[] = {
        {M_MMAP_THRESHOLD, 32 << 20},
        {M_TRIM_THRESHOLD, 8 << 20},
        {M_ARENA_MAX, 2},
    };

    for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
        mallopt(settings[i].parameter, settings[i].value);
}

static void exit_at_once(int signal_number) {
    (void)signal_number;
    _exit(EXIT_FAILURE);
}

static void end_signals(sigset_t *ret) {
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
}

/* Before any thread starts, so that all of them have the signals blocked; main's waits for them. */
static void block_signals(void) {
    sigset_t ends;

    end_signals(&ends);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void wait_for_end(void) {
    sigset_t ends;
    int signal_number = 0;

    end_signals(&ends);
    while (sigwait(&ends, &signal_number) != 0)
        ;
    log_info("trestle", "%s: shutting down (once more: at once)", strsignal(signal_number));
    signal(SIGTERM, exit_at_once);
    signal(SIGINT, exit_at_once);
    pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
}

/* Without it every later job that needs a process would fail: better that whoever started the daemon starts it anew. */
static void launcher_died(void *user) {
    atomic_bool *is_launcher_lost = user;

    log_error("trestle", "the process launcher ended unexpectedly, and with it every worker process; shutting down");
    *is_launcher_lost = true;
    kill(getpid(), SIGTERM); /* to the process: this thread has it blocked, main waits for it */
}

static int fail(const struct status *st) {
    fprintf(stderr, "trestle: %s\n", status_message(st));
    return EXIT_FAILURE;
}

static int serve(const struct config *config) {
    CLEANUP_STATUS struct status st = {0};
    atomic_bool is_launcher_lost = false;
    struct launcher *launcher;
    struct daemon *daemon;
    int result = EXIT_SUCCESS;

    if (launcher_create(&launcher, &st) < 0)
        return fail(&st);
    block_signals();
    launcher_on_death(launcher, launcher_died, &is_launcher_lost);
    launcher_start(launcher);
    rpc_init();
    if (daemon_create(config, launcher, &daemon, &st) == 0) {
        printf("listening on %s\n", daemon_endpoint(daemon));
        fflush(stdout);
        wait_for_end();
        daemon_destroy(daemon);
    } else {
        result = fail(&st);
    }
    launcher_destroy(launcher);
    rpc_shutdown();
    return is_launcher_lost ? EXIT_FAILURE : result;
}

int main(int argc, char **argv) {
    CLEANUP_STATUS struct status st = {0};
    struct options options;
    int result = EXIT_SUCCESS;

    tune_allocator();
    if (options_parse(&options, argc, argv, &st) < 0) {
        fail(&st);
        return EXIT_USAGE;
    }
    switch (options.command) {
    case OPTIONS_HELP: {
        CLEANUP(freep) char *text = options_help_text();

        fputs(text, stdout);
        break;
    }
    case OPTIONS_VERSION:
        puts(options_version_text());
        break;
    case OPTIONS_SERVE:
        log_set_level((enum log_level)options.config.log_level);
        log_set_journal(options.config.log_format == CONFIG_LOG_JOURNAL);
        result = serve(&options.config);
        break;
    }
    options_clear(&options);
    return result;
}
