/* The daemon's own log: one line an event on standard error, or one entry in the journal.
 *
 *   plain      2026-03-31T14:25:01.583Z WARNING http: there is no web page
 *   json       {"time":"2026-03-31T14:25:01.583Z","level":"warning","component":"http","message":"there is no web page","code":"jobserver/daemon.c:172"}
 *   journal    an entry with the fields MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, TRESTLE_COMPONENT, TRESTLE_JOB and CODE_FILE, CODE_LINE, CODE_FUNC, sent to
 *              journald's socket (systemd.io/JOURNAL_NATIVE_PROTOCOL); without journald as plain, but with its "<n>" in place of the time
 *
 * Library code never logs (it returns a status); jobserver/ and the threads that have nobody to return to do.
 * Any thread may call; a line is written with one write(2). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/buf.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_PLAIN, LOG_FORMAT_JOURNAL, LOG_FORMAT_JSON };

/* Lines below `level` are dropped, from now on. */
void log_set_level(enum log_level level);
/* The same. */
void log_set_format(enum log_format format);
int log_level_of_name(const char *name, enum log_level *ret_level);

/* Where in the code, and what it is about. */
struct log_origin {
    const char *file;
    int line;
    const char *function;
    const char *component;
    const char *job; /* its id; NULL: none */
};

void log_write_from(const struct log_origin *origin, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_write_job(level, component_, job_, ...)                                                                    \
    log_write_from(                                                                                                    \
        &(struct log_origin){                                                                                          \
            .file = __FILE__, .line = __LINE__, .function = __func__, .component = (component_), .job = (job_)},       \
        level, __VA_ARGS__)
#define log_write(level, component, ...) log_write_job(level, component, NULL, __VA_ARGS__)
#define log_debug(component, ...) log_write(LOG_LEVEL_DEBUG, component, __VA_ARGS__)
#define log_info(component, ...) log_write(LOG_LEVEL_INFO, component, __VA_ARGS__)
#define log_warning(component, ...) log_write(LOG_LEVEL_WARNING, component, __VA_ARGS__)
#define log_error(component, ...) log_write(LOG_LEVEL_ERROR, component, __VA_ARGS__)

/* What is written, for tests: appends a line, or an entry's bytes. `time_ns`: since 1970. */
void log_format_line(struct buf *out, enum log_format format, const struct log_origin *origin, enum log_level level,
                     int64_t time_ns, const char *text);
void log_format_entry(struct buf *out, const struct log_origin *origin, enum log_level level, const char *text);

#endif
