/* Any bytes as a line of the file of tokens: what is taken has a name, a role and a whole hash. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "agent/admin/tokens.h"
#include "base/core/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token token = {.created_ms = -1};
    enum token_role role;

    if (token_parse((const char *)data, size, &token) == 0) {
        mr_assert(strlen(token.name) > 0 && strlen(token.name) <= TOKEN_NAME_SIZE_MAX);
        mr_assert(token_role_parse(token_role_name(token.role), &role) == 0 && role == token.role);
        mr_assert(token.created_ms >= 0 && token.expires_ms >= 0 && token.used_ms >= 0);
        mr_assert(size > 2 * sizeof token.hash);
    } else {
        mr_assert(token.created_ms == -1); /* nothing was touched */
    }
    return 0;
}
