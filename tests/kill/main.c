/* Kills the daemon and its workers, at moments of a generator's choice, while jobs are submitted and run, and looks each time for all that was
 * acknowledged before:
 *
 *   - a preparation can be run                      - a job that was told to have ended has the same end and messages
 *   - a job that was started is listed and ends     - results are right, failures are those of the job
 *   - no process outlives the daemon                - no file is left but the catalogue
 *
 *   test_kill --kills N [--seed S]
 *
 * The seed decides what is done in which order and for how long; what the daemon has reached by then is up to the machine. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rpc/rpc.h"
#include "tests/sim/random.h"
#include "world.h"

enum {
    MAX_DELAY_MS = 1500,
    MAX_UNFINISHED = 8,
    SAMPLE = 20,
    SECONDS_PER_KILL = 60, /* a round that takes longer hangs */
};

/* What a round that hangs leaves to be tidied up. */
static struct world world;

static void give_up(int signal_number) {
    static const char text[] = "WRONG: nothing has moved for a minute\n";

    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
        kill(world.daemon.pid, SIGKILL);
    execl("/bin/sh", "sh", "-c", "tail -n 50 \"$0/log\" >&2; rm -rf \"$0\"; exit 1", world.daemon.directory, NULL);
    _exit(EXIT_FAILURE);
}

static void delay(unsigned ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void submit_some(struct rng *rng) {
    for (unsigned i = rng_between(rng, 1, 3); i > 0 && world_count_unfinished(&world) < MAX_UNFINISHED; i--)
        world_submit(&world, (enum job_kind)rng_below(rng, KIND_COUNT));
    if (rng_chance(rng, 40))
        world_prepare(&world, (enum job_kind)rng_below(rng, KIND_COUNT));
}

/* Kills the daemon while it is busy with calls. */
struct killer {
    pid_t pid;
    unsigned delay_ms;
};

static void *kill_later(void *user) {
    const struct killer *killer = user;

    delay(killer->delay_ms);
    kill(killer->pid, SIGKILL);
    return NULL;
}

static void submit_until_killed(struct rng *rng) {
    struct killer killer = {.pid = world.daemon.pid, .delay_ms = rng_below(rng, MAX_DELAY_MS / 5)};
    pthread_t thread;

    /* What is refused was not acknowledged. */
    world.client.fails_fast = true;
    if (pthread_create(&thread, NULL, kill_later, &killer) != 0)
        abort();
    world_run_prepared(&world);
    submit_some(rng);
    pthread_join(thread, NULL);
    world.client.fails_fast = false;
}

static void play(struct rng *rng, unsigned kills) {
    unsigned workers = 0;

    for (unsigned i = 0; i < kills; i++) {
        alarm(SECONDS_PER_KILL);
        if (rng_chance(rng, 30)) {
            submit_until_killed(rng);
            world_kill_daemon(&world, SAMPLE, rng_below(rng, 1000000));
            continue;
        }
        world_run_prepared(&world);
        submit_some(rng);
        /* Often at once: most of what can be half done is done in the first milliseconds of a job. */
        delay(rng_below(rng, rng_chance(rng, 50) ? MAX_DELAY_MS / 20 : MAX_DELAY_MS));
        if (rng_chance(rng, 30))
            workers += world_kill_worker(&world, rng_below(rng, 100));
        else
            world_kill_daemon(&world, SAMPLE, rng_below(rng, 1000000));
    }
    alarm(SECONDS_PER_KILL * 5);
    world_run_prepared(&world);
    world_finish_jobs(&world);
    world_kill_daemon(&world, SIZE_MAX, 0);
    printf("%u kills, %u of them of workers; %zu jobs; %u things wrong\n", kills + 1, workers, world.jobs.count,
           world.failures);
}

int main(int argc, char **argv) {
    uint64_t seed = (uint64_t)time(NULL);
    unsigned kills = 10;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--kills") == 0)
            kills = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    printf("%s --kills %u --seed %llu\n", argv[0], kills, (unsigned long long)seed);
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, give_up);
    rpc_init();
    if (!world_start(&world))
        return EXIT_FAILURE;
    play(&(struct rng){.state = seed}, kills);
    world_end(&world);
    rpc_shutdown();
    return world.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
