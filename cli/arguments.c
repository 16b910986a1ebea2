#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/distance.h"
#include "cli/command.h"
#include "jobserver/config.h"

/* The flag that `word` is or begins with ("--listen=..."); *ret_value is what follows the '=', or NULL. */
static const struct flag *find_flag(const struct command *command, const char *word, const char **ret_value) {
    for (size_t i = 0; i < command->flag_count; i++) {
        const struct flag *flag = &command->flags[i];
        size_t size = strlen(flag->name);

        *ret_value = NULL;
        if (flag->letter && word[0] == '-' && word[1] == flag->letter && word[2] == '\0')
            return flag;
        if (strncmp(word, flag->name, size) != 0 || (word[size] != '\0' && word[size] != '='))
            continue;
        *ret_value = word[size] == '=' ? word + size + 1 : NULL;
        return flag;
    }
    return NULL;
}

static int take_repeated(struct arguments *arguments, const struct flag *flag, const char *value, struct status *st) {
    if (arguments->repeated_count == MAX_REPEATED)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s is given more than %d times", flag->name, MAX_REPEATED);
    arguments->repeated[arguments->repeated_count++] = value;
    return 0;
}

static int take_flag(struct arguments *arguments, const struct flag *flag, const char *value, struct status *st) {
    const char **place = &arguments->values[flag - arguments->command->flags];

    if (flag->value && (!value || !value[0]))
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s needs a value: %s %s", flag->name, flag->name, flag->value);
    if (!flag->value && value)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s takes no value", flag->name);
    if (flag->is_repeatable)
        return take_repeated(arguments, flag, value, st);
    if (*place)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s is given twice", flag->name);
    *place = value ? value : "";
    return 0;
}

/* "-" alone stands for standard input. */
static bool is_operand(const char *word) {
    return word[0] != '\0' && (word[0] != '-' || word[1] == '\0');
}

static int take_operand(struct arguments *arguments, const char *word, struct status *st) {
    const struct command *command = arguments->command;

    for (size_t i = 0; i < MAX_OPERANDS && command->operands[i] && is_operand(word); i++)
        if (!arguments->operands[i]) {
            arguments->operands[i] = word;
            return 0;
        }
    for (size_t i = 0; i < command->flag_count; i++)
        if (text_is_near(command->flags[i].name, word))
            return status_set(st, STATUS_INVALID_ARGUMENT, "%s does not know \"%s\"; did you mean %s?", command->name,
                              word, command->flags[i].name);
    return status_set(st, STATUS_INVALID_ARGUMENT, "%s does not know \"%s\"; see trestle help %s", command->name, word,
                      command->name);
}

static int check_operands(const struct arguments *arguments, struct status *st) {
    const struct command *command = arguments->command;

    for (size_t i = 0; i < MAX_OPERANDS && command->operands[i]; i++)
        if (!arguments->operands[i])
            return status_set(st, STATUS_INVALID_ARGUMENT, "%s needs a %s; see trestle help %s", command->name,
                              command->operands[i], command->name);
    return 0;
}

int arguments_parse(const struct command *command, int argc, char *const *argv, struct arguments *ret,
                    struct status *st) {
    struct arguments arguments = {.command = command};
    int r = 0;

    for (int i = 0; i < argc && r == 0 && !arguments.wants_help; i++) {
        const char *value = NULL;
        const struct flag *flag = find_flag(command, argv[i], &value);

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            arguments.wants_help = true;
        } else if (flag) {
            if (flag->value && !value && i + 1 < argc)
                value = argv[++i];
            r = take_flag(&arguments, flag, value, st);
        } else {
            r = take_operand(&arguments, argv[i], st);
        }
    }
    if (r == 0 && !arguments.wants_help)
        r = check_operands(&arguments, st);
    if (r == 0)
        *ret = arguments;
    return r;
}

const char *flag_default(const struct flag *flag) {
    const struct config_key *key = flag->config_key ? config_find_key(flag->config_key) : NULL;

    return key && key->default_text[0] ? key->default_text : NULL;
}

/* NULL: the command has none of that name. */
static const struct flag *flag_of(const struct command *command, const char *name) {
    for (size_t i = 0; i < command->flag_count; i++)
        if (strcmp(command->flags[i].name, name) == 0)
            return &command->flags[i];
    return NULL;
}

const char *arguments_value(const struct arguments *arguments, const char *name) {
    const struct flag *flag = flag_of(arguments->command, name);
    const char *preset = flag && flag->variable ? getenv(flag->variable) : NULL;

    if (!flag)
        return NULL;
    if (arguments->values[flag - arguments->command->flags])
        return arguments->values[flag - arguments->command->flags];
    return preset && preset[0] ? preset : flag_default(flag);
}

bool arguments_is_given(const struct arguments *arguments, const char *name) {
    const struct flag *flag = flag_of(arguments->command, name);

    return flag && arguments->values[flag - arguments->command->flags];
}

const char *arguments_source(const struct arguments *arguments, const char *name) {
    const struct flag *flag = flag_of(arguments->command, name);
    const char *preset = flag && flag->variable ? getenv(flag->variable) : NULL;

    return preset && preset[0] && !arguments_is_given(arguments, name) ? flag->variable : name;
}

int arguments_number(const struct arguments *arguments, const char *name, uint32_t max, uint32_t *ret,
                     struct status *st) {
    const char *text = arguments_value(arguments, name);
    unsigned long value;
    char *end;

    if (!text)
        return 0;
    value = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || value < 1 || value > max)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: \"%s\" is not a number from 1 to %u", name, text, max);
    *ret = (uint32_t)value;
    return 0;
}
