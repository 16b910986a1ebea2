/* The names of the images that Beam publishes for its SDKs, and what they say. */
#ifndef JOBSERVER_NATIVE_IMAGE_H
#define JOBSERVER_NATIVE_IMAGE_H

#include "base/status.h"

enum native_sdk { NATIVE_PYTHON, NATIVE_JAVA, NATIVE_GO, NATIVE_TYPESCRIPT };

struct native_image {
    enum native_sdk sdk;
    char language_version[16]; /* "3.11", "17"; "" for SDKs whose images have none */
    char beam_version[64];     /* "2.77.0" */
};

/* "apache/beam_python3.11_sdk:2.77.0", perhaps with a registry in front. -STATUS_UNIMPLEMENTED for any other image. */
int native_image_parse(const char *name, struct native_image *ret, struct status *st);

#endif
