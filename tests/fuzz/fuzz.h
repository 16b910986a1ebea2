/* A seeded mutation fuzzer over everything that reads bytes from outside.
 *
 * A target is one function of a random generator: it makes an input, most often a good one that it then damages, hands it to the code under
 * test and holds that to what must be true of any input. (target, seed) determines all that it does. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/buf.h"
#include "base/mem.h"
#include "tests/sim/random.h"

struct target {
    const char *name;
    void (*set_up)(void); /* once a process; may be NULL */
    void (*run)(struct rng *rng);
};

/* Each file's targets, ended by one without a name. */
extern const struct target wire_targets[];
extern const struct target model_targets[];
extern const struct target engine_targets[];
extern const struct target translate_targets[];
extern const struct target fnapi_targets[];
extern const struct target jobserver_targets[];
extern const struct target inspection_targets[];
extern const struct target job_db_targets[];

/* Ends the run with a sentence about what is wrong; stays in with NDEBUG. */
void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));
#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fuzz_fail(__FILE__, __LINE__, #condition);                                                                 \
    } while (0)

/* ---- bytes (mutate.c) ---- */

/* A heap copy of exactly this size, so that the sanitizer sees a read behind it. free() it. */
uint8_t *exact_copy(const void *bytes, size_t size);
/* Small numbers, powers of two and their neighbours, ends of ranges, anything. */
uint64_t any_number(struct rng *rng);
void add_random_bytes(struct rng *rng, struct buf *out, size_t size);
/* One to a few damages: flipped bits, numbers that lie, pieces removed, repeated, moved, the end cut off. */
void mutate_bytes(struct rng *rng, struct buf *bytes);

#endif
