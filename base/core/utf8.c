/* The table of well-formed byte sequences is Unicode's table 3-7, as code. */
#include "base/core/utf8.h"

#include <string.h>

size_t mr_ascii_run(const void *data, size_t size)
{
    const uint8_t *at = data;
    size_t i = 0;

    while (size - i >= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, at + i, sizeof word);
        if (word & UINT64_C(0x8080808080808080)) {
            break;
        }
        i += sizeof word;
    }
    while (i < size && at[i] < 0x80) {
        i++;
    }
    return i;
}

/* How long a sequence with this first byte is, and the bounds of its second byte; 0: it begins
 * none. */
static size_t lead_size(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *ret_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2) {
        return 0;
    }
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

size_t mr_utf8_next(const void *data, size_t size, uint32_t *ret_character, size_t *ret_skip)
{
    const uint8_t *at = data;
    uint8_t low;
    uint8_t high;
    size_t want = lead_size(at[0], &low, &high);
    uint32_t character;

    *ret_skip = 1;
    if (want <= 1) {
        *ret_character = at[0];
        return want;
    }
    character = at[0] & (0x7fu >> want);
    for (size_t i = 1; i < want; i++) {
        if (i == size || at[i] < low || at[i] > high) {
            *ret_skip = i;
            return 0;
        }
        character = character << 6 | (at[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *ret_character = character;
    return want;
}

bool mr_utf8_is_valid(const void *data, size_t size)
{
    const uint8_t *at = data;
    size_t i = 0;

    while (i < size) {
        uint32_t character;
        size_t skip;
        size_t step;

        i += mr_ascii_run(at + i, size - i);
        if (i == size) {
            break;
        }
        step = mr_utf8_next(at + i, size - i, &character, &skip);
        if (step == 0) {
            return false;
        }
        i += step;
    }
    return true;
}

size_t mr_utf8_cut(const void *data, size_t size, size_t limit)
{
    const uint8_t *at = data;

    if (size <= limit) {
        return size;
    }
    /* The character that covers the cut begins at most three bytes before it. */
    for (size_t back = 1; back <= 3 && back <= limit; back++) {
        size_t start = limit - back;
        uint32_t character;
        size_t skip;

        if ((at[start] & 0xc0) != 0x80) {
            /* It is moved behind the cut only if it is whole: else these bytes are no character. */
            return mr_utf8_next(at + start, size - start, &character, &skip) > back ? start : limit;
        }
    }
    return limit;
}

size_t mr_utf8_length(const void *data, size_t size)
{
    uint32_t character;
    size_t skip;

    return mr_utf8_next(data, size, &character, &skip);
}
