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
/* Puts the partition's groups into merged windows; its keys were asked about, and everything was answered. */
void merge_book_apply(const struct merge_book *book, struct group_partition *partition);

#endif
