/* A strict reader of Prometheus' text format 0.0.4, as promtool is: types, names, labels, order, histograms. */
#ifndef HARNESS_PROMETHEUS_H
#define HARNESS_PROMETHEUS_H

/* NULL: the text is sound; else what is wrong with which line. The caller's to free. */
char *prometheus_check(const char *text);
/* What Prometheus' own `promtool check metrics` finds wrong with it, names included; NULL: nothing, or there is no promtool. The caller's to free. */
char *prometheus_ask_promtool(const char *text);
/* The value of a series as written, e.g. `trestle_jobs{state="DONE"}`; -1: there is none. */
double prometheus_value(const char *text, const char *series);

#endif
