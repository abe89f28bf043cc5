/* Any bytes as the messages of a SCRAM conversation, for both sides. The input is cut in two at the
 * first newline: the first message, and what follows the challenge. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/net/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mr_scram_credential credential = {
        .mechanism = MR_SCRAM_SHA_256, .iterations = 4096, .salt_size = 4, .salt = "salt"};
    const uint8_t *newline = memchr(data, '\n', size);
    size_t first_size = newline != NULL ? (size_t)(newline - data) : size;
    const uint8_t *rest = newline != NULL ? newline + 1 : data;
    size_t rest_size = newline != NULL ? size - first_size - 1 : size;
    struct mr_scram_server server;
    struct mr_scram_client client;
    char text[2048];

    if (mr_scram_server_begin(&server, data, first_size) == 0 &&
        mr_scram_server_challenge(&server, &credential, "server", text, sizeof text) > 0) {
        (void)mr_scram_server_finish(&server, rest, rest_size, text, sizeof text);
    }
    if (mr_scram_client_begin(&client, MR_SCRAM_SHA_256, "user", "client", text, sizeof text) > 0) {
        (void)mr_scram_client_finish(&client, rest, rest_size);
        /* Four thousand rounds per input would be slow: only what is refused before them. */
        if (memmem(data, size, ",i=4", 4) == NULL) {
            (void)mr_scram_client_answer(&client, "pencil", data, size, text, sizeof text);
        }
    }
    return 0;
}
