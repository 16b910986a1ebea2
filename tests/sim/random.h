/* Randomness that is a function of a seed: SplitMix64. One generator belongs to one simulation. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t mix64(uint64_t x) {
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t rng_next(struct rng *rng) {
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix64(rng->state);
}

/* In [0, n); n 0 gives 0. */
static inline unsigned rng_below(struct rng *rng, uint64_t n) {
    return n ? (unsigned)(rng_next(rng) % n) : 0;
}

static inline unsigned rng_between(struct rng *rng, unsigned low, unsigned high) {
    return low + rng_below(rng, (uint64_t)high - low + 1);
}

static inline bool rng_chance(struct rng *rng, unsigned percent) {
    return rng_below(rng, 100) < percent;
}

static inline bool rng_permille(struct rng *rng, unsigned permille) {
    return rng_below(rng, 1000) < permille;
}

#endif
