#include "base/net/oauth_token.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/http_fetch.h"
#include "base/net/jwk.h"
#include "base/net/scram.h"

enum { ANSWER_SIZE_MAX = 256 << 10 };

/* An error code as servers give them ("invalid_client"): letters and underscores, nothing else gets
 * into our log. */
static const char *error_word(const json_t *json, char *text, size_t size)
{
    const char *word = json_string_value(json_object_get(json, "error"));

    if (word == NULL || strlen(word) >= size ||
        word[strspn(word, "abcdefghijklmnopqrstuvwxyz_")] != '\0') {
        return "no reason given";
    }
    memcpy(text, word, strlen(word) + 1);
    return text;
}

int mr_oauth_token_parse(int status, const void *answer, size_t size, struct mr_bytes *token,
                         int64_t *ret_lifetime_ms, struct mr_error *error)
{
    json_t *json = json_loadb(answer, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *value = json_object_get(json, "access_token");
    const json_t *lifetime = json_object_get(json, "expires_in");
    const char *type = json_string_value(json_object_get(json, "token_type"));
    double seconds = json_number_value(lifetime);
    char word[64];
    int rc = 0;

    if (status != 200) {
        rc = mr_fail_text(error, status == 400 || status == 401 ? MR_EAUTH : MR_EPROTOCOL,
                          "no token: status %d: %s", status, error_word(json, word, sizeof word));
    } else if (!json_is_string(value) || json_string_length(value) == 0 ||
               json_string_length(value) > MR_JWS_SIZE_MAX ||
               (type != NULL && strcasecmp(type, "Bearer") != 0)) {
        rc = mr_fail_text(error, MR_EPROTOCOL, "no token: the answer holds no bearer token");
    } else {
        mr_bytes_append(token, json_string_value(value), json_string_length(value));
        rc = token->failed != 0 ? mr_fail(error, MR_ENOMEM, "token") : 0;
    }
    if (rc == 0) {
        *ret_lifetime_ms = json_is_number(lifetime) && seconds > 0 && seconds < 1e9
                               ? (int64_t)(seconds * 1000)
                               : 0;
    }
    if (json_is_string(value)) { /* it is ours until here */
        mr_scram_wipe((char *)(uintptr_t)json_string_value(value), json_string_length(value));
    }
    json_decref(json);
    return rc;
}

static void write_form(const char *scope, struct mr_bytes *form)
{
    mr_bytes_text(form, "grant_type=client_credentials");
    for (const char *at = scope; at != NULL && *at != '\0'; at++) {
        mr_bytes_printf(form, "%s%%%02X", at == scope ? "&scope=" : "",
                        (unsigned)(unsigned char)*at);
    }
}

int mr_oauth_token_ask(const struct mr_oauth_client *client, struct mr_bytes *token,
                       int64_t *ret_lifetime_ms, struct mr_error *error)
{
    struct mr_http_fetch fetch = {.url = client->url,
                                  .ca = client->ca,
                                  .user = client->id,
                                  .password = client->secret,
                                  .timeout_ms = client->timeout_ms,
                                  .content_type = "application/x-www-form-urlencoded",
                                  .answer_size_max = ANSWER_SIZE_MAX};
    struct mr_bytes form;
    struct mr_bytes answer;
    int status = 0;
    int rc;

    mr_bytes_init(&form);
    mr_bytes_init(&answer);
    write_form(client->scope, &form);
    fetch.body = form.data;
    fetch.body_size_bytes = form.size_bytes;
    rc = form.failed != 0 ? mr_fail(error, MR_ENOMEM, "token")
                          : mr_http_fetch(&fetch, &status, &answer, error);
    if (rc == 0) {
        rc = mr_oauth_token_parse(status, answer.data, answer.size_bytes, token, ret_lifetime_ms,
                                  error);
    }
    if (answer.data != NULL) {
        mr_scram_wipe(answer.data, answer.size_bytes);
    }
    mr_bytes_done(&answer);
    mr_bytes_done(&form);
    return rc;
}
