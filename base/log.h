/* The daemon's own log: one line an event on standard error, "LEVEL component: text".
 *
 * Library code never logs (it returns a status); jobserver/ and the threads that have nobody to return to do.
 * Any thread may call; a line is written with one write(2). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/mem.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* Lines below `level` are dropped. Call before threads start. */
void log_set_level(enum log_level level);
/* With journald's "<n>" priority prefix instead of the time (systemd's sd-daemon protocol). */
void log_set_journal(int on);
int log_level_of_name(const char *name, enum log_level *ret_level);
void log_write(enum log_level level, const char *component, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_debug(component, ...) log_write(LOG_LEVEL_DEBUG, component, __VA_ARGS__)
#define log_info(component, ...) log_write(LOG_LEVEL_INFO, component, __VA_ARGS__)
#define log_warning(component, ...) log_write(LOG_LEVEL_WARNING, component, __VA_ARGS__)
#define log_error(component, ...) log_write(LOG_LEVEL_ERROR, component, __VA_ARGS__)

#endif
