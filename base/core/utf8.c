/* Table 3-7 of the Unicode standard: only the second byte has bounds that depend on the first. */
#include "base/core/utf8.h"

#include <stdint.h>

size_t mr_utf8_length(const void *text, size_t size_bytes)
{
    const uint8_t *at = text;
    uint8_t second_min = 0x80;
    uint8_t second_max = 0xbf;
    size_t length;

    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] >= 0xc2 && at[0] <= 0xdf) {
        length = 2;
    } else if (at[0] >= 0xe0 && at[0] <= 0xef) {
        length = 3;
        second_min = at[0] == 0xe0 ? 0xa0 : 0x80; /* below: overlong */
        second_max = at[0] == 0xed ? 0x9f : 0xbf; /* above: surrogates */
    } else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
        length = 4;
        second_min = at[0] == 0xf0 ? 0x90 : 0x80; /* below: overlong */
        second_max = at[0] == 0xf4 ? 0x8f : 0xbf; /* above: beyond U+10FFFF */
    } else {
        return 0;
    }
    if (size_bytes < length || at[1] < second_min || at[1] > second_max) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return 0;
        }
    }
    return length;
}
