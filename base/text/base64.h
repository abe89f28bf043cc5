/* Base64 with padding (RFC 4648, section 4). */
#ifndef BASE_TEXT_BASE64_H
#define BASE_TEXT_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Characters for so many bytes, and the NUL. */
#define MR_BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4 + 1)

/* Writes text with a NUL; text_size is at least MR_BASE64_SIZE(size). */
void mr_base64_encode(const void *data, size_t size, char *text, size_t text_size);
/* The number of bytes, or MR_EINVAL (a character that does not belong, wrong padding), MR_ETOOLARGE. */
ssize_t mr_base64_decode(const char *text, size_t text_size, void *data, size_t size);

#endif
