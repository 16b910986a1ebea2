#include "page.h"

#include <check.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

static void find_page(const struct daemon_process *daemon, char port[16]) {
    CLEANUP(freep) char *path = xasprintf("%s/log", daemon->directory);
    FILE *log = fopen(path, "r");
    char line[1000];
    const char *found;

    ck_assert_ptr_nonnull(log);
    port[0] = '\0';
    while (fgets(line, sizeof(line), log))
        if ((found = strstr(line, "web page on http://127.0.0.1:")))
            snprintf(port, 16, "%d", atoi(found + strlen("web page on http://127.0.0.1:")));
    fclose(log);
    ck_assert_msg(port[0] != '\0', "the daemon said of no web page");
}

int page_connect(const struct daemon_process *daemon) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *info;
    char port[16];
    int fd;

    find_page(daemon, port);
    ck_assert_int_eq(getaddrinfo("127.0.0.1", port, &hints, &info), 0);
    fd = socket(info->ai_family, info->ai_socktype, 0);
    ck_assert_int_eq(connect(fd, info->ai_addr, info->ai_addrlen), 0);
    freeaddrinfo(info);
    return fd;
}

char *page_ask(const struct daemon_process *daemon, const char *method, const char *path, const char *headers) {
    CLEANUP(freep)
    char *request = xasprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                              "application/json\r\nContent-Length: 0\r\n%s\r\n",
                              method, path, headers);
    struct buf answer = {0};
    int fd = page_connect(daemon);
    char *text;
    ssize_t n;

    ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    while ((n = recv(fd, buf_reserve(&answer, 4096), 4096, 0)) > 0)
        buf_advance(&answer, (size_t)n);
    close(fd);
    text = xmemdup0(buf_data(&answer), answer.size);
    buf_clear(&answer);
    return text;
}
