/* One line of an error. */
#ifndef JOBSERVER_INSPECTION_HEADLINE_H
#define JOBSERVER_INSPECTION_HEADLINE_H

#include "base/arena.h"

/* The first line or, where that begins a traceback of Python's, the exception: the line behind the last frames, which are indented. "" of NULL. In the
 * arena, or static. */
char *headline(struct arena *arena, const char *text);

#endif
