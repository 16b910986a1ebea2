#include "jobserver/history.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

static const char cut_mark[] = "... [cut]";

void history_init(struct history *history, const struct job_limits *limits) {
    *history = (struct history){.limits = *limits, .next_seq = 1};
}

void history_record_unref(struct history_record *record) {
    if (record && atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) == 1)
        free(record);
}

void history_finish(struct history *history) {
    vec_foreach (record, &history->records)
        history_record_unref(*record);
    vec_free(&history->records);
}

/* Copies as much of `text` as fits, made into UTF-8; returns how much that is. */
static size_t copy_text(char *out, const char *text, size_t size, size_t room) {
    size_t done = 0;

    while (done < size) {
        size_t length = utf8_character_size((const uint8_t *)text + done, size - done);

        if (done + MAX(length, (size_t)1) > room)
            break;
        if (length == 0)
            out[done++] = '?';
        for (; length > 0; length--, done++)
            out[done] = text[done];
    }
    return done;
}

static struct history_record *record_create(struct history *history, const char *text) {
    size_t size = strlen(text), room = MAX(history->limits.max_message_bytes, sizeof(cut_mark));
    struct history_record *record;
    bool is_cut = size > room;

    if (is_cut)
        room -= sizeof(cut_mark);
    record = xcalloc(1, sizeof(*record) + MIN(size, room) + sizeof(cut_mark));
    atomic_init(&record->refs, 1);
    record->text_size = copy_text(record->text, text, size, room);
    if (is_cut) {
        memcpy(record->text + record->text_size, cut_mark, sizeof(cut_mark));
        record->text_size += sizeof(cut_mark) - 1;
    }
    record->event.text = record->text;
    return record;
}

/* Times of a history never go back, whatever the clock does. */
static int64_t next_time_ms(struct history *history) {
    int64_t now_ms = wall_clock_ms();

    history->last_time_ms = MAX(history->last_time_ms, now_ms);
    return history->last_time_ms;
}

static void append(struct history *history, struct history_record *record) {
    record->event.seq = history->next_seq++;
    record->event.time_ms = next_time_ms(history);
    history->bytes += sizeof(*record) + record->text_size;
    vec_push(&history->records, record);
}

void history_add_state(struct history *history, enum job_state state) {
    struct history_record *record = record_create(history, "");

    record->event.is_state = true;
    record->event.state = state;
    append(history, record);
}

/* Puts the note in the place of the newest dropped record. */
static void insert_note(struct history *history, uint64_t seq, int64_t time_ms) {
    char text[160];
    struct history_record *note;
    size_t i;

    snprintf(text, sizeof(text), "%llu messages before this one were dropped, because a job keeps at most %zu messages",
             (unsigned long long)history->dropped_count, history->limits.max_messages);
    note = record_create(history, text);
    note->is_note = true;
    note->event.seq = seq;
    note->event.importance = JOB_MESSAGE_BASIC;
    note->event.time_ms = time_ms;
    history->bytes += sizeof(*note) + note->text_size;
    vec_push(&history->records, note);
    for (i = history->records.count - 1; i > 0 && history->records.items[i - 1]->event.seq > seq; i--)
        history->records.items[i] = history->records.items[i - 1];
    history->records.items[i] = note;
}

/* How far a trim goes: an eighth below the limits, so that not every message pays for one. */
static bool is_over(const struct history *history, size_t eighths) {
    return history->message_count > history->limits.max_messages * eighths / 8 ||
           history->bytes > history->limits.max_bytes / 8 * eighths;
}

static void trim(struct history *history) {
    static const enum job_message_importance droppable[] = {JOB_MESSAGE_BASIC, JOB_MESSAGE_WARNING, JOB_MESSAGE_ERROR};
    uint64_t note_seq = 0;
    int64_t note_time = 0;

    history->is_rewritten = true;
    for (size_t pass = 0; pass < ARRAY_COUNT(droppable) && is_over(history, 7); pass++) {
        size_t kept = 0, count = history->records.count;

        for (size_t i = 0; i < count; i++) {
            struct history_record *record = history->records.items[i];
            bool is_newest = i + 1 == count;

            if (!record->is_note && (record->event.is_state || record->event.importance > droppable[pass] ||
                                     is_newest || !is_over(history, 7))) {
                history->records.items[kept++] = record;
                continue;
            }
            if (record->event.seq > note_seq) {
                note_seq = record->event.seq;
                note_time = record->event.time_ms;
            }
            history->dropped_count += !record->is_note;
            history->message_count -= !record->is_note;
            history->bytes -= sizeof(*record) + record->text_size;
            history_record_unref(record);
        }
        history->records.count = kept;
    }
    if (note_seq != 0)
        insert_note(history, note_seq, note_time);
}

void history_add_message(struct history *history, enum job_message_importance importance, const char *text) {
    struct history_record *record = record_create(history, text);

    record->event.importance = importance;
    append(history, record);
    history->message_count++;
    if (is_over(history, 8))
        trim(history);
}

void history_lower_errors(struct history *history) {
    vec_foreach (place, &history->records) {
        struct history_record *old = *place, *lowered;

        if (old->event.is_state || old->event.importance != JOB_MESSAGE_ERROR)
            continue;
        /* Records are immutable: readers may hold this one. */
        lowered = xmalloc(sizeof(*lowered) + old->text_size + 1);
        memcpy(lowered, old, sizeof(*lowered) + old->text_size + 1);
        atomic_init(&lowered->refs, 1);
        lowered->event.text = lowered->text;
        lowered->event.importance = JOB_MESSAGE_WARNING;
        *place = lowered;
        history->is_rewritten = true;
        history_record_unref(old);
    }
}

struct history_record *history_record_create(const struct job_event *event, bool is_note) {
    size_t size = strlen(event->text);
    struct history_record *record = xcalloc(1, sizeof(*record) + size + 1);

    atomic_init(&record->refs, 1);
    record->is_note = is_note;
    record->event = *event;
    record->text_size = size;
    memcpy(record->text, event->text, size + 1);
    record->event.text = record->text;
    return record;
}

void history_restore(struct history *history, struct history_record *record) {
    history->next_seq = record->event.seq + 1;
    history->last_time_ms = MAX(history->last_time_ms, record->event.time_ms);
    history->message_count += !record->event.is_state && !record->is_note;
    history->bytes += sizeof(*record) + record->text_size;
    vec_push(&history->records, record);
}

struct history_record *history_next(const struct history *history, uint64_t seq) {
    size_t low = 0, high = history->records.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (history->records.items[middle]->event.seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == history->records.count)
        return NULL;
    atomic_fetch_add_explicit(&history->records.items[low]->refs, 1, memory_order_relaxed);
    return history->records.items[low];
}
