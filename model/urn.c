#include "model/urn.h"

#include <assert.h>
#include <string.h>

struct row {
    const char *string;
    size_t len;
};

static const struct row rows[URN_COUNT] = {[URN_UNKNOWN] = {"", 0},
#define ROW(constant, string, origin) [constant] = {string, sizeof(string) - 1},
                                           URN_PROTOCOL_LIST(ROW) URN_SDK_LIST(ROW)
#undef ROW
};

static const enum urn metric_types[URN_COUNT] = {
#define ROW(metric, type) [metric] = (type),
    URN_METRIC_TYPE_LIST(ROW)
#undef ROW
};

/* The lists follow each other in the enum, each sorted for itself. */
enum {
#define ONE(constant, string, origin) +1
    PROTOCOL_BEGIN = URN_UNKNOWN + 1,
    SDK_BEGIN = PROTOCOL_BEGIN URN_PROTOCOL_LIST(ONE),
    SDK_END = SDK_BEGIN URN_SDK_LIST(ONE),
#undef ONE
};

static_assert(SDK_END == (int)URN_COUNT, "every row has a number, and no two rows share one");

/* strcmp's order, for a string that need not be terminated. */
static int compare(const char *s, size_t len, const struct row *row) {
    const int order = memcmp(s, row->string, len < row->len ? len : row->len);

    if (order != 0)
        return order;
    return (len > row->len) - (len < row->len);
}

static enum urn search(const char *s, size_t len, unsigned begin, unsigned end) {
    while (begin < end) {
        const unsigned middle = begin + (end - begin) / 2;
        const int order = compare(s, len, &rows[middle]);

        if (order == 0)
            return (enum urn)middle;
        if (order < 0)
            end = middle;
        else
            begin = middle + 1;
    }
    return URN_UNKNOWN;
}

enum urn urn_lookup(const char *s, size_t len) {
    enum urn found;

    assert(s || len == 0);
    if (len == 0)
        return URN_UNKNOWN;

    found = search(s, len, PROTOCOL_BEGIN, SDK_BEGIN);
    return found != URN_UNKNOWN ? found : search(s, len, SDK_BEGIN, SDK_END);
}

const char *urn_string(enum urn urn) {
    assert((unsigned)urn < URN_COUNT);
    return rows[urn].string;
}

enum urn urn_metric_type(enum urn metric) {
    assert((unsigned)metric < URN_COUNT);
    return metric_types[metric];
}
