/* A memory account: how many bytes of buffers a job (or the daemon) holds, and the budget it was given.
 *
 * Accounts form a tree: a charge on a job's account is a charge on the daemon's. Charging never fails; it is
 * the owner who looks at account_excess() and spills, or stops reading. What is charged is what was allocated,
 * not what is referenced (law 3 of docs/architecture.md). Any thread may call; the counters are atomic. */
#ifndef BASE_ACCOUNT_H
#define BASE_ACCOUNT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct account {
    struct account *parent; /* borrowed, may be NULL */
    size_t budget_bytes;    /* 0: no budget */
    atomic_size_t used_bytes;
    atomic_size_t peak_bytes;
    atomic_uint refs;
    const char *name; /* static or owned by whoever owns the account */
};

/* A reference-counted account on the heap, because blocks may outlive the job that received them. */
struct account *account_create(const char *name, struct account *parent, size_t budget_bytes);
struct account *account_ref(struct account *account);
void account_unref(struct account *account);

/* `account` may be NULL: nothing is counted. */
void account_charge(struct account *account, size_t bytes);
void account_release(struct account *account, size_t bytes);
size_t account_used(const struct account *account);
/* Bytes above the budget, 0 while within it or without one. */
size_t account_excess(const struct account *account);

#endif
