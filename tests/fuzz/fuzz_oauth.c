/* Any bytes as a first message of OAUTHBEARER, as an HTTP answer, as a server's answer with a
 * token, as a URL. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/http_fetch.h"
#include "base/net/http_url.h"
#include "base/net/oauth_token.h"
#include "base/net/oauthbearer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mr_strndup((const char *)data, size);
    struct mr_oauthbearer message;
    struct mr_http_url url;
    struct mr_error error;
    struct mr_bytes bytes;
    int64_t lifetime_ms;
    int status;

    mr_bytes_init(&bytes);
    (void)mr_oauthbearer_parse(data, size, &message);
    (void)mr_http_answer_parse(data, size, &status, &bytes);
    mr_bytes_clear(&bytes);
    (void)mr_oauth_token_parse(200, data, size, &bytes, &lifetime_ms, &error);
    if (text != NULL) {
        (void)mr_http_url_parse(text, &url, &error);
    }
    mr_bytes_done(&bytes);
    mr_free(text);
    return 0;
}
