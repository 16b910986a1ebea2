/* Pages of a job's messages, with the state changes between them. */
#include <string.h>
#include <strings.h>

#include "jobserver/inspection/internal.h"

enum { DEFAULT_MESSAGES = 200, MAX_MESSAGES = 1000 };

typedef Trestle__V1__Message message_t;

static const char *const importances[] = {
    [JOB_MESSAGE_DEBUG] = "DEBUG",     [JOB_MESSAGE_DETAILED] = "DETAILED", [JOB_MESSAGE_BASIC] = "BASIC",
    [JOB_MESSAGE_WARNING] = "WARNING", [JOB_MESSAGE_ERROR] = "ERROR",
};

static const char *importance_name(enum job_message_importance importance) {
    return (size_t)importance < ARRAY_COUNT(importances) && importances[importance] ? importances[importance] : "BASIC";
}

static int importance_of_name(const char *name, enum job_message_importance *ret, struct status *st) {
    *ret = JOB_MESSAGE_BASIC;
    if (!name[0])
        return 0;
    for (size_t i = JOB_MESSAGE_DEBUG; i < ARRAY_COUNT(importances); i++)
        if (strcasecmp(importances[i], name) == 0) {
            *ret = (enum job_message_importance)i;
            return 0;
        }
    return status_set(st, STATUS_INVALID_ARGUMENT,
                      "min_importance: \"%.40s\" is not one of: DEBUG, DETAILED, BASIC, WARNING, ERROR", name);
}

/* The first `limit` that fit, or the last ones: then the array is a ring. */
struct page {
    struct arena *arena;
    message_t **messages;
    size_t limit;
    size_t count; /* that fit, more than `limit` perhaps */
    uint64_t last_seq;
    enum job_message_importance minimum;
    const char *contains;
    bool is_newest;
};

static bool fits(const struct page *page, const struct job_event *event) {
    if (event->is_state)
        return !page->contains[0];
    return event->importance >= page->minimum && (!page->contains[0] || strcasestr(event->text, page->contains));
}

static message_t *make_message(struct page *page, const struct job_event *event) {
    message_t *message = arena_new(page->arena, message_t);

    trestle__v1__message__init(message);
    message->seq = event->seq;
    message->time_ms = event->time_ms;
    if (event->is_state) {
        message->state = (char *)job_state_name(event->state);
    } else {
        message->importance = (char *)importance_name(event->importance);
        message->text = arena_string(page->arena, event->text);
    }
    return message;
}

static bool take_event(void *user, const struct job_event *event) {
    struct page *page = user;

    if (!fits(page, event)) {
        page->last_seq = event->seq;
        return true;
    }
    if (page->count >= page->limit && !page->is_newest) {
        page->count++; /* there is more */
        return false;
    }
    page->messages[page->count++ % page->limit] = make_message(page, event);
    page->last_seq = event->seq;
    return true;
}

/* Of a ring, in order. */
static message_t **in_order(const struct page *page) {
    message_t **messages = ARENA_ARRAY(page->arena, message_t, page->limit);

    for (size_t i = 0; i < page->limit; i++)
        messages[i] = page->messages[(page->count + i) % page->limit];
    return messages;
}

int inspect_messages(struct inspection *inspection, const ProtobufCMessage *base, struct arena *arena,
                     ProtobufCMessage **ret, struct status *st) {
    const Trestle__V1__ListMessagesRequest *request = (const Trestle__V1__ListMessagesRequest *)base;
    Trestle__V1__ListMessagesResponse *response = arena_new(arena, Trestle__V1__ListMessagesResponse);
    struct page page = {
        .arena = arena,
        .limit = request->limit ? MIN(request->limit, (uint32_t)MAX_MESSAGES) : DEFAULT_MESSAGES,
        .last_seq = request->after_seq,
        .contains = request->contains,
        .is_newest = request->newest,
    };
    struct job *job;
    int r = importance_of_name(request->min_importance, &page.minimum, st);

    if (r == 0)
        r = catalogue_find_job(inspection->options.catalogue, request->job_id, &job, st);
    if (r < 0)
        return r;
    page.messages = ARENA_ARRAY(arena, message_t, page.limit);
    job_read_history(job, request->after_seq, take_event, &page);
    job_unref(job);
    trestle__v1__list_messages_response__init(response);
    response->has_more = page.count > page.limit;
    response->messages = response->has_more && page.is_newest ? in_order(&page) : page.messages;
    response->n_messages = MIN(page.count, page.limit);
    response->last_seq = page.last_seq;
    *ret = &response->base;
    return 0;
}
