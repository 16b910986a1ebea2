/* Groupings of a stream: what arrives is put into the panes of its windows, and panes that fire are delivered at once (MODEL 5). The runner
 * does it alone, so there is no bundle and nothing to retry.
 *
 * A trigger may be asked once for all elements that arrive together (MODEL 5.1), and is, unless it counts elements or fires at each: those
 * are asked after each element, as Prism does and users of AfterCount and Always expect, although no runner has to. */
#include <assert.h>

#include "engine/internal.h"
#include "engine/panes.h"

static bool observes_elements(const struct trigger *trigger) {
    if (trigger->kind == TRIGGER_ELEMENT_COUNT || trigger->kind == TRIGGER_ALWAYS)
        return true;
    for (size_t i = 0; i < trigger->child_count; i++)
        if (trigger->children[i] && observes_elements(trigger->children[i]))
            return true;
    return false;
}

void paned_create(struct engine *engine, struct stage *stage) {
    const struct plan_stage *grouping = stage->plan;
    const struct plan_collection *input;

    if (grouping->kind == PLAN_MERGE_GROUPS)
        grouping = &engine->plan->stages[grouping->grouping];
    input = &engine->plan->collections[grouping->inputs[0]];

    stage->panes =
        pane_group_create(input->coder, &engine->plan->windowings[input->windowing], true, engine->options.account);
    stage->panes_coder = input->coder;
    stage->fires_by_element = observes_elements(engine->plan->windowings[input->windowing].trigger);
}

/* What fired in one go. */
struct fired {
    struct buf out;
    struct run run;
};

static void write_pane(void *user, const struct pane_firing *firing) {
    struct fired *fired = user;

    pane_firing_write(firing, &fired->out);
    fired->run.least_ms = MIN(fired->run.least_ms, firing->timestamp);
    fired->run.count++;
}

static struct pane_clock clock_of(const struct engine *engine, const struct stage *stage) {
    return (struct pane_clock){.input_watermark = stage->in_watermark,
                               .output_watermark = stage->out_watermark,
                               .processing_time = engine_clock(engine)};
}

static struct fired nothing_fired(const struct engine *engine) {
    return (struct fired){.out = {.account = engine->options.account},
                          .run = {.least_ms = TIME_MAX, .has_least = true}};
}

static void deliver(struct engine *engine, struct stage *stage, struct fired *fired) {
    if (fired->run.count == 0)
        return;
    fired->run.bytes = buf_finish(&fired->out);
    for (size_t i = 0; i < stage->plan->output_count; i++)
        engine_deliver(engine, stage->plan->outputs[i], &fired->run);
    run_clear(&fired->run);
}

static void add_one_by_one(struct stage *stage, const struct run *run, const struct pane_clock *clock,
                           struct fired *fired) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);

    while (cursor_left(&at)) {
        const uint8_t *begin = at.at;
        struct run one = {.count = 1};
        enum coder_result result = windowed_value_skip(stage->panes_coder, &at);

        assert(result == CODER_OK);
        (void)result;
        one.bytes = slice_of_static(begin, (size_t)(at.at - begin));
        pane_group_add(stage->panes, &one, clock, write_pane, fired);
    }
}

void paned_take(struct engine *engine, struct stage *stage, const struct run *run) {
    struct pane_clock clock = clock_of(engine, stage);
    struct fired fired = nothing_fired(engine);

    if (stage->fires_by_element && run->count > 1)
        add_one_by_one(stage, run, &clock, &fired);
    else
        pane_group_add(stage->panes, run, &clock, write_pane, &fired);
    engine->needs_wake = true; /* a trigger may wait for the clock */
    tally_dropped(&engine->tally, stage->plan->index,
                  (struct tally_dropped){.late = pane_group_dropped_late(stage->panes),
                                         .closed = pane_group_dropped_closed(stage->panes)});
    deliver(engine, stage, &fired);
}

void paned_answer(struct engine *engine, struct stage *stage, const struct run *answers) {
    struct pane_clock clock = clock_of(engine, stage);
    struct fired fired = nothing_fired(engine);

    pane_group_answer(stage->panes, answers, &clock, write_pane, &fired);
    engine->needs_wake = true;
    deliver(engine, stage, &fired);
}

void paned_advance(struct engine *engine, struct stage *stage) {
    struct pane_clock clock = clock_of(engine, stage);
    struct fired fired = nothing_fired(engine);

    pane_group_advance(stage->panes, &clock, write_pane, &fired);
    deliver(engine, stage, &fired);
}
