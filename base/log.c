#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

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

static atomic_int minimum_level = LOG_LEVEL_INFO;
static enum log_format chosen_format;
static int journal_socket = -1;

void log_set_level(enum log_level level) {
    atomic_store_explicit(&minimum_level, (int)level, memory_order_relaxed);
}

/* -1: journald does not listen. */
static int connect_to_journal(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void log_set_format(enum log_format format) {
    chosen_format = format;
    if (format == LOG_FORMAT_JOURNAL && journal_socket < 0)
        journal_socket = connect_to_journal();
}

int log_level_of_name(const char *name, enum log_level *ret_level) {
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++)
        if (strcmp(levels[i].name, name) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    return -1;
}

/* The path in the tree: compilers are run in the build directory. */
static const char *source_file(const struct log_origin *origin) {
    const char *file = origin->file;

    while (strncmp(file, "../", 3) == 0)
        file += 3;
    return file;
}

/* ---- lines ---- */

static void add_time(struct buf *out, int64_t time_ns) {
    time_t seconds = (time_t)(time_ns / 1000000000);
    char text[32];
    struct tm parts;

    gmtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    buf_printf(out, "%s.%03dZ", text, (int)(time_ns / 1000000 % 1000));
}

static void add_member(struct buf *out, const char *name, const char *value) {
    buf_printf(out, ",\"%s\":", name);
    json_add_string(out, value);
}

static void add_json(struct buf *out, const struct log_origin *origin, enum log_level level, int64_t time_ns,
                     const char *text) {
    CLEANUP(freep) char *place = xasprintf("%s:%d", source_file(origin), origin->line);

    buf_printf(out, "{\"time\":\"");
    add_time(out, time_ns);
    buf_printf(out, "\"");
    add_member(out, "level", levels[level].name);
    add_member(out, "component", origin->component);
    if (origin->job)
        add_member(out, "job", origin->job);
    add_member(out, "message", text);
    add_member(out, "code", place);
    buf_printf(out, "}\n");
}

void log_format_line(struct buf *out, enum log_format format, const struct log_origin *origin, enum log_level level,
                     int64_t time_ns, const char *text) {
    if (format == LOG_FORMAT_JSON) {
        add_json(out, origin, level, time_ns, text);
        return;
    }
    if (format == LOG_FORMAT_JOURNAL) {
        buf_printf(out, "<%d>", levels[level].priority);
    } else {
        add_time(out, time_ns);
        buf_printf(out, " %-7s ", levels[level].label);
    }
    buf_printf(out, "%s: %s%s%s\n", origin->component, origin->job ? origin->job : "", origin->job ? ": " : "", text);
}

/* ---- the journal ---- */

/* NAME=value, or, where the value has several lines: the name alone, eight bytes of its size (little endian), the value. */
static void add_field(struct buf *out, const char *name, const char *value) {
    uint64_t size = strlen(value);

    if (!strchr(value, '\n')) {
        buf_printf(out, "%s=%s\n", name, value);
        return;
    }
    buf_printf(out, "%s\n", name);
    for (unsigned i = 0; i < sizeof(size); i++)
        buf_add_u8(out, (uint8_t)(size >> (8 * i)));
    buf_add(out, value, size);
    buf_printf(out, "\n");
}

void log_format_entry(struct buf *out, const struct log_origin *origin, enum log_level level, const char *text) {
    buf_printf(out, "PRIORITY=%d\nSYSLOG_IDENTIFIER=trestle\nTRESTLE_COMPONENT=%s\n", levels[level].priority,
               origin->component);
    buf_printf(out, "CODE_FILE=%s\nCODE_LINE=%d\nCODE_FUNC=%s\n", source_file(origin), origin->line, origin->function);
    if (origin->job)
        add_field(out, "TRESTLE_JOB", origin->job);
    add_field(out, "MESSAGE", text);
}

/* False: it is too large for a datagram, or journald does not take it. */
static bool send_to_journal(const struct log_origin *origin, enum log_level level, const char *text) {
    struct buf entry = {0};
    ssize_t n;

    if (journal_socket < 0)
        return false;
    log_format_entry(&entry, origin, level, text);
    n = send(journal_socket, buf_data(&entry), entry.size, MSG_NOSIGNAL);
    buf_clear(&entry);
    return n >= 0;
}

/* ---- writing ---- */

static void write_line(const struct buf *line) {
    size_t done = 0;

    while (done < line->size) {
        ssize_t n = write(STDERR_FILENO, buf_data(line) + done, line->size - done);

        if (n <= 0)
            return; /* nobody to tell */
        done += (size_t)n;
    }
}

void log_write_from(const struct log_origin *origin, enum log_level level, const char *format, ...) {
    CLEANUP(freep) char *text = NULL;
    struct buf line = {0};
    va_list args;

    if ((int)level < atomic_load_explicit(&minimum_level, memory_order_relaxed))
        return;
    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    if (chosen_format == LOG_FORMAT_JOURNAL && send_to_journal(origin, level, text))
        return;
    log_format_line(&line, chosen_format, origin, level, wall_clock_ns(), text);
    write_line(&line);
    buf_clear(&line);
}
