#include <stdlib.h>
#include <string.h>

#include "jobserver/config_internal.h"

static bool is_text(const struct config_key *key) {
    return key->type == CONFIG_PATH || key->type == CONFIG_USER || key->type == CONFIG_ADDRESS;
}

static size_t size_of(const struct config_key *key) {
    return key->type == CONFIG_NUMBER || key->type == CONFIG_CHOICE ? sizeof(unsigned) : sizeof(uint64_t);
}

static const void *field_of(const struct config *config, const struct config_key *key) {
    return (const char *)config + key->offset;
}

static const char *text_of(const struct config *config, const struct config_key *key) {
    return *(char *const *)field_of(config, key);
}

bool config_key_is_equal(const struct config_key *key, const struct config *a, const struct config *b) {
    if (is_text(key))
        return strcmp(text_of(a, key), text_of(b, key)) == 0;
    return memcmp(field_of(a, key), field_of(b, key), size_of(key)) == 0;
}

void config_copy_key(const struct config_key *key, struct config *to, const struct config *from) {
    void *field = (char *)to + key->offset;

    if (is_text(key)) {
        char **text = field;

        free(*text);
        *text = xstrdup(text_of(from, key));
    } else {
        memcpy(field, field_of(from, key), size_of(key));
    }
}

/* ---- environments ---- */

static bool are_equal(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool lists_are_equal(char *const *a, char *const *b) {
    if (!a || !b)
        return a == b;
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return *a == *b;
}

static bool rows_are_equal(const struct config_environment *a, const struct config_environment *b) {
    const struct config_settings *left = &a->settings, *right = &b->settings;

    return a->subject == b->subject && a->way == b->way && are_equal(a->pattern, b->pattern) &&
           are_equal(a->value, b->value) && left->workers == right->workers && left->slots == right->slots &&
           left->memory_bytes == right->memory_bytes && left->milli_cpus == right->milli_cpus &&
           are_equal(left->working_directory, right->working_directory) &&
           lists_are_equal(left->variables, right->variables);
}

bool config_environments_are_equal(const struct config *a, const struct config *b) {
    if (a->environment_count != b->environment_count)
        return false;
    for (size_t i = 0; i < a->environment_count; i++)
        if (!rows_are_equal(&a->environments[i], &b->environments[i]))
            return false;
    return true;
}

static char *copy_text(const char *text) {
    return text ? xstrdup(text) : NULL;
}

static char **copy_list(char *const *list) {
    size_t count = 0;
    char **copy;

    if (!list)
        return NULL;
    while (list[count])
        count++;
    copy = xcalloc(count + 1, sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = xstrdup(list[i]);
    return copy;
}

void config_copy_environments(struct config *to, const struct config *from) {
    config_clear_environments(to);
    to->environments = xcalloc(from->environment_count + 1, sizeof(*to->environments));
    to->environment_count = from->environment_count;
    for (size_t i = 0; i < from->environment_count; i++) {
        struct config_environment *row = &to->environments[i];

        *row = from->environments[i];
        row->pattern = copy_text(row->pattern);
        row->value = copy_text(row->value);
        row->settings.working_directory = copy_text(row->settings.working_directory);
        row->settings.variables = copy_list(row->settings.variables);
    }
}

void config_copy(struct config *to, const struct config *from) {
    size_t count;
    const struct config_key *keys = config_keys(&count);

    *to = (struct config){0};
    for (size_t i = 0; i < count; i++)
        config_copy_key(&keys[i], to, from);
    config_copy_environments(to, from);
}
