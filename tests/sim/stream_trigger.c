#include "stream_trigger.h"

#include <stdlib.h>

#include "base/mem.h"

enum { EARLY, LATE };
enum { MAIN, UNTIL };

struct model_trigger *model_trigger_create(const struct trigger *spec) {
    struct model_trigger *node;

    if (!spec)
        return NULL;
    node = xcalloc(1, sizeof(*node));
    node->spec = spec;
    for (size_t i = 0; i < spec->child_count; i++)
        node->children[i] = model_trigger_create(spec->children[i]);
    return node;
}

void model_trigger_free(struct model_trigger *node) {
    for (size_t i = 0; node && i < node->spec->child_count; i++)
        model_trigger_free(node->children[i]);
    free(node);
}

/* ---- forgetting ---- */

static void clear(struct model_trigger *node) {
    if (!node)
        return;
    node->count = 0;
    node->has_target = false;
    for (size_t i = 0; i < node->spec->child_count; i++)
        clear(node->children[i]);
}

static void reset(struct model_trigger *node) {
    if (!node)
        return;
    node->count = 0;
    node->has_target = node->is_finished = node->early_is_done = false;
    for (size_t i = 0; i < node->spec->child_count; i++)
        reset(node->children[i]);
}

/* ---- elements ---- */

static event_time target_of(const struct trigger *spec, event_time now) {
    for (size_t i = 0; i < spec->delay_count; i++) {
        const struct trigger_delay *delay = &spec->delays[i];

        if (delay->align)
            while (((now - delay->offset_ms) % delay->period_ms + delay->period_ms) % delay->period_ms)
                now++;
        else
            now += delay->delay_ms;
    }
    return now;
}

static struct model_trigger *first_unfinished(const struct model_trigger *node) {
    for (size_t i = 0; i < node->spec->child_count; i++)
        if (!node->children[i]->is_finished)
            return node->children[i];
    return NULL;
}

void model_trigger_on_element(struct model_trigger *node, const struct model_trigger_moment *at) {
    if (!node)
        return;
    switch (node->spec->kind) {
    case TRIGGER_DEFAULT:
    case TRIGGER_ALWAYS:
    case TRIGGER_NEVER:
        break;
    case TRIGGER_ELEMENT_COUNT:
        node->count++;
        break;
    case TRIGGER_AFTER_PROCESSING_TIME:
    case TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME:
        if (!node->has_target)
            node->target = target_of(node->spec, at->now);
        node->has_target = true;
        break;
    case TRIGGER_AFTER_END_OF_WINDOW:
        if (!node->early_is_done || at->merges)
            model_trigger_on_element(node->children[EARLY], at);
        if (node->early_is_done || at->merges)
            model_trigger_on_element(node->children[LATE], at);
        break;
    case TRIGGER_AFTER_EACH:
        model_trigger_on_element(first_unfinished(node), at);
        break;
    case TRIGGER_AFTER_ALL:
        for (size_t i = 0; i < node->spec->child_count; i++)
            if (!node->children[i]->is_finished)
                model_trigger_on_element(node->children[i], at);
        break;
    case TRIGGER_AFTER_ANY:
    case TRIGGER_OR_FINALLY:
    case TRIGGER_REPEAT:
        for (size_t i = 0; i < node->spec->child_count; i++)
            model_trigger_on_element(node->children[i], at);
        break;
    }
}

/* ---- firing ---- */

static bool is_finished_or_ready(const struct model_trigger *node, const struct model_trigger_moment *at) {
    return node->is_finished || model_trigger_should_fire(node, at);
}

bool model_trigger_should_fire(const struct model_trigger *node, const struct model_trigger_moment *at) {
    if (!node)
        return false;
    switch (node->spec->kind) {
    case TRIGGER_NEVER:
        return false;
    case TRIGGER_ALWAYS:
        return true;
    case TRIGGER_DEFAULT:
        return at->watermark > at->window_max;
    case TRIGGER_ELEMENT_COUNT:
        return node->count >= node->spec->element_count;
    case TRIGGER_AFTER_PROCESSING_TIME:
    case TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME:
        return node->has_target && at->now >= node->target;
    case TRIGGER_AFTER_END_OF_WINDOW:
        if (!node->early_is_done)
            return model_trigger_should_fire(node->children[EARLY], at) || at->watermark > at->window_max;
        return model_trigger_should_fire(node->children[LATE], at);
    case TRIGGER_AFTER_ALL:
        for (size_t i = 0; i < node->spec->child_count; i++)
            if (!is_finished_or_ready(node->children[i], at))
                return false;
        return true;
    case TRIGGER_AFTER_ANY:
        for (size_t i = 0; i < node->spec->child_count; i++)
            if (is_finished_or_ready(node->children[i], at))
                return true;
        return false;
    case TRIGGER_AFTER_EACH:
        return model_trigger_should_fire(first_unfinished(node), at);
    case TRIGGER_OR_FINALLY:
        return model_trigger_should_fire(node->children[MAIN], at) ||
               model_trigger_should_fire(node->children[UNTIL], at);
    case TRIGGER_REPEAT:
        return model_trigger_should_fire(node->children[0], at);
    }
    return false;
}

static void fire_end_of_window(struct model_trigger *node, const struct model_trigger_moment *at) {
    struct model_trigger *early = node->children[EARLY], *late = node->children[LATE];

    if (node->early_is_done) {
        model_trigger_on_fire(late, at);
        clear(late);
        late->is_finished = false;
        return;
    }
    if (early && model_trigger_should_fire(early, at))
        model_trigger_on_fire(early, at);
    clear(early);
    if (at->watermark <= at->window_max) {
        early->is_finished = false;
        return;
    }
    node->early_is_done = true;
    node->is_finished = late == NULL;
    clear(late);
}

static void fire_or_finally(struct model_trigger *node, const struct model_trigger_moment *at) {
    if (model_trigger_should_fire(node->children[UNTIL], at)) {
        model_trigger_on_fire(node->children[UNTIL], at);
        clear(node->children[MAIN]);
    } else {
        model_trigger_on_fire(node->children[MAIN], at);
    }
    node->is_finished = node->children[MAIN]->is_finished || node->children[UNTIL]->is_finished;
}

void model_trigger_on_fire(struct model_trigger *node, const struct model_trigger_moment *at) {
    switch (node->spec->kind) {
    case TRIGGER_DEFAULT:
    case TRIGGER_ALWAYS:
    case TRIGGER_NEVER:
        break;
    case TRIGGER_ELEMENT_COUNT:
    case TRIGGER_AFTER_PROCESSING_TIME:
    case TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME:
        clear(node);
        node->is_finished = true;
        break;
    case TRIGGER_AFTER_END_OF_WINDOW:
        fire_end_of_window(node, at);
        break;
    case TRIGGER_AFTER_ALL:
    case TRIGGER_AFTER_ANY:
        for (size_t i = 0; i < node->spec->child_count; i++)
            if (model_trigger_should_fire(node->children[i], at))
                model_trigger_on_fire(node->children[i], at);
            else
                clear(node->children[i]);
        node->is_finished = true;
        break;
    case TRIGGER_AFTER_EACH:
        model_trigger_on_fire(first_unfinished(node), at);
        node->is_finished = first_unfinished(node) == NULL;
        break;
    case TRIGGER_OR_FINALLY:
        fire_or_finally(node, at);
        break;
    case TRIGGER_REPEAT:
        model_trigger_on_fire(node->children[0], at);
        if (node->children[0]->is_finished)
            reset(node->children[0]);
        break;
    }
}

/* ---- the rest ---- */

void model_trigger_merge(struct model_trigger *into, const struct model_trigger *from,
                         const struct model_trigger_moment *at) {
    bool is_over;

    if (!into)
        return;
    is_over = into->early_is_done && from->early_is_done && at->watermark > at->window_max;
    into->count += from->count;
    if (from->has_target && (!into->has_target || from->target < into->target))
        into->target = from->target;
    into->has_target |= from->has_target;
    for (size_t i = 0; i < into->spec->child_count; i++)
        model_trigger_merge(into->children[i], from->children[i], at);
    if (into->spec->kind != TRIGGER_AFTER_END_OF_WINDOW)
        return;
    into->early_is_done = is_over;
    if (!is_over)
        clear(into->children[LATE]);
}

void model_trigger_grow(struct model_trigger *node, const struct model_trigger_moment *at) {
    if (!node)
        return;
    for (size_t i = 0; i < node->spec->child_count; i++)
        model_trigger_grow(node->children[i], at);
    if (node->early_is_done && at->watermark <= at->window_max) {
        node->early_is_done = false;
        clear(node->children[LATE]);
    }
}

bool model_trigger_comes_due(const struct model_trigger *node, event_time before, event_time now) {
    if (!node)
        return false;
    if (node->has_target && node->target > before && node->target <= now)
        return true;
    for (size_t i = 0; i < node->spec->child_count; i++)
        if (model_trigger_comes_due(node->children[i], before, now))
            return true;
    return false;
}

static bool any_may_finish(const struct trigger *spec) {
    for (size_t i = 0; i < spec->child_count; i++)
        if (model_trigger_may_finish(spec->children[i]))
            return true;
    return false;
}

static bool all_may_finish(const struct trigger *spec) {
    for (size_t i = 0; i < spec->child_count; i++)
        if (!model_trigger_may_finish(spec->children[i]))
            return false;
    return true;
}

/* With all of its children at once AfterAll finishes, whatever they do. The end of a window finishes nothing that is on time. */
bool model_trigger_may_finish(const struct trigger *spec) {
    switch (spec->kind) {
    case TRIGGER_ELEMENT_COUNT:
    case TRIGGER_AFTER_PROCESSING_TIME:
    case TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME:
    case TRIGGER_AFTER_ALL:
    case TRIGGER_AFTER_ANY:
        return true;
    case TRIGGER_AFTER_EACH:
        return all_may_finish(spec);
    case TRIGGER_OR_FINALLY:
        return any_may_finish(spec);
    default:
        return false;
    }
}
