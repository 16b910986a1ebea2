#include "base/account.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct account *account_create(const char *name, struct account *parent, size_t budget_bytes) {
    struct account *account = xcalloc(1, sizeof(*account));

    account->name = name;
    account->parent = parent ? account_ref(parent) : NULL;
    account->budget_bytes = budget_bytes;
    atomic_init(&account->refs, 1);
    return account;
}

struct account *account_ref(struct account *account) {
    atomic_fetch_add_explicit(&account->refs, 1, memory_order_relaxed);
    return account;
}

void account_unref(struct account *account) {
    if (!account || atomic_fetch_sub_explicit(&account->refs, 1, memory_order_acq_rel) != 1)
        return;
    assert(account_used(account) == 0);
    account_unref(account->parent);
    free(account);
}

void account_charge(struct account *account, size_t bytes) {
    for (; account; account = account->parent) {
        size_t used = atomic_fetch_add_explicit(&account->used_bytes, bytes, memory_order_relaxed) + bytes;
        size_t peak = atomic_load_explicit(&account->peak_bytes, memory_order_relaxed);

        while (used > peak && !atomic_compare_exchange_weak_explicit(&account->peak_bytes, &peak, used,
                                                                     memory_order_relaxed, memory_order_relaxed))
            ;
    }
}

void account_release(struct account *account, size_t bytes) {
    for (; account; account = account->parent) {
        size_t used = atomic_fetch_sub_explicit(&account->used_bytes, bytes, memory_order_relaxed);

        assert(used >= bytes);
        (void)used;
    }
}

size_t account_used(const struct account *account) {
    return account ? atomic_load_explicit(&account->used_bytes, memory_order_relaxed) : 0;
}

size_t account_excess(const struct account *account) {
    size_t used = account_used(account);

    if (!account || account->budget_bytes == 0 || used <= account->budget_bytes)
        return 0;
    return used - account->budget_bytes;
}
