/* A daemon that serves with TLS and wants certificates: who gets in, and what the port for workers is good for. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http2.h"
#include "suites.h"
#include "tests/harness/fixture.h"

static struct daemon_process guarded;
static char directory[] = "/tmp/trestle-tls-XXXXXX";

static void run(const char *format, ...) PRINTF_LIKE(1, 2);

static void run(const char *format, ...) {
    CLEANUP(freep) char *command = NULL;
    va_list args;

    va_start(args, format);
    command = xvasprintf(format, args);
    va_end(args);
    ck_assert_msg(system(command) == 0, "%s", command);
}

/* An authority, and certificates that it signed: the server's and a client's; and a client's of nobody's. */
static void setup(void) {
    CLEANUP(freep) char *yaml = NULL;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    run("cd %s && exec >/dev/null 2>&1 && new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && "
        "$new -x509 -subj /CN=ca -keyout ca.key -out ca.pem && "
        "$new -x509 -subj /CN=stranger -keyout stranger.key -out stranger.pem && "
        "for name in server client; do $new -subj /CN=localhost -keyout $name.key -out $name.csr && "
        "openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem || exit 1; done",
        directory);
    yaml = xasprintf("tls: {certificate: %s/server.pem, key: %s/server.key, client_ca: %s/ca.pem}\n", directory,
                     directory, directory);
    ck_assert(daemon_start(&guarded, yaml));
    rpc_init();
}

static void teardown(void) {
    ck_assert(daemon_stop(&guarded));
    run("rm -r %s", directory);
}

/* Whether the daemon speaks HTTP/2 with who shows this certificate (NULL: none). With TLS 1.3 a client learns at its first read that it is not
 * wanted. */
static bool is_served(const char *name) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int fd = raw_connect(guarded.endpoint);
    char answer[9];
    bool is_served;
    SSL *ssl;

    ck_assert_int_eq(SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3), 0);
    if (name) {
        CLEANUP(freep) char *certificate = xasprintf("%s/%s.pem", directory, name);
        CLEANUP(freep) char *key = xasprintf("%s/%s.key", directory, name);

        ck_assert_int_eq(SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
    }
    ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    is_served = SSL_connect(ssl) == 1 && SSL_read(ssl, answer, sizeof(answer)) == sizeof(answer);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    return is_served;
}

START_TEST(a_client_without_a_certificate_of_ours_is_turned_away)
{
    ck_assert(is_served("client"));
    ck_assert(!is_served(NULL));
    ck_assert(!is_served("stranger"));
    ck_assert(is_served("client"));
}
END_TEST

START_TEST(plaintext_is_closed_where_tls_is_served)
{
    int fd = http2_connect(guarded.endpoint);

    ck_assert(raw_wait_close(fd, PATIENCE_MS));
    close(fd);
}
END_TEST

/* The daemon's log says where it is. */
static void find_workers_endpoint(char ret[100]) {
    CLEANUP(freep) char *path = xasprintf("%s/log", guarded.directory);
    FILE *log = fopen(path, "r");
    char line[1000];
    const char *at = NULL;

    ck_assert_ptr_nonnull(log);
    while (!at && fgets(line, sizeof(line), log))
        at = strstr(line, "workers connect to ");
    fclose(log);
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "workers connect to %99s", ret), 1);
}

START_TEST(the_job_api_is_not_served_where_workers_connect)
{
    static const char *const paths[] = {"/org.apache.beam.model.job_management.v1.JobService/GetJobs",
                                        "/trestle.v1.Inspection/ListJobs"};
    struct slice response = SLICE_EMPTY;
    struct submitter client;
    char endpoint[100];

    find_workers_endpoint(endpoint);
    submitter_init(&client, endpoint);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        CLEANUP_STATUS struct status st = {0};

        rpc_channel_call_wait(client.channel, paths[i], NULL, 0, 10000, true, SLICE_EMPTY, &response, &st);
        ck_assert_int_eq(st.code, STATUS_UNAUTHENTICATED);
    }
    submitter_clear(&client);
}
END_TEST

void add_tls_tests(Suite *suite) {
    TCase *tcase = tcase_create("tls");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_client_without_a_certificate_of_ours_is_turned_away);
    tcase_add_test(tcase, plaintext_is_closed_where_tls_is_served);
    tcase_add_test(tcase, the_job_api_is_not_served_where_workers_connect);
    suite_add_tcase(suite, tcase);
}
