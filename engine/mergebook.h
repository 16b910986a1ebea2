/* What the SDK was asked about windows that merge by a function of the user's, and what it said.
 *
 *      keys of a grouping --> sets of windows --> questions --> MERGE_WINDOWS --> answers --> groups in merged windows
 *
 * A key's windows are one question; keys with the same windows share it. A question's number is its nonce. The elements are in the global
 * window (StandardPTransforms.Primitives.MERGE_WINDOWS):
 *
 *      question    KV<nonce, iterable<window>>
 *      answer      KV<nonce, KV<iterable<unmerged>, iterable<KV<merged, iterable<consumed>>>>>
 *
 * A grouping of a stream asks as long as it goes on (engine/pane_ask.c): one key's windows at a time, in books that follow each other.
 *
 * Windows are compared by their encoded bytes. Memory is charged to the account. Belongs to the engine's thread. */
#ifndef ENGINE_MERGEBOOK_H
#define ENGINE_MERGEBOOK_H

#include "engine/group.h"

struct merge_book;

/* `window` is the coder of the grouping's windows; it outlives the book. References: 1. */
struct merge_book *merge_book_create(const struct coder *window, struct account *account);
/* NULL is fine. */
struct merge_book *merge_book_ref(struct merge_book *book);
void merge_book_unref(struct merge_book *book);
/* Asks about the windows of each key in the partition. */
void merge_book_ask(struct merge_book *book, const struct group_partition *partition);
/* Writes questions from *at on until about target_bytes are written; *at moves on. Returns how many; 0: all are written. */
uint64_t merge_book_write(const struct merge_book *book, size_t *at, size_t target_bytes, struct buf *out);
/* Whether the answers of one bundle make sense: `asked` of them, each to a question of its own without an answer, in which each window
 * asked about is in exactly one place. The answers are in memory, and were skipped over before. Fails with INVALID_ARGUMENT. Remembers
 * `bundle`, which is unique, and nothing else. */
int merge_book_check(struct merge_book *book, const struct run_list *answers, uint64_t asked, uint64_t bundle,
                     struct status *st);
/* Takes in what was checked. */
void merge_book_answer(struct merge_book *book, const struct run *answers);

/* ---- of a stream ---- */

/* A window that came out of a merge, or was left alone. */
struct merge_result {
    const uint8_t *window;
    size_t size;
    event_time max_timestamp;
};

/* Borrowed from the book. */
struct merge_answer {
    uint32_t count;         /* of the windows asked about */
    const uint32_t *places; /* of each: its place in results */
    uint32_t result_count;
    const struct merge_result *results; /* some may be in no place */
};

/* Asks about the windows in `set`, end to end in the order of their bytes (compare_windows), unless they were asked about before. Returns the
 * question's number. */
uint64_t merge_book_ask_about(struct merge_book *book, const struct buf *set, uint32_t count);
int compare_windows(const void *a, size_t a_size, const void *b, size_t b_size);
/* Of a question of this very book. False: there is no answer yet. */
bool merge_book_find_answer(const struct merge_book *book, uint64_t question, struct merge_answer *ret);
size_t merge_book_question_count(const struct merge_book *book);
/* A book for further questions. Takes the reference over: answers for `book` are still taken in through the new one. */
struct merge_book *merge_book_renew(struct merge_book *book);
/* Lets go of the books before this one that nobody else has a reference to. */
void merge_book_forget_older(struct merge_book *book);

/* ---- of what is complete ---- */

/* Puts the partition's groups into merged windows; its keys were asked about, and everything was answered. */
void merge_book_apply(const struct merge_book *book, struct group_partition *partition);

#endif
