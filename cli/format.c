#include "cli/format.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

char *format_duration(int64_t ms) {
    long long s = ms / 1000;

    if (ms < 0)
        return xstrdup("-");
    if (ms < 1000)
        return xasprintf("%lldms", (long long)ms);
    if (ms < 10 * 1000)
        return xasprintf("%lld.%llds", s, (long long)ms % 1000 / 100);
    if (s < 60)
        return xasprintf("%llds", s);
    if (s < 60 * 60)
        return xasprintf("%lldm %02llds", s / 60, s % 60);
    if (s < 24 * 60 * 60)
        return xasprintf("%lldh %02lldm", s / 3600, s / 60 % 60);
    return xasprintf("%lldd %lldh", s / 86400, s / 3600 % 24);
}

char *format_bytes(uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1023.95 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1024;
        unit++;
    }
    return unit == 0 ? xasprintf("%llu B", (unsigned long long)bytes) : xasprintf("%.1f %s", value, units[unit]);
}

/* What does not stand at the line's beginning belongs to the line before, and so does what is in brackets. */
static bool begins_exception(const char *line) {
    return *line && !strchr(" \t\n(", *line);
}

char *error_headline(const char *error) {
    const char *headline = error;

    if (strncmp(error, "Traceback (", 11) == 0)
        for (const char *line = error; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
            if (begins_exception(line))
                headline = line;
    return xmemdup0(headline, strcspn(headline, "\n"));
}

char *format_count(uint64_t count) {
    CLEANUP(freep) char *digits = xasprintf("%llu", (unsigned long long)count);
    size_t size = strlen(digits);
    char *text = xcalloc(size + size / 3 + 1, 1), *at = text;

    for (size_t i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    return text;
}

char *format_time(int64_t ms, bool has_milliseconds) {
    time_t seconds = ms / 1000;
    struct tm parts;
    char text[40];

    if (ms <= 0 || !localtime_r(&seconds, &parts))
        return xstrdup("-");
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
    return has_milliseconds ? xasprintf("%s.%03d", text, (int)(ms % 1000)) : xstrdup(text);
}

char *format_progress(double progress) {
    return progress >= 0 && progress <= 1 ? xasprintf("%d%%", (int)(progress * 100)) : xstrdup("-");
}

void add_printable(struct buf *out, const char *text) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        /* U+0080 to U+009F are control characters as well. */
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else if (c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0)
            buf_printf(out, "\\x%02x", (unsigned char)*++text);
        else
            buf_add_u8(out, c);
    }
}

static bool continues(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t text_columns(const char *text) {
    size_t columns = 0;

    for (; *text; text++)
        columns += !continues(*text);
    return columns;
}

char *text_cut(const char *text, size_t columns) {
    size_t at = 0, seen = 0;

    if (text_columns(text) <= columns)
        return xstrdup(text);
    if (columns == 0)
        return xstrdup("");
    while (text[at]) {
        seen += !continues(text[at]);
        if (seen == columns)
            break;
        at++;
    }
    return xasprintf("%.*s~", (int)at, text);
}
