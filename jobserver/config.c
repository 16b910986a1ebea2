#include "jobserver/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* One file on its way into a configuration. */
struct loader {
    struct config *config;
    const char *path;
    yaml_document_t *document;
    struct status *st;
    size_t element_line; /* of limits.max_element or limits.max_message, whichever came last; 0: neither was there */
};

/* ---------------------------------------------------------------- errors */

static int refuse(const struct loader *loader, const yaml_node_t *node, const char *key, const char *why) {
    return status_set(loader->st, STATUS_INVALID_ARGUMENT, "%s:%zu: %s: %s", loader->path, node->start_mark.line + 1,
                      key, why);
}

static bool is_in_section(const struct config_key *key, const char *section) {
    size_t size = strlen(section);

    return strncmp(key->path, section, size) == 0 && (size == 0 || key->path[size] == '.');
}

static bool is_section(const char *path) {
    size_t count;
    const struct config_key *keys = config_keys(&count);

    for (size_t i = 0; i < count; i++)
        if (is_in_section(&keys[i], path))
            return true;
    return false;
}

/* Says which keys there are in the section. */
static int refuse_unknown(const struct loader *loader, const yaml_node_t *node, const char *section, const char *path) {
    CLEANUP(freep) char *known = xstrdup("unknown key; known are");
    size_t count, skip = section[0] ? strlen(section) + 1 : 0;
    const struct config_key *keys = config_keys(&count);
    const char *last = "";

    for (size_t i = 0; i < count; i++) {
        const char *name = keys[i].path + skip;
        size_t size = strcspn(is_in_section(&keys[i], section) ? name : "", ".");
        char *longer;

        if (size == 0 || (strncmp(last, name, size) == 0 && strcspn(last, ".") == size))
            continue;
        longer = xasprintf("%s%s %.*s", known, last[0] ? "," : "", (int)size, name);
        free(known);
        known = longer;
        last = name;
    }
    if (!section[0]) {
        char *longer = xasprintf("%s, environments", known);

        free(known);
        known = longer;
    }
    return refuse(loader, node, path, known);
}

/* ---------------------------------------------------------------- the tree */

static const char *text_of(const yaml_node_t *node) {
    return (const char *)node->data.scalar.value;
}

/* "key:" with nothing behind it, or null. */
static bool is_null(const yaml_node_t *node) {
    const char *text = node->type == YAML_SCALAR_NODE ? text_of(node) : "x";

    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!text[0] || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static int load_value(struct loader *loader, const struct config_key *key, const yaml_node_t *node) {
    struct status why = {0};

    if (node->type != YAML_SCALAR_NODE)
        return refuse(loader, node, key->path, "takes one value, not a list or a section");
    if (is_null(node))
        return refuse(loader, node, key->path, "has no value; leave the line out for the default");
    if (strlen(text_of(node)) != node->data.scalar.length)
        return refuse(loader, node, key->path, "holds a NUL character");
    if (config_set(loader->config, key, text_of(node), &why) < 0) {
        status_prefix(&why, "%s:%zu", loader->path, node->start_mark.line + 1);
        return status_move(loader->st, &why);
    }
    if (key->offset == offsetof(struct config, limits_max_element_bytes) ||
        key->offset == offsetof(struct config, limits_max_message_bytes))
        loader->element_line = node->start_mark.line + 1;
    return 0;
}

/* NULL, or where the same key was before. */
static const yaml_node_t *find_earlier(const struct loader *loader, const yaml_node_t *map,
                                       const yaml_node_pair_t *pair, const char *name) {
    for (const yaml_node_pair_t *at = map->data.mapping.pairs.start; at < pair; at++) {
        const yaml_node_t *key = yaml_document_get_node(loader->document, at->key);

        if (strcmp(text_of(key), name) == 0)
            return key;
    }
    return NULL;
}

static int load_section(struct loader *loader, const char *section, const yaml_node_t *map);
static int load_overrides(struct loader *loader, const yaml_node_t *list);

static int load_pair(struct loader *loader, const char *section, const yaml_node_t *map, const yaml_node_pair_t *pair) {
    const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(loader->document, pair->value);
    CLEANUP(freep) char *path = NULL;
    const yaml_node_t *earlier;
    const struct config_key *row;

    if (key->type != YAML_SCALAR_NODE)
        return refuse(loader, key, section[0] ? section : "the file", "a key must be a plain word");
    path = xasprintf("%s%s%s", section, section[0] ? "." : "", text_of(key));
    earlier = find_earlier(loader, map, pair, text_of(key));
    if (earlier) {
        CLEANUP(freep) char *why = xasprintf("given twice, first on line %zu", earlier->start_mark.line + 1);

        return refuse(loader, key, path, why);
    }
    if (strcmp(path, "environments") == 0)
        return load_overrides(loader, value);
    /* A dot in a name would reach into a section by a second way. */
    row = strchr(text_of(key), '.') ? NULL : config_find_key(path);
    if (row)
        return load_value(loader, row, value);
    if (strchr(text_of(key), '.') || !text_of(key)[0] || !is_section(path))
        return refuse_unknown(loader, key, section, path);
    return load_section(loader, path, value);
}

static int load_section(struct loader *loader, const char *section, const yaml_node_t *map) {
    if (is_null(map))
        return 0;
    if (map->type != YAML_MAPPING_NODE)
        return refuse(loader, map, section[0] ? section : "the file", "must be a section of keys and values");
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        int error = load_pair(loader, section, map, pair);

        if (error)
            return error;
    }
    return 0;
}

/* ---------------------------------------------------------------- environments */

static const struct {
    const char *key;
    enum config_override_way way;
} override_ways[] = {
    {"container", CONFIG_RUN_CONTAINER},
    {"native", CONFIG_RUN_NATIVE},
    {"process", CONFIG_RUN_PROCESS},
    {"external", CONFIG_RUN_EXTERNAL},
};

static int refuse_override(const struct loader *loader, const yaml_node_t *node) {
    return refuse(loader, node, "environments",
                  "each item is \"image: PATTERN\" and one of \"container: IMAGE\", \"native: IMAGE\", "
                  "\"process: COMMAND\" and \"external: HOST:PORT\"");
}

/* {image: PATTERN, WAY: VALUE} */
static int load_override(struct loader *loader, const yaml_node_t *map) {
    const char *image = NULL, *value = NULL;
    enum config_override_way way = CONFIG_RUN_CONTAINER;
    struct status why = {0};

    if (map->type != YAML_MAPPING_NODE || map->data.mapping.pairs.top - map->data.mapping.pairs.start != 2)
        return refuse_override(loader, map);
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);
        const yaml_node_t *text = yaml_document_get_node(loader->document, pair->value);

        if (key->type != YAML_SCALAR_NODE || text->type != YAML_SCALAR_NODE ||
            strlen(text_of(text)) != text->data.scalar.length)
            return refuse_override(loader, map);
        if (strcmp(text_of(key), "image") == 0)
            image = text_of(text);
        for (size_t i = 0; i < ARRAY_COUNT(override_ways); i++)
            if (strcmp(text_of(key), override_ways[i].key) == 0) {
                way = override_ways[i].way;
                value = text_of(text);
            }
    }
    if (!image || !value)
        return refuse_override(loader, map);
    if (config_add_override(loader->config, image, way, value, &why) < 0) {
        status_prefix(&why, "%s:%zu: environments", loader->path, map->start_mark.line + 1);
        return status_move(loader->st, &why);
    }
    return 0;
}

static int load_overrides(struct loader *loader, const yaml_node_t *list) {
    int error = 0;

    if (is_null(list))
        return 0;
    if (list->type != YAML_SEQUENCE_NODE)
        return refuse_override(loader, list);
    for (const yaml_node_item_t *item = list->data.sequence.items.start; !error && item < list->data.sequence.items.top;
         item++)
        error = load_override(loader, yaml_document_get_node(loader->document, *item));
    return error;
}

/* ---------------------------------------------------------------- the file */

static int check_limits(const struct loader *loader) {
    const struct config *config = loader->config;

    if (config->limits_max_element_bytes <= config->limits_max_message_bytes)
        return 0;
    return status_set(loader->st, STATUS_INVALID_ARGUMENT,
                      "%s:%zu: limits.max_element: an element travels in one message, so it cannot be larger than "
                      "limits.max_message",
                      loader->path, loader->element_line);
}

static int refuse_yaml(const struct loader *loader, const yaml_parser_t *parser) {
    return status_set(loader->st, STATUS_INVALID_ARGUMENT, "%s:%zu: not YAML: %s%s%s", loader->path,
                      parser->problem_mark.line + 1, parser->problem ? parser->problem : "cannot be read",
                      parser->context ? ", " : "", parser->context ? parser->context : "");
}

static int load_document(struct loader *loader, yaml_parser_t *parser) {
    yaml_document_t document;
    yaml_node_t *root;
    int error = 0;

    if (!yaml_parser_load(parser, &document))
        return refuse_yaml(loader, parser);
    loader->document = &document;
    root = yaml_document_get_root_node(&document);
    if (root)
        error = load_section(loader, "", root);
    yaml_document_delete(&document);
    if (error || !root)
        return error;
    if (!yaml_parser_load(parser, &document))
        return refuse_yaml(loader, parser);
    root = yaml_document_get_root_node(&document);
    if (root)
        error = refuse(loader, root, "the file", "holds more than one document");
    yaml_document_delete(&document);
    return error;
}

/* The whole file; the caller frees. */
static int read_file(const char *path, char **ret_bytes, size_t *ret_size, struct status *st) {
    FILE *file = fopen(path, "re");
    CLEANUP(freep) char *bytes = NULL;
    size_t size;
    int error_number;

    if (!file)
        return status_set_errno(st, errno, "cannot read the configuration %s", path);
    bytes = xmalloc(FILE_MAX_BYTES + 1);
    errno = 0;
    size = fread(bytes, 1, FILE_MAX_BYTES + 1, file);
    error_number = ferror(file) ? errno : 0;
    fclose(file);
    if (error_number)
        return status_set_errno(st, error_number, "cannot read the configuration %s", path);
    if (size > FILE_MAX_BYTES)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the configuration %s is larger than %d bytes", path,
                          FILE_MAX_BYTES);
    *ret_bytes = bytes;
    *ret_size = size;
    bytes = NULL;
    return 0;
}

int config_load(struct config *config, const char *path, struct status *st) {
    struct loader loader = {.config = config, .path = path, .st = st};
    CLEANUP(freep) char *bytes = NULL;
    yaml_parser_t parser;
    size_t size = 0;
    int error = read_file(path, &bytes, &size, st);

    if (error)
        return error;
    if (!yaml_parser_initialize(&parser))
        return status_set(st, STATUS_RESOURCE_EXHAUSTED, "cannot read the configuration %s: out of memory", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
    error = load_document(&loader, &parser);
    yaml_parser_delete(&parser);
    return error ? error : check_limits(&loader);
}
