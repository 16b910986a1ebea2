#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "insides.h"
#include "model/window.h"
#include "sdk.h"
#include "stream_watch.h"

enum { MAX_STEPS = 3000000 };

void world_violation(struct world *world, const char *format, ...) {
    va_list args;

    if (world->violation)
        return;
    va_start(args, format);
    world->violation = xvasprintf(format, args);
    va_end(args);
}

/* ---- the queue ---- */

static bool comes_before(const struct world_entry *a, const struct world_entry *b) {
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void queue_push(struct world *world, struct world_entry entry) {
    size_t i = world->queue.count;

    entry.sequence = world->next_sequence++;
    vec_push(&world->queue, entry);
    for (; i && comes_before(&entry, &world->queue.items[(i - 1) / 2]); i = (i - 1) / 2)
        world->queue.items[i] = world->queue.items[(i - 1) / 2];
    world->queue.items[i] = entry;
}

static bool queue_pop(struct world *world, struct world_entry *ret) {
    struct world_entry *items = world->queue.items, last;
    size_t i = 0, count;

    if (world->queue.count == 0)
        return false;
    *ret = items[0];
    last = items[--world->queue.count];
    count = world->queue.count;
    for (size_t child = 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && comes_before(&items[child + 1], &items[child]))
            child++;
        if (!comes_before(&items[child], &last))
            break;
        items[i] = items[child];
        i = child;
    }
    if (count)
        items[i] = last;
    return true;
}

unsigned world_delay(struct world *world) {
    return rng_below(&world->rng, (uint64_t)world->max_delay_ms + 1);
}

void world_post(struct world *world, event_time at, struct engine_event event, bool is_poison) {
    queue_push(world, (struct world_entry){.at = MAX(at, world->now), .event = event, .is_poison = is_poison});
}

void world_post_run(struct world *world, event_time at, uint64_t bundle) {
    queue_push(world, (struct world_entry){.at = MAX(at, world->now), .is_run = true, .event.bundle = bundle});
}

/* ---- workers ---- */

static struct world_worker *find_worker(struct world *world, unsigned number) {
    vec_foreach (worker, &world->workers)
        if (worker->number == number)
            return worker;
    return NULL;
}

static void post_worker(struct world *world, unsigned environment) {
    struct engine_event event = {.type = ENGINE_EVENT_WORKER_UP,
                                 .worker = ++world->next_worker,
                                 .environment = environment,
                                 .slots = rng_between(&world->rng, 1, 3)};

    world_post(world, world->now + rng_below(&world->rng, 300), event, false);
}

static struct sim_bundle *find_bundle(struct world *world, uint64_t id) {
    return map_get(&world->bundles, &id, sizeof(id));
}

static void mark_failed(struct world *world, struct sim_bundle *bundle, bool is_lost) {
    if (bundle->is_failed || bundle->is_finalizing)
        return;
    bundle->is_failed = true;
    (is_lost ? world->lost_failures : world->user_failures)[bundle->stage->index]++;
}

static void note_lost(struct world *world, struct engine_event *event) {
    struct world_worker *worker = find_worker(world, event->worker);

    if (!worker || !worker->is_alive)
        return; /* lost twice: the engine must not mind */
    worker->is_alive = false;
    map_foreach (entry, &world->bundles) {
        struct sim_bundle *bundle = entry->value;

        if (bundle->worker == worker->number)
            mark_failed(world, bundle, true);
    }
    if (rng_permille(&world->rng, 5)) {
        struct engine_event failed = {.type = ENGINE_EVENT_ENVIRONMENT_FAILED,
                                      .environment = worker->environment,
                                      .error = xstrdup("no worker comes any more")};

        world->environment_failed = true;
        world_post(world, world->now + world_delay(world), failed, false);
    }
    post_worker(world, worker->environment);
}

static void note_up(struct world *world, const struct engine_event *event) {
    struct world_worker worker = {event->worker, event->environment, event->slots, 0, true};

    vec_push(&world->workers, worker);
}

/* Keeps track of what the engine is about to be told. */
static void note_event(struct world *world, struct world_entry *entry) {
    struct engine_event *event = &entry->event;
    struct sim_bundle *bundle = find_bundle(world, event->bundle);

    world->is_draining |= event->type == ENGINE_EVENT_DRAIN;
    if (event->type == ENGINE_EVENT_WORKER_LOST)
        note_lost(world, event);
    if (event->type == ENGINE_EVENT_WORKER_UP)
        note_up(world, event);
    if (!bundle || bundle->is_finalizing)
        return;
    counts_note_report(bundle, event);
    bundle->asked += event->type == ENGINE_EVENT_STATE;
    if (event->type == ENGINE_EVENT_BUNDLE_DONE && entry->is_poison && bundle->fault == FAULT_BAD_ANSWER &&
        bundle->splits.is_open) {
        bundle->fails_at_split = true;
        entry->is_poison = false;
    }
    if (event->type == ENGINE_EVENT_BUNDLE_DONE) {
        if (bundle->is_done_delivered || entry->is_poison)
            mark_failed(world, bundle, false);
        bundle->is_done_delivered = true;
        bundle->done_at = world->now;
    }
    if (event->type == ENGINE_EVENT_SENT)
        bundle->outstanding_bytes -= MIN(event->byte_count, bundle->outstanding_bytes);
    if (event->type == ENGINE_EVENT_SPLIT && !entry->is_poison)
        sdk_split_delivered(bundle, event->split);
    if (event->type == ENGINE_EVENT_SPLIT && bundle->fails_at_split)
        mark_failed(world, bundle, false);
    if (event->type == ENGINE_EVENT_BUNDLE_FAILED || entry->is_poison)
        mark_failed(world, bundle, false);
    if (event->type == ENGINE_EVENT_ELEMENTS && event->is_last && !entry->is_poison)
        bundle->end_delivered[event->output] = true;
    if (event->type == ENGINE_EVENT_TIMERS && event->is_last && !entry->is_poison)
        bundle->end_delivered[bundle->function->sink_count + event->output] = true;
}

/* ---- actions ---- */

static void trace_action(struct world *world, const struct engine_action *action) {
    uint64_t fields[] = {(uint64_t)action->type,
                         action->worker,
                         action->bundle,
                         action->stage,
                         action->timer_family,
                         action->is_last,
                         action->has_state_token,
                         action->shard,
                         action->state_epoch,
                         action->token,
                         (uint64_t)action->at_ms,
                         action->bytes.size,
                         hash_bytes(action->bytes.data, action->bytes.size),
                         action->response.data_count,
                         action->extent,
                         action->piece_count,
                         action->error ? hash_bytes(action->error, strlen(action->error)) : 0};

    world->trace = mix64(world->trace ^ hash_bytes(fields, sizeof(fields)));
    for (size_t i = 0; i < action->response.data_count; i++)
        world->trace = mix64(world->trace ^ hash_bytes(action->response.data[i].data, action->response.data[i].size));
}

static void print_action(const struct world *world, const struct engine_action *action) {
    static const char *const names[] = {"START_BUNDLE",  "SEND",     "REPLY_STATE", "SPLIT",      "FINALIZE",
                                        "FORGET_BUNDLE", "STORE",    "LOAD",        "DROP",       "WAKE",
                                        "MESSAGE",       "JOB_DONE", "JOB_DRAINED", "JOB_FAILED", "JOB_CANCELLED"};

    printf("%8" PRId64 "  %-13s worker %u bundle %" PRIu64 " stage %u %zu bytes%s %s\n", world->now,
           names[action->type], action->worker, action->bundle, action->stage, action->bytes.size,
           action->is_last ? " last" : "", action->error ? action->error : "");
}

static void start_bundle(struct world *world, const struct engine_action *action) {
    struct world_worker *worker = find_worker(world, action->worker);
    const struct plan_stage *stage = &world->sim->plan.stages[action->stage];

    if (!worker || !worker->is_alive) {
        world_violation(world, "bundle %" PRIu64 " was started on worker %u, which is not alive", action->bundle,
                        action->worker);
        return;
    }
    if (stage->kind != PLAN_EXECUTABLE || stage->environment != worker->environment)
        world_violation(world, "bundle %" PRIu64 ": stage %u does not run on worker %u", action->bundle, action->stage,
                        worker->number);
    if (++worker->active > worker->slots)
        world_violation(world, "worker %u has more bundles than slots", worker->number);
    if (map_set(&world->started, &action->bundle, sizeof(action->bundle), world))
        world_violation(world, "bundle %" PRIu64 " was started twice", action->bundle);
    map_set(&world->bundles, &action->bundle, sizeof(action->bundle), sdk_bundle_create(world, action));
}

/* A keyed stage's key is never in two bundles at once, and a bundle has its elements or its timers. */
static void claim_key(struct world *world, struct sim_bundle *bundle, struct cursor own, const char *what) {
    struct buf key = {0};
    const char *before;
    void **slot;

    sdk_cell_key(&key, bundle->stage->index, 0, 0, own);
    slot = map_slot(&world->running_keys, buf_data(&key), key.size);
    if (*slot && *slot != bundle)
        world_violation(world, "a key of stage %u is in bundles %" PRIu64 " and %" PRIu64 " at once",
                        bundle->stage->index, ((struct sim_bundle *)*slot)->id, bundle->id);
    *slot = bundle;
    before = map_set(&bundle->keys, buf_data(&key), key.size, (void *)(uintptr_t)what);
    if (before && strcmp(before, what) != 0)
        world_violation(world, "bundle %" PRIu64 " has both elements and timers of a key", bundle->id);
    buf_clear(&key);
}

static void claim_element(struct world *world, struct sim_bundle *bundle, const struct windowed_value *value) {
    struct cursor own = kv_key(slice_of_static(value->value.at, cursor_left(&value->value))), windows = value->windows;

    claim_key(world, bundle, own, "element");
    for (uint32_t i = 0; bundle->function->family_count && i < value->window_count; i++) {
        event_time start = 0, end = SIM_GLOBAL;

        if (bundle->function->window_ms)
            interval_window_decode(&windows, &start, &end);
        ledger_element(world, bundle, own,
                       &(struct element){.timestamp = value->timestamp, .window_start = start, .window_end = end});
    }
}

/* What the rules say of each element that a bundle is given. */
static void check_input(struct world *world, struct sim_bundle *bundle, struct slice bytes) {
    const struct coder *coder = world->sim->plan.collections[bundle->stage->source.collection].coder;
    struct cursor at = cursor_of(bytes.data, bytes.size), before = at;
    struct windowed_value value;

    for (; cursor_left(&at) && windowed_value_read(coder, &at, &value) == CODER_OK; before = at) {
        bundle->given++;
        if (bundle->stage->is_keyed)
            claim_element(world, bundle, &value);
        watch_element(world, bundle, &value);
        if (bundle->stage->process_transform_id)
            ledger_residual_starts(world, bundle, slice_of_static(before.at, (size_t)(at.at - before.at)));
    }
}

static void send_timers(struct world *world, struct sim_bundle *bundle, struct engine_action *action) {
    size_t first = bundle->timers.count;

    sdk_bundle_timers(bundle, action->timer_family, action->bytes, action->is_last);
    action->bytes = SLICE_EMPTY;
    for (size_t i = first; i < bundle->timers.count; i++) {
        struct keyed_timer *timer = &bundle->timers.items[i];

        claim_key(world, bundle, cursor_of(timer->key.data, timer->key.size), "timer");
        ledger_timer(world, bundle, timer);
        watch_timer(world, bundle, timer);
    }
    world_post_run(world, world->now + world_delay(world), bundle->id);
}

static void check_not_empty(struct world *world, const struct sim_bundle *bundle) {
    bool may_be_empty = bundle->splits.delivered_stop == 0; /* a split gave everything away before any of it was sent */

    if (bundle->is_input_ended && !may_be_empty && bundle->input.all.count == 0 && bundle->timers.count == 0)
        world_violation(world, "bundle %" PRIu64 ": nothing to do", bundle->id);
}

static void send_input(struct world *world, struct sim_bundle *bundle, struct engine_action *action) {
    struct engine_event sent = {.type = ENGINE_EVENT_SENT, .bundle = bundle->id, .byte_count = action->bytes.size};

    if (bundle->is_input_ended)
        world_violation(world, "bundle %" PRIu64 ": input after the end mark", bundle->id);
    if (action->bytes.size == 0 && !action->is_last)
        world_violation(world, "bundle %" PRIu64 ": an empty message", bundle->id);
    if (bundle->outstanding_bytes >= world->options.send_window_bytes)
        world_violation(world, "bundle %" PRIu64 ": %zu bytes under way, and still sending", bundle->id,
                        bundle->outstanding_bytes);
    bundle->outstanding_bytes += action->bytes.size;
    check_input(world, bundle, action->bytes);
    sdk_bundle_input(bundle, action->bytes, action->is_last);
    check_not_empty(world, bundle);
    action->bytes = SLICE_EMPTY;
    if (sent.byte_count)
        world_post(world, world->now + world_delay(world), sent, false);
    world_post_run(world, world->now + world_delay(world), bundle->id);
}

/* What the bundle did to its bags holds from now on. */
static void commit_cells(struct world *world, struct sim_bundle *bundle) {
    map_foreach (entry, &bundle->cells) {
        const struct cell *change = entry->value;
        void **slot = map_slot(&world->state, entry->key, entry->key_size);
        struct cell *cell;

        if (!*slot)
            *slot = xcalloc(1, sizeof(*cell));
        cell = *slot;
        if (change->is_cleared)
            cell->bytes.size = 0;
        buf_add(&cell->bytes, buf_data(&change->bytes), change->bytes.size);
    }
}

static void commit_bundle(struct world *world, struct sim_bundle *bundle) {
    struct recording *to = &world->recordings[bundle->stage->index];

    commit_cells(world, bundle);
    ledger_commit(world, bundle);
    watch_commit(world, bundle);
    counts_commit(world, bundle);
    vec_foreach (residual, &bundle->residuals)
        ledger_residual(world, bundle, residual->element, residual->delay_ms);
    vec_foreach (text, &bundle->consumed.texts)
        vec_push(&to->texts, *text);
    bundle->consumed.texts.count = 0;
}

static void release_keys(struct world *world, const struct sim_bundle *bundle) {
    map_foreach (entry, &world->running_keys)
        if (entry->value == bundle)
            entry->value = NULL;
}

static bool is_overdue(const struct world *world, const struct sim_bundle *bundle) {
    return bundle->is_done_delivered && !sdk_bundle_is_complete(bundle) &&
           world->now >= bundle->done_at + world->options.output_timeout_ms;
}

static void forget_bundle(struct world *world, struct sim_bundle *bundle) {
    struct world_worker *worker = find_worker(world, bundle->worker);

    if (!bundle->is_finalizing) {
        worker->active--;
        if (worker->is_alive && bundle->answered != bundle->asked)
            world_violation(world, "bundle %" PRIu64 " was forgotten and a state request of it never answered",
                            bundle->id);
        if (!bundle->is_failed && sdk_bundle_is_complete(bundle))
            commit_bundle(world, bundle);
        else if (!bundle->is_failed && is_overdue(world, bundle))
            mark_failed(world, bundle, false);
        else if (!bundle->is_failed)
            world_violation(world, "bundle %" PRIu64 " was given up without a reason", bundle->id);
        if (bundle->is_failed) {
            ledger_fail(world, bundle);
            counts_fail(world, bundle);
        }
    }
    if (bundle->stage->is_keyed)
        release_keys(world, bundle);
    if (rng_chance(&world->rng, 10)) {
        struct engine_event late = {
            .type = ENGINE_EVENT_ELEMENTS, .bundle = bundle->id, .bytes = slice_of_literal("late")};

        late.is_last = rng_chance(&world->rng, 50);
        if (rng_chance(&world->rng, 30))
            late.type = ENGINE_EVENT_SENT;
        world_post(world, world->now + world_delay(world), late, false);
    }
    map_remove(&world->bundles, &bundle->id, sizeof(bundle->id));
    sdk_bundle_free(bundle);
}

static void finalize_bundle(struct world *world, struct sim_bundle *bundle) {
    struct world_worker *worker = find_worker(world, bundle->worker);
    struct engine_event answer = {.type = ENGINE_EVENT_FINALIZED, .bundle = bundle->id};

    if (!worker->is_alive || bundle->is_failed || !sdk_bundle_is_complete(bundle) || !bundle->wants_finalization)
        world_violation(world, "bundle %" PRIu64 " is finalized but did not commit", bundle->id);
    commit_bundle(world, bundle);
    if (bundle->stage->is_keyed)
        release_keys(world, bundle);
    bundle->is_finalizing = true;
    worker->active--; /* its slot is free again */
    if (rng_chance(&world->rng, 80))
        world_post(world, world->now + world_delay(world), answer, false);
}

static bool failure_is_earned(struct world *world) {
    if (world->environment_failed || world->disk.has_failed)
        return true;
    map_foreach (entry, &world->bundles)
        if (is_overdue(world, entry->value))
            mark_failed(world, entry->value, false);
    for (size_t i = 0; i < world->sim->plan.stage_count; i++)
        if (world->user_failures[i] >= world->options.max_attempts_user ||
            world->lost_failures[i] >= world->options.max_attempts_lost)
            return true;
    return false;
}

/* At the end of a job nothing is charged but the state of stages whose windows have no expiration. */
static void check_memory(struct world *world) {
    for (size_t i = 0; i < world->sim->plan.stage_count; i++) {
        const struct function *function = &world->sim->functions[i];
        bool has_expiration = false;

        for (unsigned j = 0; j < function->family_count; j++)
            has_expiration |= function->families[j].is_expiration;
        if (world->sim->plan.stages[i].is_keyed && !has_expiration)
            return;
    }
    if (account_used(world->options.account))
        world_violation(world, "%zu bytes are charged to the account when the job is done",
                        account_used(world->options.account));
}

static void end_job(struct world *world, struct engine_action *action) {
    if (action->type == ENGINE_ACTION_JOB_DONE || action->type == ENGINE_ACTION_JOB_DRAINED) {
        world->end = WORLD_DONE;
        if (world->is_draining != (action->type == ENGINE_ACTION_JOB_DRAINED))
            world_violation(world, "the job ends %s", world->is_draining ? "and is not drained" : "drained");
        if (world->bundles.count)
            world_violation(world, "the job is done but %zu bundles were never forgotten", world->bundles.count);
        ledger_check_end(world);
        disk_check_end(world);
        counts_check_end(world);
        check_memory(world);
    } else if (action->type == ENGINE_ACTION_JOB_FAILED) {
        world->end = WORLD_FAILED;
        if (!action->error || !*action->error)
            world_violation(world, "the job failed without a message");
        else if (!failure_is_earned(world))
            world_violation(world, "the job failed without a reason: %s", action->error);
        world->message = action->error;
        action->error = NULL;
    } else {
        world->end = WORLD_CANCELLED;
    }
}

static void bundle_action(struct world *world, struct engine_action *action) {
    struct sim_bundle *bundle = find_bundle(world, action->bundle);
    struct world_worker *worker;

    if (!bundle || bundle->worker != action->worker) {
        world_violation(world, "action %d for bundle %" PRIu64 " on worker %u, which does not run it",
                        (int)action->type, action->bundle, action->worker);
        return;
    }
    worker = find_worker(world, action->worker);
    if (action->type != ENGINE_ACTION_FORGET_BUNDLE && !worker->is_alive)
        world_violation(world, "action %d for worker %u, which was lost", (int)action->type, action->worker);
    if (action->type == ENGINE_ACTION_SEND && action->timer_family != PLAN_NONE)
        send_timers(world, bundle, action);
    else if (action->type == ENGINE_ACTION_SEND)
        send_input(world, bundle, action);
    else if (action->type == ENGINE_ACTION_REPLY_STATE) {
        bundle->answered++;
        sdk_bundle_reply(bundle, action);
    } else if (action->type == ENGINE_ACTION_SPLIT)
        sdk_split_ask(bundle, action);
    else if (action->type == ENGINE_ACTION_FINALIZE)
        finalize_bundle(world, bundle);
    else
        forget_bundle(world, bundle);
}

static void handle_action(struct world *world, struct engine_action *action) {
    if (world->is_verbose)
        print_action(world, action);
    trace_action(world, action);
    if (world->end != WORLD_RUNNING)
        world_violation(world, "an action (%d) after the end of the job", (int)action->type);
    switch (action->type) {
    case ENGINE_ACTION_START_BUNDLE:
        start_bundle(world, action);
        break;
    case ENGINE_ACTION_SEND:
    case ENGINE_ACTION_REPLY_STATE:
    case ENGINE_ACTION_SPLIT:
    case ENGINE_ACTION_FINALIZE:
    case ENGINE_ACTION_FORGET_BUNDLE:
        bundle_action(world, action);
        break;
    case ENGINE_ACTION_STORE:
    case ENGINE_ACTION_LOAD:
    case ENGINE_ACTION_DROP:
        disk_action(world, action);
        break;
    case ENGINE_ACTION_WAKE:
        world->wake_at = MAX(action->at_ms, world->now);
        world_post(world, world->wake_at, (struct engine_event){.type = ENGINE_EVENT_TIME}, false);
        break;
    case ENGINE_ACTION_MESSAGE:
        if (!action->error || !*action->error)
            world_violation(world, "a message without a text");
        break;
    case ENGINE_ACTION_TEST_STREAM_PLAYED:
        break;
    case ENGINE_ACTION_JOB_DONE:
    case ENGINE_ACTION_JOB_DRAINED:
    case ENGINE_ACTION_JOB_FAILED:
    case ENGINE_ACTION_JOB_CANCELLED:
        end_job(world, action);
        break;
    }
}

/* Between two events nothing is left undone. */
static void check_rest(struct world *world) {
    if (world->end != WORLD_RUNNING)
        return;
    map_foreach (entry, &world->bundles) {
        const struct sim_bundle *bundle = entry->value;

        if (bundle->is_finalizing)
            continue;
        if (bundle->is_failed)
            world_violation(world, "bundle %" PRIu64 " failed and was not given up", bundle->id);
        else if (sdk_bundle_is_complete(bundle))
            world_violation(world, "bundle %" PRIu64 " is complete and was not committed", bundle->id);
    }
}

/* ---- the run ---- */

static void step(struct world *world, struct world_entry *entry) {
    struct engine_action action;
    struct sim_bundle *bundle;

    if (entry->at > world->now)
        world->now = entry->at;
    if (entry->is_run) {
        bundle = find_bundle(world, entry->event.bundle);
        if (bundle)
            sdk_bundle_run(bundle);
        return;
    }
    /* Only the last WAKE counts. */
    if (entry->event.type == ENGINE_EVENT_TIME && entry->at != world->wake_at && world->now > 0)
        return;
    entry->event.now_ms = world->now;
    disk_note_event(world, &entry->event);
    if (world->end == WORLD_RUNNING)
        note_event(world, entry);
    engine_step(world->engine, &entry->event);
    while (engine_next_action(world->engine, &action)) {
        handle_action(world, &action);
        engine_action_clear(&action);
    }
    check_rest(world);
    if (world->steps % 16 == 0)
        counts_check(world);
    if (world->steps % 8 == 0 && world->end == WORLD_RUNNING)
        insides_check(world);
}

static void choose_options(struct world *world) {
    static const unsigned fault_levels[] = {0, 0, 10, 30, 80, 150};
    struct rng *rng = &world->rng;

    world->options = (struct engine_options){
        .max_attempts_lost = rng_between(rng, 4, 8),
        .max_attempts_user = rng_between(rng, 4, 8),
        .bundle_bytes = (size_t)1 << rng_between(rng, 8, 16),
        .message_bytes = (size_t)1 << rng_between(rng, 6, 13),
        .send_window_bytes = (size_t)1 << rng_between(rng, 7, 14),
        .state_page_bytes = (size_t)1 << rng_between(rng, 5, 12),
        .extent_bytes = (size_t)1 << rng_between(rng, 5, 12),
        .max_inline_bytes = (size_t)1 << rng_between(rng, 4, 12),
        .max_bucket_bytes = (size_t)1 << rng_between(rng, 6, 20),
        .output_timeout_ms = 60000,
        .finalize_timeout_ms = 10000,
        .group_partitions = rng_between(rng, 1, 8),
        .key_shards = rng_between(rng, 1, 8),
        .split_after_ms = rng_chance(rng, 20) ? -1 : (int64_t)rng_between(rng, 1, 100),
        .account = account_create("sim", NULL, 0),
        .verify_commits = true,
    };
    /* Also more than ever come. */
    for (size_t i = 0; i < world->sim->environments; i++)
        world->environment_slots[i] = rng_chance(rng, 50) ? 0 : rng_between(rng, 1, 8);
    world->options.environment_slots = world->environment_slots;
    world->fault_permille = fault_levels[rng_below(rng, ARRAY_COUNT(fault_levels))];
    disk_choose(world);
    world->max_delay_ms = rng_chance(rng, 20) ? 0 : rng_between(rng, 1, 30);
}

static void set_scene(struct world *world) {
    struct engine_event cancel = {.type = ENGINE_EVENT_CANCEL};

    world_post(world, 0, (struct engine_event){.type = ENGINE_EVENT_TIME}, false);
    for (unsigned environment = 0; environment < world->sim->environments && !world->sim->is_tiny; environment++)
        for (unsigned i = rng_between(&world->rng, 1, 3); i > 0; i--)
            post_worker(world, environment);
    if (rng_permille(&world->rng, 30))
        world_post(world, rng_below(&world->rng, 500), cancel, false);
    if (world->sim->stream && (world->sim->stream->is_endless || rng_chance(&world->rng, 10)))
        world_post(world, rng_below(&world->rng, 10000), (struct engine_event){.type = ENGINE_EVENT_DRAIN}, false);
}

static void free_cell(void *cell) {
    if (cell)
        buf_clear(&((struct cell *)cell)->bytes);
    free(cell);
}

static void world_free(struct world *world) {
    size_t left;

    vec_foreach (entry, &world->queue)
        if (!entry->is_run)
            engine_event_clear(&entry->event);
    vec_free(&world->queue);
    map_foreach (entry, &world->bundles)
        sdk_bundle_free(entry->value);
    map_clear(&world->bundles, NULL);
    map_clear(&world->started, NULL);
    map_clear(&world->running_keys, NULL);
    map_clear(&world->state, free_cell);
    sdk_cache_clear(&world->cached_bags);
    ledger_clear(&world->ledger);
    map_clear(&world->watched_steps, NULL);
    disk_clear(&world->disk);
    counts_clear(&world->counts);
    engine_destroy(world->engine);
    left = account_used(world->options.account);
    if (left)
        world_violation(world, "%zu bytes are still charged to the account at the end", left);
    account_unref(world->options.account);
    vec_free(&world->workers);
    free(world->user_failures);
    free(world->lost_failures);
}

void world_run(const struct sim_plan *sim, uint64_t seed, bool is_verbose, struct world_result *ret) {
    struct world world = {.rng = {mix64(seed ^ 0x3017)}, .sim = sim, .is_verbose = is_verbose, .wake_at = TIME_MAX};
    unsigned after = 20; /* events to try after the end of the job */
    struct world_entry entry;

    choose_options(&world);
    world.recordings = xcalloc(sim->plan.stage_count, sizeof(*world.recordings));
    world.user_failures = xcalloc(sim->plan.stage_count, sizeof(unsigned));
    world.lost_failures = xcalloc(sim->plan.stage_count, sizeof(unsigned));
    world.engine = engine_create(&sim->plan, &world.options);
    set_scene(&world);
    while (!world.violation && (world.end == WORLD_RUNNING || after-- > 0) && queue_pop(&world, &entry)) {
        step(&world, &entry);
        if (++world.steps > MAX_STEPS)
            world_violation(&world, "no end after %d steps", MAX_STEPS);
    }
    if (!world.violation && world.end == WORLD_RUNNING) {
        struct buf text = {0};

        engine_describe(world.engine, &text);
        world_violation(&world, "nothing is under way and the job has not ended: %.*s", (int)text.size,
                        buf_data(&text));
        buf_clear(&text);
    }
    world_free(&world);
    for (size_t i = 0; i < sim->plan.stage_count; i++)
        recording_sort(&world.recordings[i]);
    *ret = (struct world_result){world.end,   world.is_draining, world.message,   world.violation,
                                 world.trace, world.steps,       world.recordings};
}
