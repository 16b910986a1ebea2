#include "base/mailbox.h"

#include <assert.h>
#include <time.h>

void mailbox_init(struct mailbox *mailbox) {
    pthread_condattr_t attributes;

    pthread_mutex_init(&mailbox->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&mailbox->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&mailbox->messages);
}

void mailbox_finish(struct mailbox *mailbox) {
    assert(list_empty(&mailbox->messages));
    pthread_cond_destroy(&mailbox->filled);
    pthread_mutex_destroy(&mailbox->mutex);
}

void mailbox_post(struct mailbox *mailbox, struct list *message) {
    bool was_empty;

    pthread_mutex_lock(&mailbox->mutex);
    was_empty = list_empty(&mailbox->messages);
    list_append(&mailbox->messages, message);
    if (was_empty)
        pthread_cond_signal(&mailbox->filled);
    pthread_mutex_unlock(&mailbox->mutex);
}

static bool wait_for_message(struct mailbox *mailbox, int64_t deadline_ns) {
    struct timespec deadline = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};

    while (list_empty(&mailbox->messages)) {
        if (deadline_ns == 0)
            return false;
        if (deadline_ns == INT64_MAX)
            pthread_cond_wait(&mailbox->filled, &mailbox->mutex);
        else if (pthread_cond_timedwait(&mailbox->filled, &mailbox->mutex, &deadline) != 0)
            return !list_empty(&mailbox->messages);
    }
    return true;
}

bool mailbox_take(struct mailbox *mailbox, int64_t deadline_ns, struct list *ret) {
    bool any;

    pthread_mutex_lock(&mailbox->mutex);
    any = wait_for_message(mailbox, deadline_ns);
    list_append_all(ret, &mailbox->messages);
    pthread_mutex_unlock(&mailbox->mutex);
    return any;
}
