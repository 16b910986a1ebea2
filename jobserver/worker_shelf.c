#include "jobserver/worker_shelf.h"

#include <stdlib.h>

#include "base/log.h"
#include "jobserver/job_run.h"

enum { LAST_WORDS_MS = 1000 };

enum place_state {
    PLACE_IDLE,     /* may be taken; until the deadline */
    PLACE_CLOSING,  /* Control is closed: the harness runs its teardown, until the deadline */
    PLACE_STOPPING, /* its process is asked to end, and will be killed by worker/ */
};

/* What the shelf knows of a worker of its own. */
struct place {
    struct list node; /* in worker_shelf.places, the one put there last at the end */
    enum place_state state;
    struct sdk_worker *worker;
    int64_t deadline_ns;
};

struct worker_shelf {
    struct worker_shelf_options options;
    pthread_t thread;
    struct mailbox mailbox; /* ends of workers on the shelf, and RUN_EVENT_WAKE */
    pthread_mutex_t
        lock; /* of the next three; whoever holds it may take an idle worker's lock, not the other way round */
    struct list places;
    unsigned idle_count;
    bool is_ending;
};

static int64_t after_ms(int64_t ms) {
    return monotonic_now_ns() + ms * 1000000;
}

/* ---- the end of a worker; the shelf's thread, with the shelf's lock ---- */

static void close_place(struct worker_shelf *shelf, struct place *place) {
    if (place->state != PLACE_IDLE)
        return;
    shelf->idle_count--;
    place->state = PLACE_CLOSING;
    place->deadline_ns = after_ms(place->worker->harness ? LAST_WORDS_MS : 0);
    if (place->worker->harness)
        fn_worker_close(place->worker->harness);
}

static void stop_place(struct worker_shelf *shelf, struct place *place) {
    if (place->state != PLACE_CLOSING)
        return;
    place->state = PLACE_STOPPING;
    place->deadline_ns = INT64_MAX;
    if (place->worker->harness)
        fn_worker_end_streams(place->worker->harness);
    if (place->worker->process)
        worker_stop(place->worker->process, shelf->options.stop_grace_ms);
}

static void free_place_if_gone(struct place *place) {
    struct sdk_worker *worker = place->worker;

    if (worker->harness || worker->process)
        return;
    list_remove(&place->node);
    free(place);
    sdk_worker_free(worker);
}

static struct place *place_of(struct worker_shelf *shelf, const struct sdk_worker *worker) {
    list_foreach (node, &shelf->places) {
        struct place *place = CONTAINER_OF(node, struct place, node);

        if (place->worker == worker)
            return place;
    }
    return NULL;
}

/* A worker that said one of these has never left the shelf since: it is lost, and is not taken. */
static void handle(struct worker_shelf *shelf, struct run_event *event) {
    struct place *place = event->from ? place_of(shelf, event->from) : NULL;

    if (!place)
        return;
    if (place->state == PLACE_IDLE && event->text)
        log_info("worker", "%s ended while it was kept warm: %.2000s", place->worker->name, event->text);
    close_place(shelf, place);
    if (event->type == RUN_EVENT_HARNESS_GONE) {
        fn_worker_destroy(place->worker->harness);
        place->worker->harness = NULL;
        stop_place(shelf, place);
    } else if (event->type == RUN_EVENT_PROCESS_GONE) {
        place->worker->process = NULL;
    }
    free_place_if_gone(place);
}

/* Closes and stops those whose time is up. Returns the next deadline. */
static int64_t check_deadlines(struct worker_shelf *shelf) {
    int64_t now_ns = monotonic_now_ns(), next = INT64_MAX;

    list_foreach (node, &shelf->places) {
        struct place *place = CONTAINER_OF(node, struct place, node);

        if (place->state == PLACE_IDLE && (shelf->is_ending || place->deadline_ns <= now_ns))
            close_place(shelf, place);
        else if (place->state == PLACE_CLOSING && place->deadline_ns <= now_ns)
            stop_place(shelf, place);
        next = MIN(next, place->deadline_ns);
    }
    return next;
}

static void *shelf_main(void *user) {
    struct worker_shelf *shelf = user;
    struct list events, *node;
    bool was_empty = true;

    list_init(&events);
    pthread_mutex_lock(&shelf->lock);
    for (;;) {
        int64_t deadline_ns = check_deadlines(shelf);
        bool is_empty = list_empty(&shelf->places);

        if (shelf->is_ending && is_empty)
            break;
        pthread_mutex_unlock(&shelf->lock);
        if (!was_empty && is_empty && shelf->options.on_idle)
            shelf->options.on_idle(shelf->options.on_idle_user);
        was_empty = is_empty;
        mailbox_take(&shelf->mailbox, deadline_ns, &events);
        pthread_mutex_lock(&shelf->lock);
        while ((node = list_pop(&events))) {
            struct run_event *event = CONTAINER_OF(node, struct run_event, node);

            handle(shelf, event);
            run_event_free(event);
        }
    }
    pthread_mutex_unlock(&shelf->lock);
    return NULL;
}

/* ---- in and out; any thread ---- */

static void wake(struct worker_shelf *shelf) {
    mailbox_post(&shelf->mailbox, &run_event_create(RUN_EVENT_WAKE, NULL)->node);
}

/* The time of the one that is there the longest is up. */
static void expire_oldest(struct worker_shelf *shelf) {
    list_foreach (node, &shelf->places) {
        struct place *place = CONTAINER_OF(node, struct place, node);

        if (place->state == PLACE_IDLE && place->deadline_ns > 0) {
            place->deadline_ns = 0;
            return;
        }
    }
}

bool worker_shelf_keep(struct worker_shelf *shelf, struct sdk_worker *worker) {
    bool is_kept;

    if (worker->identity.size == 0 || !worker->harness || !worker->process)
        return false;
    pthread_mutex_lock(&shelf->lock);
    sdk_worker_lock(worker);
    is_kept = shelf->options.keep_ms > 0 && shelf->options.maximum > 0 && !shelf->is_ending && !worker->is_lost &&
              !worker->is_spoilt && fn_worker_recycle(worker->harness, shelf->options.account);
    if (is_kept) {
        struct place *place = xcalloc(1, sizeof(*place));

        place->worker = worker;
        place->deadline_ns = after_ms(shelf->options.keep_ms);
        list_append(&shelf->places, &place->node);
        if (++shelf->idle_count > shelf->options.maximum)
            expire_oldest(shelf);
        worker->owner = NULL;
        worker->shelf = &shelf->mailbox;
    }
    sdk_worker_unlock(worker);
    if (is_kept)
        wake(shelf);
    pthread_mutex_unlock(&shelf->lock);
    return is_kept;
}

/* Makes it the owner's, unless its end is known already. */
static bool give(struct sdk_worker *worker, struct run_worker *owner, struct account *account) {
    bool is_fit;

    sdk_worker_lock(worker);
    is_fit = !worker->is_lost && fn_worker_recycle(worker->harness, account);
    if (is_fit) {
        worker->owner = owner;
        if (worker->is_connected)
            job_run_post(owner->run, run_event_create(RUN_EVENT_CONNECTED, owner)); /* first of all it hears */
    }
    sdk_worker_unlock(worker);
    return is_fit;
}

size_t worker_shelf_count(struct worker_shelf *shelf) {
    size_t count;

    pthread_mutex_lock(&shelf->lock);
    count = shelf->idle_count;
    pthread_mutex_unlock(&shelf->lock);
    return count;
}

struct sdk_worker *worker_shelf_take(struct worker_shelf *shelf, struct slice identity, struct run_worker *owner,
                                     struct account *account) {
    struct sdk_worker *worker = NULL;

    if (identity.size == 0)
        return NULL;
    pthread_mutex_lock(&shelf->lock);
    for (struct list *node = shelf->places.prev; node != &shelf->places; node = node->prev) {
        struct place *place = CONTAINER_OF(node, struct place, node);

        if (place->state == PLACE_IDLE && slice_equal(place->worker->identity, identity) &&
            give(place->worker, owner, account)) {
            worker = place->worker;
            list_remove(&place->node);
            shelf->idle_count--;
            free(place);
            break;
        }
    }
    pthread_mutex_unlock(&shelf->lock);
    return worker;
}

/* ---- life ---- */

struct worker_shelf *worker_shelf_create(const struct worker_shelf_options *options) {
    struct worker_shelf *shelf = xcalloc(1, sizeof(*shelf));

    shelf->options = *options;
    mailbox_init(&shelf->mailbox);
    pthread_mutex_init(&shelf->lock, NULL);
    list_init(&shelf->places);
    if (pthread_create(&shelf->thread, NULL, shelf_main, shelf) != 0)
        abort(); /* at start-up, without resources for one thread */
    return shelf;
}

void worker_shelf_configure(struct worker_shelf *shelf, int64_t keep_ms, unsigned maximum, unsigned stop_grace_ms) {
    pthread_mutex_lock(&shelf->lock);
    shelf->options.keep_ms = keep_ms;
    shelf->options.maximum = maximum;
    shelf->options.stop_grace_ms = stop_grace_ms;
    pthread_mutex_unlock(&shelf->lock);
}

void worker_shelf_destroy(struct worker_shelf *shelf) {
    struct list events, *node;

    if (!shelf)
        return;
    pthread_mutex_lock(&shelf->lock);
    shelf->is_ending = true;
    wake(shelf);
    pthread_mutex_unlock(&shelf->lock);
    pthread_join(shelf->thread, NULL);
    list_init(&events);
    mailbox_take(&shelf->mailbox, 0, &events);
    while ((node = list_pop(&events)))
        run_event_free(CONTAINER_OF(node, struct run_event, node));
    mailbox_finish(&shelf->mailbox);
    pthread_mutex_destroy(&shelf->lock);
    free(shelf);
}
