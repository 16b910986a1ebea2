/* trestle: the program. Finds the command, parses what belongs to it, runs it and prints why it did not do what it was to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/format.h"

#ifndef TRESTLE_VERSION
#define TRESTLE_VERSION "unknown"
#endif

static int print_help(const struct command *command) {
    CLEANUP(freep) char *text = command ? command_help(command) : command_help_all();

    fputs(text, stdout);
    return EXIT_SUCCESS;
}

static int wrong_command(const char *name, struct status *st) {
    const char *near = command_suggest(name);

    status_set(st, STATUS_INVALID_ARGUMENT, "\"%s\" is not a command; %s%s", name,
               near ? "did you mean: trestle " : "try: trestle help", near ? near : "");
    return EXIT_USAGE;
}

/* `trestle help [COMMAND]` */
static int help(int argc, char **argv, struct status *st) {
    const struct command *command = argc > 0 ? command_find(argv[0]) : NULL;

    if (argc > 0 && !command)
        return wrong_command(argv[0], st);
    return print_help(command);
}

static int run(int argc, char **argv, struct status *st) {
    const struct command *command;
    struct arguments arguments;

    if (argc < 2) {
        status_set(st, STATUS_INVALID_ARGUMENT, "what to do? Try: trestle serve, or trestle help");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(argc - 2, argv + 2, st);
    if (strcmp(argv[1], "--version") == 0) {
        puts("trestle " TRESTLE_VERSION);
        return EXIT_SUCCESS;
    }
    command = command_find(argv[1]);
    if (!command)
        return wrong_command(argv[1], st);
    if (arguments_parse(command, argc - 2, argv + 2, &arguments, st) < 0)
        return EXIT_USAGE;
    return arguments.wants_help ? print_help(command) : command->run(&arguments, st);
}

/* Servers, whoever they are, and jobs have a say in it. */
static void print_error(const struct status *st) {
    struct buf text = {0};

    add_printable(&text, status_message(st));
    fprintf(stderr, "trestle: %.*s\n", (int)text.size, (const char *)buf_data(&text));
    buf_clear(&text);
}

int main(int argc, char **argv) {
    CLEANUP_STATUS struct status st = {0};
    int result = run(argc, argv, &st);

    if (st.code)
        print_error(&st);
    return result;
}
