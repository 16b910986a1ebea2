/* The packages that Beam's Python images have besides apache-beam and its dependencies, as far as the environment that submitted a pipeline has them
 * too: a pipeline that uses DataFrames, YAML or scikit-learn says nothing of it, since in the image they are there.
 *
 * In the versions of the submitting environment, since what is pickled there is read here. What the client staged tells them
 * (submission_environment_dependencies.txt: apache_beam/runners/portability/stager.py). */
#ifndef JOBSERVER_NATIVE_PYTHON_PACKAGES_H
#define JOBSERVER_NATIVE_PYTHON_PACKAGES_H

#include "jobserver/native/task.h"

#define PYTHON_SUBMISSION_PACKAGES "submission_environment_dependencies.txt"

/* Pushes NAME==VERSION, in the arena, for each such package that `text`, the content of that file, lists. */
void python_image_packages(const char *text, struct arena *arena, struct string_vec *requirements);

#endif
