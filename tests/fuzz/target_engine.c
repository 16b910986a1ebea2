/* engine/: runs, commits, ordered lists, timers. */
#include <stdlib.h>
#include <string.h>

#include "engine/commit.h"
#include "engine/orderedlist.h"
#include "engine/timers.h"
#include "values.h"

/* ---- runs ---- */

/* Feeds the bytes in `cuts` + 1 messages. True: all of them are whole elements. */
static bool write_runs(struct rng *rng, struct run_writer *writer, const struct buf *bytes, unsigned cuts) {
    size_t at = 0;
    bool ok = true;

    for (; ok && at<bytes->size; cuts -= cuts> 0) {
        size_t left = bytes->size - at, most = rng_chance(rng, 50) ? MIN(left, 8) : left;
        size_t size = cuts ? 1 + rng_below(rng, most) : left;

        ok = run_writer_add(writer, slice_copy(buf_data(bytes) + at, size, NULL), NULL) == 0;
        at += size;
    }
    return ok && run_writer_end(writer, NULL) == 0;
}

static void check_split(struct rng *rng, const struct run *run, const struct coder *coder) {
    struct run head, tail;
    uint64_t at;

    if (run->count < 2)
        return;
    at = rng_between(rng, 1, (unsigned)run->count - 1);
    run_split(run, coder, at, &head, &tail);
    HOLDS(head.count == at && head.count + tail.count == run->count);
    HOLDS(head.bytes.size + tail.bytes.size == run->bytes.size);
    slice_unref(&head.bytes);
    slice_unref(&tail.bytes);
}

/* The runs are the bytes, cut at elements. */
static void check_runs(struct rng *rng, const struct run_writer *writer, const struct buf *bytes, uint64_t elements) {
    uint64_t count = 0;
    size_t at = 0;

    vec_foreach (run, &writer->list.runs) {
        HOLDS(at + run->bytes.size <= bytes->size && run->count > 0);
        HOLDS(memcmp(run->bytes.data, buf_data(bytes) + at, run->bytes.size) == 0);
        check_split(rng, run, writer->coder);
        at += run->bytes.size;
        count += run->count;
    }
    HOLDS(at == bytes->size && count == elements);
}

static void run_writers(struct rng *rng) {
    struct arena arena = {0};
    const struct coder *coder =
        rng_chance(rng, 80) ? random_windowed_coder(rng, &arena) : random_timer_coder(rng, &arena);
    struct run_writer whole = {.coder = coder}, cut = {.coder = coder};
    bool is_good = rng_chance(rng, 50), is_whole_good;
    unsigned elements = rng_below(rng, 12);
    struct buf bytes = {0};

    for (unsigned i = 0; i < elements; i++)
        add_random_value(rng, coder, &bytes);
    if (!is_good)
        mutate_bytes(rng, &bytes);
    is_whole_good = write_runs(rng, &whole, &bytes, 0);
    HOLDS(is_whole_good || !is_good);
    HOLDS(write_runs(rng, &cut, &bytes, 1 + rng_below(rng, 20)) == is_whole_good);
    if (is_whole_good) {
        if (is_good)
            HOLDS(whole.list.count == elements);
        check_runs(rng, &whole, &bytes, whole.list.count);
        check_runs(rng, &cut, &bytes, whole.list.count);
    }
    run_writer_clear(&whole);
    run_writer_clear(&cut);
    whole.max_element_bytes = 1 + rng_below(rng, 100);
    (void)write_runs(rng, &whole, &bytes, rng_below(rng, 20));
    vec_foreach (run, &whole.list.runs)
        HOLDS(run->bytes.size <= run->count * whole.max_element_bytes);
    run_writer_clear(&whole);
    buf_clear(&bytes);
    arena_clear(&arena);
}

/* ---- commits ---- */

static struct slice random_slice(struct rng *rng) {
    struct buf bytes = {0};

    add_random_bytes(rng, &bytes, rng_below(rng, 20));
    return buf_finish(&bytes);
}

static void fill_lists(struct rng *rng, struct run_list **ret_lists, size_t *ret_count) {
    *ret_count = rng_below(rng, 3);
    *ret_lists = xcalloc(*ret_count, sizeof(**ret_lists));
    for (size_t i = 0; i < *ret_count; i++)
        for (unsigned n = rng_below(rng, 3); n; n--)
            run_list_push(&(*ret_lists)[i], (struct run){.bytes = random_slice(rng), .count = rng_below(rng, 3)});
}

static void fill_state(struct rng *rng, struct bundle_commit *commit) {
    for (unsigned n = rng_below(rng, 4); n; n--) {
        struct slice cell = random_slice(rng);

        if (rng_chance(rng, 50))
            state_overlay_clear_cell(&commit->state, cell);
        for (unsigned appends = rng_below(rng, 3); appends; appends--) {
            struct slice data = random_slice(rng);

            state_overlay_append(&commit->state, cell, NULL, data);
            slice_unref(&data);
        }
        slice_unref(&cell);
    }
}

static struct bundle_commit random_commit(struct rng *rng) {
    struct bundle_commit commit = {.bundle = any_number(rng), .stage = (unsigned)any_number(rng)};

    fill_lists(rng, &commit.outputs, &commit.output_count);
    fill_lists(rng, &commit.timers, &commit.timer_family_count);
    fill_state(rng, &commit);
    for (unsigned n = rng_below(rng, 3); n; n--) {
        struct commit_residual residual = {random_slice(rng), (int64_t)any_number(rng), (event_time)any_number(rng),
                                           rng_chance(rng, 50)};

        vec_push(&commit.residuals, residual);
    }
    for (unsigned n = rng_below(rng, 3); n; n--) {
        struct metric metric = {random_slice(rng), random_slice(rng)};

        vec_push(&commit.metrics, metric);
    }
    commit.requires_finalization = rng_chance(rng, 50);
    return commit;
}

static const struct store no_store;

/* Decodes, encodes and decodes again. True: the bytes are a commit; *ret_again is its encoding. */
static bool recode(struct slice bytes, struct slice *ret_again) {
    CLEANUP_STATUS struct status st = {0};
    struct bundle_commit commit = {0};

    if (bundle_commit_decode(bytes, NULL, &no_store, &commit, &st) < 0) {
        HOLDS(st.code == STATUS_DATA_LOSS);
        return false;
    }
    *ret_again = bundle_commit_encode(&commit);
    bundle_commit_clear(&commit);
    return true;
}

static void commits(struct rng *rng) {
    struct bundle_commit commit = random_commit(rng);
    struct slice good = bundle_commit_encode(&commit), damaged_slice, once = {0}, twice = {0};
    struct buf damaged = {0};

    HOLDS(recode(good, &once) && slice_equal(good, once));
    slice_unref(&once);
    buf_add(&damaged, good.data, good.size);
    mutate_bytes(rng, &damaged);
    damaged_slice = slice_copy(buf_data(&damaged), damaged.size, NULL);
    if (recode(damaged_slice, &once)) {
        HOLDS(recode(once, &twice) && slice_equal(once, twice));
        slice_unref(&once);
        slice_unref(&twice);
    }
    slice_unref(&damaged_slice);
    slice_unref(&good);
    buf_clear(&damaged);
    bundle_commit_clear(&commit);
}

/* ---- ordered lists ---- */

static size_t check_sorted(const struct buf *entries, int64_t start, int64_t end) {
    struct cursor at = cursor_of(buf_data(entries), entries->size), value;
    int64_t last = INT64_MIN;
    size_t count = 0;
    uint64_t key;

    for (; cursor_left(&at); count++) {
        HOLDS(cursor_varint(&at, &key) && cursor_prefixed(&at, &value));
        HOLDS((int64_t)key >= start && (int64_t)key < end && (int64_t)key >= last);
        last = (int64_t)key;
    }
    return count;
}

static void ordered_lists(struct rng *rng) {
    int64_t start = (int64_t)any_number(rng), end = (int64_t)any_number(rng);
    struct buf entries = {0}, selected = {0}, without = {0};
    uint64_t position = 0;
    struct slice exact;
    bool more = true;

    for (unsigned n = rng_below(rng, 20); n; n--) {
        buf_add_varint(&entries, any_number(rng));
        buf_add_prefixed(&entries, "0123456789", rng_below(rng, 11));
    }
    if (rng_chance(rng, 50))
        mutate_bytes(rng, &entries);
    exact = slice_copy(buf_data(&entries), entries.size, NULL);
    if (ordered_list_is_well_formed(exact)) {
        struct ordered_list list = {0};

        ordered_list_add(&list, slice_ref(exact));
        ordered_list_without(&list, start, end, &without);
        ordered_list_sort(&list);
        while (more) {
            struct buf page = {0};
            uint64_t before = position;

            ordered_list_read(&list, start, end, &position, 1 + rng_below(rng, 50), &page, &more);
            HOLDS(position > before || !more);
            if (page.size)
                buf_add(&selected, buf_data(&page), page.size);
            buf_clear(&page);
        }
        ordered_list_clear(&list);
        HOLDS(check_sorted(&selected, start, end) == position);
        HOLDS(selected.size + without.size == exact.size);
    }
    slice_unref(&exact);
    buf_clear(&entries);
    buf_clear(&selected);
    buf_clear(&without);
}

/* ---- timers ---- */

static event_time until(void *upto, struct slice key) {
    (void)key;
    return *(event_time *)upto;
}

static void timers(struct rng *rng) {
    struct arena arena = {0};
    struct plan_timer_family families[2] = {{.coder = random_timer_coder(rng, &arena)}};
    struct plan_stage stage = {.timer_families = families, .timer_family_count = 2};
    struct run_writer writer = {.coder = families[0].coder};
    event_time last = INT64_MIN;
    struct timer_set set = {0};
    struct buf bytes = {0};
    timer_vec due = {0};

    families[1] = (struct plan_timer_family){.coder = families[0].coder, .is_processing_time = true};
    for (unsigned n = rng_below(rng, 12); n; n--)
        add_random_value(rng, families[0].coder, &bytes);
    if (rng_chance(rng, 60))
        mutate_bytes(rng, &bytes);
    if (write_runs(rng, &writer, &bytes, rng_below(rng, 3)))
        vec_foreach (run, &writer.list.runs)
            timer_set_apply(&set, &stage, rng_below(rng, 2), &(struct timer_rules){.allowed_lateness_ms = rng_below(rng, 100)}, run->bytes, NULL);
    HOLDS(set.by_identity.count == set.counts[0] + set.counts[1]);
    for (int domain = 0; domain < 2; domain++) {
        last = (event_time)any_number(rng);
        timer_set_take_due(&set, (enum timer_domain)domain, last, until, &last, &due);
        vec_foreach (timer, &due) {
            HOLDS((*timer)->fire_ms <= last);
            timer_free(*timer);
        }
        due.count = 0;
    }
    vec_free(&due);
    timer_set_clear(&set);
    run_writer_clear(&writer);
    buf_clear(&bytes);
    arena_clear(&arena);
}

const struct target engine_targets[] = {
    {"run_writer", NULL, run_writers}, {"commits", NULL, commits}, {"ordered_lists", NULL, ordered_lists},
    {"timers", NULL, timers},          {NULL, NULL, NULL},
};
