/* Quantities and texts for people to read. Text that is returned is the caller's to free. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stdint.h>

#include "base/buf.h"

/* "40ms", "1.4s", "12s", "3m 04s", "2h 05m", "4d 3h". */
char *format_duration(int64_t ms);
/* "512 B", "1.5 MiB". */
char *format_bytes(uint64_t bytes);
/* "1,234,567". */
char *format_count(uint64_t count);
/* Local time, "2026-11-21 13:24:19"; with milliseconds behind it if asked for; "-" for 0. */
char *format_time(int64_t ms, bool has_milliseconds);
/* Of a job's or a stage's progress, "45%"; "-" where it is unknown. */
char *format_progress(double progress);

/* The line of an error that says most: of a Python traceback the exception, which stands last, else the first one. */
char *error_headline(const char *error);

/* Text from jobs, which may hold what moves a terminal's cursor or sets its title: control characters but newline and tab are written as \xNN. */
void add_printable(struct buf *out, const char *text);
/* Characters, as a terminal counts columns where all are of single width: UTF-8 sequences. */
size_t text_columns(const char *text);
/* What of it fits `columns`, its last character then being a "~" where something was cut off. */
char *text_cut(const char *text, size_t columns);

#endif
