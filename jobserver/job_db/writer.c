#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "jobserver/job_db/job_db_internal.h"
#include "jobserver/job_db/schema.h"

#define SECOND_NS INT64_C(1000000000)
#define SAVE_DELAY_NS (1 * SECOND_NS)
#define RETRY_DELAY_NS (1 * SECOND_NS)
/* An end that cannot be written is told after this. */
#define MAX_WITHHELD_NS (30 * SECOND_NS)

/* A job that is followed: its journal. In db->entries while there is something to save, and then with a reference on the job. */
struct entry {
    struct list node;
    struct job_db *db;
    struct job *job;
    int64_t key;
    int64_t failing_since_ns; /* 0: it is not. The writer's own. */
};

/* ------------------------------------------------------------------ handing over */

void job_db_post(struct job_db *db, struct change *change) {
    pthread_mutex_lock(&db->mutex);
    list_append(&db->changes, &change->node);
    db->is_synced |= change->is_synced;
    if (change->done)
        db->is_urgent = true;
    else if (db->due_ns == INT64_MAX)
        db->due_ns = monotonic_now_ns() + SAVE_DELAY_NS;
    pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->mutex);
}

static void job_changed(void *user, struct job *job, enum job_urgency urgency) {
    struct entry *entry = user;
    struct job_db *db = entry->db;

    pthread_mutex_lock(&db->mutex);
    if (list_empty(&entry->node)) {
        entry->job = job_ref(job);
        list_append(&db->entries, &entry->node);
        if (db->due_ns == INT64_MAX) {
            db->due_ns = monotonic_now_ns() + SAVE_DELAY_NS;
            pthread_cond_signal(&db->wake);
        }
    }
    if (urgency != JOB_SAVE_SOON) {
        db->is_urgent = true;
        db->is_synced |= urgency == JOB_SAVE_DURABLY;
        pthread_cond_signal(&db->wake);
    }
    pthread_mutex_unlock(&db->mutex);
}

static void job_freed(void *user) {
    free(user);
}

void job_db_follow(struct job_db *db, struct job *job, int64_t key) {
    static const struct job_journal journal = {.changed = job_changed, .freed = job_freed};
    struct entry *entry = xcalloc(1, sizeof(*entry));

    list_init(&entry->node);
    entry->db = db;
    entry->key = key;
    job_set_journal(job, &journal, entry);
}

void job_db_flush(struct job_db *db) {
    uint64_t batch;

    pthread_mutex_lock(&db->mutex);
    batch = db->queued_batch; /* what was taken before is in an earlier one */
    db->is_urgent = true;
    pthread_cond_signal(&db->wake);
    while (db->written_batch < batch)
        pthread_cond_wait(&db->written, &db->mutex);
    pthread_mutex_unlock(&db->mutex);
}

/* ------------------------------------------------------------------ a batch */

/* What one job has to save. */
struct page {
    struct entry *entry;
    struct job *job; /* owned reference, which keeps the entry */
    struct job_changes changes;
};

struct batch {
    struct list changes;
    VEC(struct page) pages;
    bool is_synced; /* with an fsync */
};

static int commit(struct job_db *db, bool is_synced, struct list *changes, const struct page *pages, size_t page_count,
                  struct status *st) {
    int r = sql_execute(&db->writer, is_synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", st);

    if (r == 0)
        r = sql_execute(&db->writer, "BEGIN IMMEDIATE", st);
    for (struct list *node = changes->next; node != changes && r == 0; node = node->next) {
        struct change *change = CONTAINER_OF(node, struct change, node);

        r = change->apply(db, change, st);
    }
    for (size_t i = 0; i < page_count && r == 0; i++)
        r = save_job_changes(db, pages[i].entry->key, &pages[i].changes, st);
    if (r == 0)
        r = sql_execute(&db->writer, "COMMIT", st);
    /* Some errors have ended the transaction already. */
    if (r < 0 && !sqlite3_get_autocommit(db->writer.handle))
        sql_execute(&db->writer, "ROLLBACK", NULL);
    return r;
}

static int commit_change(struct job_db *db, bool is_synced, struct change *change, struct status *st) {
    struct list alone;
    int r;

    list_init(&alone);
    list_append(&alone, &change->node);
    r = commit(db, is_synced, &alone, NULL, 0, st);
    list_remove(&change->node);
    return r;
}

static int commit_page(struct job_db *db, bool is_synced, const struct page *page, struct status *st) {
    struct list none;

    list_init(&none);
    return commit(db, is_synced, &none, page, 1, st);
}

/* `st`: NULL when it is written. */
static void finish_change(struct job_db *db, struct change *change, const struct status *st) {
    if (st && !change->done)
        log_error("catalogue", "%s", status_message(st));
    vec_foreach (id, &change->dropped)
        if (!st && db->handler.dropped)
            db->handler.dropped(db->handler_user, *id);
    if (change->done)
        change->done(change->user, st);
    change_free(change);
}

static void try_again(struct job_db *db, struct entry *entry, struct job *job) {
    pthread_mutex_lock(&db->mutex);
    if (list_empty(&entry->node)) {
        entry->job = job_ref(job);
        list_append(&db->entries, &entry->node);
    }
    db->due_ns = monotonic_now_ns() + RETRY_DELAY_NS;
    pthread_mutex_unlock(&db->mutex);
}

/* The same; gives up the reference on the job. */
static void finish_page(struct job_db *db, struct page *page, const struct status *st) {
    struct entry *entry = page->entry;
    int64_t now_ns = monotonic_now_ns();

    if (st && entry->failing_since_ns == 0) {
        entry->failing_since_ns = now_ns;
        log_error("catalogue", "%s: %s; trying again every second", job_id(page->job), status_message(st));
    }
    if (!st || now_ns - entry->failing_since_ns > MAX_WITHHELD_NS)
        job_publish(page->job, &page->changes);
    job_release_changes(page->job, &page->changes, st == NULL);
    if (st) {
        try_again(db, entry, page->job);
    } else if (entry->failing_since_ns) {
        entry->failing_since_ns = 0;
        log_info("catalogue", "%s: it is written again", job_id(page->job));
    }
    job_unref(page->job);
}

/* All at once, or else piece by piece, so that what is refused is refused for itself alone. */
static void write_batch(struct job_db *db, struct batch *batch) {
    CLEANUP_STATUS struct status st = {0};
    bool is_written, has_ended_jobs = false;
    struct list *node;

    vec_foreach (page, &batch->pages)
        job_take_changes(page->job, &page->changes);
    is_written = commit(db, batch->is_synced, &batch->changes, batch->pages.items, batch->pages.count, &st) == 0;
    while ((node = list_pop(&batch->changes))) {
        struct change *change = CONTAINER_OF(node, struct change, node);

        finish_change(db, change, is_written || commit_change(db, batch->is_synced, change, &st) == 0 ? NULL : &st);
    }
    vec_foreach (page, &batch->pages) {
        bool is_saved = is_written || commit_page(db, batch->is_synced, page, &st) == 0;

        has_ended_jobs |= is_saved && job_state_is_terminal(page->changes.state);
        finish_page(db, page, is_saved ? NULL : &st);
    }
    vec_free(&batch->pages);
    if (has_ended_jobs && db->handler.ended)
        db->handler.ended(db->handler_user);
}

/* ------------------------------------------------------------------ the thread */

static bool has_work(const struct job_db *db) {
    return db->is_urgent || db->is_closing || db->due_ns <= monotonic_now_ns();
}

static void wait_for_work(struct job_db *db) {
    struct timespec until = {.tv_sec = (time_t)(db->due_ns / SECOND_NS), .tv_nsec = (long)(db->due_ns % SECOND_NS)};

    if (db->due_ns == INT64_MAX)
        pthread_cond_wait(&db->wake, &db->mutex);
    else
        pthread_cond_timedwait(&db->wake, &db->mutex, &until);
}

static void take_batch(struct job_db *db, struct batch *ret) {
    struct list *node;

    *ret = (struct batch){.is_synced = db->is_synced || db->is_closing};
    list_init(&ret->changes);
    list_append_all(&ret->changes, &db->changes);
    while ((node = list_pop(&db->entries))) {
        struct entry *entry = CONTAINER_OF(node, struct entry, node);

        vec_push(&ret->pages, ((struct page){.entry = entry, .job = entry->job}));
    }
    db->is_urgent = db->is_synced = false;
    db->due_ns = INT64_MAX;
    db->queued_batch++;
}

/* Ends when it is closing and nothing is left, or nothing that the disk would take. */
static void *writer_thread(void *user) {
    struct job_db *db = user;
    struct batch batch;
    bool is_last;

    pthread_mutex_lock(&db->mutex);
    do {
        while (!has_work(db))
            wait_for_work(db);
        is_last = db->is_closing;
        take_batch(db, &batch);
        pthread_mutex_unlock(&db->mutex);
        write_batch(db, &batch);
        pthread_mutex_lock(&db->mutex);
        db->written_batch++;
        pthread_cond_broadcast(&db->written);
    } while (!is_last);
    pthread_mutex_unlock(&db->mutex);
    return NULL;
}

/* ------------------------------------------------------------------ life */

static int start_thread(struct job_db *db, struct status *st) {
    sigset_t all, old;
    int error;

    /* Signals are for the thread that waits for them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&db->thread, NULL, writer_thread, db);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error ? status_set_errno(st, error, "cannot start a thread for %s", db->writer.path) : 0;
}

static void init_locks(struct job_db *db) {
    pthread_condattr_t attributes;

    pthread_mutex_init(&db->mutex, NULL);
    pthread_mutex_init(&db->reader_mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&db->wake, &attributes);
    pthread_cond_init(&db->written, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void destroy(struct job_db *db) {
    sql_close(&db->reader);
    sql_close(&db->writer);
    pthread_cond_destroy(&db->wake);
    pthread_cond_destroy(&db->written);
    pthread_mutex_destroy(&db->mutex);
    pthread_mutex_destroy(&db->reader_mutex);
    free(db);
}

int job_db_open(const char *state_dir, struct job_db **ret, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/catalogue.db", state_dir);
    struct job_db *db = xcalloc(1, sizeof(*db));
    int r;

    init_locks(db);
    list_init(&db->changes);
    list_init(&db->entries);
    db->due_ns = INT64_MAX;
    db->queued_batch = 1;
    r = sql_open(&db->writer, path, false, st);
    if (r == 0)
        r = schema_settle(&db->writer, st);
    if (r == 0)
        r = sql_open(&db->reader, path, true, st);
    if (r == 0)
        r = start_thread(db, st);
    if (r < 0) {
        destroy(db);
        return r;
    }
    *ret = db;
    return 0;
}

void job_db_set_handler(struct job_db *db, const struct job_db_handler *handler, void *user) {
    pthread_mutex_lock(&db->mutex);
    db->handler = *handler;
    db->handler_user = user;
    pthread_mutex_unlock(&db->mutex);
}

/* What the disk did not take to the last. */
static void drop_entries(struct job_db *db) {
    struct list *node;

    while ((node = list_pop(&db->entries)))
        job_unref(CONTAINER_OF(node, struct entry, node)->job);
}

void job_db_stop(struct job_db *db) {
    pthread_mutex_lock(&db->mutex);
    db->is_closing = true;
    pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->mutex);
    pthread_join(db->thread, NULL);
    drop_entries(db);
}

void job_db_close(struct job_db *db) {
    if (db)
        destroy(db);
}
