/* What the files of the configuration share: config.c (the YAML file), config_environments.c (its list `environments`), config_keys.c. */
#ifndef JOBSERVER_CONFIG_INTERNAL_H
#define JOBSERVER_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <yaml.h>

#include "jobserver/config.h"

/* One file on its way into a configuration. */
struct config_loader {
    struct config *config;
    const char *path;
    yaml_document_t *document;
    struct status *st;
    size_t element_line; /* of limits.max_element or limits.max_message, whichever came last; 0: neither was there */
};

/* "FILE:LINE: KEY: WHY", with the node's line. */
int config_refuse(const struct config_loader *loader, const yaml_node_t *node, const char *key, const char *why);
const char *config_text_of(const yaml_node_t *node);
/* "key:" with nothing behind it, or null. */
bool config_is_null(const yaml_node_t *node);
/* NULL, or where the same key was before. */
const yaml_node_t *config_find_earlier(const struct config_loader *loader, const yaml_node_t *map,
                                       const yaml_node_pair_t *pair, const char *name);

/* config_keys.c: HOST:PORT with a host that has no colon unless it is in brackets, or unix:PATH. */
bool config_is_address(const char *text);

/* config_environments.c */
int config_load_environments(struct config_loader *loader, const yaml_node_t *list);
void config_clear_environments(struct config *config);

#endif
