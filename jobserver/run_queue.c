#include "jobserver/run_queue.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"

void run_queue_add(struct run_queue *queue, void *run, const struct run_demand *demand) {
    size_t place;

    vec_push(&queue->waiting, ((struct queued_run){.run = run, .demand = *demand}));
    for (place = queue->waiting.count - 1; place > 0; place--) {
        if (queue->waiting.items[place - 1].demand.priority >= demand->priority)
            break;
        queue->waiting.items[place] = queue->waiting.items[place - 1];
    }
    queue->waiting.items[place] = (struct queued_run){.run = run, .demand = *demand};
}

static unsigned processes_left(const struct run_queue *queue) {
    if (!queue->max_processes)
        return UINT_MAX;
    return queue->max_processes - MIN(queue->max_processes, queue->processes);
}

static bool can_run(const struct run_queue *queue, const struct run_demand *demand) {
    if (queue->max_running && queue->running >= queue->max_running)
        return false;
    return demand->least <= processes_left(queue) || queue->processes == 0;
}

static unsigned grant_to(const struct run_queue *queue, const struct run_demand *demand) {
    unsigned all = queue->max_processes ? queue->max_processes : UINT_MAX;
    unsigned fair = all / (queue->running + (unsigned)queue->waiting.count);

    return MAX(MIN(MIN(fair, demand->most), processes_left(queue)), demand->least);
}

static void remove_at(struct run_queue *queue, size_t place) {
    memmove(&queue->waiting.items[place], &queue->waiting.items[place + 1],
            (queue->waiting.count - place - 1) * sizeof(queue->waiting.items[0]));
    queue->waiting.count--;
}

void *run_queue_next(struct run_queue *queue, unsigned *ret_grant) {
    const struct queued_run *next = queue->waiting.items;
    void *run;

    if (queue->waiting.count == 0 || !can_run(queue, &next->demand))
        return NULL;
    *ret_grant = grant_to(queue, &next->demand);
    run = next->run;
    remove_at(queue, 0);
    queue->running++;
    queue->processes += *ret_grant;
    return run;
}

void run_queue_leave(struct run_queue *queue, unsigned grant) {
    queue->running--;
    queue->processes -= grant;
}

unsigned run_queue_place(const struct run_queue *queue, const void *run) {
    for (size_t i = 0; i < queue->waiting.count; i++)
        if (queue->waiting.items[i].run == run)
            return (unsigned)i + 1;
    return 0;
}

bool run_queue_remove(struct run_queue *queue, const void *run) {
    unsigned place = run_queue_place(queue, run);

    if (place)
        remove_at(queue, place - 1);
    return place != 0;
}

void run_queue_clear(struct run_queue *queue) {
    vec_free(&queue->waiting);
}
