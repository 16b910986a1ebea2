/* Pipeline options from a command's words, as SDKs send them: a google.protobuf.Struct. */
#ifndef CLI_OPTIONS_STRUCT_H
#define CLI_OPTIONS_STRUCT_H

#include "base/slice.h"
#include "base/status.h"

/* `json_path`: a file with a JSON object whose names stay as they are; NULL: none. `options`: NAME=VALUE each, which win over the file; a name is
 * put in SDKs' form, beam:option:NAME:v1, unless it has a colon in it, and a value that is JSON's true, false, null or a number is that, else text.
 * *ret is a serialized Struct. INVALID_ARGUMENT names the option or the place in the file. */
int options_to_struct(const char *json_path, const char *const *options, size_t count, struct slice *ret,
                      struct status *st);

#endif
