#include "queue/client/bearer.h"

#include <string.h>

#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "base/core/secret.h"
#include "base/net/jwk.h"
#include "base/net/oauth_token.h"
#include "base/net/oauthbearer.h"
#include "base/net/scram.h"

enum { ASK_TIMEOUT_MS = 5000, FRESH_PERCENT = 80 };

struct bearer {
    struct mr_disk *disk;
    char *token_file;
    char *url;
    char *ca;
    char *id;
    struct mr_secret *secret;
    struct mr_secret_text *asked_with; /* what it was when the token was given */
    char *scope;
    struct mr_bytes token; /* the last one that a server gave */
    int64_t stale_at_ms;   /* monotonic: another one is wanted */
    int64_t ends_at_ms;
};

static void wipe(struct mr_bytes *bytes)
{
    if (bytes->data != NULL) {
        mr_scram_wipe(bytes->data, bytes->size_bytes);
    }
    mr_bytes_clear(bytes);
}

void bearer_free(struct bearer *bearer)
{
    if (bearer == NULL) {
        return;
    }
    mr_secret_drop(bearer->asked_with);
    mr_secret_unref(bearer->secret);
    wipe(&bearer->token);
    mr_bytes_done(&bearer->token);
    mr_free(bearer->token_file);
    mr_free(bearer->url);
    mr_free(bearer->ca);
    mr_free(bearer->id);
    mr_free(bearer->scope);
    mr_free(bearer);
}

static int copy(const char *text, char **ret_copy)
{
    *ret_copy = text != NULL ? mr_strdup(text) : NULL;
    return text == NULL || *ret_copy != NULL ? 0 : MR_ENOMEM;
}

int bearer_new(const struct client_oauth *config, struct bearer **ret_bearer)
{
    struct bearer *bearer = mr_calloc(1, sizeof *bearer);

    mr_assert(config->token_file != NULL || config->url != NULL);
    if (bearer == NULL) {
        return MR_ENOMEM;
    }
    bearer->disk = config->disk;
    bearer->secret = config->secret != NULL ? mr_secret_ref(config->secret) : NULL;
    mr_bytes_init(&bearer->token);
    if (copy(config->token_file, &bearer->token_file) != 0 ||
        copy(config->url, &bearer->url) != 0 || copy(config->ca, &bearer->ca) != 0 ||
        copy(config->id, &bearer->id) != 0 || copy(config->scope, &bearer->scope) != 0) {
        bearer_free(bearer);
        return MR_ENOMEM;
    }
    *ret_bearer = bearer;
    return 0;
}

/* Editors put a newline behind everything. */
static size_t trimmed(const char *text, size_t size)
{
    while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL) {
        size -= 1;
    }
    return size;
}

static int write_message(const char *token, size_t size, const char *source,
                         struct mr_bytes *message, struct mr_error *error)
{
    int rc = mr_oauthbearer_write(token, size, message);

    return rc == MR_EINVAL ? mr_fail_text(error, rc, "%s: what is there is no token", source)
           : rc != 0       ? mr_fail(error, rc, "token")
                           : 0;
}

static int from_file(struct bearer *bearer, struct mr_bytes *message, struct mr_error *error)
{
    char *text = NULL;
    size_t size = 0;
    int rc =
        mr_disk_read_file(bearer->disk, bearer->token_file, MR_JWS_SIZE_MAX, &text, &size, error);

    if (rc == 0) {
        rc = write_message(text, trimmed(text, size), bearer->token_file, message, error);
        mr_scram_wipe(text, size);
    }
    mr_free(text);
    return rc;
}

static int ask(struct bearer *bearer, struct mr_secret_text *secret, int64_t now_ms,
               struct mr_error *error)
{
    const struct mr_oauth_client client = {.url = bearer->url,
                                           .ca = bearer->ca,
                                           .id = bearer->id,
                                           .secret = mr_secret_chars(secret),
                                           .scope = bearer->scope,
                                           .timeout_ms = ASK_TIMEOUT_MS};
    struct mr_bytes token;
    int64_t lifetime_ms = 0;
    int rc;

    mr_bytes_init(&token);
    rc = mr_oauth_token_ask(&client, &token, &lifetime_ms, error);
    if (rc != 0) {
        wipe(&token);
        mr_bytes_done(&token);
        return rc;
    }
    wipe(&bearer->token);
    mr_bytes_done(&bearer->token);
    bearer->token = token;
    bearer->stale_at_ms = now_ms + lifetime_ms * FRESH_PERCENT / 100;
    bearer->ends_at_ms = now_ms + lifetime_ms;
    return 0;
}

static int from_server(struct bearer *bearer, struct mr_bytes *message, struct mr_error *error)
{
    int64_t now_ms = mr_clock_monotonic_ms(mr_clock_system());
    struct mr_secret_text *secret = mr_secret_take(bearer->secret);
    bool is_new = secret != bearer->asked_with;
    int rc = 0;

    if (bearer->token.size_bytes == 0 || is_new || now_ms >= bearer->stale_at_ms) {
        rc = ask(bearer, secret, now_ms, error);
    }
    if (rc == 0) {
        mr_secret_drop(bearer->asked_with);
        bearer->asked_with = secret;
    } else {
        mr_secret_drop(secret);
    }
    if (rc != 0 && (bearer->token.size_bytes == 0 || now_ms >= bearer->ends_at_ms)) {
        return rc; /* else the old one is good for a while */
    }
    return write_message((const char *)bearer->token.data, bearer->token.size_bytes, bearer->url,
                         message, error);
}

int bearer_message(struct bearer *bearer, struct mr_bytes *message, struct mr_error *error)
{
    return bearer->token_file != NULL ? from_file(bearer, message, error)
                                      : from_server(bearer, message, error);
}
