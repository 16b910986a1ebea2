/* Where on this machine the programs are that natively run environments need. `search_path` is native.search_path.
 *
 * The caller frees the program's path; where that is NULL, *ret_looked, the caller's too, says where it was looked for. */
#ifndef JOBSERVER_NATIVE_INTERPRETERS_H
#define JOBSERVER_NATIVE_INTERPRETERS_H

/* "3.11". Not the shims of version managers, which choose by the directory that they are called in, or refuse. */
char *interpreter_find_python(const char *version, const char *search_path, char **ret_looked);
/* A JVM of a version (8, 17 ...) from `at_least` to `at_most`. */
char *interpreter_find_java(unsigned at_least, unsigned at_most, const char *search_path, char **ret_looked);
/* 0: it does not say. */
unsigned interpreter_java_version(const char *java);
char *interpreter_find_maven(const char *search_path, char **ret_looked);
/* node or npm. */
char *interpreter_find_node(const char *name, const char *search_path, char **ret_looked);

#endif
