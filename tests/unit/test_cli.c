/* The command line: words told apart, help, and the client of the Job API against a server in this process that says what the test wants. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beam_job_api.pb-c.h"
#include "cli/command.h"
#include "cli/job_client.h"
#include "cli/serve.h"
#include "rpc/rpc.h"
#include "wire/pb.h"

#define JOB_PATH(method) "/org.apache.beam.model.job_management.v1.JobService/" method

/* ------------------------------------------------------------------ words */

static struct status st;
static struct arguments arguments;

static int parse_words(const char *name, int argc, char *const *argv) {
    const struct command *command = command_find(name);

    ck_assert_ptr_nonnull(command);
    return arguments_parse(command, argc, argv, &arguments, &st);
}

/* PARSE("serve", "--listen", "a:1") */
#define PARSE(name, ...)                                                                                               \
    parse_words(name, (int)ARRAY_COUNT(((char *[]){NULL, ##__VA_ARGS__})) - 1, (char *[]){NULL, ##__VA_ARGS__} + 1)
#define REFUSED(expected, name, ...)                                                                                   \
    do {                                                                                                               \
        ck_assert_int_eq(PARSE(name, ##__VA_ARGS__), -STATUS_INVALID_ARGUMENT);                                        \
        ck_assert_str_eq(status_message(&st), expected);                                                               \
    } while (0)

START_TEST(flags_and_operands_come_in_any_order)
{
    ck_assert_int_eq(PARSE("drain", "--endpoint", "h:1", "job-1", "--wait"), 0);
    ck_assert_str_eq(arguments.operands[0], "job-1");
    ck_assert_str_eq(arguments_value(&arguments, "--endpoint"), "h:1");
    ck_assert_ptr_nonnull(arguments_value(&arguments, "--wait"));
    ck_assert_int_eq(PARSE("drain", "job-2", "--endpoint=h:2"), 0);
    ck_assert_str_eq(arguments.operands[0], "job-2");
    ck_assert_str_eq(arguments_value(&arguments, "--endpoint"), "h:2");
    ck_assert_ptr_null(arguments_value(&arguments, "--wait"));
}
END_TEST

START_TEST(the_endpoint_is_where_serve_listens_by_default)
{
    ck_assert_int_eq(PARSE("cancel", "job"), 0);
    ck_assert_str_eq(arguments_value(&arguments, "--endpoint"), "127.0.0.1:8099");
}
END_TEST

START_TEST(a_wrong_word_is_told_what_to_do)
{
    ck_assert_ptr_null(command_find("run"));
    REFUSED("serve does not know \"--port\"; see trestle help serve", "serve", "--port", "8099");
    REFUSED("serve does not know \"--lsiten\"; did you mean --listen?", "serve", "--lsiten");
    REFUSED("serve does not know \"--listened=1\"; see trestle help serve", "serve", "--listened=1");
    REFUSED("serve does not know \"job\"; see trestle help serve", "serve", "job");
    REFUSED("--listen needs a value: --listen ADDRESS", "serve", "--listen");
    REFUSED("--state-dir needs a value: --state-dir DIR", "serve", "--state-dir=");
    REFUSED("--listen is given twice", "serve", "--listen", "a:1", "--listen", "b:1");
    REFUSED("drain needs a JOB; see trestle help drain", "drain", "--wait");
    REFUSED("drain needs a JOB; see trestle help drain", "drain");
    REFUSED("drain does not know \"b\"; see trestle help drain", "drain", "a", "b");
    REFUSED("drain does not know \"\"; see trestle help drain", "drain", "");
    REFUSED("--wait takes no value", "drain", "a", "--wait=yes");
    REFUSED("--wait is given twice", "drain", "a", "--wait", "--wait");
}
END_TEST

START_TEST(letters_repetition_and_standard_input_are_words_too)
{
    ck_assert_int_eq(PARSE("submit", "-o", "a=1", "-", "--option=b=2", "-w"), 0);
    ck_assert_str_eq(arguments.operands[0], "-");
    ck_assert_uint_eq(arguments.repeated_count, 2);
    ck_assert_str_eq(arguments.repeated[0], "a=1");
    ck_assert_str_eq(arguments.repeated[1], "b=2");
    ck_assert_ptr_nonnull(arguments_value(&arguments, "--wait"));
    REFUSED("--wait is given twice", "submit", "-w", "--wait", "x");
}
END_TEST

START_TEST(a_variable_counts_where_its_flag_is_not_given)
{
    setenv("TRESTLE_ENDPOINT", "variable:1", 1);
    ck_assert_int_eq(PARSE("jobs"), 0);
    ck_assert_str_eq(arguments_value(&arguments, "--endpoint"), "variable:1");
    ck_assert_int_eq(PARSE("jobs", "--endpoint", "flag:2"), 0);
    ck_assert_str_eq(arguments_value(&arguments, "--endpoint"), "flag:2");
    setenv("TRESTLE_ENDPOINT", "", 1);
    ck_assert_int_eq(PARSE("jobs"), 0);
    ck_assert_str_eq(arguments_value(&arguments, "--endpoint"), "127.0.0.1:8099");
}
END_TEST

START_TEST(a_number_has_a_range)
{
    static const char *const wrong[] = {"0", "-1", "11", "1x", "", "99999999999999999999"};
    uint32_t number = 3;

    ck_assert_int_eq(PARSE("jobs"), 0);
    ck_assert_int_eq(arguments_number(&arguments, "--limit", 10, &number, &st), 0);
    ck_assert_uint_eq(number, 3);
    ck_assert_int_eq(PARSE("jobs", "--limit", "10"), 0);
    ck_assert_int_eq(arguments_number(&arguments, "--limit", 10, &number, &st), 0);
    ck_assert_uint_eq(number, 10);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        arguments.values[1] = wrong[i];
        ck_assert_int_eq(arguments_number(&arguments, "--limit", 10, &number, &st), -STATUS_INVALID_ARGUMENT);
    }
    ck_assert_uint_eq(number, 10);
}
END_TEST

START_TEST(a_slip_in_a_commands_name_is_recognised)
{
    ck_assert_str_eq(command_suggest("shwo"), "show");
    ck_assert_str_eq(command_suggest("cancle"), "cancel");
    ck_assert_ptr_null(command_suggest("remove"));
}
END_TEST

START_TEST(help_is_asked_for_anywhere)
{
    ck_assert_int_eq(PARSE("serve", "--listen", "a:1", "--help", "--nonsense"), 0);
    ck_assert(arguments.wants_help);
    ck_assert_int_eq(PARSE("drain", "-h"), 0);
    ck_assert(arguments.wants_help);
}
END_TEST

START_TEST(help_names_commands_flags_and_defaults)
{
    CLEANUP(freep) char *all = command_help_all();
    CLEANUP(freep) char *serve = command_help(command_find("serve"));
    CLEANUP(freep) char *drain = command_help(command_find("drain"));

    ck_assert_ptr_nonnull(strstr(all, "trestle serve [FLAGS]"));
    ck_assert_ptr_nonnull(strstr(all, "trestle drain JOB [FLAGS]"));
    ck_assert_ptr_nonnull(strstr(all, "trestle cancel JOB [FLAGS]"));
    ck_assert_ptr_nonnull(strstr(serve, "--listen ADDRESS"));
    ck_assert_ptr_nonnull(strstr(serve, "(127.0.0.1:8099)"));
    ck_assert_ptr_nonnull(strstr(drain, "--wait"));
    ck_assert_ptr_nonnull(strstr(drain, "DRAINED"));
}
END_TEST

START_TEST(flags_of_serve_override_the_file)
{
    char path[] = "/tmp/trestle-cli-XXXXXX";
    int fd = mkstemp(path);
    struct config config;

    ck_assert_int_ge(fd, 0);
    dprintf(fd, "listen: file:1\nstate_dir: from-file\nworkers: {per_environment: 3}\n");
    close(fd);
    ck_assert_int_eq(PARSE("serve", "--listen", "flag:2", "--config", path), 0);
    ck_assert_msg(serve_configure(&arguments, &config, &st) == 0, "%s", status_message(&st));
    ck_assert_str_eq(config.listen, "flag:2");
    ck_assert_str_eq(config.state_dir, "from-file");
    ck_assert_uint_eq(config.workers_per_environment, 3);
    config_clear(&config);
    unlink(path);
    ck_assert_int_eq(PARSE("serve", "--state-dir=/x=y", "--log-level=error"), 0);
    ck_assert_int_eq(serve_configure(&arguments, &config, &st), 0);
    ck_assert_str_eq(config.state_dir, "/x=y");
    ck_assert_uint_eq(config.log_level, LOG_LEVEL_ERROR);
    config_clear(&config);
}
END_TEST

START_TEST(a_wrong_value_for_serve_names_its_flag)
{
    struct config config;

    ck_assert_int_eq(PARSE("serve", "--listen", "8099"), 0);
    ck_assert_int_eq(serve_configure(&arguments, &config, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(status_message(&st),
                     "--listen: listen: \"8099\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH");
    ck_assert_int_eq(PARSE("serve", "--config", "/no/such"), 0);
    ck_assert_int_eq(serve_configure(&arguments, &config, &st), -STATUS_NOT_FOUND);
}
END_TEST

/* ------------------------------------------------------------------ the client */

static struct rpc_server *server;
static const struct credentials credentials = {.token = (char *)"a-token", .token_source = "TRESTLE_TOKEN"};
static struct connection *client;
static char endpoint[64];

static char *_Atomic authorization; /* of the last call */

static char *slice_to_text(struct slice slice) {
    return xmemdup0(slice.data, slice.size);
}

static void reply_state(struct rpc_stream *call, void *context, struct slice request) {
    Job__DrainJobResponse response = JOB__DRAIN_JOB_RESPONSE__INIT;

    (void)context;
    slice_unref(&request);
    authorization = slice_to_text(rpc_stream_metadata(call, "authorization"));
    response.state = JOB__JOB_STATE__ENUM__DRAINING;
    rpc_reply(call, PB_PACK(&response, NULL));
}

static void send_state(struct rpc_stream *stream, Job__JobState__Enum value) {
    Job__JobMessagesResponse response = JOB__JOB_MESSAGES_RESPONSE__INIT;
    Job__JobStateEvent state = JOB__JOB_STATE_EVENT__INIT;
    struct slice bytes;

    state.state = value;
    response.response_case = JOB__JOB_MESSAGES_RESPONSE__RESPONSE_STATE_RESPONSE;
    response.state_response = &state;
    bytes = PB_PACK(&response, NULL);
    rpc_stream_send(stream, &bytes, 1);
}

static void send_error(struct rpc_stream *stream, const char *text) {
    Job__JobMessagesResponse response = JOB__JOB_MESSAGES_RESPONSE__INIT;
    Job__JobMessage message = JOB__JOB_MESSAGE__INIT;
    struct slice bytes;

    message.importance = JOB__JOB_MESSAGE__MESSAGE_IMPORTANCE__JOB_MESSAGE_ERROR;
    message.message_text = (char *)text;
    response.response_case = JOB__JOB_MESSAGES_RESPONSE__RESPONSE_MESSAGE_RESPONSE;
    response.message_response = &message;
    bytes = PB_PACK(&response, NULL);
    rpc_stream_send(stream, &bytes, 1);
}

/* What a job's messages are, by its id. */
static void send_history(struct rpc_stream *stream, void *user, struct slice request) {
    CLEANUP_SLICE struct slice bytes = request;
    Job__JobMessagesRequest *message;
    struct arena arena = {0};

    (void)user;
    ck_assert_int_eq(
        PB_UNPACK(Job__JobMessagesRequest, job__job_messages_request, bytes, PB_STRINGS_STRICT, &arena, &message, NULL),
        0);
    send_state(stream, JOB__JOB_STATE__ENUM__DRAINING);
    if (strcmp(message->job_id, "fails") == 0) {
        send_error(stream, "an older one");
        send_error(stream, "the reason");
        send_state(stream, JOB__JOB_STATE__ENUM__FAILED);
    } else if (strcmp(message->job_id, "drains") == 0) {
        send_state(stream, JOB__JOB_STATE__ENUM__DRAINED);
    }
    if (strcmp(message->job_id, "lost") == 0)
        rpc_stream_finish(stream, STATUS_NOT_FOUND, "there is no job \"lost\"");
    else
        rpc_stream_finish(stream, STATUS_OK, "");
    arena_clear(&arena);
}

static const struct rpc_handler messages = {.message = send_history};
static const struct rpc_method methods[] = {
    {.path = JOB_PATH("Drain"), .unary = reply_state},
    {.path = JOB_PATH("GetMessageStream"), .streaming = &messages},
};

static void set_up(void) {
    int port;

    rpc_init();
    server = rpc_server_create(&(struct rpc_server_options){0});
    rpc_server_register(server, methods, ARRAY_COUNT(methods), NULL);
    ck_assert_int_eq(rpc_server_listen(server, "127.0.0.1:0", &port, NULL), 0);
    rpc_server_start(server);
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%d", port);
    ck_assert_int_eq(connection_create(endpoint, &credentials, &client, NULL), 0);
}

static void tear_down(void) {
    connection_destroy(client);
    rpc_server_stop(server, 1000);
    status_clear(&st);
    rpc_shutdown();
}

static bool says(const char *text) {
    return strstr(status_message(&st), text) != NULL;
}

START_TEST(the_answer_is_the_jobs_state)
{
    enum job_state state = JOB_UNSPECIFIED;

    ck_assert_int_eq(job_client_drain(client, "job", &state, &st), 0);
    ck_assert_int_eq(state, JOB_DRAINING);
    ck_assert_str_eq(authorization, "Bearer a-token");
    free(authorization);
}
END_TEST

START_TEST(a_server_without_the_call_is_no_trestle)
{
    enum job_state state;

    ck_assert_int_eq(job_client_cancel(client, "job", &state, &st), -STATUS_UNIMPLEMENTED);
    ck_assert_msg(says(endpoint) && says("may be no Trestle"), "%s", status_message(&st));
}
END_TEST

START_TEST(that_nobody_answers_is_said_with_the_address_and_what_to_do)
{
    enum job_state state;

    rpc_server_stop(server, 0);
    server = NULL;
    ck_assert_int_eq(job_client_drain(client, "job", &state, &st), -STATUS_UNAVAILABLE);
    ck_assert_msg(says("no server answers at") && says(endpoint) && says("trestle serve") && says("--endpoint"), "%s",
                  status_message(&st));
}
END_TEST

START_TEST(waiting_ends_with_the_job_and_knows_the_reason)
{
    enum job_state state;
    char *reason;

    ck_assert_int_eq(job_client_wait(client, "drains", &state, &reason, &st), 0);
    ck_assert_int_eq(state, JOB_DRAINED);
    ck_assert_ptr_null(reason);
    ck_assert_int_eq(job_client_wait(client, "fails", &state, &reason, &st), 0);
    ck_assert_int_eq(state, JOB_FAILED);
    ck_assert_str_eq(reason, "the reason");
    free(reason);
}
END_TEST

START_TEST(waiting_that_ends_before_the_job_is_an_error)
{
    enum job_state state;
    char *reason;

    ck_assert_int_eq(job_client_wait(client, "lost", &state, &reason, &st), -STATUS_NOT_FOUND);
    ck_assert_str_eq(status_message(&st), "there is no job \"lost\"");
    ck_assert_int_eq(job_client_wait(client, "cut", &state, &reason, &st), -STATUS_INTERNAL);
    ck_assert_msg(says("before its end"), "%s", status_message(&st));
}
END_TEST

START_TEST(an_address_without_a_port_is_refused)
{
    static const char *const wrong[] = {"localhost", "localhost:", ":8099", ""};
    struct connection *none;

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        ck_assert_int_eq(connection_create(wrong[i], &credentials, &none, &st), -STATUS_INVALID_ARGUMENT);
        ck_assert_msg(says("is not an address"), "%s", status_message(&st));
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli");
    TCase *words = tcase_create("words"), *calls = tcase_create("client");
    SRunner *runner;
    int failed;

    unsetenv("TRESTLE_ENDPOINT");
    unsetenv("TRESTLE_TOKEN");
    tcase_add_test(words, flags_and_operands_come_in_any_order);
    tcase_add_test(words, the_endpoint_is_where_serve_listens_by_default);
    tcase_add_test(words, a_wrong_word_is_told_what_to_do);
    tcase_add_test(words, letters_repetition_and_standard_input_are_words_too);
    tcase_add_test(words, a_variable_counts_where_its_flag_is_not_given);
    tcase_add_test(words, a_number_has_a_range);
    tcase_add_test(words, a_slip_in_a_commands_name_is_recognised);
    tcase_add_test(words, help_is_asked_for_anywhere);
    tcase_add_test(words, help_names_commands_flags_and_defaults);
    tcase_add_test(words, flags_of_serve_override_the_file);
    tcase_add_test(words, a_wrong_value_for_serve_names_its_flag);
    suite_add_tcase(suite, words);
    tcase_add_checked_fixture(calls, set_up, tear_down);
    tcase_add_test(calls, the_answer_is_the_jobs_state);
    tcase_add_test(calls, a_server_without_the_call_is_no_trestle);
    tcase_add_test(calls, that_nobody_answers_is_said_with_the_address_and_what_to_do);
    tcase_add_test(calls, waiting_ends_with_the_job_and_knows_the_reason);
    tcase_add_test(calls, waiting_that_ends_before_the_job_is_an_error);
    tcase_add_test(calls, an_address_without_a_port_is_refused);
    suite_add_tcase(suite, calls);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
