#include "base/json.h"

#include <math.h>

#include "base/utf8.h"

static void add_text(struct buf *out, const char *text) {
    buf_add(out, text, strlen(text));
}

void json_add_string(struct buf *out, const char *text) {
    const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);

    buf_add_u8(out, '"');
    while (at < end) {
        size_t length = utf8_character_size(at, (size_t)(end - at));

        if (length == 0)
            add_text(out, "\xef\xbf\xbd");
        else if (*at == '"' || *at == '\\')
            buf_printf(out, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            buf_printf(out, "\\u%04x", *at);
        else
            buf_add(out, at, length);
        at += MAX(length, (size_t)1);
    }
    buf_add_u8(out, '"');
}

void json_add_number(struct buf *out, double number) {
    bool may_be_whole = number > -9007199254740992.0 && number < 9007199254740992.0;

    if (!isfinite(number))
        add_text(out, "null");
    else if (may_be_whole && (double)(int64_t)number == number)
        buf_printf(out, "%lld", (long long)number);
    else
        buf_printf(out, "%.17g", number);
}
