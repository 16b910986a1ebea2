/* What engine/panes.c, engine/pane_merge.c and engine/pane_ask.c share: the cells of a pane_group, where they are found, and what waits for
 * time.
 *
 *      group.table:   (key, window) -> cell       buckets of cells
 *      group.keys:    key -> pane_key             only where windows merge: the cells of a key
 *      group.timers:  event time, processing time -> cell     binary heaps; a cell is in each at most once and knows where
 *      group.holds:   a hold of each cell that has one
 *
 * Belongs to the engine's thread. */
#ifndef ENGINE_PANE_CELLS_H
#define ENGINE_PANE_CELLS_H

#include "base/list.h"
#include "engine/holds.h"
#include "engine/panes.h"
#include "engine/trigger.h"

#define NO_HOLD INT64_MAX

enum cell_state {
    CELL_NEW,    /* an element of this batch names the window; nothing is in it yet */
    CELL_OPEN,   /* elements came */
    CELL_CLOSED, /* the trigger is finished; kept so that what comes late is dropped (MODEL 3.16) */
    CELL_MERGED, /* gone into another window; kept until the batch's elements are placed */
};

enum pane_timer { PANE_EVENT_TIMER, PANE_PROCESSING_TIMER, PANE_TIMERS };

/* Encoded values in pieces of malloc, so that they are free as soon as they are fired. */
struct pane_values {
    struct group_chunk *first, *last;
    uint64_t count;
    uint64_t bytes;
};

/* One key in one window. The key's bytes, where it has no pane_key, and the window's lie behind the trigger's words. */
struct pane_cell {
    struct pane_cell *next; /* in its bucket */
    uint64_t hash;
    uint64_t number; /* cells are numbered as they are made */
    const uint8_t *key, *window;
    uint32_t key_size, window_size;
    event_time window_end;
    struct pane_values values;
    event_time element_hold, extra_hold; /* NO_HOLD */
    event_time held;                     /* what stands for both in group->holds; NO_HOLD */
    size_t timer_places[PANE_TIMERS];    /* 1 + place in the heap; 0: none */
    uint64_t batch;                      /* the last one that named the window */
    uint64_t batch_count;                /* elements of it, not told to the trigger yet */
    struct pane last_pane;
    enum cell_state state : 8;
    bool is_nonempty; /* elements came since the last pane */
    bool has_pane;    /* last_pane was emitted */
    /* Where windows merge. */
    bool is_put_off; /* something may have become due while the window was asked about */
    struct pane_key *of_key;
    struct list node;       /* in of_key->cells, or group->gone */
    struct pane_cell *into; /* the window that this one became in this batch */
    int64_t trigger[];
};

struct pane_key {
    struct pane_key *next; /* in its bucket */
    uint64_t hash;
    struct list cells; /* those in the table, in the order they were made */
    size_t cell_count; /* of all that name it; a wait is one more */
    uint64_t batch;
    struct pane_wait *wait; /* parked elements (engine/pane_ask.c); NULL: none */
    uint32_t size;
    uint8_t bytes[];
};

struct pane_timer_entry {
    event_time time;
    uint64_t number; /* the cell's: what is due at one time is fired in the order of the cells */
    struct pane_cell *cell;
};

typedef VEC(struct pane_timer_entry) pane_timer_heap;

/* An element in one window, once windows are merged. */
struct pane_item {
    struct pane_cell *cell;
    event_time timestamp;
    struct cursor value;
};

struct pane_group {
    const struct coder *input;
    const struct windowing *windowing;
    bool has_keys, is_merging;
    struct account *account;
    struct trigger_program *trigger;
    struct pane_cell **table;
    size_t table_size, cell_count;
    struct pane_key **keys;
    size_t keys_size, key_count;
    pane_timer_heap timers[PANE_TIMERS];
    struct holds holds;
    uint64_t next_number, batch;
    uint64_t open_count;
    uint64_t dropped_late, dropped_closed;
    VEC(struct pane_cell *) touched; /* cells with elements of this batch, in their order */
    /* Where windows merge. */
    VEC(struct pane_item) items;
    VEC(struct pane_key *) touched_keys;
    struct list gone; /* cells in state CELL_MERGED */
    /* Where the SDK says how. */
    struct merge_book *merges;             /* else NULL */
    size_t written;                        /* of its questions */
    struct holds parked;                   /* the least timestamps of what is parked */
    struct list unasked, asking, answered; /* keys that wait; between calls all of them are asking */
    size_t wait_count;
};

/* The cell of this window and key, made (CELL_NEW) when absent. `key_hash` is hash_bytes() of the key, `hash` group_hash() of that. */
struct pane_cell *pane_cell_of(struct pane_group *group, uint64_t key_hash, uint64_t hash, struct cursor key,
                               struct cursor window, event_time window_end);
/* Where the cells of this hash begin; the table is never empty. */
static inline struct pane_cell **pane_cell_bucket(const struct pane_group *group, uint64_t hash) {
    return &group->table[hash & (group->table_size - 1)];
}
/* Takes it out of the table, its timers and its hold away, its values too; the cell is still there, in no list. */
void pane_cell_remove(struct pane_group *group, struct pane_cell *cell);
/* After pane_cell_remove(); its key goes with the last cell. */
void pane_cell_free(struct pane_group *group, struct pane_cell *cell);
/* The key, made when absent: for its first cell, or its wait. */
struct pane_key *pane_key_of(struct pane_group *group, uint64_t hash, struct cursor bytes);
/* After one that named it is gone. */
void pane_key_unref(struct pane_group *group, struct pane_key *key);
/* For the group's creation. */
void pane_cells_init(struct pane_group *group);
void pane_cell_set_state(struct pane_group *group, struct pane_cell *cell, enum cell_state state);
size_t pane_cell_bytes(const struct pane_group *group, const struct pane_cell *cell);

void pane_values_add(struct pane_values *values, struct account *account, struct cursor value);
/* All of `from` comes behind what is in `into`. */
void pane_values_join(struct pane_values *into, struct pane_values *from);
void pane_values_clear(struct pane_values *values, struct account *account);

/* Sets or moves it; TIME_MAX takes it away. */
void pane_timer_set(struct pane_group *group, enum pane_timer which, struct pane_cell *cell, event_time time);
/* Tells group->holds of the cell's holds. */
void pane_cell_hold(struct pane_group *group, struct pane_cell *cell);

/* MODEL 3.11: when what is left of a window goes. */
event_time pane_gc_time(const struct windowing *windowing, event_time window_end);
/* MODEL 3.6. */
bool pane_add_element_hold(const struct pane_group *group, struct pane_cell *cell, event_time timestamp,
                           const struct pane_clock *clock);
void pane_add_gc_hold(const struct pane_group *group, struct pane_cell *cell, const struct pane_clock *clock);
/* MODEL 5.2: waits for the end of the window or, when that has passed, for garbage collection. */
void pane_await_end(struct pane_group *group, struct pane_cell *cell, const struct pane_clock *clock);

/* Waits for what the trigger says, or for nothing when the cell is not open. */
void pane_await_processing_time(struct pane_group *group, struct pane_cell *cell, const struct pane_clock *clock,
                                bool is_arriving);

/* engine/pane_add.c. Puts the run's elements into cells; those that got some are group->touched. */
void pane_add_run(struct pane_group *group, const struct run *run, const struct pane_clock *clock);

/* Into the cell that the element is in when windows are merged. */
void pane_cell_add(struct pane_group *group, struct pane_cell *cell, event_time timestamp, struct cursor value,
                   const struct pane_clock *clock);

/* engine/pane_merge.c. Merges the windows of the keys that the batch touched. */
void pane_merge_windows(struct pane_group *group, const struct pane_clock *clock);
/* The windows `sources` of `key`, which are open or named by this batch, have become `window`; it is one of them or is not open. */
void pane_merge_into(struct pane_group *group, struct pane_key *key, struct cursor window,
                     struct pane_cell *const *sources, size_t source_count, const struct pane_clock *clock);
/* The cell that a cell named by this batch has become. */
struct pane_cell *pane_merge_result(struct pane_cell *cell);
/* At the end of a batch: cells that were merged away, or made and not used, go. */
void pane_merge_end(struct pane_group *group);

/* engine/pane_ask.c. For the group's creation and end. */
void pane_ask_init(struct pane_group *group);
void pane_ask_finish(struct pane_group *group);
/* Copies the element, for pane_ask(). */
void pane_park(struct pane_group *group, uint64_t key_hash, struct cursor key, struct cursor window,
               event_time window_end, event_time timestamp, struct cursor value);
/* Asks for the keys that have parked elements and no question. */
void pane_ask(struct pane_group *group);
/* Whether the windows of the cell's key must stay as they are. */
bool pane_cell_is_asked_about(const struct pane_cell *cell);
void pane_take_answers(struct pane_group *group, const struct run *answers);
/* Merges the windows of keys whose question is answered, and puts their elements into cells, as pane_add_run() does. False: there are none.
 * When those cells have fired, and pane_merge_end() is done, pane_ask_again() is due: to ask about what came meanwhile. */
bool pane_place_answered(struct pane_group *group, const struct pane_clock *clock);
void pane_ask_again(struct pane_group *group, const struct pane_clock *clock);

#endif
