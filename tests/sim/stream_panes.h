/* Grouping by key, window and trigger as MODEL 3 to 5 tell it, with lists: every question walks all windows there are. Shares nothing with the
 * engine. Elements come one by one, each a batch of its own. */
#ifndef SIM_STREAM_PANES_H
#define SIM_STREAM_PANES_H

#include "stream.h"

struct stream_panes;

struct stream_pane {
    const char *key;
    struct stream_window window;
    event_time timestamp;
    struct pane pane;
    char *const *values; /* not sorted */
    size_t value_count;
};

typedef void (*stream_pane_fn)(void *user, const struct stream_pane *pane);

struct stream_panes *stream_panes_create(const struct windowing *windowing, stream_pane_fn emit, void *user);
void stream_panes_free(struct stream_panes *panes);
void stream_panes_element(struct stream_panes *panes, const char *key, const char *value, event_time timestamp,
                          struct stream_window window);
/* Behind the elements that come at once: only then the output watermark moves. */
void stream_panes_settle(struct stream_panes *panes);
void stream_panes_watermark(struct stream_panes *panes, event_time watermark);
void stream_panes_clock(struct stream_panes *panes, event_time now);
event_time stream_panes_output_watermark(const struct stream_panes *panes);
/* What was dropped, because its window had expired or was closed. */
unsigned stream_panes_dropped(const struct stream_panes *panes);

#endif
