/* The fuzzer's program.
 *
 *   fuzz [--seconds N] [--target NAME] [--seed S] [--runs N]
 *
 * The time ($FUZZ_SECONDS, else 20 seconds) is divided among the targets; each runs the seeds from S (1) on, in a process of its own. --runs ends a target
 * after N seeds, whatever the time. A seed that crashes, breaks a promise, leaks, or does not end within SEED_SECONDS prints the line that
 * runs it alone; the target goes on behind it until MAX_FAILURES are found. Closes with `N passed, N failed`, counted in seeds. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { SEED_SECONDS = 20, MAX_FAILURES = 3 };
/* Seeds before a target's tables, made at their first use, no longer count as a leak. */
enum { WARM_UP_SEEDS = 20 };

/* What a sanitizer finds ends the process. The functions are the sanitizers' own; without one there is nobody to call these. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__asan_default_options(void) {
    return "abort_on_error=1:detect_leaks=1:allocator_may_return_null=1:hard_rss_limit_mb=3000";
}
const char *__ubsan_default_options(void) {
    return "halt_on_error=1:print_stacktrace=1";
}
__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

struct options {
    double seconds;
    const char *target;
    uint64_t first_seed;
    uint64_t runs; /* 0: as many as there is time for */
};

/* What a target's process says to the program's. */
struct progress {
    uint64_t seed;
    uint64_t passed;
};

static struct progress *progress;

static const struct target *const target_tables[] = {wire_targets,       model_targets, engine_targets,
                                                     translate_targets,  fnapi_targets, jobserver_targets,
                                                     inspection_targets, job_db_targets};

/* The n-th of all targets, or NULL. */
static const struct target *target_at(size_t n) {
    for (size_t table = 0; table < ARRAY_COUNT(target_tables); table++)
        for (const struct target *target = target_tables[table]; target->name; target++)
            if (n-- == 0)
                return target;
    return NULL;
}

void fuzz_fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

static double now_seconds(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t allocated_bytes(void) {
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

static void run_seed(const struct target *target, uint64_t seed) {
    struct rng rng = {mix64(seed)};

    alarm(SEED_SECONDS);
    target->run(&rng);
}

/* Memory that a seed leaves behind shows when it runs again and leaves as much again. */
static void check_leak(const struct target *target, uint64_t seed, size_t before) {
    size_t after = allocated_bytes();

    if (after <= before)
        return;
    run_seed(target, seed);
    if (allocated_bytes() > after && __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        fuzz_fail(__FILE__, __LINE__, "a seed leaves no memory behind");
}

static void run_target(const struct target *target, const struct options *options, uint64_t seed, double end) {
    uint64_t last = options->runs ? options->first_seed + options->runs : UINT64_MAX;

    if (target->set_up)
        target->set_up();
    for (uint64_t i = 0; i < WARM_UP_SEEDS; i++) {
        progress->seed = seed;
        run_seed(target, seed);
    }
    for (; seed < last && (options->runs || now_seconds() < end); seed++) {
        size_t before = allocated_bytes();

        progress->seed = seed;
        run_seed(target, seed);
        check_leak(target, seed, before);
        progress->passed++;
    }
    alarm(0);
}

/* True: the target's time is over. */
static bool run_process(const char *program, const struct target *target, const struct options *options, double end) {
    uint64_t seed = progress->seed;
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        run_target(target, options, seed, end);
        exit(EXIT_SUCCESS);
    }
    while (child < 0 || (waitpid(child, &status, 0) < 0 && errno == EINTR))
        if (child < 0)
            return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    printf("FAILED  %s --target %s --seed %" PRIu64 " --runs 1   (%s %d)\n", program, target->name, progress->seed,
           !WIFSIGNALED(status)          ? "exit code"
           : WTERMSIG(status) == SIGALRM ? "no end; signal"
                                         : "signal",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    progress->seed++;
    return options->runs && progress->seed >= options->first_seed + options->runs;
}

static unsigned fuzz_target(const char *program, const struct target *target, const struct options *options,
                            double seconds) {
    double start = now_seconds(), end = start + seconds;
    unsigned failures = 0;

    *progress = (struct progress){.seed = options->first_seed};
    while (!run_process(program, target, options, end) && ++failures < MAX_FAILURES && now_seconds() < end)
        ;
    return failures;
}

static bool parse(int argc, char **argv, struct options *options) {
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (value && strcmp(argv[i], "--seconds") == 0)
            options->seconds = strtod(value, NULL);
        else if (value && strcmp(argv[i], "--target") == 0)
            options->target = value;
        else if (value && strcmp(argv[i], "--seed") == 0)
            options->first_seed = strtoull(value, NULL, 10);
        else if (value && strcmp(argv[i], "--runs") == 0)
            options->runs = strtoull(value, NULL, 10);
        else
            return false;
    }
    return true;
}

static void show_usage(const char *program) {
    fprintf(stderr, "usage: %s [--seconds N] [--target NAME] [--seed S] [--runs N]\ntargets:", program);
    for (size_t i = 0; target_at(i); i++)
        fprintf(stderr, " %s", target_at(i)->name);
    fputc('\n', stderr);
}

static bool is_wanted(const struct options *options, const struct target *target) {
    return !options->target || strcmp(options->target, target->name) == 0;
}

int main(int argc, char **argv) {
    const char *seconds = getenv("FUZZ_SECONDS");
    struct options options = {.seconds = seconds ? strtod(seconds, NULL) : 20, .first_seed = 1};
    uint64_t passed = 0, failed = 0;
    const struct target *target;
    unsigned count = 0;
    bool ok = parse(argc, argv, &options);

    for (size_t i = 0; (target = target_at(i)); i++)
        count += is_wanted(&options, target);
    if (!ok || !count) {
        show_usage(argv[0]);
        return 2;
    }
    progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return 2;
    for (size_t i = 0; (target = target_at(i)); i++) {
        unsigned failures;

        if (!is_wanted(&options, target))
            continue;
        failures = fuzz_target(argv[0], target, &options, options.seconds / count);
        printf("%-24s %" PRIu64 " seeds, %u failed\n", target->name, progress->passed, failures);
        passed += progress->passed;
        failed += failures;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
