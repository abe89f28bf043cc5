/* Any bytes as a set of keys and as a signed token, and as a token for good keys. The input is cut
 * in two at the first newline: the token, and the keys. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/core/error.h"
#include "base/net/jwk.h"
#include "base/net/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char good[] =
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
    "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mr_jwt_policy policy = {.issuer = "id", .skew_ms = 30000};
    static struct mr_jwk_set *set;
    const char *text = (const char *)data;
    const char *newline = size > 0 ? memchr(text, '\n', size) : NULL;
    size_t token_size = newline != NULL ? (size_t)(newline - text) : size;
    struct mr_jwk_set *more = NULL;
    struct mr_error error;
    struct mr_jwt jwt;
    const char *reason;

    if (set == NULL && mr_jwk_set_parse(good, sizeof good - 1, &set, &error) != 0) {
        return 0;
    }
    (void)mr_jwt_check(set, &policy, text, token_size, 0, &jwt, &reason);
    (void)mr_jwt_expires_ms(text, token_size);
    if (newline != NULL &&
        mr_jwk_set_parse(newline + 1, size - token_size - 1, &more, &error) == 0) {
        (void)mr_jwt_check(more, &policy, text, token_size, 0, &jwt, &reason);
        mr_jwk_set_unref(more);
    }
    return 0;
}
