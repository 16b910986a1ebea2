#include "jobserver/job_id.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

static void fill_random(void *bytes, size_t size) {
    while (getrandom(bytes, size, 0) != (ssize_t)size)
        if (errno != EINTR)
            abort(); /* up to 256 bytes never come short once the kernel is up */
}

/* Letters and digits of the name in lower case, everything else one '-' between them. Returns the size. */
static size_t readable_piece(char *out, size_t room, const char *name) {
    size_t size = 0;

    for (; *name && size + 1 < room; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out[size++] = c;
        else if (size > 0 && out[size - 1] != '-')
            out[size++] = '-';
    }
    while (size > 0 && out[size - 1] == '-')
        size--;
    out[size] = '\0';
    return size;
}

void mint_job_id(int64_t *last_ms, const char *prefix, const char *name, char out[JOB_ID_SIZE]) {
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char random[4];
    struct tm parts;
    time_t seconds;
    int64_t ms = wall_clock_ms();
    size_t n;

    ms = MAX(ms, *last_ms + 1);
    *last_ms = ms;
    seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &parts);
    fill_random(random, sizeof(random));
    n = (size_t)snprintf(out, JOB_ID_SIZE, "%s", prefix);
    n += strftime(out + n, JOB_ID_SIZE - n, "%Y%m%d-%H%M%S", &parts);
    n += (size_t)snprintf(out + n, JOB_ID_SIZE - n, "-%03d-", (int)(ms % 1000));
    for (size_t i = 0; i < sizeof(random); i++)
        out[n++] = alphabet[random[i] % (sizeof(alphabet) - 1)];
    out[n] = '\0';
    if (readable_piece(out + n + 1, JOB_ID_SIZE - n - 1, name) > 0)
        out[n] = '-';
}

void mint_staging_token(char out[STAGING_TOKEN_SIZE]) {
    unsigned char random[16];

    fill_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
}
