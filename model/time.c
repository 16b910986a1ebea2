#include "model/time.h"

#include <stdio.h>

enum { DAY_MS = 24 * 3600 * 1000, DAYS_PER_400_YEARS = 146097, DAYS_TO_EPOCH = 719468 };

/* Years that begin in March have their leap day at the end: DAYS_TO_EPOCH is from 1 March of the year 0. */
static void date_of(int64_t day, int64_t *ret_year, int *ret_month, int *ret_day) {
    int64_t from = day + DAYS_TO_EPOCH, era = (from >= 0 ? from : from - DAYS_PER_400_YEARS + 1) / DAYS_PER_400_YEARS;
    int64_t of_era = from - era * DAYS_PER_400_YEARS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153);

    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

const char *time_describe(event_time time, char *out) {
    int64_t day = time / DAY_MS - (time % DAY_MS < 0), year;
    int ms = (int)(time - day * DAY_MS), month, of_month;

    if (time <= TIME_MIN)
        return "the beginning of time";
    if (time >= TIME_MAX)
        return "the end of time";
    if (time == TIME_GLOBAL_WINDOW_END)
        return "the end of the global window";
    date_of(day, &year, &month, &of_month);
    snprintf(out, TIME_TEXT_SIZE, "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ", (long long)year, month, of_month,
             ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
    return out;
}
