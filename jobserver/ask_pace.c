#include "jobserver/ask_pace.h"

#include "base/mem.h"

/* A pause is at least this many times as long as the answer before it took: at most a twentieth of the time is spent on answers. */
enum { PAUSE_FACTOR = 20 };

void ask_pace_start(struct ask_pace *pace, int64_t interval_ns, int64_t now_ns) {
    *pace = (struct ask_pace){.interval_ns = interval_ns, .next_ns = now_ns + interval_ns};
}

bool ask_pace_is_due(const struct ask_pace *pace, int64_t now_ns) {
    return pace->next_ns <= now_ns;
}

bool ask_pace_is_waiting(const struct ask_pace *pace) {
    return pace->next_ns == INT64_MAX;
}

void ask_pace_asked(struct ask_pace *pace, int64_t now_ns) {
    pace->asked_ns = now_ns;
    pace->next_ns = INT64_MAX;
}

void ask_pace_answered(struct ask_pace *pace, int64_t now_ns) {
    if (ask_pace_is_waiting(pace))
        pace->next_ns = now_ns + MAX(pace->interval_ns, (now_ns - pace->asked_ns) * PAUSE_FACTOR);
}
