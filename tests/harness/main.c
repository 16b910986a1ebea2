/* trestle-harness: the test harness as a program.
 *
 *   trestle-harness --id=ID --control_endpoint=HOST:PORT [--logging_endpoint=HOST:PORT]   a worker, as containers' boot programs are
 *                                                                                         started; ends when Control does. With
 *                                                                                         --provision_endpoint it reports status
 *   trestle-harness --pool_port=0                                                         an external worker pool; prints its port
 *
 * The variable TRESTLE_HARNESS makes a worker misbehave before it is one: "never_connect", "exit:CODE:TEXT". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "pool.h"

struct arguments {
    const char *id, *control, *logging, *provision, *pool_port;
};

/* "--name=value" or "--name value"; what is not known is not ours to refuse: runners pass more than we need. */
static void read_arguments(int argc, char **argv, struct arguments *ret) {
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"id", &ret->id},
                   {"control_endpoint", &ret->control},
                   {"logging_endpoint", &ret->logging},
                   {"provision_endpoint", &ret->provision},
                   {"pool_port", &ret->pool_port}};

    for (int i = 1; i < argc; i++)
        for (size_t j = 0; j < ARRAY_COUNT(options) && strncmp(argv[i], "--", 2) == 0; j++) {
            size_t size = strlen(options[j].name);

            if (strncmp(argv[i] + 2, options[j].name, size) != 0)
                continue;
            if (argv[i][2 + size] == '=')
                *options[j].value = argv[i] + 3 + size;
            else if (argv[i][2 + size] == '\0' && i + 1 < argc)
                *options[j].value = argv[i + 1];
        }
}

static void misbehave(void) {
    const char *how = getenv("TRESTLE_HARNESS");
    const char *text;

    if (!how)
        return;
    if (strcmp(how, "never_connect") == 0)
        for (;;)
            pause();
    if (strncmp(how, "exit:", 5) == 0) {
        text = strchr(how + 5, ':');
        fprintf(stderr, "%s\n", text ? text + 1 : "");
        _exit(atoi(how + 5));
    }
}

int main(int argc, char **argv) {
    CLEANUP_STATUS struct status st = {0};
    struct arguments arguments = {0};
    struct rpc_client *client;
    struct harness *harness;
    int result = EXIT_SUCCESS;

    read_arguments(argc, argv, &arguments);
    if (!arguments.pool_port && (!arguments.id || !arguments.control)) {
        fprintf(stderr,
                "usage: %s --id=ID --control_endpoint=HOST:PORT [--logging_endpoint=HOST:PORT] | --pool_port=PORT\n",
                argv[0]);
        return 2;
    }
    misbehave();
    rpc_init();
    if (arguments.pool_port) {
        if (pool_serve(atoi(arguments.pool_port), &st) < 0) {
            fprintf(stderr, "%s: %s\n", argv[0], status_message(&st));
            result = EXIT_FAILURE;
        }
    } else {
        struct harness_options options = {arguments.id, arguments.control, arguments.logging, arguments.provision};

        client = rpc_client_create(1);
        harness = harness_start(client, &options);
        harness_wait(harness);
        if (!harness_destroy(harness))
            _exit(EXIT_SUCCESS); /* a bundle that stalls holds its thread */
        rpc_client_destroy(client);
    }
    fflush(NULL);
    _exit(result); /* what is left in memory is not worth the time */
}
