/* Well-formed UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef BASE_CORE_UTF8_H
#define BASE_CORE_UTF8_H

#include <stddef.h>

/* The bytes of the character at `text` (1 to 4), or 0 when what stands there is not one, also when
 * it ends too early. size_bytes must be > 0. */
size_t mr_utf8_length(const void *text, size_t size_bytes);

#endif
