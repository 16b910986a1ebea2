#include "jobserver/run_limits.h"

#include "base/mem.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* `most` is what the engine does with room enough. */
static size_t within(size_t wanted, size_t least, size_t most) {
    return MIN(MAX(wanted, least), most);
}

void run_limits_apply(struct engine_options *options, size_t budget_bytes, unsigned slots) {
    size_t share = budget_bytes / MAX(slots, 1u), groups;

    if (budget_bytes == 0)
        return;
    groups = within(share / 8, 256 * KIB, 32 * MIB);
    options->bundle_bytes = within(share / 4, 256 * KIB, 32 * MIB);
    options->message_bytes = within(options->bundle_bytes / 4, 64 * KIB, MIB);
    options->send_window_bytes = within(share / 16, 256 * KIB, 4 * MIB);
    options->max_bucket_bytes = groups;
    options->max_inline_bytes = MIN(options->max_inline_bytes ? options->max_inline_bytes : 32 * MIB, groups);
}
