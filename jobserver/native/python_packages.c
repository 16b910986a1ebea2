#include "jobserver/native/python_packages.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Of sdks/python/container/pyXY/base_image_requirements.txt, whose list is made from base_image_requirements_manual.txt and the extras of apache-beam
 * for Google's services, DataFrames, tests and YAML. Names as PEP 503 normalizes them, a space on both sides of each; what others depend on comes by
 * itself. */
static const char image_packages[] =
    " beautifulsoup4 bs4 cloud-sql-python-connector cython docstring-parser freezegun future guppy3 "
    "hypothesis jinja2 joblib js2py jsonschema mmh3 mock nltk oracledb orjson pandas parameterized "
    "pg8000 pydot pyhamcrest pymysql pytest python-snappy python-tds quickjs-ng regex requests-mock "
    "scikit-learn scipy sqlalchemy sqlalchemy-pytds tenacity testcontainers virtualenv-clone ";
static const char google_prefix[] = "google-";
/* apache-beam brings these in some version, but others are built against the one they are used with. */
static const char companions[] = " numpy pyarrow ";

enum { MAX_REQUIREMENT = 200 };

/* Lower case, and one dash for any run of dashes, underscores and dots. */
static void normalize(const char *name, size_t size, char *ret) {
    size_t length = 0;

    for (size_t i = 0; i < size; i++) {
        bool is_separator = strchr("-_.", name[i]) != NULL;

        if (!is_separator)
            ret[length++] = (char)tolower((unsigned char)name[i]);
        else if (length == 0 || ret[length - 1] != '-')
            ret[length++] = '-';
    }
    ret[length] = '\0';
}

static bool is_in(const char *names, const char *name) {
    char word[MAX_REQUIREMENT + 3];

    snprintf(word, sizeof(word), " %s ", name);
    return strstr(names, word) != NULL;
}

static bool is_in_image(const char *name) {
    return is_in(image_packages, name) || strncmp(name, google_prefix, sizeof(google_prefix) - 1) == 0;
}

static bool is_companion(const char *name) {
    return is_in(companions, name);
}

/* The end of the requirement that begins here. The client's list is one of lines, or as Python writes such bytes: b'NAME==VERSION\nNAME==...'. */
static size_t requirement_size(const char *text) {
    return strcspn(text, "\n\r\\'\"");
}

static const char *after_separator(const char *text) {
    if (*text == '\\')
        return text[1] ? text + 2 : text + 1;
    return *text ? text + 1 : text;
}

/* Length of NAME if this is NAME==VERSION as an index has them; 0 for paths, addresses, and versions of this machine's own (+LOCAL). */
static size_t name_size(const char *requirement, size_t size) {
    static const char allowed[] = "-_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t name = strspn(requirement, allowed), version;

    if (name == 0 || name + 2 >= size || size > MAX_REQUIREMENT || !isalnum((unsigned char)requirement[0]) ||
        strncmp(requirement + name, "==", 2) != 0)
        return 0;
    version = strspn(requirement + name + 2, allowed);
    return name + 2 + version == size ? name : 0;
}

typedef bool (*is_wanted_fn)(const char *name);

static void push_wanted(const char *text, is_wanted_fn is_wanted, struct arena *arena,
                        struct string_vec *requirements) {
    while (*text) {
        size_t size = requirement_size(text), name = name_size(text, size);
        char normalized[MAX_REQUIREMENT + 1];

        normalize(text, name, normalized);
        if (name > 0 && is_wanted(normalized))
            vec_push(requirements, arena_copy(arena, text, size));
        text = after_separator(text + size);
    }
}

void python_image_packages(const char *text, struct arena *arena, struct string_vec *requirements) {
    size_t before = requirements->count;

    push_wanted(text, is_in_image, arena, requirements);
    if (requirements->count > before)
        push_wanted(text, is_companion, arena, requirements);
}
