#include "jobserver/options.h"

#include <stdbool.h>
#include <string.h>

#ifndef TRESTLE_VERSION
#define TRESTLE_VERSION "unknown"
#endif

/* Flags of `serve`, each with a value. `key` NULL: --config itself. */
static const struct flag {
    const char *name;
    const char *value;
    const char *key;
    const char *doc;
} flags[] = {
    {"--listen", "ADDRESS", "listen", "HOST:PORT, [IPv6]:PORT or unix:PATH to serve on; port 0: the system picks"},
    {"--state-dir", "DIR", "state_dir", "where staged files, job data and scratch files go"},
    {"--log-level", "LEVEL", "log.level", "debug, info, warning or error"},
    {"--config", "FILE", NULL, "a YAML file with these and all other settings; flags win over it"},
};

enum { FLAG_COUNT = ARRAY_COUNT(flags) };

/* The flag that `word` is or begins with ("--listen=..."); *ret_value is what follows the '=', or NULL. */
static const struct flag *find_flag(const char *word, const char **ret_value) {
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        size_t size = strlen(flags[i].name);

        if (strncmp(word, flags[i].name, size) != 0 || (word[size] != '\0' && word[size] != '='))
            continue;
        *ret_value = word[size] == '=' ? word + size + 1 : NULL;
        return &flags[i];
    }
    return NULL;
}

/* Fills values[flag]; borrowed from argv. */
static int collect(int argc, char *const *argv, const char *values[FLAG_COUNT], bool *ret_help, struct status *st) {
    for (int i = 0; i < argc; i++) {
        const char *value = NULL;
        const struct flag *flag = find_flag(argv[i], &value);

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *ret_help = true;
            return 0;
        }
        if (!flag)
            return status_set(st, STATUS_INVALID_ARGUMENT, "serve does not know \"%s\"; see trestle --help", argv[i]);
        if (!value && i + 1 < argc)
            value = argv[++i];
        if (!value || !value[0])
            return status_set(st, STATUS_INVALID_ARGUMENT, "%s needs a value: %s %s", flag->name, flag->name,
                              flag->value);
        if (values[flag - flags])
            return status_set(st, STATUS_INVALID_ARGUMENT, "%s is given twice", flag->name);
        values[flag - flags] = value;
    }
    return 0;
}

static int apply(struct config *config, const char *const values[FLAG_COUNT], struct status *st) {
    int error = 0;

    for (size_t i = 0; i < FLAG_COUNT && !error; i++)
        if (!flags[i].key && values[i])
            error = config_load(config, values[i], st);
    for (size_t i = 0; i < FLAG_COUNT && !error; i++) {
        if (!flags[i].key || !values[i])
            continue;
        error = config_set(config, config_find_key(flags[i].key), values[i], st);
        if (error)
            error = status_prefix(st, "%s", flags[i].name);
    }
    return error;
}

static int parse_serve(struct options *options, int argc, char *const *argv, struct status *st) {
    const char *values[FLAG_COUNT] = {NULL};
    bool help = false;
    int error = collect(argc, argv, values, &help, st);

    if (error)
        return error;
    if (help) {
        options->command = OPTIONS_HELP;
        return 0;
    }
    options->command = OPTIONS_SERVE;
    config_init_defaults(&options->config);
    error = apply(&options->config, values, st);
    if (error)
        config_clear(&options->config);
    else
        config_settle_state_dir(&options->config);
    return error;
}

int options_parse(struct options *ret_options, int argc, char *const *argv, struct status *st) {
    struct options options = {0};
    int error = 0;

    if (argc < 2)
        return status_set(st, STATUS_INVALID_ARGUMENT, "what to do? Try: trestle serve, or trestle --help");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        options.command = OPTIONS_HELP;
    else if (strcmp(argv[1], "--version") == 0)
        options.command = OPTIONS_VERSION;
    else if (strcmp(argv[1], "serve") == 0)
        error = parse_serve(&options, argc - 2, argv + 2, st);
    else
        error = status_set(st, STATUS_INVALID_ARGUMENT,
                           "\"%s\" is not a command; try: trestle serve, or trestle --help", argv[1]);
    if (!error)
        *ret_options = options;
    return error;
}

void options_clear(struct options *options) {
    if (options->command == OPTIONS_SERVE)
        config_clear(&options->config);
    *options = (struct options){.command = OPTIONS_HELP};
}

char *options_help_text(void) {
    char *text = xstrdup("Trestle runs Apache Beam pipelines of any SDK.\n"
                         "\n"
                         "  trestle serve [FLAGS]    serve in the foreground, until SIGTERM\n"
                         "  trestle --version\n"
                         "  trestle --help\n"
                         "\n"
                         "Flags of serve:\n");

    for (size_t i = 0; i < FLAG_COUNT; i++) {
        CLEANUP(freep) char *before = text;
        CLEANUP(freep) char *usage = xasprintf("%s %s", flags[i].name, flags[i].value);
        const struct config_key *key = flags[i].key ? config_find_key(flags[i].key) : NULL;
        const char *preset = key && key->default_text[0] ? key->default_text : NULL;

        text = xasprintf("%s  %-22s %s%s%s%s\n", before, usage, flags[i].doc, preset ? " (" : "", preset ? preset : "",
                         preset ? ")" : "");
    }
    return text;
}

const char *options_version_text(void) {
    return "trestle " TRESTLE_VERSION;
}
