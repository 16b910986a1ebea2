/* The watch over running bundles. A bundle that gives no sign of life for `bundle.stuck_report` is reported to the job's messages, with what its
 * harness says of itself (WorkerStatus: the stacks of its threads, and which bundles they work on), and again after twice that time, four
 * times, and so on. After `bundle.stuck_kill`, if that is set, its worker is given up: the bundle runs again on another.
 *
 * Signs of life are output, state requests, input that was taken in, and an answer; others, such as progress counters that moved, are told
 * by run_bundle_sign_of_life(). That a harness answers progress requests is none: one whose user code hangs does that too.
 *
 * Engine thread only. */
#include <stdlib.h>
#include <string.h>

#include "jobserver/job_run.h"

enum {
    /* Of a harness's text in the job's messages: Python's has 16 KB when one bundle runs. */
    MAX_STATUS_BYTES = 64 * 1024,
    MAX_DOUBLINGS = 20,
};

struct watched {
    const struct plan_stage *stage;
    unsigned worker;
    int64_t began_ns;
    int64_t sign_ns;  /* the last sign of life */
    unsigned reports; /* since then */
};

static int64_t ns_of_ms(uint64_t ms) {
    return (int64_t)ms * 1000000;
}

static struct watched *find(const struct job_run *run, uint64_t bundle) {
    return map_get(&run->watched, &bundle, sizeof(bundle));
}

/* When something is to be done about it: never earlier than what job_run.watch_ns says. */
static int64_t due_ns(const struct job_run *run, const struct watched *watched) {
    const struct config *config = run->config;
    int64_t due = INT64_MAX;

    if (config->bundle_stuck_report_ms)
        due = watched->sign_ns + (ns_of_ms(config->bundle_stuck_report_ms) << MIN(watched->reports, MAX_DOUBLINGS));
    if (config->bundle_stuck_kill_ms)
        due = MIN(due, watched->sign_ns + ns_of_ms(config->bundle_stuck_kill_ms));
    return due;
}

void run_watch_bundle(struct job_run *run, uint64_t bundle, const struct plan_stage *stage, unsigned worker) {
    struct watched *watched = xcalloc(1, sizeof(*watched));

    watched->stage = stage;
    watched->worker = worker;
    watched->began_ns = watched->sign_ns = monotonic_now_ns();
    free(map_set(&run->watched, &bundle, sizeof(bundle), watched));
    run->watch_ns = MIN(run->watch_ns, due_ns(run, watched));
}

void run_watch_forget(struct job_run *run, uint64_t bundle) {
    free(map_remove(&run->watched, &bundle, sizeof(bundle)));
}

int64_t run_watch_silence_ms(const struct job_run *run, uint64_t bundle, int64_t now_ns) {
    const struct watched *watched = find(run, bundle);

    return watched ? MAX(now_ns - watched->sign_ns, (int64_t)0) / 1000000 : 0;
}

int64_t run_watch_age_ns(const struct job_run *run, uint64_t bundle) {
    const struct watched *watched = find(run, bundle);

    return watched ? monotonic_now_ns() - watched->began_ns : 0;
}

void run_watch_clear(struct job_run *run) {
    map_clear(&run->watched, free);
}

void run_bundle_sign_of_life(struct job_run *run, uint64_t bundle) {
    struct watched *watched = find(run, bundle);

    if (!watched)
        return;
    watched->sign_ns = monotonic_now_ns();
    if (watched->reports) {
        watched->reports = 0;
        run->watch_ns = MIN(run->watch_ns, due_ns(run, watched)); /* sooner than after the doubled time */
    }
}

void run_watch_event(struct job_run *run, const struct run_event *event) {
    if (event->type == RUN_EVENT_ELEMENTS) {
        run_bundle_sign_of_life(run, event->engine.bundle);
    } else if (event->type == RUN_EVENT_ENGINE) {
        switch (event->engine.type) {
        case ENGINE_EVENT_STATE:
        case ENGINE_EVENT_SENT:
        case ENGINE_EVENT_BUNDLE_DONE:
            run_bundle_sign_of_life(run, event->engine.bundle);
            break;
        default:
            break;
        }
    }
}

/* "10m 3s"; the caller's to free. */
static char *duration_text(int64_t ns) {
    long long seconds = ns / 1000000000;

    if (seconds < 1)
        return xasprintf("%lld ms", (long long)(ns / 1000000));
    return seconds < 60 ? xasprintf("%lld s", seconds) : xasprintf("%lldm %llds", seconds / 60, seconds % 60);
}

static void report(struct job_run *run, uint64_t bundle, struct watched *watched, int64_t now_ns) {
    const struct run_worker *worker = run_worker_by_number(run, watched->worker);
    CLEANUP(freep) char *silence = duration_text(now_ns - watched->sign_ns);
    bool has_status = worker && worker->harness && !worker->is_closing && fn_worker_ask_status(worker->harness, bundle);

    watched->reports++;
    job_add_message(run->job, JOB_MESSAGE_WARNING,
                    "bundle-%llu of %s has given no sign of life for %s: no output, no state request, no progress%s "
                    "[worker %s]",
                    (unsigned long long)bundle, watched->stage->name, silence,
                    has_status ? "; its worker is asked what it does" : "; its worker has no status to show",
                    worker && worker->sdk ? worker->sdk->name : "gone");
}

void run_watch_status(struct job_run *run, uint64_t bundle, const char *text) {
    const struct watched *watched = find(run, bundle);
    const struct run_worker *worker = watched ? run_worker_by_number(run, watched->worker) : NULL;

    /* A bundle that came to its end meanwhile is no concern any more. */
    if (worker && worker->sdk)
        job_add_message(run->job, JOB_MESSAGE_WARNING, "status of worker %s, which has bundle-%llu:\n%.*s",
                        worker->sdk->name, (unsigned long long)bundle, MAX_STATUS_BYTES, text);
}

/* Gives up the bundle's worker. The other bundles on it run again as well. */
static void give_up(struct job_run *run, uint64_t bundle, struct watched *watched, int64_t now_ns) {
    struct run_worker *worker = run_worker_by_number(run, watched->worker);
    CLEANUP(freep) char *silence = duration_text(now_ns - watched->sign_ns);
    char *why =
        xasprintf("bundle-%llu of %s gave no sign of life for %s, so its worker was stopped (bundle.stuck_kill)",
                  (unsigned long long)bundle, watched->stage->name, silence);

    run_watch_forget(run, bundle);
    job_add_message(run->job, JOB_MESSAGE_WARNING, "%s", why);
    if (worker)
        run_worker_give_up(worker, why);
    else
        free(why);
}

/* One bundle that is due, or 0. */
static uint64_t find_due(struct job_run *run, int64_t now_ns, struct watched **ret) {
    run->watch_ns = INT64_MAX;
    map_foreach (entry, &run->watched) {
        struct watched *watched = entry->value;
        int64_t due = due_ns(run, watched);
        uint64_t bundle;

        /* Its output may lie where we do not read it. */
        if (due <= now_ns && run->is_data_paused) {
            watched->sign_ns = now_ns;
            due = due_ns(run, watched);
        }
        if (due > now_ns) {
            run->watch_ns = MIN(run->watch_ns, due);
            continue;
        }
        memcpy(&bundle, entry->key, sizeof(bundle));
        *ret = watched;
        return bundle;
    }
    return 0;
}

int64_t run_watch_check(struct job_run *run, int64_t now_ns) {
    uint64_t kill_ms = run->config->bundle_stuck_kill_ms;
    struct watched *watched;
    uint64_t bundle;

    if (run->is_over)
        return INT64_MAX;
    if (run->watch_ns > now_ns)
        return run->watch_ns;
    /* Each makes the next one's time later, or the bundle unwatched. */
    while (!run->is_over && (bundle = find_due(run, now_ns, &watched))) {
        if (kill_ms && watched->sign_ns + ns_of_ms(kill_ms) <= now_ns)
            give_up(run, bundle, watched, now_ns);
        else
            report(run, bundle, watched, now_ns);
    }
    return run->watch_ns;
}
