#include "base/net/oauthbearer.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/scram_internal.h"

static const char separator = 1;

/* RFC 6750, 2.1: letters, digits, -._~+/ and then =. */
static bool is_token(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr("-._~+/=", c) != NULL))) {
            return false;
        }
    }
    return size > 0;
}

static int take_auth(const char *value, size_t size, struct mr_oauthbearer *message)
{
    if (message->token != NULL || size < 8 || strncasecmp(value, "Bearer ", 7) != 0) {
        return MR_EPROTOCOL;
    }
    value += 7;
    size -= 7;
    while (size > 0 && *value == ' ') {
        value += 1;
        size -= 1;
    }
    message->token = value;
    message->token_size = size;
    return is_token(value, size) ? 0 : MR_EPROTOCOL;
}

static bool is_pair(const char *pair, size_t key_size, size_t size)
{
    for (size_t i = 0; i < key_size; i++) {
        if (!((pair[i] >= 'a' && pair[i] <= 'z') || (pair[i] >= 'A' && pair[i] <= 'Z'))) {
            return false;
        }
    }
    for (size_t i = key_size + 1; i < size; i++) {
        char c = pair[i];
        if (!((c >= ' ' && c <= '~') || c == '\t' || c == '\r' || c == '\n')) {
            return false;
        }
    }
    return key_size > 0;
}

int mr_oauthbearer_parse(const void *message, size_t size, struct mr_oauthbearer *ret_message)
{
    struct scram_reader reader = {message, size};
    struct mr_oauthbearer made = {.name = ""};
    size_t name_size;

    if (scram_take_gs2(&reader, made.name, &name_size) != 0 || reader.size == 0 ||
        reader.data[0] != separator) {
        return MR_EPROTOCOL;
    }
    reader.data += 1;
    reader.size -= 1;
    while (reader.size > 1) {
        const char *end = memchr(reader.data, separator, reader.size);
        size_t pair_size = end != NULL ? (size_t)(end - reader.data) : 0;
        const char *equals = pair_size > 0 ? memchr(reader.data, '=', pair_size) : NULL;
        size_t key_size = equals != NULL ? (size_t)(equals - reader.data) : 0;
        if (equals == NULL || !is_pair(reader.data, key_size, pair_size)) {
            return MR_EPROTOCOL;
        }
        if (key_size == 4 && memcmp(reader.data, "auth", 4) == 0 &&
            take_auth(equals + 1, pair_size - 5, &made) != 0) {
            return MR_EPROTOCOL;
        }
        reader.data += pair_size + 1;
        reader.size -= pair_size + 1;
    }
    if (reader.size != 1 || reader.data[0] != separator || made.token == NULL) {
        return MR_EPROTOCOL;
    }
    *ret_message = made;
    return 0;
}

int mr_oauthbearer_write(const char *token, size_t size, struct mr_bytes *message)
{
    if (!is_token(token, size)) {
        return MR_EINVAL;
    }
    mr_bytes_text(message, "n,,\001auth=Bearer ");
    mr_bytes_append(message, token, size);
    mr_bytes_text(message, "\001\001");
    return message->failed;
}
