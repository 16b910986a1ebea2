/* Small pieces that the engine's unit tests share. */
#ifndef TESTS_UNIT_FIXTURES_H
#define TESTS_UNIT_FIXTURES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/runs.h"
#include "model/window.h"

struct fixture {
    struct arena arena;
    const struct coder *bytes;
    const struct coder *kv;       /* KV<bytes, bytes> */
    const struct coder *global;   /* windowed KV in the global window */
    const struct coder *interval; /* windowed KV in interval windows */
};

static inline struct fixture fixture_create(void) {
    struct fixture f = {0};

    f.bytes = coder_create(&f.arena, CODER_BYTES, NULL, NULL);
    f.kv = coder_create(&f.arena, CODER_KV, f.bytes, f.bytes);
    f.global =
        coder_create(&f.arena, CODER_WINDOWED_VALUE, f.kv, coder_create(&f.arena, CODER_GLOBAL_WINDOW, NULL, NULL));
    f.interval =
        coder_create(&f.arena, CODER_WINDOWED_VALUE, f.kv, coder_create(&f.arena, CODER_INTERVAL_WINDOW, NULL, NULL));
    return f;
}

/* Appends KV<key, value> at `timestamp` in the given encoded window (NULL: global). */
static inline void add_kv(struct buf *out, event_time timestamp, const struct buf *window, const char *key,
                          const char *value) {
    windowed_value_write_header(out, timestamp, window ? buf_data(window) : NULL, window ? window->size : 0,
                                &PANE_NO_FIRING);
    buf_add_prefixed(out, key, strlen(key));
    buf_add_prefixed(out, value, strlen(value));
}

static inline int run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
