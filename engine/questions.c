/* What the SDK is asked by the engine itself. A question is an element, and an answer an element of a bundle's output: the stage between
 * them is scheduled, retried and committed as any other (translate/questions.c). Here is what is asked and where answers go. */
#include <assert.h>

#include "engine/internal.h"
#include "engine/mergebook.h"
#include "engine/panes.h"

/* Groups that are stored are read for their windows alone; the group is whole by now, so that nothing is added to its buckets. */
void questions_collect(struct engine *engine, struct stage *stage) {
    struct group *group = stage->group;

    stage->leaving.absorb = questions_absorb;
    stage->leaving.wants_keys_only = true;
    for (unsigned i = 0; i < group->partition_count; i++) {
        struct group_bucket **buckets = group->buckets ? group->buckets + (size_t)i * GROUP_BUCKETS : NULL;
        bool is_stored = false;

        for (unsigned j = 0; buckets && j < GROUP_BUCKETS; j++)
            is_stored |= buckets[j] != NULL;
        if (is_stored) /* a key's windows are then in one bucket, all of them */
            group_store_partition(engine, group, i, engine->options.extent_bytes);
        for (unsigned j = 0; is_stored && j < GROUP_BUCKETS; j++)
            if (buckets[j])
                backlog_push(engine, &stage->leaving, (struct input_item){.bucket = group_bucket_ref(buckets[j])});
        if (group->partitions[i])
            merge_book_ask(group->merges, group->partitions[i]);
    }
    stage->is_flushed = true;
}

void questions_absorb(struct engine *engine, void *owner, struct input_item *item) {
    const struct stage *stage = owner;

    (void)engine;
    merge_book_ask(stage->group->merges, item->partition);
}

/* The stage that goes on with the groups of `grouping`. */
static struct stage *stage_after(struct engine *engine, const struct stage *grouping) {
    for (size_t i = grouping->plan->index + 1; i < engine->plan->stage_count; i++)
        if (engine->stages[i].plan->kind == PLAN_MERGE_GROUPS &&
            engine->stages[i].plan->grouping == grouping->plan->index)
            return &engine->stages[i];
    assert(!"a grouping that asks has a stage that merges");
    return NULL;
}

void questions_ask(struct engine *engine, struct stage *stage) {
    struct group *group = stage->group;
    size_t at = 0;

    stage_after(engine, stage)->group = group;
    stage->group = NULL;
    for (;;) {
        struct buf out = {.account = engine->options.account};
        struct run run = {.count = merge_book_write(group->merges, &at, engine->options.message_bytes, &out)};

        if (run.count == 0)
            break;
        run.bytes = buf_finish(&out);
        engine_deliver(engine, stage->plan->outputs[0], &run);
        run_clear(&run);
    }
}

/* ---- of a stream ---- */

static void send_questions(struct engine *engine, const struct stage *grouping, struct stage *stage) {
    for (;;) {
        struct buf out = {.account = engine->options.account};
        /* What is asked holds no watermark: the elements that wait for the answer do. */
        struct run run = {.least_ms = TIME_MAX, .has_least = true};

        run.count = pane_group_write_questions(stage->panes, engine->options.message_bytes, &out);
        if (run.count == 0)
            break;
        run.bytes = buf_finish(&out);
        engine_deliver(engine, grouping->plan->outputs[0], &run);
        run_clear(&run);
    }
}

void questions_take(struct engine *engine, struct stage *stage, const struct run *run) {
    struct stage *after = stage_after(engine, stage);

    paned_take(engine, after, run);
    send_questions(engine, stage, after);
}

bool questions_are_open(struct engine *engine, const struct stage *stage) {
    return stage_is_streaming(stage) && pane_group_is_waiting(stage_after(engine, stage)->panes);
}

/* ---- answers ---- */

void questions_answered(struct engine *engine, struct stage *stage, const struct run *answers) {
    if (!stage->panes) {
        merge_book_answer(stage->group->merges, answers);
        return;
    }
    paned_answer(engine, stage, answers);
    send_questions(engine, &engine->stages[stage->plan->grouping], stage);
}

static struct merge_book *book_of(const struct stage *stage) {
    return stage->panes ? pane_group_merges(stage->panes) : stage->group->merges;
}

/* The stage that the answers of this output are for, or NULL. */
static const struct stage *asking_stage(const struct engine *engine, const struct bundle *bundle, size_t sink) {
    const struct plan_collection *output = &engine->plan->collections[bundle->stage->plan->sinks[sink].collection];

    for (size_t i = 0; i < output->consumer_count; i++)
        if (engine->stages[output->consumers[i]].plan->kind == PLAN_MERGE_GROUPS)
            return &engine->stages[output->consumers[i]];
    return NULL;
}

bool questions_are_answered_by(const struct engine *engine, const struct bundle *bundle, size_t sink) {
    return asking_stage(engine, bundle, sink) != NULL;
}

int questions_check(struct engine *engine, const struct bundle *bundle, struct status *st) {
    int r = 0;

    for (size_t i = 0; r == 0 && i < bundle->stage->plan->sink_count; i++) {
        const struct stage *asking = asking_stage(engine, bundle, i);

        if (asking)
            r = merge_book_check(book_of(asking), &bundle->writers[i].list, bundle->claim->count, bundle->id, st);
    }
    return r;
}
