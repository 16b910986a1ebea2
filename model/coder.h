/* Coders as the runner needs them: a tree that says how long the next encoded value is.
 *
 * Everything on the Fn API's wire is in the *nested* context (model: coders; beam_runner_api.proto,
 * StandardCoders), so every value says where it ends. The runner never decodes a user's value; it skips over it, cuts a
 * key out of a KV, or reads a window. A coder that the runner does not know never appears here bare: translate/ wraps it in
 * length_prefix on both sides of the wire.
 *
 * Coders are immutable and live in the plan's arena; any thread may use them. */
#ifndef MODEL_CODER_H
#define MODEL_CODER_H

#include "base/arena.h"
#include "base/buf.h"

enum coder_kind {
    CODER_BYTES,
    CODER_STRING,
    CODER_VARINT,
    CODER_BOOL,
    CODER_DOUBLE,
    CODER_KV,
    CODER_ITERABLE,              /* beam:coder:iterable:v1, also the form with a token that harnesses accept there */
    CODER_STATE_BACKED_ITERABLE, /* beam:coder:state_backed_iterable:v1 */
    CODER_LENGTH_PREFIX,
    CODER_NULLABLE,
    CODER_SHARDED_KEY,
    CODER_GLOBAL_WINDOW,
    CODER_INTERVAL_WINDOW,
    CODER_CUSTOM_WINDOW, /* maximum timestamp, then the component's bytes */
    CODER_TIMER,
    CODER_WINDOWED_VALUE,
};

struct coder {
    enum coder_kind kind;
    unsigned component_count;
    const struct coder *components[2]; /* KV: key, value; WINDOWED_VALUE: value, window; TIMER: key, window */
    size_t fixed_size;                 /* of every encoded value, or 0 when it varies or is zero (GLOBAL_WINDOW) */
    size_t min_size;                   /* no encoded value is shorter; 0: every value is empty */
};

/* Values of coder_skip and its relatives. */
enum coder_result {
    CODER_OK = 0,
    CODER_SHORT = 1, /* the bytes end inside the value: more may follow in the next message */
    CODER_BAD = 2,   /* no value starts like this */
};

/* A coder in `arena`. Components are borrowed and must live as long. */
const struct coder *coder_create(struct arena *arena, enum coder_kind kind, const struct coder *first,
                                 const struct coder *second);
/* The kind that a URN names, or -1 for a coder that the runner cannot skip (wrap it in length_prefix). `ret_components` gets how
 * many components that kind has. */
int coder_kind_of_urn(const char *urn, unsigned *ret_components);
/* The URN of a kind. */
const char *coder_urn(enum coder_kind kind);

/* Moves *at behind one value. On CODER_SHORT and CODER_BAD *at is unspecified. Never reads past at->end; nesting is bounded by
 * the coder's own depth. */
enum coder_result coder_skip(const struct coder *coder, struct cursor *at);

#endif
