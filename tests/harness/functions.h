/* For the files that functions are in: functions.c has the table and says what each does. */
#ifndef HARNESS_FUNCTIONS_H
#define HARNESS_FUNCTIONS_H

#include "harness.h"

/* Emits what is in the bundle's scratch buffer, with the header of `like`. */
int emit_scratch(struct bundle *bundle, const struct node *node, const struct value *like);

/* chatter.c */
int function_chatter(struct bundle *bundle, const struct node *node, const struct value *value);

/* groups.c */
int function_fan(struct bundle *bundle, const struct node *node, const struct value *value);
int function_records(struct bundle *bundle, const struct node *node, const struct value *value);
int function_check_groups(struct bundle *bundle, const struct node *node, const struct value *value);
int finish_check_groups(struct bundle *bundle, const struct node *node);
int function_check_totals(struct bundle *bundle, const struct node *node, const struct value *value);

#endif
