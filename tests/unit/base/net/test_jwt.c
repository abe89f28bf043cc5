/* Signed tokens: the examples of RFC 7515, 7520 and 8037, the ways to forge one, and what a token
 * may claim. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/jwk.h"
#include "base/net/jwt.h"
#include "tests/lib/jose_vectors.h"
#include "tests/lib/test.h"

enum { NOW_S = 1700000000, VECTORS = sizeof jose_vectors / sizeof jose_vectors[0] };

static struct mr_jwk_set *parse_keys(const char *keys)
{
    struct mr_error error = {0};
    struct mr_jwk_set *set = NULL;
    char *text = mr_asprintf("{\"keys\":[%s]}", keys);

    CHECK_OK(mr_jwk_set_parse(text, strlen(text), &set, &error), &error);
    mr_free(text);
    return set;
}

static int refuse_keys(const char *text)
{
    struct mr_error error = {0};
    struct mr_jwk_set *set = NULL;

    return mr_jwk_set_parse(text, strlen(text), &set, &error);
}

static int verify(const struct mr_jwk_set *set, const char *token, size_t size)
{
    struct mr_bytes payload;
    int rc;

    mr_bytes_init(&payload);
    rc = mr_jws_verify(set, token, size, &payload);
    CHECK(rc == 0 || payload.size_bytes == 0);
    mr_bytes_done(&payload);
    return rc;
}

/* Each example with its own key, and with the keys of all the others beside it. */
TEST(jws, takes_the_examples_of_the_rfcs)
{
    for (size_t i = 0; i < VECTORS; i++) {
        struct mr_jwk_set *set = parse_keys(jose_vectors[i].key);
        struct mr_bytes payload;

        mr_bytes_init(&payload);
        CHECK_EQ(mr_jws_verify(set, jose_vectors[i].token, strlen(jose_vectors[i].token), &payload),
                 0);
        mr_bytes_append(&payload, "", 1);
        CHECK_STR((const char *)payload.data, jose_vectors[i].payload);
        mr_bytes_done(&payload);
        mr_jwk_set_unref(set);
    }
}

/* Every changed character ends it, wherever it stands; so does every cut. The last character of a
 * part has bits that say nothing: those are refused as well. */
TEST(jws, refuses_every_changed_character_and_every_cut)
{
    for (size_t i = 0; i < VECTORS; i++) {
        struct mr_jwk_set *set = parse_keys(jose_vectors[i].key);
        char *token = mr_strdup(jose_vectors[i].token);
        size_t size = strlen(token);
        for (size_t at = 0; at < size; at += 1 + size / 97) {
            char was = token[at];
            token[at] = was == 'A' ? 'B' : 'A';
            CHECK_NE(verify(set, token, size), 0);
            token[at] = was;
            CHECK_NE(verify(set, token, at), 0);
        }
        CHECK_EQ(verify(set, token, size), 0);
        mr_free(token);
        mr_jwk_set_unref(set);
    }
}

TEST(jws, refuses_the_keys_of_others)
{
    for (size_t i = 0; i < VECTORS; i++) {
        for (size_t j = 0; j < VECTORS; j++) {
            struct mr_jwk_set *set = parse_keys(jose_vectors[j].key);
            int rc = verify(set, jose_vectors[i].token, strlen(jose_vectors[i].token));
            bool is_same = strcmp(jose_vectors[i].key, jose_vectors[j].key) == 0;
            CHECK_EQ(rc == 0, is_same);
            mr_jwk_set_unref(set);
        }
    }
}

static void encode(const void *data, size_t size, struct mr_bytes *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *bytes = data;

    for (size_t bit = 0; bit < size * 8; bit += 6) {
        unsigned value = (unsigned)bytes[bit / 8] << 8;
        if (bit / 8 + 1 < size) {
            value |= bytes[bit / 8 + 1];
        }
        mr_bytes_append(out, &digits[value >> (10 - bit % 8) & 63], 1);
    }
}

static char *token_of(const char *header, const char *payload, EVP_PKEY *key)
{
    struct mr_bytes out;
    uint8_t signature[64] = {1};
    size_t size = sizeof signature;

    mr_bytes_init(&out);
    encode(header, strlen(header), &out);
    mr_bytes_text(&out, ".");
    encode(payload, strlen(payload), &out);
    if (key != NULL) {
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        CHECK_EQ(EVP_DigestSignInit(context, NULL, NULL, NULL, key), 1);
        CHECK_EQ(EVP_DigestSign(context, signature, &size, out.data, out.size_bytes), 1);
        EVP_MD_CTX_free(context);
    }
    mr_bytes_text(&out, ".");
    encode(signature, size, &out);
    mr_bytes_append(&out, "", 1);
    return (char *)out.data;
}

/* The public key as the secret of an HMAC, and no signature at all: the two oldest tricks. */
TEST(jws, knows_neither_none_nor_shared_secrets)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"HS512\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":\"RSA-OAEP\"}",
        "{\"alg\":\"ES256K\"}",
        "{\"alg\":\"rs256\"}",
        "{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}",
    };
    struct mr_jwk_set *set = parse_keys(jose_vectors[0].key);

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char *token = token_of(headers[i], "{}", NULL);
        CHECK_EQ(verify(set, token, strlen(token)), MR_EUNSUPPORTED);
        token[strlen(token) - 86] = '\0'; /* with an empty signature */
        CHECK_EQ(verify(set, token, strlen(token)), MR_EUNSUPPORTED);
        mr_free(token);
    }
    CHECK_EQ(verify(set, jose_hmac_token, strlen(jose_hmac_token)), MR_EUNSUPPORTED);
    mr_jwk_set_unref(set);
    /* A set with nothing but a secret is none. */
    CHECK_EQ(
        refuse_keys("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-Est"
                    "JQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}]}"),
        MR_EINVAL);
}

TEST(jws, refuses_what_is_no_token)
{
    static const char *const tokens[] = {"",
                                         ".",
                                         "..",
                                         "...",
                                         "a.b",
                                         "e30.e30.",
                                         "e30.e30.e30",
                                         "e30=.e30.e30",
                                         "eyJhbGciOjF9.e30.e30",
                                         "eyJhbGciOiJSUzI1NiJ9.e30.e30.e30.e30"};
    struct mr_jwk_set *set = parse_keys(jose_vectors[0].key);
    char *large = mr_calloc(1, MR_JWS_SIZE_MAX + 2);

    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        CHECK_EQ(verify(set, tokens[i], strlen(tokens[i])), MR_EPROTOCOL);
    }
    memset(large, 'A', MR_JWS_SIZE_MAX + 1);
    large[10] = large[20] = '.';
    CHECK_EQ(verify(set, large, MR_JWS_SIZE_MAX + 1), MR_ETOOLARGE);
    mr_free(large);
    mr_jwk_set_unref(set);
}

/* What is for something else, weak, or broken is left out; the rest is taken. */
TEST(jwk, leaves_out_what_does_not_verify_signatures)
{
    static const char *const useless[] = {
        "{}",
        "[]",
        "1",
        "null",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[1,\"x\",{}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\"}]}",
        /* not on the curve */
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
        "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvR"
        "VEU\",\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_"
        "7TyWQHOg7hcvPapiMlrwIaaP"
        "cHURo\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"enc\",\"x\":\"11qYAYKxCrfVS_"
        "7TyWQHO"
        "g7hcvPapiMlrwIaaPcHURo\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"key_ops\":[\"sign\"],\"x\":"
        "\"11qYAYKxCrfVS_"
        "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"ES256\",\"x\":\"11qYAYKxCrfVS_"
        "7TyWQ"
        "HOg7hcvPapiMlrwIaaPcHURo\"}]}",
        "{\"keys\":[],\"keys\":[]}",
        "{\"keys\":",
        "",
    };
    struct mr_jwk_set *set;

    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        CHECK_EQ(refuse_keys(useless[i]), MR_EINVAL);
    }
    set =
        parse_keys("{\"kty\":\"oct\",\"k\":\"AQ\"},{\"kty\":\"RSA\"},{\"kty\":\"OKP\",\"crv\":"
                   "\"Ed25519\",\"key_ops\":[\"verify\"],\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrw"
                   "IaaPcHURo\"}");
    CHECK_EQ(mr_jwk_set_count(set), 1);
    mr_jwk_set_unref(set);
}

/* ---- claims ---- */

struct issuer {
    EVP_PKEY *key;
    struct mr_jwk_set *keys;
};

static void issuer_init(struct issuer *issuer)
{
    uint8_t point[32];
    size_t size = sizeof point;
    struct mr_bytes text;

    issuer->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    CHECK(issuer->key != NULL);
    CHECK_EQ(EVP_PKEY_get_raw_public_key(issuer->key, point, &size), 1);
    mr_bytes_init(&text);
    mr_bytes_text(&text, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"one\",\"x\":\"");
    encode(point, size, &text);
    mr_bytes_append(&text, "\"}", 3);
    issuer->keys = parse_keys((const char *)text.data);
    mr_bytes_done(&text);
}

static void issuer_done(struct issuer *issuer)
{
    EVP_PKEY_free(issuer->key);
    mr_jwk_set_unref(issuer->keys);
}

/* NULL, or why not. Times in the claims are written as +seconds: "@-31". */
static const char *ask(const struct issuer *issuer, const struct mr_jwt_policy *policy,
                       const char *claims, struct mr_jwt *jwt)
{
    struct mr_bytes text;
    const char *reason = NULL;
    char *token;
    int rc;

    mr_bytes_init(&text);
    for (const char *at = claims; *at != '\0'; at++) {
        if (*at == '@') {
            int more = 0;
            int used = 0;
            CHECK_EQ(sscanf(at + 1, "%d%n", &more, &used), 1);
            mr_bytes_printf(&text, "%d", NOW_S + more);
            at += used;
        } else {
            mr_bytes_append(&text, at, 1);
        }
    }
    mr_bytes_append(&text, "", 1);
    token = token_of("{\"alg\":\"EdDSA\",\"kid\":\"one\"}", (const char *)text.data, issuer->key);
    rc = mr_jwt_check(issuer->keys, policy, token, strlen(token), NOW_S * INT64_C(1000), jwt,
                      &reason);
    CHECK_EQ(rc == 0, reason == NULL);
    mr_free(token);
    mr_bytes_done(&text);
    return reason;
}

static const char *const own[] = {"us", "millrace"};
static const char *const wanted[] = {"kafka"};

TEST(jwt, takes_what_fits)
{
    static const char *const claims[] = {
        "{\"sub\":\"alice\",\"iss\":\"id\",\"aud\":\"millrace\",\"iat\":@0,\"exp\":@60,\"scope\":"
        "\"a kafka b\"}",
        "{\"sub\":\"alice\",\"iss\":\"id\",\"aud\":[\"x\",\"us\"],\"iat\":@29,\"exp\":@-29,\"nbf\":"
        "@29,"
        "\"scope\":[\"kafka\"]}",
        "{\"sub\":\"alice\",\"iss\":\"id\",\"aud\":\"us\",\"iat\":1.5,\"exp\":@60,\"scope\":"
        "\"kafka\","
        "\"more\":{\"deep\":[1]}}",
    };
    const struct mr_jwt_policy policy = {.issuer = "id",
                                         .audiences = own,
                                         .audience_count = 2,
                                         .scopes = wanted,
                                         .scope_count = 1,
                                         .skew_ms = 30000};
    struct issuer issuer;

    issuer_init(&issuer);
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        struct mr_jwt jwt = {0};
        CHECK_STR(ask(&issuer, &policy, claims[i], &jwt), NULL);
        CHECK_STR(jwt.subject, "alice");
        CHECK_GT(jwt.expires_at_ms, (NOW_S - 30) * INT64_C(1000));
    }
    issuer_done(&issuer);
}

TEST(jwt, refuses_what_is_late_early_or_for_others)
{
#define GOOD "\"sub\":\"alice\",\"iss\":\"id\",\"aud\":\"us\",\"scope\":\"kafka\""
    static const struct {
        const char *claims;
        const char *reason;
    } cases[] = {
        {"{" GOOD ",\"iat\":@0,\"exp\":@-30}", "has expired"},
        {"{" GOOD ",\"iat\":@31,\"exp\":@60}", "in the future"},
        {"{" GOOD ",\"iat\":@0,\"exp\":@60,\"nbf\":@31}", "not valid yet"},
        {"{" GOOD ",\"iat\":@0,\"exp\":@60,\"nbf\":\"x\"}", "not valid yet"},
        {"{" GOOD ",\"iat\":@0}", "when it ends"},
        {"{" GOOD ",\"iat\":@0,\"exp\":\"1800000000\"}", "when it ends"},
        {"{" GOOD ",\"iat\":@0,\"exp\":1e300}", "when it ends"},
        {"{" GOOD ",\"iat\":@0,\"exp\":-1}", "when it ends"},
        {"{" GOOD ",\"exp\":@60}", "when it was issued"},
        {"{\"sub\":\"alice\",\"aud\":\"us\",\"scope\":\"kafka\",\"iat\":@0,\"exp\":@60}", "issuer"},
        {"{\"sub\":\"alice\",\"iss\":\"ID\",\"aud\":\"us\",\"iat\":@0,\"exp\":@60}", "issuer"},
        {"{\"sub\":\"alice\",\"iss\":[\"id\"],\"aud\":\"us\",\"iat\":@0,\"exp\":@60}", "issuer"},
        {"{\"sub\":\"alice\",\"iss\":\"id\",\"iat\":@0,\"exp\":@60}", "audience"},
        {"{\"sub\":\"alice\",\"iss\":\"id\",\"aud\":[],\"iat\":@0,\"exp\":@60}", "audience"},
        {"{\"sub\":\"alice\",\"iss\":\"id\",\"aud\":[\"u\",1],\"iat\":@0,\"exp\":@60}", "audience"},
        {"{\"sub\":\"alice\",\"iss\":\"id\",\"aud\":\"us\",\"iat\":@0,\"exp\":@60}", "scope"},
        {"{\"sub\":\"alice\",\"iss\":\"id\",\"aud\":\"us\",\"iat\":@0,\"exp\":@60,\"scope\":"
         "\"kafkas a\"}",
         "scope"},
        {"{\"iss\":\"id\",\"aud\":\"us\",\"scope\":\"kafka\",\"iat\":@0,\"exp\":@60}", "subject"},
        {"{\"sub\":\"\",\"iss\":\"id\",\"aud\":\"us\",\"scope\":\"kafka\",\"iat\":@0,\"exp\":@60}",
         "subject"},
        {"{\"sub\":7,\"iss\":\"id\",\"aud\":\"us\",\"scope\":\"kafka\",\"iat\":@0,\"exp\":@60}",
         "subject"},
        {"{\"sub\":\"a\\nb\",\"iss\":\"id\",\"aud\":\"us\",\"scope\":\"kafka\",\"iat\":@0,\"exp\":@"
         "60}",
         "control"},
        {"{" GOOD ",\"sub\":\"root\",\"iat\":@0,\"exp\":@60}", "not a signed token"},
        {"[]", "not a signed token"},
        {"", "not a signed token"},
    };
#undef GOOD
    const struct mr_jwt_policy policy = {.issuer = "id",
                                         .audiences = own,
                                         .audience_count = 2,
                                         .scopes = wanted,
                                         .scope_count = 1,
                                         .skew_ms = 30000};
    struct issuer issuer;

    issuer_init(&issuer);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_jwt jwt = {0};
        const char *reason = ask(&issuer, &policy, cases[i].claims, &jwt);
        CHECK(reason != NULL);
        CHECK_HAS(reason, cases[i].reason);
        CHECK_STR(jwt.subject, "");
    }
    issuer_done(&issuer);
}

/* As Kafka: a token for somebody is not taken where nobody is expected. */
TEST(jwt, takes_a_token_for_somebody_only_where_that_is_us)
{
    const struct mr_jwt_policy policy = {.subject_claim = "email", .scope_claim = "scp"};
    struct issuer issuer;
    struct mr_jwt jwt = {0};

    issuer_init(&issuer);
    CHECK_STR(ask(&issuer, &policy, "{\"email\":\"ann.b\",\"iat\":@0,\"exp\":@60}", &jwt), NULL);
    CHECK_STR(jwt.subject, "ann.b");
    CHECK_HAS(
        ask(&issuer, &policy, "{\"email\":\"ann.b\",\"aud\":\"x\",\"iat\":@0,\"exp\":@60}", &jwt),
        "audience");
    issuer_done(&issuer);
}

TEST(jwt, names_the_key_that_is_not_known)
{
    const struct mr_jwt_policy policy = {.skew_ms = 0};
    struct issuer issuer;
    struct mr_jwt jwt;
    const char *reason = NULL;
    char *token;

    issuer_init(&issuer);
    token = token_of("{\"alg\":\"EdDSA\",\"kid\":\"two\"}", "{}", issuer.key);
    CHECK_EQ(mr_jwt_check(issuer.keys, &policy, token, strlen(token), 0, &jwt, &reason), MR_ENOENT);
    CHECK_HAS(reason, "not known");
    mr_free(token);
    token =
        token_of("{\"alg\":\"EdDSA\"}", "{\"exp\":1800000000}", NULL); /* whoever has signed it */
    CHECK_EQ(mr_jwt_expires_ms(token, strlen(token)), INT64_C(1800000000000));
    CHECK_EQ(mr_jwt_expires_ms("a.b", 3), 0);
    mr_free(token);
    issuer_done(&issuer);
}
