/* jobserver/job_db/: a catalogue whose rows, or whose file, somebody has been at. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "jobserver/job_db/job_db.h"
#include "tests/unit/temp_dir.h"

static const struct job_limits limits = {.max_messages = 100, .max_message_bytes = 1 << 20, .max_bytes = 1 << 24};

/* ---- a good one ---- */

static struct buf good;

static void run_sql(const char *path, const char *text) {
    sqlite3 *handle;

    HOLDS(sqlite3_open(path, &handle) == SQLITE_OK);
    (void)sqlite3_exec(handle, text, NULL, NULL, NULL); /* a row that its table refuses is as good as none */
    sqlite3_close(handle);
}

static void read_file(const char *path, struct buf *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    HOLDS(fd >= 0);
    while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0)
        buf_advance(out, (size_t)n);
    close(fd);
}

static void write_file(const char *path, const struct buf *bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    HOLDS(fd >= 0 && write(fd, buf_data(bytes), bytes->size) == (ssize_t)bytes->size);
    close(fd);
}

static void set_up(void) {
    CLEANUP(freep) char *path = NULL;
    struct job_db *db;
    char *directory;

    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* where it costs nothing that the catalogue is synced */
    directory = temp_dir_create();
    path = xasprintf("%s/catalogue.db", directory);
    HOLDS(job_db_open(directory, &db, NULL) == 0);
    job_db_stop(db);
    job_db_close(db);
    run_sql(path,
            "INSERT INTO submission VALUES (1, 'a', x'', x'0a00'), (2, 'b', x'', x'');"
            "INSERT INTO preparation VALUES (1, 'p', 't', 5, 2);"
            "INSERT INTO artifact VALUES (2, 'digest', 10);"
            "INSERT INTO job VALUES (2, 'j', 5, 4, 6, 1, 0, 100);"
            "INSERT INTO event VALUES (2, 1, 5, 9, 0, 0, ''), (2, 2, 5, NULL, 5, 0, 'text'), (2, 3, 6, 4, 0, 0, '');"
            "INSERT INTO metrics VALUES (2, x'0361626302ffff', x'', NULL);"
            "PRAGMA wal_checkpoint(TRUNCATE);");
    read_file(path, &good);
    temp_dir_destroy(directory);
}

/* ---- damage ---- */

static void add_value(struct rng *rng, struct buf *out) {
    switch (rng_below(rng, 5)) {
    case 0:
        buf_printf(out, "%lld", (long long)any_number(rng));
        break;
    case 1:
        buf_printf(out, "'%s'", rng_chance(rng, 50) ? "" : "text");
        break;
    case 2:
        buf_printf(out, "randomblob(%u)", rng_below(rng, 40));
        break;
    case 3:
        buf_printf(out, "NULL");
        break;
    default:
        buf_printf(out, "1e%u", rng_below(rng, 400));
    }
}

static void change_rows(struct rng *rng, const char *path) {
    static const char *const columns[][2] = {
        {"submission", "name"},
        {"submission", "options"},
        {"submission", "pipeline"},
        {"preparation", "id"},
        {"preparation", "token"},
        {"preparation", "staging"},
        {"preparation", "created_ms"},
        {"job", "id"},
        {"job", "created_ms"},
        {"job", "state"},
        {"job", "state_ms"},
        {"job", "runs"},
        {"job", "dropped_messages"},
        {"job", "bytes"},
        {"event", "seq"},
        {"event", "time_ms"},
        {"event", "state"},
        {"event", "importance"},
        {"event", "is_note"},
        {"event", "text"},
        {"metrics", "attempted"},
        {"metrics", "committed"},
        {"metrics", "graph"},
        {"artifact", "digest"},
        {"artifact", "bytes"},
    };
    struct buf text = {0};

    for (unsigned n = 1 + rng_below(rng, 4); n; n--) {
        size_t i = rng_below(rng, ARRAY_COUNT(columns));

        buf_printf(&text, "UPDATE %s SET %s = ", columns[i][0], columns[i][1]);
        add_value(rng, &text);
        buf_printf(&text, ";");
    }
    buf_add_u8(&text, 0);
    run_sql(path, (const char *)buf_data(&text));
    buf_clear(&text);
}

/* ---- what is read ---- */

static void see_preparation(void *user, const struct stored_preparation *preparation) {
    (void)user;
    HOLDS(strlen(preparation->id) + strlen(preparation->token) + strlen(preparation->name) < SIZE_MAX);
}

static void see_job(void *keys, const struct stored_job *job) {
    HOLDS(strlen(job->id) + strlen(job->name) < SIZE_MAX);
    buf_add(keys, &job->key, sizeof(job->key));
}

static void read_all(struct job_db *db) {
    struct map artifacts = {0};
    struct buf keys = {0};
    int64_t last = 0, key;

    (void)job_db_last_key(db, &last, NULL);
    (void)job_db_list_preparations(db, see_preparation, NULL, NULL);
    (void)job_db_list_jobs(db, see_job, &keys, NULL);
    (void)job_db_list_artifacts(db, &artifacts, NULL);
    map_clear(&artifacts, NULL);
    for (size_t at = 0; at < keys.size; at += sizeof(key)) {
        struct slice bytes = SLICE_EMPTY;
        struct job *job;

        memcpy(&key, buf_data(&keys) + at, sizeof(key));
        if (job_db_read_options(db, key, &bytes, NULL) == 0)
            slice_unref(&bytes);
        if (job_db_read_job(db, key, &limits, NULL, &job, NULL) == 0)
            job_unref(job);
    }
    buf_clear(&keys);
}

static void catalogues(struct rng *rng) {
    CLEANUP_STATUS struct status st = {0};
    char *directory = temp_dir_create();
    CLEANUP(freep) char *path = xasprintf("%s/catalogue.db", directory);
    struct buf bytes = {0};
    struct job_db *db;

    buf_add(&bytes, buf_data(&good), good.size);
    if (rng_chance(rng, 30))
        mutate_bytes(rng, &bytes);
    write_file(path, &bytes);
    if (rng_chance(rng, 80))
        change_rows(rng, path);
    if (job_db_open(directory, &db, &st) == 0) {
        read_all(db);
        job_db_retain(db, &(struct job_db_retention){.max_jobs = 1, .max_bytes = 1});
        job_db_stop(db);
        job_db_close(db);
    } else {
        HOLDS(strstr(status_message(&st), path));
    }
    buf_clear(&bytes);
    temp_dir_destroy(directory);
}

const struct target job_db_targets[] = {
    {"catalogues", set_up, catalogues},
    {NULL, NULL, NULL},
};
