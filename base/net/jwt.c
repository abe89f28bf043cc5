#include "base/net/jwt.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/jwk_internal.h"

static const double seconds_max = 253402300800.0; /* the year 10000 */

/* ---- reading claims ---- */

/* A NumericDate: seconds, perhaps with a fraction. 0, MR_ENOENT, or MR_EPROTOCOL. */
static int read_time(const json_t *claims, const char *name, int64_t *ret_ms)
{
    const json_t *value = json_object_get(claims, name);
    double seconds;

    if (value == NULL) {
        return MR_ENOENT;
    }
    seconds = json_number_value(value);
    if (!json_is_number(value) || !(seconds >= 0 && seconds <= seconds_max)) {
        return MR_EPROTOCOL;
    }
    *ret_ms = (int64_t)(seconds * 1000);
    return 0;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* A text, or a list of texts, with this one. */
static bool holds(const json_t *value, const char *text)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (is_text(json_array_get(value, i), text)) {
            return true;
        }
    }
    return is_text(value, text);
}

/* The same where a text may be several words. */
static bool holds_word(const json_t *value, const char *word)
{
    size_t size = strlen(word);
    const char *at = json_string_value(value);

    if (at == NULL) {
        return holds(value, word);
    }
    while (*at != '\0') {
        size_t span = strcspn(at, " ");
        if (span == size && memcmp(at, word, size) == 0) {
            return true;
        }
        at += span + strspn(at + span, " ");
    }
    return false;
}

/* ---- checking them ---- */

static const char *check_times(const json_t *claims, const struct mr_jwt_policy *policy,
                               int64_t now_ms, int64_t *ret_expires_ms)
{
    int64_t issued_ms;
    int64_t begins_ms;
    int rc;

    if (read_time(claims, "exp", ret_expires_ms) != 0) {
        return "the token does not say when it ends";
    }
    if (read_time(claims, "iat", &issued_ms) != 0) {
        return "the token does not say when it was issued";
    }
    if (now_ms - policy->skew_ms >= *ret_expires_ms) {
        return "the token has expired";
    }
    if (issued_ms > now_ms + policy->skew_ms) {
        return "the token was issued in the future";
    }
    rc = read_time(claims, "nbf", &begins_ms);
    if (rc != MR_ENOENT && (rc != 0 || begins_ms > now_ms + policy->skew_ms)) {
        return "the token is not valid yet";
    }
    return NULL;
}

static const char *check_audience(const json_t *claims, const struct mr_jwt_policy *policy)
{
    const json_t *audience = json_object_get(claims, "aud");

    for (size_t i = 0; i < policy->audience_count; i++) {
        if (holds(audience, policy->audiences[i])) {
            return NULL;
        }
    }
    return policy->audience_count == 0 && audience == NULL ? NULL
                                                           : "the token is for another audience";
}

static const char *check_scopes(const json_t *claims, const struct mr_jwt_policy *policy)
{
    const json_t *scope =
        json_object_get(claims, policy->scope_claim != NULL ? policy->scope_claim : "scope");

    for (size_t i = 0; i < policy->scope_count; i++) {
        if (!holds_word(scope, policy->scopes[i])) {
            return "the token lacks a scope";
        }
    }
    return NULL;
}

/* A name that can stand in a binding and in a line of a log. */
static const char *take_subject(const json_t *claims, const struct mr_jwt_policy *policy,
                                struct mr_jwt *jwt)
{
    const json_t *subject =
        json_object_get(claims, policy->subject_claim != NULL ? policy->subject_claim : "sub");
    const char *text = json_string_value(subject);
    size_t size = json_string_length(subject);

    if (text == NULL || size == 0 || size > MR_JWT_SUBJECT_SIZE_MAX) {
        return "the token names no subject, or one that is too long";
    }
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            return "the token's subject has control characters";
        }
    }
    memcpy(jwt->subject, text, size + 1);
    return NULL;
}

static const char *check_claims(const json_t *claims, const struct mr_jwt_policy *policy,
                                int64_t now_ms, struct mr_jwt *jwt)
{
    const char *reason = check_times(claims, policy, now_ms, &jwt->expires_at_ms);

    if (reason == NULL && policy->issuer != NULL &&
        !is_text(json_object_get(claims, "iss"), policy->issuer)) {
        reason = "the token is from another issuer";
    }
    if (reason == NULL) {
        reason = check_audience(claims, policy);
    }
    if (reason == NULL) {
        reason = check_scopes(claims, policy);
    }
    return reason != NULL ? reason : take_subject(claims, policy, jwt);
}

static const char *reason_of(int rc)
{
    switch (rc) {
    case MR_ETOOLARGE:
        return "the token is too long";
    case MR_EUNSUPPORTED:
        return "the token's algorithm is not taken";
    case MR_ENOENT:
        return "the token is signed by a key that is not known";
    case MR_EAUTH:
        return "the token's signature is wrong";
    case MR_ENOMEM:
        return "no memory for the token";
    default:
        return "not a signed token";
    }
}

int mr_jwt_check(const struct mr_jwk_set *keys, const struct mr_jwt_policy *policy,
                 const char *token, size_t size, int64_t now_ms, struct mr_jwt *ret_jwt,
                 const char **ret_reason)
{
    struct mr_bytes payload;
    struct mr_jwt jwt = {0};
    json_t *claims = NULL;
    int rc;

    mr_bytes_init(&payload);
    rc = mr_jws_verify(keys, token, size, &payload);
    if (rc == 0) {
        claims = json_loadb((const char *)payload.data, payload.size_bytes, JSON_REJECT_DUPLICATES,
                            NULL);
        rc = json_is_object(claims) ? 0 : MR_EPROTOCOL;
    }
    if (rc != 0) {
        *ret_reason = reason_of(rc);
    } else {
        *ret_reason = check_claims(claims, policy, now_ms, &jwt);
        rc = *ret_reason != NULL ? MR_EAUTH : 0;
    }
    if (rc == 0) {
        *ret_jwt = jwt;
    }
    json_decref(claims);
    mr_bytes_done(&payload);
    return rc;
}

int64_t mr_jwt_expires_ms(const char *token, size_t size)
{
    const char *first = size > 0 ? memchr(token, '.', size) : NULL;
    const char *second =
        first != NULL ? memchr(first + 1, '.', size - (size_t)(first + 1 - token)) : NULL;
    size_t text_size = second != NULL ? (size_t)(second - first - 1) : 0;
    uint8_t *bytes = text_size > 0 && size <= MR_JWS_SIZE_MAX ? mr_malloc(text_size) : NULL;
    ssize_t got = bytes != NULL ? jwk_decode(first + 1, text_size, bytes, text_size) : -1;
    json_t *claims =
        got > 0 ? json_loadb((const char *)bytes, (size_t)got, JSON_REJECT_DUPLICATES, NULL) : NULL;
    int64_t expires_ms = 0;

    (void)read_time(claims, "exp", &expires_ms);
    json_decref(claims);
    mr_free(bytes);
    return expires_ms;
}
