/* The options that a pipeline was submitted with, as every SDK sends them: a google.protobuf.Struct.
 *
 *     Python, Java, TypeScript   {"beam:option:job_name:v1": "x", ...}   numbers as numbers or as strings
 *     anyone                     {"job_name": "x"}, or either form inside {"options": {...}}
 *     Go                         {"beam:option:go_options:v1": {"options": {"flag": "text"}}, ...}
 *
 * Names are looked up without the "beam:option:" and ":v1" around them. Where an option is there twice, the outermost counts.
 *
 * Immutable once made: any thread may read. Strings live as long as the options. */
#ifndef JOBSERVER_PIPELINE_OPTIONS_H
#define JOBSERVER_PIPELINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct pipeline_options;

/* From a serialized Struct (what job_spec.pipeline_options holds; empty: no options). */
int pipeline_options_create(struct slice bytes, struct pipeline_options **ret, struct status *st);
void pipeline_options_destroy(struct pipeline_options *options);

/* The part of a key that people know: what is between "beam:option:" and ":v1", or all of it. A part of `key`. */
void pipeline_options_short_name(const char *key, const char **ret_name, size_t *ret_size);
bool pipeline_options_has(const struct pipeline_options *options, const char *name);
/* The text of a string; `otherwise` when absent, null or not a string. */
const char *pipeline_options_string(const struct pipeline_options *options, const char *name, const char *otherwise);
/* A whole number, or a string that holds one. *ret is untouched when the option is absent; anything else is an
 * INVALID_ARGUMENT that names the option. */
int pipeline_options_int(const struct pipeline_options *options, const char *name, int64_t *ret, struct status *st);
/* true/false, or a string that says so. As above. */
int pipeline_options_bool(const struct pipeline_options *options, const char *name, bool *ret, struct status *st);
/* A list of strings; a single string is cut at its commas. NULL and 0 when absent. */
const char *const *pipeline_options_list(const struct pipeline_options *options, const char *name, size_t *ret_count);

/* --experiments: NAME or NAME=VALUE. The value ("" for a bare name), or NULL when it is not there. The last one counts. */
const char *pipeline_options_experiment(const struct pipeline_options *options, const char *name);

/* Trestle's own options: what DescribePipelineOptions tells, so that SDKs pass them on. */
enum pipeline_option_type {
    PIPELINE_OPTION_STRING,
    PIPELINE_OPTION_BOOL,
    PIPELINE_OPTION_INT
}; /* PipelineOptionType.Enum's */

struct pipeline_option {
    const char *name;
    enum pipeline_option_type type;
    const char *description;
    int64_t minimum, maximum; /* INT */
};

const struct pipeline_option *pipeline_options_own(size_t *ret_count);
/* Whether Trestle's own options have values that make sense. */
int pipeline_options_check(const struct pipeline_options *options, struct status *st);

#endif
