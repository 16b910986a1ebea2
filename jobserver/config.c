#include "base/buf.h"
#include "base/distance.h"
#include "jobserver/config_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* ---------------------------------------------------------------- errors */

/* Loading goes on behind it, so that all that is wrong is told at once. */
int config_refuse(const struct config_loader *loader, const yaml_node_t *node, const char *key, const char *why) {
    CLEANUP(freep) char *earlier = xstrdup(loader->st->code ? status_message(loader->st) : "");

    return status_set(loader->st, STATUS_INVALID_ARGUMENT, "%s%s%s:%zu: %s%s%s", earlier, earlier[0] ? "\n" : "",
                      loader->path, node->start_mark.line + 1, key, key[0] ? ": " : "", why);
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

/* The key that `path` is likely a slip of, or that has its last word in another section; NULL: none. */
static const char *suggest(const char *path) {
    size_t count;
    const struct config_key *keys = config_keys(&count);
    const char *last = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;

    for (size_t i = 0; i < count; i++)
        if (text_is_near(keys[i].path, path))
            return keys[i].path;
    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(keys[i].path, '.');

        if (dot && strcmp(dot + 1, last) == 0)
            return keys[i].path;
    }
    return text_is_near("environments", path) ? "environments" : NULL;
}

/* A section's name that `path` is likely a slip of; the caller frees. NULL: none. */
static char *suggest_section(const char *path) {
    size_t count;
    const struct config_key *keys = config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(keys[i].path, '.');
        char *section = xmemdup0(keys[i].path, dot ? (size_t)(dot - keys[i].path) : 0);

        if (section[0] && text_is_near(section, path))
            return section;
        free(section);
    }
    return NULL;
}

/* Says which keys there are in the section. */
static int refuse_unknown(const struct config_loader *loader, const yaml_node_t *node, const char *section,
                          const char *path) {
    size_t count, skip = section[0] ? strlen(section) + 1 : 0;
    const struct config_key *keys = config_keys(&count);
    CLEANUP(freep) char *other = suggest_section(path);
    const char *near = other ? other : suggest(path);
    const char *last = "";
    struct buf why = {0};
    int r;

    buf_printf(&why, "unknown key; ");
    if (near)
        buf_printf(&why, "did you mean %s? Known are", near);
    else
        buf_printf(&why, "known are");
    for (size_t i = 0; i < count; i++) {
        const char *name = keys[i].path + skip;
        size_t size = strcspn(is_in_section(&keys[i], section) ? name : "", ".");

        if (size == 0 || (strncmp(last, name, size) == 0 && strcspn(last, ".") == size))
            continue;
        buf_printf(&why, "%s %.*s", last[0] ? "," : "", (int)size, name);
        last = name;
    }
    buf_printf(&why, "%s", section[0] ? "" : ", environments");
    buf_add_u8(&why, '\0');
    r = config_refuse(loader, node, path, (const char *)buf_data(&why));
    buf_clear(&why);
    return r;
}

/* ---------------------------------------------------------------- the tree */

const char *config_text_of(const yaml_node_t *node) {
    return (const char *)node->data.scalar.value;
}

bool config_is_null(const yaml_node_t *node) {
    const char *text = node->type == YAML_SCALAR_NODE ? config_text_of(node) : "x";

    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!text[0] || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static int load_value(struct config_loader *loader, const struct config_key *key, const yaml_node_t *node) {
    CLEANUP_STATUS struct status why = {0};

    if (node->type != YAML_SCALAR_NODE)
        return config_refuse(loader, node, key->path, "takes one value, not a list or a section");
    if (config_is_null(node))
        return config_refuse(loader, node, key->path, "has no value; leave the line out for the default");
    if (strlen(config_text_of(node)) != node->data.scalar.length)
        return config_refuse(loader, node, key->path, "holds a NUL character");
    if (config_set(loader->config, key, config_text_of(node), &why) < 0)
        return config_refuse(loader, node, "", status_message(&why)); /* which names the key */
    if (key->offset == offsetof(struct config, limits_max_element_bytes) ||
        key->offset == offsetof(struct config, limits_max_message_bytes))
        loader->element_line = node->start_mark.line + 1;
    return 0;
}

const yaml_node_t *config_find_earlier(const struct config_loader *loader, const yaml_node_t *map,
                                       const yaml_node_pair_t *pair, const char *name) {
    for (const yaml_node_pair_t *at = map->data.mapping.pairs.start; at < pair; at++) {
        const yaml_node_t *key = yaml_document_get_node(loader->document, at->key);

        if (key->type == YAML_SCALAR_NODE && strcmp(config_text_of(key), name) == 0)
            return key;
    }
    return NULL;
}

static int load_section(struct config_loader *loader, const char *section, const yaml_node_t *map);

static int load_pair(struct config_loader *loader, const char *section, const yaml_node_t *map,
                     const yaml_node_pair_t *pair) {
    const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(loader->document, pair->value);
    CLEANUP(freep) char *path = NULL;
    const yaml_node_t *earlier;
    const struct config_key *row;

    if (key->type != YAML_SCALAR_NODE)
        return config_refuse(loader, key, section[0] ? section : "the file", "a key must be a plain word");
    path = xasprintf("%s%s%s", section, section[0] ? "." : "", config_text_of(key));
    earlier = config_find_earlier(loader, map, pair, config_text_of(key));
    if (earlier) {
        CLEANUP(freep) char *why = xasprintf("given twice, first on line %zu", earlier->start_mark.line + 1);

        return config_refuse(loader, key, path, why);
    }
    if (strcmp(path, "environments") == 0)
        return config_load_environments(loader, value);
    /* A dot in a name would reach into a section by a second way. */
    row = strchr(config_text_of(key), '.') ? NULL : config_find_key(path);
    if (row)
        return load_value(loader, row, value);
    if (strchr(config_text_of(key), '.') && config_find_key(path))
        return config_refuse(loader, key, path,
                             "sections are not written with dots; write the last word below the section");
    if (strchr(config_text_of(key), '.') || !config_text_of(key)[0] || !is_section(path))
        return refuse_unknown(loader, key, section, path);
    return load_section(loader, path, value);
}

static int load_section(struct config_loader *loader, const char *section, const yaml_node_t *map) {
    int error = 0;

    if (config_is_null(map))
        return 0;
    if (map->type != YAML_MAPPING_NODE)
        return config_refuse(loader, map, section[0] ? section : "the file", "must be a section of keys and values");
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        int r = load_pair(loader, section, map, pair);

        error = error ? error : r;
    }
    return error;
}

/* ---------------------------------------------------------------- the file */

static int check_limits(const struct config_loader *loader) {
    const struct config *config = loader->config;

    if (config->limits_max_element_bytes <= config->limits_max_message_bytes)
        return 0;
    return status_set(loader->st, STATUS_INVALID_ARGUMENT,
                      "%s:%zu: limits.max_element: an element travels in one message, so it cannot be larger than "
                      "limits.max_message",
                      loader->path, loader->element_line);
}

static int check_isolation(const struct config_loader *loader) {
    const struct config *config = loader->config;

    if (!config->workers_user[0] || config->workers_isolation != CONFIG_ISOLATION_SYSTEMD_USER)
        return 0;
    return status_set(loader->st, STATUS_INVALID_ARGUMENT,
                      "%s: workers.user does not go with workers.isolation: systemd-user, where workers are root's own "
                      "services; write systemd",
                      loader->path);
}

static int check_tls(const struct config_loader *loader) {
    const struct config *config = loader->config;

    if (!config->tls_certificate[0] != !config->tls_key[0])
        return status_set(loader->st, STATUS_INVALID_ARGUMENT,
                          "%s: tls.certificate and tls.key go together; one of them is missing", loader->path);
    if (config->tls_client_ca[0] && !config->tls_certificate[0])
        return status_set(loader->st, STATUS_INVALID_ARGUMENT,
                          "%s: tls.client_ca: clients show no certificates without TLS; set tls.certificate and "
                          "tls.key",
                          loader->path);
    return 0;
}

static int refuse_yaml(const struct config_loader *loader, const yaml_parser_t *parser) {
    return status_set(loader->st, STATUS_INVALID_ARGUMENT, "%s:%zu: not YAML: %s%s%s", loader->path,
                      parser->problem_mark.line + 1, parser->problem ? parser->problem : "cannot be read",
                      parser->context ? ", " : "", parser->context ? parser->context : "");
}

static int load_document(struct config_loader *loader, yaml_parser_t *parser) {
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
        error = config_refuse(loader, root, "the file", "holds more than one document");
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
    CLEANUP_STATUS struct status errors = {0};
    struct config_loader loader = {.config = config, .path = path, .st = &errors};
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
    if (!error)
        error = check_limits(&loader);
    if (!error)
        error = check_isolation(&loader);
    if (!error)
        error = check_tls(&loader);
    return error ? status_move(st, &errors) : 0;
}
