/* The list `environments`: rows of a pattern, what is run in place of what fits it, and how its workers run.
 *
 *      - image: PATTERN | command: PATTERN
 *        container: | native: | process: | external: VALUE       at most one, and only of images
 *        workers: slots: memory: cpus: working_directory:        the table below
 *        environment: {NAME: VALUE} */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/config_internal.h"

#define SECTION "environments"
#define FIELD(name) offsetof(struct config_settings, name)

/* Rows leave out what is false at their ends. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct config_key settings[] = {
    {SECTION ".workers", CONFIG_NUMBER, FIELD(workers), 1, 1024, "", NULL, "as workers.per_environment", true},
    {SECTION ".slots", CONFIG_NUMBER, FIELD(slots), 1, 1024, "", NULL, "as workers.slots", true},
    {SECTION ".memory", CONFIG_SIZE, FIELD(memory_bytes), 16ull << 20, 1ull << 50, "", NULL, "what one worker may use",
     true},
    {SECTION ".cpus", CONFIG_CPUS, FIELD(milli_cpus), 10, 1024 * 1000, "", NULL, "cores that one worker may use", true},
    {SECTION ".working_directory", CONFIG_PATH, FIELD(working_directory), 1, 0, "", NULL, "where workers start", true},
};

static const struct {
    const char *key;
    enum config_subject subject;
} subjects[] = {{"image", CONFIG_IMAGE}, {"command", CONFIG_COMMAND}};

static const struct {
    const char *key;
    enum config_way way;
} ways[] = {
    {"container", CONFIG_RUN_CONTAINER},
    {"native", CONFIG_RUN_NATIVE},
    {"process", CONFIG_RUN_PROCESS},
    {"external", CONFIG_RUN_EXTERNAL},
};

/* ---- one key ---- */

/* With "environments." in front. */
static int refuse_key(const struct config_loader *loader, const yaml_node_t *node, const char *key, const char *why) {
    CLEANUP(freep) char *path = xasprintf(SECTION ".%s", key);

    return config_refuse(loader, node, path, why);
}

static int check_scalar(const struct config_loader *loader, const char *key, const yaml_node_t *value) {
    if (value->type != YAML_SCALAR_NODE)
        return refuse_key(loader, value, key, "takes one value, not a list or a section");
    if (config_is_null(value) || !config_text_of(value)[0])
        return refuse_key(loader, value, key, "must not be empty");
    if (strlen(config_text_of(value)) != value->data.scalar.length)
        return refuse_key(loader, value, key, "holds a NUL character");
    return 0;
}

static int set_pattern(const struct config_loader *loader, struct config_environment *row, enum config_subject subject,
                       const char *key, const yaml_node_t *value) {
    int r = check_scalar(loader, key, value);

    if (r == 0 && row->pattern)
        r = refuse_key(loader, value, key, "an item has one pattern: \"image\" or \"command\"");
    if (r < 0)
        return r;
    row->subject = subject;
    row->pattern = xstrdup(config_text_of(value));
    return 0;
}

static int set_way(const struct config_loader *loader, struct config_environment *row, enum config_way way,
                   const char *key, const yaml_node_t *value) {
    int r = check_scalar(loader, key, value);

    if (r == 0 && row->value)
        r = refuse_key(loader, value, key, "an item has one thing to run: container, native, process or external");
    if (r == 0 && way == CONFIG_RUN_EXTERNAL && !config_is_address(config_text_of(value))) {
        CLEANUP(freep)
        char *why =
            xasprintf("\"%s\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH", config_text_of(value));

        r = refuse_key(loader, value, key, why);
    }
    if (r < 0)
        return r;
    row->way = way;
    row->value = xstrdup(config_text_of(value));
    return 0;
}

static int set_setting(const struct config_loader *loader, struct config_environment *row, const struct config_key *key,
                       const char *name, const yaml_node_t *value) {
    CLEANUP_STATUS struct status why = {0};
    int r = check_scalar(loader, name, value);

    if (r == 0 && key->offset == FIELD(working_directory) && config_text_of(value)[0] != '/')
        r = refuse_key(loader, value, name, "must be an absolute path");
    if (r < 0)
        return r;
    if (config_set_field(&row->settings, key, config_text_of(value), &why) < 0)
        return config_refuse(loader, value, "", status_message(&why)); /* which names the key */
    return 0;
}

static size_t count_variables(char *const *variables) {
    size_t count = 0;

    while (variables && variables[count])
        count++;
    return count;
}

static bool has_variable(char *const *variables, const char *variable) {
    size_t name_size = strcspn(variable, "=") + 1;

    for (; variables && *variables; variables++)
        if (strncmp(*variables, variable, name_size) == 0)
            return true;
    return false;
}

/* Takes the text over. */
static void add_variable(struct config_settings *ret, char *variable) {
    size_t count = count_variables(ret->variables);

    ret->variables = xreallocarray(ret->variables, count + 2, sizeof(char *));
    ret->variables[count] = variable;
    ret->variables[count + 1] = NULL;
}

static int set_variables(const struct config_loader *loader, struct config_environment *row, const char *key,
                         const yaml_node_t *map) {
    if (map->type != YAML_MAPPING_NODE)
        return refuse_key(loader, map, key, "must be a section of variables: NAME: VALUE");
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(loader->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(loader->document, pair->value);
        char *variable;

        if (name->type != YAML_SCALAR_NODE || !config_text_of(name)[0] || strchr(config_text_of(name), '='))
            return refuse_key(loader, name, key, "the name of a variable is a word without \"=\"");
        if (value->type != YAML_SCALAR_NODE || strlen(config_text_of(value)) != value->data.scalar.length)
            return refuse_key(loader, value, key, "the value of a variable is one text");
        variable = xasprintf("%s=%s", config_text_of(name), config_is_null(value) ? "" : config_text_of(value));
        if (has_variable(row->settings.variables, variable)) {
            free(variable);
            return refuse_key(loader, name, key, "a variable is given twice");
        }
        add_variable(&row->settings, variable);
    }
    return 0;
}

static int refuse_unknown(const struct config_loader *loader, const yaml_node_t *node) {
    CLEANUP(freep)
    char *why = xstrdup("unknown key; known are image, command, container, native, process, external, "
                        "environment");

    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        char *longer = xasprintf("%s, %s", why, settings[i].path + strlen(SECTION "."));

        free(why);
        why = longer;
    }
    return refuse_key(loader, node, config_text_of(node), why);
}

static int load_pair(const struct config_loader *loader, struct config_environment *row, const yaml_node_t *key,
                     const yaml_node_t *value) {
    const char *name = config_text_of(key);

    for (size_t i = 0; i < ARRAY_COUNT(subjects); i++)
        if (strcmp(name, subjects[i].key) == 0)
            return set_pattern(loader, row, subjects[i].subject, name, value);
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++)
        if (strcmp(name, ways[i].key) == 0)
            return set_way(loader, row, ways[i].way, name, value);
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
        if (strcmp(name, settings[i].path + strlen(SECTION ".")) == 0)
            return set_setting(loader, row, &settings[i], name, value);
    if (strcmp(name, "environment") == 0)
        return set_variables(loader, row, name, value);
    return refuse_unknown(loader, key);
}

/* ---- rows ---- */

static bool has_process_settings(const struct config_settings *row) {
    return row->memory_bytes || row->milli_cpus || row->working_directory || row->variables;
}

static int check_row(const struct config_loader *loader, const struct config_environment *row, const yaml_node_t *map) {
    if (!row->pattern)
        return config_refuse(loader, map, SECTION,
                             "each item needs a pattern: \"image: PATTERN\" or \"command: PATTERN\"");
    if (!row->value && !row->settings.workers && !row->settings.slots && !has_process_settings(&row->settings))
        return config_refuse(loader, map, SECTION,
                             "an item needs more than its pattern: \"container: IMAGE\", \"native: IMAGE\", \"process: "
                             "COMMAND\", \"external: HOST:PORT\", or a setting");
    if (row->value && row->subject == CONFIG_COMMAND)
        return config_refuse(loader, map, SECTION,
                             "only an image can have something else run in its place; what fits "
                             "\"command\" can be given settings");
    if (row->way == CONFIG_RUN_EXTERNAL && has_process_settings(&row->settings))
        return config_refuse(loader, map, SECTION,
                             "memory, cpus, environment and working_directory are the worker pool's own business");
    return 0;
}

static int load_row(struct config_loader *loader, const yaml_node_t *map) {
    struct config *config = loader->config;
    struct config_environment *row;
    int r = 0;

    if (map->type != YAML_MAPPING_NODE)
        return config_refuse(loader, map, SECTION, "each item is a section of keys and values");
    config->environments =
        xreallocarray(config->environments, config->environment_count + 1, sizeof(*config->environments));
    row = &config->environments[config->environment_count++];
    *row = (struct config_environment){.way = CONFIG_RUN_AS_ASKED};
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; r == 0 && pair < map->data.mapping.pairs.top;
         pair++) {
        const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);

        if (key->type != YAML_SCALAR_NODE)
            r = config_refuse(loader, key, SECTION, "a key must be a plain word");
        else if (config_find_earlier(loader, map, pair, config_text_of(key)))
            r = refuse_key(loader, key, config_text_of(key), "given twice");
        else
            r = load_pair(loader, row, key, yaml_document_get_node(loader->document, pair->value));
    }
    return r < 0 ? r : check_row(loader, row, map);
}

int config_load_environments(struct config_loader *loader, const yaml_node_t *list) {
    int r = 0;

    if (config_is_null(list))
        return 0;
    if (list->type != YAML_SEQUENCE_NODE)
        return config_refuse(loader, list, SECTION, "must be a list of items");
    for (const yaml_node_item_t *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
        int row = load_row(loader, yaml_document_get_node(loader->document, *item));

        r = r ? r : row;
    }
    return r;
}

void config_clear_environments(struct config *config) {
    for (size_t i = 0; i < config->environment_count; i++) {
        struct config_environment *row = &config->environments[i];

        for (char **variable = row->settings.variables; variable && *variable; variable++)
            free(*variable);
        free(row->settings.variables);
        free(row->settings.working_directory);
        free(row->pattern);
        free(row->value);
    }
    free(config->environments);
}

/* ---- what they say ---- */

static bool fits(const struct config_environment *row, enum config_subject subject, const char *name) {
    return row->subject == subject && fnmatch(row->pattern, name, 0) == 0;
}

const struct config_environment *config_find_override(const struct config *config, const char *image) {
    for (size_t i = 0; i < config->environment_count; i++)
        if (config->environments[i].way != CONFIG_RUN_AS_ASKED && fits(&config->environments[i], CONFIG_IMAGE, image))
            return &config->environments[i];
    return NULL;
}

static void add_settings(struct config_settings *ret, const struct config_settings *row) {
    ret->workers = ret->workers ? ret->workers : row->workers;
    ret->slots = ret->slots ? ret->slots : row->slots;
    ret->memory_bytes = ret->memory_bytes ? ret->memory_bytes : row->memory_bytes;
    ret->milli_cpus = ret->milli_cpus ? ret->milli_cpus : row->milli_cpus;
    ret->working_directory = ret->working_directory ? ret->working_directory : row->working_directory;
    for (char **variable = row->variables; variable && *variable; variable++)
        if (!has_variable(ret->variables, *variable))
            add_variable(ret, *variable);
}

struct config_settings config_find_settings(const struct config *config, enum config_subject subject,
                                            const char *name) {
    struct config_settings ret = {0};

    for (size_t i = 0; i < config->environment_count; i++)
        if (fits(&config->environments[i], subject, name))
            add_settings(&ret, &config->environments[i].settings);
    return ret;
}
