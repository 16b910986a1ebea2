/* A function that leaves a thread behind, which logs on and on: as user code with a heartbeat of its own does. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "functions.h"

static const char text[] = "still here";

struct chatter {
    struct harness *harness;
    uint64_t interval_ms;
};

/* Until the harness is over. Its memory stays until the process ends (harness_destroy()). */
static void *chatter_main(void *user) {
    struct chatter *chatter = user;
    struct harness *harness = chatter->harness;
    struct bundle none = {.harness = harness, .instruction = ""};
    struct node nowhere = {.id = ""};
    bool is_over = false;

    while (!is_over) {
        struct timespec until;

        harness_log(harness, &none, &nowhere, 3, text, strlen(text));
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)chatter->interval_ms * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&harness->lock);
        while (!harness->is_over && pthread_cond_timedwait(&harness->changed, &harness->lock, &until) == 0)
            ;
        is_over = harness->is_over;
        pthread_mutex_unlock(&harness->lock);
    }
    free(chatter);
    return NULL;
}

int function_chatter(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct chatter *chatter = xcalloc(1, sizeof(*chatter));
    pthread_t thread;

    *chatter = (struct chatter){bundle->harness, node->numbers[0]};
    pthread_mutex_lock(&bundle->harness->lock);
    bundle->harness->running++; /* for ever: it is a thread that uses the harness */
    pthread_mutex_unlock(&bundle->harness->lock);
    if (pthread_create(&thread, NULL, chatter_main, chatter) != 0)
        return bundle_fail(bundle, "no thread for chatter");
    pthread_detach(thread);
    return node_emit(bundle, node, value);
}
