/* Signed tokens: header.payload.signature (RFC 7515, 7.1). The signature is checked before anything
 * in the payload is looked at. */
#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/jwk_internal.h"

enum { SIGNATURE_SIZE_MAX = 2048, DER_SIZE_MAX = 160, HEADER_SIZE_MAX = 8 << 10 };

static const struct jws_algorithm algorithms[] = {
    {"RS256", JWK_RSA, "SHA256", false, 0}, {"RS384", JWK_RSA, "SHA384", false, 0},
    {"RS512", JWK_RSA, "SHA512", false, 0}, {"PS256", JWK_RSA, "SHA256", true, 0},
    {"PS384", JWK_RSA, "SHA384", true, 0},  {"PS512", JWK_RSA, "SHA512", true, 0},
    {"ES256", JWK_EC, "SHA256", false, 32}, {"ES384", JWK_EC, "SHA384", false, 48},
    {"ES512", JWK_EC, "SHA512", false, 66}, {"EdDSA", JWK_OKP, NULL, false, 0},
};

const struct jws_algorithm *jws_algorithm_find(const char *name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (strcmp(algorithms[i].name, name) == 0) {
            return &algorithms[i];
        }
    }
    return NULL;
}

/* ---- one signature ---- */

struct signed_text {
    const char *text; /* header.payload */
    size_t size;
    const uint8_t *signature;
    size_t signature_size;
};

/* r and s side by side (RFC 7518, 3.4) as the library wants them; the size, 0 if they are none. */
static size_t der_of(const struct signed_text *in, size_t coordinate_size,
                     uint8_t der[DER_SIZE_MAX])
{
    ECDSA_SIG *pair;
    BIGNUM *r;
    BIGNUM *s;
    int size = 0;

    if (in->signature_size != 2 * coordinate_size) {
        return 0;
    }
    pair = ECDSA_SIG_new();
    r = BN_bin2bn(in->signature, (int)coordinate_size, NULL);
    s = BN_bin2bn(in->signature + coordinate_size, (int)coordinate_size, NULL);
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        uint8_t *at = der;
        size = i2d_ECDSA_SIG(pair, NULL) <= DER_SIZE_MAX ? i2d_ECDSA_SIG(pair, &at) : 0;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return size > 0 ? (size_t)size : 0;
}

static bool is_signed_by(const struct jwk *jwk, const struct jws_algorithm *algorithm,
                         const struct signed_text *in)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL; /* the context's */
    const EVP_MD *digest =
        algorithm->digest != NULL ? EVP_get_digestbyname(algorithm->digest) : NULL;
    const uint8_t *signature = in->signature;
    size_t signature_size = in->signature_size;
    uint8_t der[DER_SIZE_MAX];
    bool is_right = false;

    if (algorithm->kind == JWK_EC) {
        signature = der;
        signature_size = der_of(in, algorithm->coordinate_size, der);
    }
    if (context != NULL && signature_size > 0 &&
        EVP_DigestVerifyInit(context, &options, digest, NULL, jwk->key) == 1 &&
        (!algorithm->is_pss ||
         (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1))) {
        is_right = EVP_DigestVerify(context, signature, signature_size, (const uint8_t *)in->text,
                                    in->size) == 1;
    }
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return is_right;
}

/* ---- the header ---- */

struct header {
    json_t *json;
    const struct jws_algorithm *algorithm;
    const char *id; /* NULL: none */
};

/* Extensions that must be understood ("crit") are not: there are none that we know. */
static int read_header(const char *text, size_t size, struct header *header)
{
    uint8_t bytes[HEADER_SIZE_MAX];
    ssize_t got = jwk_decode(text, size, bytes, sizeof bytes);
    const json_t *id;
    const char *name;

    if (got < 0) {
        return (int)got;
    }
    header->json = json_loadb((const char *)bytes, (size_t)got, JSON_REJECT_DUPLICATES, NULL);
    name = json_string_value(json_object_get(header->json, "alg"));
    id = json_object_get(header->json, "kid");
    if (name == NULL || (id != NULL && !json_is_string(id))) {
        return MR_EPROTOCOL;
    }
    header->algorithm = jws_algorithm_find(name);
    header->id = json_string_value(id);
    return header->algorithm == NULL || json_object_get(header->json, "crit") != NULL
               ? MR_EUNSUPPORTED
               : 0;
}

static bool may_be(const struct jwk *jwk, const struct header *header)
{
    return jwk->kind == header->algorithm->kind &&
           jwk->coordinate_size == header->algorithm->coordinate_size &&
           (jwk->algorithm == NULL || jwk->algorithm == header->algorithm) &&
           (header->id == NULL || (jwk->id != NULL && strcmp(jwk->id, header->id) == 0));
}

static int check_signature(const struct mr_jwk_set *set, const struct header *header,
                           const struct signed_text *in)
{
    int rc = MR_ENOENT;

    for (size_t i = 0; i < set->count; i++) {
        if (may_be(&set->items[i], header)) {
            rc = MR_EAUTH;
            if (is_signed_by(&set->items[i], header->algorithm, in)) {
                return 0;
            }
        }
    }
    return rc;
}

/* ---- the token ---- */

static int append_payload(const char *text, size_t size, struct mr_bytes *payload)
{
    ssize_t got;

    if (mr_bytes_reserve(payload, size + 1) != 0) {
        return MR_ENOMEM;
    }
    got = jwk_decode(text, size, payload->data + payload->size_bytes, size + 1);
    if (got < 0) {
        return (int)got;
    }
    payload->size_bytes += (size_t)got;
    return 0;
}

int mr_jws_verify(const struct mr_jwk_set *set, const char *token, size_t size,
                  struct mr_bytes *payload)
{
    const char *first = size > 0 ? memchr(token, '.', size) : NULL;
    const char *second =
        first != NULL ? memchr(first + 1, '.', size - (size_t)(first + 1 - token)) : NULL;
    uint8_t signature[SIGNATURE_SIZE_MAX];
    struct header header = {0};
    ssize_t signature_size;
    int rc;

    if (second == NULL) {
        return MR_EPROTOCOL;
    }
    if (size > MR_JWS_SIZE_MAX) {
        return MR_ETOOLARGE;
    }
    signature_size =
        jwk_decode(second + 1, size - (size_t)(second + 1 - token), signature, sizeof signature);
    if (signature_size < 0) {
        return MR_EPROTOCOL; /* another dot, for example: an encrypted token has five parts */
    }
    rc = read_header(token, (size_t)(first - token), &header);
    if (rc == 0) {
        struct signed_text in = {token, (size_t)(second - token), signature,
                                 (size_t)signature_size};
        rc = check_signature(set, &header, &in);
    }
    json_decref(header.json);
    return rc != 0 ? rc : append_payload(first + 1, (size_t)(second - first - 1), payload);
}
