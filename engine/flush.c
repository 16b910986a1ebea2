/* The end of a bounded grouping: its groups become the input of the stages that read them. */
#include "engine/internal.h"
#include "engine/mergebook.h"

/* A consumer that cannot take partitions as they are (it routes by key, or is no bundle stage) gets them written out. */
static bool takes_partitions(const struct engine *engine, const struct stage *stage) {
    const struct plan_collection *output = &engine->plan->collections[stage->plan->outputs[0]];

    if (output->side_consumer_count)
        return false;
    for (size_t i = 0; i < output->consumer_count; i++) {
        const struct stage *consumer = &engine->stages[output->consumers[i]];

        if (consumer->plan->kind != PLAN_EXECUTABLE || consumer->shards || stage_is_streaming(consumer))
            return false;
    }
    return true;
}

static void write_partition_out(struct engine *engine, unsigned collection, struct group_partition *partition) {
    const struct plan_collection *plan = &engine->plan->collections[collection];
    struct large_values large = {.threshold_bytes = SIZE_MAX,
                                 .max_bytes = plan->consumer_count ? engine->options.max_element_bytes : 0};
    size_t at = 0;

    while (at < partition->entry_count) {
        struct buf out = {.account = engine->options.account};
        struct run run = {.count = group_partition_write(partition, &at, partition->entry_count,
                                                         engine->options.message_bytes, &large, &out)};

        run.bytes = buf_finish(&out);
        if (large.too_large_size) {
            run_clear(&run);
            resident_group_is_too_large(engine, &engine->stages[plan->consumers[0]], &large);
            return;
        }
        engine_deliver(engine, collection, &run);
        run_clear(&run);
    }
}

void stage_write_out(struct engine *engine, void *owner, struct input_item *item) {
    const struct stage *stage = owner;

    write_partition_out(engine, stage->plan->outputs[0], item->partition);
}

/* Groups go to the consumers as their input or, when one cannot take them so, are written out as elements. Takes the item over. */
static void deliver_groups(struct engine *engine, struct stage *stage, struct input_item item, bool as_partitions) {
    const struct plan_collection *output = &engine->plan->collections[stage->plan->outputs[0]];

    if (as_partitions) {
        for (size_t i = 0; i < output->consumer_count; i++)
            input_queue_push(&engine->stages[output->consumers[i]].queue, input_item_ref(&item));
    } else if (input_item_is_stored(&item)) {
        backlog_push(engine, &stage->leaving, input_item_ref(&item));
    } else {
        write_partition_out(engine, stage->plan->outputs[0], item.partition);
    }
    input_item_clear(&item);
}

void stage_deliver_bucket(struct engine *engine, struct stage *stage, struct group_bucket *bucket) {
    deliver_groups(engine, stage, (struct input_item){.bucket = bucket}, takes_partitions(engine, stage));
}

/* The input of a grouping is complete: its groups become the consumers' input. */
static void flush_bucket(struct engine *engine, struct stage *stage, struct group_bucket *bucket) {
    bucket->merges = merge_book_ref(stage->group->merges);
    if (rebucket_wants(engine, stage, bucket))
        rebucket_push(engine, stage, bucket);
    else
        stage_deliver_bucket(engine, stage, bucket);
}

static void flush_partition(struct engine *engine, struct stage *stage, unsigned i, bool as_partitions) {
    struct group *group = stage->group;
    struct group_bucket *loose = group_take_loose(engine, group, i, engine->options.extent_bytes);
    bool has_buckets = group_partition_has_buckets(group, i);
    struct group_bucket **buckets = has_buckets ? group->buckets + (size_t)i * GROUP_BUCKETS : NULL;
    struct group_partition *partition;

    if (loose && has_buckets) {
        rebucket_push_into(engine, stage, loose, buckets);
    } else if (loose) {
        flush_bucket(engine, stage, loose);
    } else if (has_buckets) {
        group_store_partition(engine, group, i, engine->options.extent_bytes); /* what came since goes there too */
        for (unsigned j = 0; j < GROUP_BUCKETS; j++) {
            if (buckets[j])
                flush_bucket(engine, stage, buckets[j]);
            buckets[j] = NULL;
        }
    } else if ((partition = group_take(group, i))) {
        deliver_groups(engine, stage, (struct input_item){.partition = partition, .to = partition->entry_count},
                       as_partitions);
    }
}

void stage_flush(struct engine *engine, struct stage *stage) {
    bool as_partitions = takes_partitions(engine, stage);

    for (unsigned i = 0; i < stage->group->partition_count && !engine->is_over; i++)
        flush_partition(engine, stage, i, as_partitions);
    stage->is_flushed = true;
    engine->needs_schedule = true;
}
