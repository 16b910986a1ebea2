#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    const char *label;
    int priority; /* syslog's, for the journal */
} levels[] = {
    [LOG_LEVEL_DEBUG] = {"debug", "DEBUG", 7},
    [LOG_LEVEL_INFO] = {"info", "INFO", 6},
    [LOG_LEVEL_WARNING] = {"warning", "WARNING", 4},
    [LOG_LEVEL_ERROR] = {"error", "ERROR", 3},
};

static enum log_level minimum_level = LOG_LEVEL_INFO;
static int journal_format;

void log_set_level(enum log_level level) {
    minimum_level = level;
}

void log_set_journal(int on) {
    journal_format = on;
}

int log_level_of_name(const char *name, enum log_level *ret_level) {
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++)
        if (strcmp(levels[i].name, name) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    return -1;
}

static void format_prefix(char *out, size_t size, enum log_level level) {
    struct timespec now;
    struct tm parts;
    size_t n;

    if (journal_format) {
        snprintf(out, size, "<%d>", levels[level].priority);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, size - n, ".%03ldZ %-7s ", now.tv_nsec / 1000000, levels[level].label);
}

void log_write(enum log_level level, const char *component, const char *format, ...) {
    CLEANUP(freep) char *text = NULL;
    CLEANUP(freep) char *line = NULL;
    char prefix[64];
    va_list args;
    size_t size, done = 0;

    if (level < minimum_level)
        return;
    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    format_prefix(prefix, sizeof(prefix), level);
    line = xasprintf("%s%s: %s\n", prefix, component, text);
    size = strlen(line);
    while (done < size) {
        ssize_t n = write(STDERR_FILENO, line + done, size - done);

        if (n <= 0)
            return; /* nobody to tell */
        done += (size_t)n;
    }
}
