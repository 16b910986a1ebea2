#include "engine/commit.h"

#include "engine/group.h"

enum { COMMIT_VERSION = 5 };

void bundle_commit_clear(struct bundle_commit *commit) {
    for (size_t i = 0; i < commit->output_count; i++)
        run_list_clear(&commit->outputs[i]);
    free(commit->outputs);
    for (size_t i = 0; commit->groups && i < commit->output_count; i++)
        group_destroy(commit->groups[i]);
    free(commit->groups);
    free(commit->written);
    for (size_t i = 0; i < commit->timer_family_count; i++)
        run_list_clear(&commit->timers[i]);
    free(commit->timers);
    state_overlay_clear(&commit->state);
    vec_foreach (residual, &commit->residuals)
        slice_unref(&residual->element);
    vec_free(&commit->residuals);
    vec_foreach (metric, &commit->metrics) {
        slice_unref(&metric->identity);
        slice_unref(&metric->payload);
    }
    vec_free(&commit->metrics);
    *commit = (struct bundle_commit){0};
}

static void encode_lists(const struct run_list *lists, size_t count, struct buf *out) {
    buf_add_varint(out, count);
    for (size_t i = 0; i < count; i++) {
        const struct run_list *list = &lists[i];

        buf_add_varint(out, list->runs.count);
        vec_foreach (run, &list->runs) {
            buf_add_varint(out, run->count);
            buf_add_varint(out, run->extent ? run->extent->id : 0);
            if (!run->extent)
                buf_add_prefixed(out, run->bytes.data, run->bytes.size);
            buf_add_u8(out, run->has_least);
            if (run->has_least)
                buf_add_be64(out, time_to_wire(run->least_ms));
        }
    }
}

static void encode_groups(const struct bundle_commit *commit, struct buf *out) {
    for (size_t i = 0; i < commit->output_count; i++) {
        const struct group *group = commit->groups ? commit->groups[i] : NULL;

        buf_add_u8(out, group != NULL);
        if (group)
            group_encode(group, out);
    }
}

static void encode_state(const struct bundle_commit *commit, struct buf *out) {
    buf_add_varint(out, commit->state.mutations.count);
    map_foreach (entry, &commit->state.mutations) {
        const struct state_mutation *mutation = entry->value;

        buf_add_prefixed(out, entry->key, entry->key_size);
        buf_add_u8(out, (uint8_t)(mutation->cleared | mutation->has_appended << 1));
        buf_add_varint(out, mutation->appended.pages.count);
        vec_foreach (page, &mutation->appended.pages)
            buf_add_prefixed(out, page->block->data, page->used);
    }
}

static void encode_residuals(const struct bundle_commit *commit, struct buf *out) {
    buf_add_varint(out, commit->residuals.count);
    vec_foreach (residual, &commit->residuals) {
        buf_add_prefixed(out, residual->element.data, residual->element.size);
        buf_add_varint(out, (uint64_t)residual->delay_ms);
        buf_add_be64(out, time_to_wire(residual->hold));
        buf_add_u8(out, residual->is_unbounded);
    }
}

struct slice bundle_commit_encode(const struct bundle_commit *commit) {
    struct buf out = {0};

    buf_add_u8(&out, COMMIT_VERSION);
    buf_add_varint(&out, commit->bundle);
    buf_add_varint(&out, commit->stage);
    encode_lists(commit->outputs, commit->output_count, &out);
    for (size_t i = 0; i < commit->output_count; i++)
        buf_add_varint(&out, commit->written ? commit->written[i] : 0);
    encode_groups(commit, &out);
    encode_lists(commit->timers, commit->timer_family_count, &out);
    encode_state(commit, &out);
    encode_residuals(commit, &out);
    buf_add_varint(&out, commit->metrics.count);
    vec_foreach (metric, &commit->metrics) {
        buf_add_prefixed(&out, metric->identity.data, metric->identity.size);
        buf_add_prefixed(&out, metric->payload.data, metric->payload.size);
    }
    buf_add_u8(&out, commit->requires_finalization);
    return buf_finish(&out);
}

/* A count of things that take at least one byte each: more than there are bytes left is a lie. */
static bool decode_count(struct cursor *at, uint64_t *ret) {
    return cursor_varint(at, ret) && *ret <= cursor_left(at);
}

static bool decode_slice(struct cursor *at, struct account *account, struct slice *ret) {
    struct cursor inner;

    if (!cursor_prefixed(at, &inner))
        return false;
    *ret = slice_copy(inner.at, cursor_left(&inner), account);
    return true;
}

static bool decode_flag(struct cursor *at, bool *ret) {
    uint8_t byte;

    if (!cursor_u8(at, &byte) || byte > 1)
        return false;
    *ret = byte;
    return true;
}

static bool decode_written(struct cursor *at, struct bundle_commit *commit) {
    commit->written = xcalloc(commit->output_count + 1, sizeof(*commit->written));
    for (size_t i = 0; i < commit->output_count; i++)
        if (!cursor_varint(at, &commit->written[i]))
            return false;
    return true;
}

static bool decode_groups(struct cursor *at, struct account *account, const struct store *store,
                          struct bundle_commit *commit) {
    commit->groups = xcalloc(commit->output_count, sizeof(*commit->groups));
    for (size_t i = 0; i < commit->output_count; i++) {
        bool is_there;

        if (!decode_flag(at, &is_there))
            return false;
        if (is_there && !(commit->groups[i] = group_decode(at, store, account)))
            return false;
    }
    return true;
}

/* The bytes of a run, or the extent that has them. */
static bool decode_run_bytes(struct cursor *at, struct account *account, const struct store *store, struct run *run) {
    uint64_t extent;

    if (!cursor_varint(at, &extent))
        return false;
    if (extent == 0)
        return decode_slice(at, account, &run->bytes);
    run->extent = extent_ref(extent_by_id(store, extent));
    return run->extent != NULL;
}

static bool decode_run(struct cursor *at, struct account *account, const struct store *store, struct run *run) {
    uint64_t least;

    if (!cursor_varint(at, &run->count) || !decode_run_bytes(at, account, store, run) ||
        !decode_flag(at, &run->has_least))
        return false;
    if (run->has_least) {
        if (!cursor_be64(at, &least))
            return false;
        run->least_ms = time_from_wire(least);
    }
    return true;
}

static bool decode_lists(struct cursor *at, struct account *account, const struct store *store,
                         struct run_list **ret_lists, size_t *ret_count) {
    struct run_list *lists;
    uint64_t count, runs;

    if (!decode_count(at, &count))
        return false;
    *ret_lists = lists = xcalloc(count, sizeof(*lists));
    *ret_count = count;
    for (uint64_t i = 0; i < count; i++) {
        if (!decode_count(at, &runs))
            return false;
        for (; runs; runs--) {
            struct run run = {0};

            if (!decode_run(at, account, store, &run)) {
                run_clear(&run);
                return false;
            }
            run_list_push(&lists[i], run);
        }
    }
    return true;
}

static bool decode_mutation(struct cursor *at, struct account *account, struct bundle_commit *commit) {
    struct state_mutation *mutation;
    uint8_t flags;
    struct cursor key, page;
    uint64_t pages;

    if (!cursor_prefixed(at, &key) || map_get(&commit->state.mutations, key.at, cursor_left(&key)))
        return false;
    mutation = xcalloc(1, sizeof(*mutation));
    map_set(&commit->state.mutations, key.at, cursor_left(&key), mutation);
    if (!cursor_u8(at, &flags) || flags > 3 || !decode_count(at, &pages))
        return false;
    mutation->cleared = flags & 1;
    mutation->has_appended = flags >> 1;
    for (; pages; pages--) {
        if (!cursor_prefixed(at, &page))
            return false;
        chain_add(&mutation->appended, account, page.at, cursor_left(&page));
    }
    return true;
}

static bool decode_residual(struct cursor *at, struct account *account, struct bundle_commit *commit) {
    struct commit_residual residual = {0};
    uint64_t delay, hold;

    if (!decode_slice(at, account, &residual.element))
        return false;
    vec_push(&commit->residuals, residual);
    if (!cursor_varint(at, &delay) || !cursor_be64(at, &hold) ||
        !decode_flag(at, &vec_last(&commit->residuals)->is_unbounded))
        return false;
    vec_last(&commit->residuals)->delay_ms = (int64_t)delay;
    vec_last(&commit->residuals)->hold = time_from_wire(hold);
    return true;
}

static bool decode_metric(struct cursor *at, struct bundle_commit *commit) {
    struct metric metric = {0};

    if (!decode_slice(at, NULL, &metric.identity))
        return false;
    vec_push(&commit->metrics, metric);
    return decode_slice(at, NULL, &vec_last(&commit->metrics)->payload);
}

static bool decode(struct cursor *at, struct account *account, const struct store *store,
                   struct bundle_commit *commit) {
    uint64_t stage, count;
    uint8_t version;

    if (!cursor_u8(at, &version) || version != COMMIT_VERSION || !cursor_varint(at, &commit->bundle) ||
        !cursor_varint(at, &stage) || stage > UINT32_MAX ||
        !decode_lists(at, account, store, &commit->outputs, &commit->output_count) || !decode_written(at, commit) ||
        !decode_groups(at, account, store, commit) ||
        !decode_lists(at, account, store, &commit->timers, &commit->timer_family_count) || !decode_count(at, &count))
        return false;
    commit->stage = (unsigned)stage;
    for (; count; count--)
        if (!decode_mutation(at, account, commit))
            return false;
    if (!decode_count(at, &count))
        return false;
    for (; count; count--)
        if (!decode_residual(at, account, commit))
            return false;
    if (!decode_count(at, &count))
        return false;
    for (; count; count--)
        if (!decode_metric(at, commit))
            return false;
    return decode_flag(at, &commit->requires_finalization) && cursor_left(at) == 0;
}

int bundle_commit_decode(struct slice bytes, struct account *account, const struct store *store,
                         struct bundle_commit *ret, struct status *st) {
    struct cursor at = cursor_of(bytes.data, bytes.size);
    struct bundle_commit commit = {0};

    if (!decode(&at, account, store, &commit)) {
        bundle_commit_clear(&commit);
        return status_set(st, STATUS_DATA_LOSS,
                          "not a bundle commit of version %d, or damaged %zu bytes before its end", COMMIT_VERSION,
                          cursor_left(&at));
    }
    *ret = commit;
    return 0;
}
