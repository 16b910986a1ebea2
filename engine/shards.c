#include "engine/shards.h"

#include "engine/sorted.h"

/* A bundle costs a harness one or two milliseconds, state that is not cached a tenth of that for each key: so many elements or timers are
 * worth a bundle of their own. */
enum { WORTH_A_BUNDLE = 64 };

bool shards_can_cache(const struct plan_stage *plan) {
    for (size_t i = 0; i < plan->user_state_count; i++)
        if (plan->user_states[i].kind != PLAN_STATE_BAG)
            return false;
    return plan->user_state_count > 0;
}

/* ---- who runs them ---- */

static bool has_work(const struct engine *engine, struct stage *stage, struct key_shard *shard) {
    return !shard->is_busy && !sorted_is_loading(shard) &&
           (sorted_has_elements(stage, shard) || firing_is_due(engine, stage, shard));
}

static bool is_own(const struct key_shard *shard, const struct worker_slot *worker) {
    return shard->has_home && shard->home == worker->number;
}

/* Nobody's any more, or its home has its hands full: better here than to wait. */
static bool may_move(const struct engine *engine, const struct key_shard *shard) {
    const struct worker_slot *home = shard->has_home ? engine_worker(engine, shard->home) : NULL;

    return !home || home->is_lost || home->busy >= home->slots;
}

static unsigned count_work(const struct engine *engine, struct stage *stage, const struct worker_slot *worker) {
    unsigned count = 0;

    for (unsigned i = 0; i < engine->options.key_shards; i++) {
        struct key_shard *shard = &stage->shards[i];

        count += has_work(engine, stage, shard) && (is_own(shard, worker) || may_move(engine, shard));
    }
    return count;
}

bool shards_have_work(const struct engine *engine, struct stage *stage, const struct worker_slot *worker) {
    return stage->shards && count_work(engine, stage, worker) > 0;
}

bool shards_have_any_work(const struct engine *engine, struct stage *stage) {
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++)
        if (has_work(engine, stage, &stage->shards[i]))
            return true;
    return false;
}

/* ---- claims ---- */

/* Whether the shard should have a bundle, and so a token, to itself: enough to do now, and its state was cached or will be wanted again. */
static bool wants_own_bundle(const struct engine *engine, const struct stage *stage, const struct key_shard *shard,
                             size_t max_bytes) {
    if (!shards_can_cache(stage->plan))
        return false;
    if (shard->queue.count < WORTH_A_BUNDLE && shard->timers.counts[TIMER_EVENT_TIME] < WORTH_A_BUNDLE &&
        shard->timers.counts[TIMER_PROCESSING_TIME] < WORTH_A_BUNDLE)
        return false;
    return shard->is_cached || stage->plan->timer_family_count || shard->queue.bytes > max_bytes ||
           !stage_inputs_are_done(engine, stage);
}

/* Elements that are there come before the timers that time has made due since, but in a stream there may always be more of them. */
static bool is_elements_turn(const struct engine *engine, struct stage *stage, struct key_shard *shard) {
    if (!shard->queue.count)
        return false;
    return !stage_is_streaming(stage) || !shard->passed_over || !firing_is_due(engine, stage, shard);
}

/* A key has either elements or due timers in one bundle: the SDK's order between them is not defined (MODEL 7.7). */
static void take_shard(struct engine *engine, struct stage *stage, unsigned number, struct claim *claim,
                       size_t max_bytes) {
    const struct coder *coder = stage_source_coder(engine, stage);
    struct key_shard *shard = &stage->shards[number];
    size_t bytes = claim->bytes;
    uint64_t count = claim->count;

    if (stage->plan->requires_time_sorted_input) {
        sorted_take(engine, stage, shard, claim, max_bytes);
        firing_take(engine, stage, shard, claim);
        sorted_drop_finished(engine, shard);
    } else if (is_elements_turn(engine, stage, shard)) {
        claim_take(claim, &shard->queue, coder, max_bytes, UINT64_MAX);
        shard->passed_over = stage_is_streaming(stage) && firing_is_due(engine, stage, shard);
    } else {
        firing_take(engine, stage, shard, claim);
        shard->passed_over = false;
    }
    shard->is_busy = true;
    vec_push(&claim->shards, number);
    stage->shard_bytes -= claim->bytes - bytes;
    stage->shard_count -= claim->count - count;
}

/* Shards with timers to fire count as much as those with elements, so that each slot gets its share of both. What belongs to another
 * worker is taken only by one that would idle. */
void shards_claim(struct engine *engine, struct stage *stage, const struct worker_slot *worker, struct claim *claim,
                  size_t max_bytes, unsigned slots) {
    unsigned max_shards = (count_work(engine, stage, worker) + slots - 1) / slots;

    for (int pass = 0; pass < 2 && !claim->shards.count; pass++) {
        for (unsigned i = 0; i < engine->options.key_shards && claim->bytes < max_bytes; i++) {
            struct key_shard *shard = &stage->shards[i];
            bool is_alone;

            if (claim->shards.count >= max_shards || !has_work(engine, stage, shard))
                continue;
            if (pass == 0 ? shard->has_home && !is_own(shard, worker) : !may_move(engine, shard))
                continue;
            is_alone = wants_own_bundle(engine, stage, shard, max_bytes);
            if (is_alone && claim->shards.count)
                continue;
            take_shard(engine, stage, i, claim, max_bytes);
            if (is_alone)
                return;
        }
    }
}

/* ---- tokens ---- */

static void move_epoch(struct key_shard *shard) {
    if (shard->is_cached)
        shard->epoch++;
    shard->is_cached = false;
}

void shards_forget(struct key_shard *shard) {
    move_epoch(shard);
}

void shards_start(const struct bundle *bundle, struct engine_action *start) {
    struct stage *stage = bundle->stage;
    const struct claim *claim = bundle->claim;
    bool has_token = claim->shards.count == 1 && shards_can_cache(stage->plan);

    vec_foreach (number, &claim->shards) {
        struct key_shard *shard = &stage->shards[*number];

        if (!has_token || !shard->has_home || shard->home != bundle->worker)
            move_epoch(shard);
        shard->has_home = true;
        shard->home = bundle->worker;
        shard->is_cached = has_token;
        start->has_state_token = has_token;
        start->shard = *number;
        start->state_epoch = shard->epoch;
    }
}

void shards_end(const struct bundle *bundle, bool is_committed) {
    bool is_collected = false;

    vec_foreach (timer, &bundle->claim->timers)
        is_collected |= bundle->stage->plan->timer_families[(*timer)->family].is_window_expiration;
    if (is_committed && !is_collected && !bundle->has_paged_state)
        return;
    vec_foreach (number, &bundle->claim->shards)
        move_epoch(&bundle->stage->shards[*number]);
}
