/* A daemon that serves with TLS and wants certificates: who gets in, what the port for workers is good for, and how certificates are renewed. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* Two authorities, each with certificates that it signed: a server's and a client's; and a client's of nobody's. */
static void make_certificates(void) {
    ck_assert_ptr_nonnull(mkdtemp(directory));
    run("cd %s && exec >/dev/null 2>&1 && new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && "
        "$new -x509 -subj /CN=stranger -keyout stranger.key -out stranger.pem && "
        "for ca in old new; do $new -x509 -subj /CN=$ca -keyout $ca-ca.key -out $ca-ca.pem || exit 1; "
        "for name in $ca-server $ca-client; do $new -subj /CN=localhost -keyout $name.key -out $name.csr && "
        "openssl x509 -req -days 100 -in $name.csr -CA $ca-ca.pem -CAkey $ca-ca.key -CAcreateserial -out $name.pem "
        "|| exit 1; done; done",
        directory);
}

/* The daemon's certificates are those of this authority. */
static void use_files_of(const char *authority) {
    run("cd %s && cp %s-server.pem server.pem && cp %s-server.key server.key && cp %s-ca.pem ca.pem", directory,
        authority, authority, authority);
}

static void set_up_with(const char *client_ca) {
    CLEANUP(freep) char *yaml = NULL;

    make_certificates();
    use_files_of("old");
    yaml = xasprintf("tls: {certificate: %s/server.pem, key: %s/server.key%s%s%s}\n", directory, directory,
                     client_ca ? ", client_ca: " : "", client_ca ? directory : "", client_ca ? client_ca : "");
    ck_assert(daemon_start(&guarded, yaml));
    rpc_init();
}

static void setup(void) {
    set_up_with("/ca.pem");
}

static void setup_for_anybody(void) {
    set_up_with(NULL);
}

static void teardown(void) {
    ck_assert(daemon_stop(&guarded));
    run("rm -r %s", directory);
}

/* A connection over which HTTP/2 is to be spoken. */
struct connection {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static void set_certificate(SSL_CTX *context, const char *name) {
    CLEANUP(freep) char *certificate = xasprintf("%s/%s.pem", directory, name);
    CLEANUP(freep) char *key = xasprintf("%s/%s.key", directory, name);

    ck_assert_int_eq(SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
}

/* Shows this certificate (NULL: none), and believes a server whose own this authority has signed. Whether they have come to terms; close it in any
 * case. */
static bool connection_open(struct connection *connection, const char *name, const char *authority) {
    CLEANUP(freep) char *ca = xasprintf("%s/%s.pem", directory, authority);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};

    connection->context = SSL_CTX_new(TLS_client_method());
    ck_assert_int_eq(SSL_CTX_set_alpn_protos(connection->context, (const unsigned char *)"\x02h2", 3), 0);
    ck_assert_int_eq(SSL_CTX_load_verify_locations(connection->context, ca, NULL), 1);
    SSL_CTX_set_verify(connection->context, SSL_VERIFY_PEER, NULL);
    if (name)
        set_certificate(connection->context, name);
    connection->fd = raw_connect(guarded.endpoint);
    ck_assert_int_eq(setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    connection->ssl = SSL_new(connection->context);
    SSL_set_fd(connection->ssl, connection->fd);
    return SSL_connect(connection->ssl) == 1;
}

static void connection_close(struct connection *connection) {
    SSL_free(connection->ssl);
    SSL_CTX_free(connection->context);
    close(connection->fd);
}

/* With TLS 1.3 a client learns at its first read that it is not wanted. */
static bool is_served_by(const char *name, const char *authority) {
    struct connection connection;
    char settings[9];
    bool is_served = connection_open(&connection, name, authority) &&
                     SSL_read(connection.ssl, settings, sizeof(settings)) == sizeof(settings);

    connection_close(&connection);
    return is_served;
}

static bool is_served(const char *name) {
    return is_served_by(name, "old-ca");
}

START_TEST(a_client_without_a_certificate_of_ours_is_turned_away)
{
    ck_assert(is_served("old-client"));
    ck_assert(!is_served(NULL));
    ck_assert(!is_served("stranger"));
    ck_assert(is_served("old-client"));
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

/* ---- certificates are renewed ---- */

static void read_exactly(SSL *ssl, uint8_t *bytes, size_t size) {
    for (size_t got = 0; got < size;) {
        int n = SSL_read(ssl, bytes + got, (int)(size - got));

        ck_assert_msg(n > 0, "the connection is not answered");
        got += (size_t)n;
    }
}

/* A ping, and all frames until its answer. */
static void expect_answer(struct connection *connection) {
    static const uint8_t ping[] = {0, 0, 8, HTTP2_PING, 0, 0, 0, 0, 0, 'r', 'e', 'n', 'e', 'w', 'a', 'l', '?'};
    uint8_t header[9], payload[16384];

    ck_assert_int_eq(SSL_write(connection->ssl, ping, sizeof(ping)), sizeof(ping));
    do {
        size_t size;

        read_exactly(connection->ssl, header, sizeof(header));
        size = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
        ck_assert_uint_le(size, sizeof(payload));
        read_exactly(connection->ssl, payload, size);
    } while (header[3] != HTTP2_PING || !(header[4] & HTTP2_ACK) || memcmp(payload, ping + 9, 8) != 0);
}

START_TEST(renewed_certificates_are_for_new_connections)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct connection before;

    ck_assert(connection_open(&before, "old-client", "old-ca"));
    ck_assert_int_eq(SSL_write(before.ssl, preface, sizeof(preface) - 1), sizeof(preface) - 1);
    expect_answer(&before);
    ck_assert(!is_served_by("new-client", "old-ca"));
    use_files_of("new");
    ck_assert(daemon_reread(&guarded, "the configuration is as it was"));
    ck_assert(is_served_by("new-client", "new-ca"));
    ck_assert(!is_served_by("old-client", "new-ca"));
    ck_assert(!is_served_by("new-client", "old-ca"));
    expect_answer(&before);
    connection_close(&before);
}
END_TEST

/* What makes a file no good, and what is said of it. */
static const struct {
    const char *command;
    const char *says;
} mistakes[] = {
    {"cp new-server.pem server.pem", "/server.key is not that of the certificate in "},
    {"cp new-server.key server.key", "/server.key is not that of the certificate in "},
    {"echo nothing > server.pem", "/server.pem holds no certificate in PEM form"},
    {"echo nothing > server.key", "/server.key holds no private key in PEM form"},
    {"rm server.key", "/server.key: No such file or directory"},
    {"(cat new-server.pem; sed 2s/./!/5 old-ca.pem) > server.pem; cp new-server.key server.key",
     "/server.pem: not all certificates in it can be used"},
    {"openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=weak -keyout server.key -out server.pem 2>/dev/null",
     "/server.pem: not all certificates in it can be used: ee key too small"},
    {": > ca.pem", "/ca.pem holds no certificate in PEM form"},
    {"(cat new-ca.pem; sed 2s/./!/5 old-ca.pem) > ca.pem", "/ca.pem: not all certificates in it can be used"},
};

START_TEST(files_that_are_no_good_leave_those_before_them)
{
    for (size_t i = 0; i < ARRAY_COUNT(mistakes); i++) {
        use_files_of("old");
        run("cd %s && %s", directory, mistakes[i].command);
        ck_assert(daemon_reread(&guarded, mistakes[i].says));
        ck_assert_msg(is_served_by("old-client", "old-ca"), "%s", mistakes[i].command);
        ck_assert_msg(!is_served_by("new-client", "old-ca"), "%s", mistakes[i].command);
    }
    use_files_of("new");
    ck_assert(daemon_reread(&guarded, "the configuration is as it was"));
    ck_assert(is_served_by("new-client", "new-ca"));
}
END_TEST

START_TEST(a_certificate_that_expires_soon_is_warned_of)
{
    static const struct {
        const char *days;
        const char *says;
    } cases[] = {{"16", "INFO    tls: the certificate in "},
                 {"13", "/server.pem expires in "},
                 {"-1", "/server.pem is no longer valid since "}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        run("cd %s && openssl x509 -req -days %s -in old-server.csr -CA old-ca.pem -CAkey old-ca.key -CAcreateserial "
            "-out server.pem 2>/dev/null",
            directory, cases[i].days);
        ck_assert(daemon_reread(&guarded, cases[i].says));
    }
}
END_TEST

START_TEST(a_certificate_is_renewed_where_clients_need_none)
{
    ck_assert(is_served_by(NULL, "old-ca"));
    use_files_of("new");
    ck_assert(daemon_reread(&guarded, "the configuration is as it was"));
    ck_assert(is_served_by(NULL, "new-ca"));
    ck_assert(!is_served_by(NULL, "old-ca"));
}
END_TEST

static void add_tests_for_anybody(Suite *suite) {
    TCase *tcase = tcase_create("tls_for_anybody");

    tcase_add_checked_fixture(tcase, setup_for_anybody, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_certificate_is_renewed_where_clients_need_none);
    suite_add_tcase(suite, tcase);
}

void add_tls_tests(Suite *suite) {
    TCase *tcase = tcase_create("tls");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_client_without_a_certificate_of_ours_is_turned_away);
    tcase_add_test(tcase, plaintext_is_closed_where_tls_is_served);
    tcase_add_test(tcase, the_job_api_is_not_served_where_workers_connect);
    tcase_add_test(tcase, renewed_certificates_are_for_new_connections);
    tcase_add_test(tcase, files_that_are_no_good_leave_those_before_them);
    tcase_add_test(tcase, a_certificate_that_expires_soon_is_warned_of);
    suite_add_tcase(suite, tcase);
    add_tests_for_anybody(suite);
}
