/* A queue of messages from many threads to one. Messages are nodes of a list embedded in whatever is sent; the mailbox never allocates.
 * mailbox_post may be called from any thread; mailbox_take by the one owner. */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include <pthread.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"

struct mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t filled; /* on CLOCK_MONOTONIC */
    struct list messages;
};

void mailbox_init(struct mailbox *mailbox);
/* It must be empty, and nobody may post any more. */
void mailbox_finish(struct mailbox *mailbox);
/* Takes the message over. */
void mailbox_post(struct mailbox *mailbox, struct list *message);
/* Moves all messages, in order, to the end of `ret`; waits for the first one until `deadline_ns` of CLOCK_MONOTONIC (INT64_MAX: for
 * ever; 0: not at all). Returns whether there were any. */
bool mailbox_take(struct mailbox *mailbox, int64_t deadline_ns, struct list *ret);

#endif
