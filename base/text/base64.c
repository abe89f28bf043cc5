/* Groups of three bytes are four characters; see RFC 4648. */
#include "base/text/base64.h"

#include <stdbool.h>
#include <string.h>

#include "base/core/error.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mr_base64_encode(const void *data, size_t size, char *text, size_t text_size)
{
    const uint8_t *bytes = data;

    mr_assert(text_size >= MR_BASE64_SIZE(size));
    for (size_t i = 0; i < size; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= i + 2 < size ? bytes[i + 2] : 0;
        *text++ = alphabet[group >> 18];
        *text++ = alphabet[group >> 12 & 63];
        *text++ = i + 1 < size ? alphabet[group >> 6 & 63] : '=';
        *text++ = i + 2 < size ? alphabet[group & 63] : '=';
    }
    *text = '\0';
}

static int value_of(char character)
{
    const char *found = character == '\0' ? NULL : strchr(alphabet, character);

    return found == NULL ? -1 : (int)(found - alphabet);
}

ssize_t mr_base64_decode(const char *text, size_t text_size, void *data, size_t size)
{
    uint8_t *out = data;
    size_t padding = 0;
    size_t count;

    while (padding < 2 && padding < text_size && text[text_size - 1 - padding] == '=') {
        padding++;
    }
    if (text_size % 4 != 0) {
        return MR_EINVAL;
    }
    count = text_size / 4 * 3 - padding;
    if (count > size) {
        return MR_ETOOLARGE;
    }
    for (size_t i = 0; i < text_size; i += 4) {
        uint32_t group = 0;
        for (size_t j = 0; j < 4; j++) {
            bool is_padding = i + j >= text_size - padding;
            int value = is_padding ? 0 : value_of(text[i + j]);
            if (value < 0) {
                return MR_EINVAL;
            }
            group = group << 6 | (uint32_t)value;
        }
        for (size_t j = 0; j < 3 && i / 4 * 3 + j < count; j++) {
            out[i / 4 * 3 + j] = (uint8_t)(group >> (16 - 8 * j));
        }
    }
    return (ssize_t)count;
}
