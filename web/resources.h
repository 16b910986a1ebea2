/* The files of the web page, built into the program by embed.py. index.html is "/". Any thread. */
#ifndef WEB_RESOURCES_H
#define WEB_RESOURCES_H

#include <stddef.h>

struct web_resource {
    const char *path; /* "/app.js" */
    const char *content_type;
    const char *etag; /* with its quotes: a digest of the contents */
    const unsigned char *bytes;
    size_t size;
};

extern const struct web_resource web_resources[];
extern const size_t web_resource_count;

#endif
