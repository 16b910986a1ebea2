/* The simulated disk: what the engine stores, with delays and failures; and memory that is short at random.
 *
 *      STORE    a new extent; written after a while        LOAD    of one that is there, even while it is being written
 *      DROP     of one that is written; never loaded again  end    nothing but what is still being written is left */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "base/map.h"
#include "base/slice.h"

struct engine_action;
struct engine_event;
struct world;

/* Zero-initialise. */
struct disk {
    struct map extents;     /* id -> struct disk_extent */
    unsigned pressure;      /* percent of the events at which memory is short */
    size_t max_excess;      /* by at most so many bytes */
    unsigned fail_permille; /* of reads and writes */
    bool has_failed;
    uint64_t stored, loaded; /* how often */
};

void disk_choose(struct world *world);
void disk_action(struct world *world, struct engine_action *action);
/* Before an event is stepped: what the host says of the memory, and what a STORED means. */
void disk_note_event(struct world *world, struct engine_event *event);
void disk_check_end(struct world *world);
void disk_clear(struct disk *disk);

#endif
