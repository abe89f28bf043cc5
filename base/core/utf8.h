/* UTF-8 (RFC 3629): validity, boundaries, one code point at a time. */
#ifndef BASE_CORE_UTF8_H
#define BASE_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes of `data` to keep so that at most `limit` remain and no character is split: what
 * cutting a long line needs. Bytes that are no UTF-8 are cut anywhere. `size` when that is within
 * the limit. */
size_t mr_utf8_cut(const void *data, size_t size, size_t limit);

/* No overlong forms, no surrogates, nothing above U+10FFFF. */
bool mr_utf8_is_valid(const void *data, size_t size);

/* The size of the valid character that data begins with, and the character; or 0, and then
 * *ret_skip says how many bytes one U+FFFD stands for (Unicode 15, 3.9, "maximal subpart"). size >
 * 0. */
size_t mr_utf8_next(const void *data, size_t size, uint32_t *ret_character, size_t *ret_skip);

/* The same where only the size is wanted: 1 to 4, or 0. */
size_t mr_utf8_length(const void *data, size_t size);

/* How many of the first bytes are plain ASCII. */
size_t mr_ascii_run(const void *data, size_t size);

#endif
