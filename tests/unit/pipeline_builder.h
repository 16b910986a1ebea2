/* Small pipelines for the tests of translate/. A builder starts with the coders "bytes", "varint", "opaque", "kv" (bytes, bytes) and
 * "kvo" (opaque, opaque), the windowing strategy "global" and the environment "env". The transform named N has the id "t-N". */
#ifndef TESTS_UNIT_PIPELINE_BUILDER_H
#define TESTS_UNIT_PIPELINE_BUILDER_H

#include <check.h>

#include "translate/translate.h"

#define URN_PARDO "beam:transform:pardo:v1"
#define URN_GBK "beam:transform:group_by_key:v1"
#define URN_IMPULSE "beam:transform:impulse:v1"
#define URN_FLATTEN "beam:transform:flatten:v1"
#define URN_RESHUFFLE "beam:transform:reshuffle:v1"
#define URN_TEST_STREAM "beam:transform:teststream:v1"
#define URN_COMBINE "beam:transform:combine_per_key:v1"
#define URN_MAP "test:transform:map:v1"

struct builder {
    struct arena arena;
    Beam__Pipeline *pipeline;
    Beam__Components *components;
    struct status st;
    struct plan *plan;
    struct buf dump;
};

extern struct builder build;

/* A checked fixture. */
void build_setup(void);
void build_teardown(void);

Beam__Coder *build_coder(const char *id, const char *urn, const char *first, const char *second);
Beam__WindowingStrategy *build_windowing(const char *id, const char *window_coder);
Beam__Environment *build_environment(const char *id);
/* Bounded, in "global". */
Beam__PCollection *build_collection(const char *id, const char *coder);
/* A root transform, with the environment "env" unless the URN is a runner's. */
Beam__PTransform *build_transform(const char *name, const char *urn);
void build_in(Beam__PTransform *transform, const char *name, const char *collection);
void build_out(Beam__PTransform *transform, const char *name, const char *collection);
/* One input "in", one output "out"; either may be NULL. The output's collection is made with `coder` unless that is NULL. */
Beam__PTransform *build_step(const char *name, const char *urn, const char *in, const char *out, const char *coder);
void build_child(Beam__PTransform *parent, const char *name);
void build_payload(Beam__PTransform *transform, const ProtobufCMessage *payload);
void build_requirement(const char *urn);
/* A ParDo with side inputs: local names that must be among the inputs; ends with NULL. */
void build_side_inputs(Beam__PTransform *transform, const char *access_urn, ...);
void build_combine_payload(Beam__PTransform *transform, const char *accumulator_coder);
Beam__Trigger *build_count_trigger(int count);

/* Translates; the plan as text, without environments and the word "stage". NULL when it fails (build.st says why). */
const char *build_dump(void);
/* Asserts that translation fails and that the message has both parts. */
void build_expect_error(const char *part, const char *other_part);
void build_expect(const char *dump);

int run_tests(const char *name, const TTest *const *tests, size_t count);

#endif
