/* Making, listing and revoking tokens over HTTP. The one answer that holds a token is the one that
 * makes it. */
#include "agent/admin/token_routes.h"

#include <jansson.h>
#include <string.h>

#include "agent/admin/admin.h"
#include "agent/admin/tokens.h"
#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/http_server.h"
#include "base/text/json.h"

enum { BODY_SIZE_MAX = 4096 };

static void put_token(struct mr_json *json, const struct token *token, const char *text)
{
    mr_json_open_object(json);
    mr_json_key(json, "name");
    mr_json_text(json, token->name);
    mr_json_key(json, "role");
    mr_json_text(json, token_role_name(token->role));
    mr_json_key(json, "created_ms");
    mr_json_i64(json, token->created_ms);
    mr_json_key(json, "expires_ms");
    mr_json_i64(json, token->expires_ms);
    mr_json_key(json, "last_used_ms");
    mr_json_i64(json, token->used_ms);
    if (text != NULL) {
        mr_json_key(json, "token");
        mr_json_text(json, text);
    }
    mr_json_close_object(json);
}

static int list_tokens(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                       struct mr_error *error)
{
    const struct tokens *tokens = admin_tokens(owner);

    (void)exchange;
    (void)error;
    mr_json_open_array(json);
    for (size_t i = 0; tokens_at(tokens, i) != NULL; i++) {
        put_token(json, tokens_at(tokens, i), NULL);
    }
    mr_json_close_array(json);
    return 0;
}

/* {"name": "prometheus", "role": "read", "lifetime_ms": 0} */
static int read_wish(const struct mr_bytes *body, char name[TOKEN_NAME_SIZE_MAX + 2],
                     enum token_role *ret_role, int64_t *ret_lifetime_ms, struct mr_error *error)
{
    json_error_t problem;
    json_t *wish = json_loadb(body->size_bytes > 0 ? (const char *)body->data : "",
                              body->size_bytes, JSON_REJECT_DUPLICATES, &problem);
    const char *name_text = json_string_value(json_object_get(wish, "name"));
    const char *role_text = json_string_value(json_object_get(wish, "role"));
    json_t *lifetime = json_object_get(wish, "lifetime_ms");
    int rc = 0;

    if (name_text == NULL || role_text == NULL || token_role_parse(role_text, ret_role) != 0 ||
        (lifetime != NULL && (!json_is_integer(lifetime) || json_integer_value(lifetime) < 0 ||
                              json_integer_value(lifetime) > INT64_MAX / 2))) {
        rc = mr_fail_text(error, MR_EINVAL,
                          "wanted: {\"name\": ..., \"role\": \"read\" or \"admin\", "
                          "\"lifetime_ms\": 0 or more}");
    } else {
        *ret_lifetime_ms = lifetime != NULL ? json_integer_value(lifetime) : 0;
        strncpy(name, name_text, TOKEN_NAME_SIZE_MAX + 1); /* one too many is seen as such */
        name[TOKEN_NAME_SIZE_MAX + 1] = '\0';
    }
    json_decref(wish);
    return rc;
}

static int create_token(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                        struct mr_error *error)
{
    struct admin *admin = owner;
    struct tokens *tokens = admin_tokens(admin);
    char name[TOKEN_NAME_SIZE_MAX + 2] = "";
    char text[TOKEN_TEXT_SIZE];
    enum token_role role = TOKEN_READ;
    int64_t lifetime_ms = 0;
    size_t place = 0;
    int rc = read_wish(mr_http_body(exchange), name, &role, &lifetime_ms, error);

    if (rc != 0) {
        return rc;
    }
    rc = tokens_create(tokens, name, role, lifetime_ms, text, error);
    admin_audit(admin, exchange, admin_caller(admin), "TokenCreate", name,
                rc == 0 ? "ok" : mr_code_text(rc));
    if (rc != 0) {
        return rc;
    }
    while (tokens_at(tokens, place + 1) != NULL) {
        place++; /* the newest is the last */
    }
    put_token(json, tokens_at(tokens, place), text);
    explicit_bzero(text, sizeof text);
    return 0;
}

static int revoke_token(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                        struct mr_error *error)
{
    struct admin *admin = owner;
    const char *name = mr_http_param(exchange, 0);
    int rc = tokens_revoke(admin_tokens(admin), name, error);

    admin_audit(admin, exchange, admin_caller(admin), "TokenRevoke", name,
                rc == 0 ? "ok" : mr_code_text(rc));
    if (rc == 0) {
        mr_json_open_object(json);
        mr_json_key(json, "revoked");
        mr_json_text(json, name);
        mr_json_close_object(json);
    }
    return rc;
}

int token_routes_add(struct admin *admin)
{
    const struct admin_route routes[] = {
        {.method = "GET",
         .path = "/tokens",
         .handler = list_tokens,
         .owner = admin,
         .help = "The tokens of this API: name, role, when made, last used, and when they end."},
        {.method = "POST",
         .path = "/tokens",
         .handler = create_token,
         .owner = admin,
         .body_size_bytes_max = BODY_SIZE_MAX,
         .help = "Makes one: {name, role, lifetime_ms}. Its text is in this answer and nowhere "
                 "else."},
        {.method = "DELETE",
         .path = "/tokens/{name}",
         .handler = revoke_token,
         .owner = admin,
         .help = "Revokes one."},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof routes / sizeof routes[0]; i++) {
        rc = admin_add_route(admin, &routes[i]);
    }
    return rc;
}
