/* A text on the terminal that is drawn anew in place, twice a second: what `--watch`, `-f` and `--wait` show of jobs that run.
 *
 * Where standard output is no terminal nothing can be redrawn: then only the last state of it is printed, by those for whom there is one. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/inspection.h"
#include "cli/terminal.h"

/* Appends the text as of now. False: that was the last time; also on an error, which `st` says. */
typedef bool (*progress_fn)(void *user, const struct terminal *terminal, struct buf *out, struct status *st);
int progress_show(progress_fn redraw, void *user, struct status *st);

/* "[######........]  45%  " of so many characters between the brackets; without a progress that is known, nothing. */
void progress_add_bar(const struct terminal *terminal, double progress, unsigned width, struct buf *out);

/* Waits for a job's end: with its stages and bars on a terminal, silently elsewhere and where it is not to be shown. *ret is in the arena. */
int progress_wait_for_job(struct connection *connection, const char *job, bool is_shown, struct arena *arena,
                          Trestle__V1__JobDetail **ret, struct status *st);

#endif
