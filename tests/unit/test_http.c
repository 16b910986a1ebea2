/* The server over real sockets, spoken to by hand. */
#include <check.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"

struct page {
    struct pool *pool;
    struct http_server *server;
};

static void handle(void *context, const struct http_request *request, struct http_response *ret) {
    struct slice body = http_request_body(request);
    const char *query = http_request_query(request, "q");
    char *text = xasprintf("%s %s q=%s body=%.*s", http_request_method(request), http_request_path(request),
                           query ? query : "-", (int)body.size, body.data ? (const char *)body.data : "");

    (void)context;
    ret->content_type = "text/plain";
    ret->body = slice_copy(text, strlen(text), NULL);
    if (strcmp(http_request_path(request), "/kept") == 0)
        ret->etag = "\"v1\"";
    free(text);
}

static void open_page(struct page *page, unsigned max_connections) {
    struct status st = {0};
    struct http_server_options options = {
        .address = "127.0.0.1:0",
        .hosts = "page.example",
        .max_connections = max_connections,
        .max_body_bytes = 100,
        .handler = handle,
    };

    page->pool = pool_create(2);
    options.pool = page->pool;
    ck_assert_msg(http_server_start(&options, &page->server, &st) == 0, "%s", status_message(&st));
}

static void close_page(struct page *page) {
    http_server_stop(page->server);
    pool_destroy(page->pool);
}

static int dial(const struct page *page) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *info;
    const char *address = http_server_address(page->server);
    int fd;

    ck_assert_int_eq(getaddrinfo("127.0.0.1", strrchr(address, ':') + 1, &hints, &info), 0);
    fd = socket(info->ai_family, info->ai_socktype, 0);
    ck_assert_int_eq(connect(fd, info->ai_addr, info->ai_addrlen), 0);
    freeaddrinfo(info);
    return fd;
}

/* Everything until the server closes; the caller's to free. */
static char *ask(const struct page *page, const char *request) {
    int fd = dial(page);
    char answer[8192];
    size_t size = 0;
    ssize_t n;

    ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    while (size < sizeof(answer) - 1 && (n = recv(fd, answer + size, sizeof(answer) - 1 - size, 0)) > 0)
        size += (size_t)n;
    close(fd);
    return xmemdup0(answer, size);
}

#define HEAD(host) " HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n"

static void expect(const struct page *page, const char *request, const char *code, const char *holds) {
    CLEANUP(freep) char *answer = ask(page, request);

    ck_assert_msg(strncmp(answer + 9, code, 3) == 0, "%s\n-> %s", request, answer);
    ck_assert_msg(strstr(answer, holds) != NULL, "%s\n-> %s", request, answer);
}

START_TEST(requests_reach_the_handler_decoded)
{
    struct page page;

    open_page(&page, 0);
    expect(&page, "GET /a%20b?q=c%26d" HEAD("localhost") "\r\n", "200", "GET /a b q=c&d body=");
    expect(&page, "POST /x" HEAD("page.example") "Content-Type: application/json\r\nContent-Length: 3\r\n\r\nabc",
           "200", "POST /x q=- body=abc");
    expect(&page, "HEAD /x" HEAD("localhost") "\r\n", "200", "Content-Length: ");
    close_page(&page);
}
END_TEST

START_TEST(every_answer_forbids_what_is_of_others)
{
    struct page page;

    open_page(&page, 0);
    expect(&page, "GET /" HEAD("localhost") "\r\n", "200", "Content-Security-Policy: default-src 'self';");
    expect(&page, "GET /" HEAD("localhost") "\r\n", "200", "X-Content-Type-Options: nosniff");
    expect(&page, "GET /" HEAD("localhost") "\r\n", "200", "Cache-Control: no-store");
    close_page(&page);
}
END_TEST

START_TEST(what_is_known_is_not_sent_again)
{
    struct page page;

    open_page(&page, 0);
    expect(&page, "GET /kept" HEAD("localhost") "\r\n", "200", "ETag: \"v1\"");
    expect(&page, "GET /kept" HEAD("localhost") "If-None-Match: \"v1\"\r\n\r\n", "304", "ETag: \"v1\"");
    expect(&page, "GET /kept" HEAD("localhost") "If-None-Match: \"v0\"\r\n\r\n", "200", "GET /kept");
    close_page(&page);
}
END_TEST

START_TEST(what_others_send_is_refused)
{
    struct page page;

    open_page(&page, 0);
    expect(&page, "GET /" HEAD("evil.example") "\r\n", "421", "\"MISDIRECTED\"");
    expect(&page, "POST /" HEAD("localhost") "Content-Length: 0\r\n\r\n", "403", "\"PERMISSION_DENIED\"");
    expect(
        &page,
        "POST /" HEAD(
            "localhost") "Content-Type: application/json\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
        "403", "another origin");
    expect(&page, "DELETE /" HEAD("localhost") "\r\n", "405", "Allow: GET, HEAD, POST");
    expect(&page, "POST /" HEAD("localhost") "Content-Type: application/json\r\nContent-Length: 101\r\n\r\n", "413",
           "too large");
    close_page(&page);
}
END_TEST

START_TEST(a_body_without_a_length_is_bounded_too)
{
    static const char head[] =
        "POST /" HEAD("localhost") "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    CLEANUP(freep) char *request = NULL;
    CLEANUP(freep) char *answer = NULL;
    char chunk[201];
    struct page page;

    memset(chunk, 'x', sizeof(chunk) - 1);
    chunk[sizeof(chunk) - 1] = '\0';
    request = xasprintf("%sc8\r\n%s\r\n0\r\n\r\n", head, chunk);
    open_page(&page, 0);
    answer = ask(&page, request);
    ck_assert_ptr_null(strstr(answer, "200 OK"));
    close_page(&page);
}
END_TEST

START_TEST(headers_are_bounded)
{
    CLEANUP(freep) char *answer = NULL;
    char *request = xcalloc(1, 100000);
    struct page page;

    strcpy(request, "GET /" HEAD("localhost") "X: ");
    memset(request + strlen(request), 'x', 60000);
    strcat(request, "\r\n\r\n");
    open_page(&page, 0);
    answer = ask(&page, request);
    ck_assert_ptr_null(strstr(answer, "200 OK"));
    close_page(&page);
    free(request);
}
END_TEST

START_TEST(one_connection_too_many_is_closed)
{
    struct page page;
    int first;
    char byte;

    open_page(&page, 1);
    first = dial(&page);
    ck_assert_int_eq(send(first, "GET", 3, 0), 3);
    for (bool is_refused = false; !is_refused;) {
        /* The first is counted once the server has accepted it. */
        int next = dial(&page);

        is_refused = recv(next, &byte, 1, 0) <= 0;
        close(next);
    }
    close(first);
    close_page(&page);
}
END_TEST

START_TEST(an_address_that_is_taken_is_an_error_that_names_it)
{
    struct http_server_options options = {.handler = handle};
    struct status st = {0};
    struct http_server *second;
    struct page page;

    open_page(&page, 0);
    options.address = http_server_address(page.server);
    options.pool = page.pool;
    ck_assert_int_lt(http_server_start(&options, &second, &st), 0);
    ck_assert_ptr_nonnull(strstr(status_message(&st), options.address));
    status_clear(&st);
    close_page(&page);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http");
    TCase *tests = tcase_create("http");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, requests_reach_the_handler_decoded);
    tcase_add_test(tests, every_answer_forbids_what_is_of_others);
    tcase_add_test(tests, what_is_known_is_not_sent_again);
    tcase_add_test(tests, what_others_send_is_refused);
    tcase_add_test(tests, a_body_without_a_length_is_bounded_too);
    tcase_add_test(tests, headers_are_bounded);
    tcase_add_test(tests, one_connection_too_many_is_closed);
    tcase_add_test(tests, an_address_that_is_taken_is_an_error_that_names_it);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
