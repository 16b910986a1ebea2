#include "jobserver/housekeeping.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"

enum { INTERVAL_MS = 10 * 60 * 1000 };

struct housekeeping {
    struct housekeeping_options options;
    atomic_bool is_stopped;
};

static void sweep_artifacts(const struct housekeeping_options *options) {
    CLEANUP_STATUS struct status st = {0};
    struct map referred = {0};

    if (job_db_list_artifacts(options->db, &referred, &st) < 0) {
        log_error("housekeeping", "%s", status_message(&st));
    } else {
        size_t count = artifact_store_sweep(options->store, &referred, options->artifact_grace_ms);

        if (count > 0)
            log_info("housekeeping", "dropped %zu staged files that no job refers to", count);
    }
    map_clear(&referred, NULL);
}

static void keep_house(void *user) {
    struct housekeeping *housekeeping = user;

    if (housekeeping->is_stopped)
        return;
    catalogue_retain(housekeeping->options.catalogue);
    job_db_flush(housekeeping->options.db);
    sweep_artifacts(&housekeeping->options);
    pool_run_after(housekeeping->options.pool, INTERVAL_MS, keep_house, housekeeping);
}

struct housekeeping *housekeeping_start(const struct housekeeping_options *options) {
    struct housekeeping *housekeeping = xcalloc(1, sizeof(*housekeeping));

    housekeeping->options = *options;
    pool_run(options->pool, keep_house, housekeeping);
    return housekeeping;
}

void housekeeping_stop(struct housekeeping *housekeeping) {
    housekeeping->is_stopped = true;
}

void housekeeping_destroy(struct housekeeping *housekeeping) {
    free(housekeeping);
}
