#include "base/net/jwk.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/jwk_internal.h"

enum {
    RSA_BITS_MIN = 2048, /* RFC 7518, 3.3 */
    RSA_BITS_MAX = 16384,
    NUMBER_SIZE_MAX = RSA_BITS_MAX / 8,
    COORDINATE_SIZE_MAX = 66,
    ID_SIZE_MAX = 1024,
};

/* ---- base64url ---- */

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t jwk_decode(const char *text, size_t size, uint8_t *data, size_t capacity)
{
    uint32_t bits = 0;
    int bit_count = 0;
    size_t out = 0;

    if (size % 4 == 1) {
        return MR_EPROTOCOL;
    }
    for (size_t i = 0; i < size; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0) {
            return MR_EPROTOCOL;
        }
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            if (out == capacity) {
                return MR_ETOOLARGE;
            }
            data[out++] = (uint8_t)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    return bits == 0 ? (ssize_t)out : MR_EPROTOCOL; /* bits that say nothing */
}

/* ---- one key ---- */

static ssize_t member_bytes(const json_t *json, const char *name, uint8_t *data, size_t capacity)
{
    const json_t *member = json_object_get(json, name);

    return json_is_string(member)
               ? jwk_decode(json_string_value(member), json_string_length(member), data, capacity)
               : MR_EPROTOCOL;
}

/* What a builder holds becomes a public key; NULL if it is none. */
static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (parameters == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

static EVP_PKEY *make_rsa(const json_t *json)
{
    uint8_t bytes[NUMBER_SIZE_MAX];
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    ssize_t size = member_bytes(json, "n", bytes, sizeof bytes);
    BIGNUM *n = size > 0 ? BN_bin2bn(bytes, (int)size, NULL) : NULL;
    BIGNUM *e;
    EVP_PKEY *key = NULL;

    size = member_bytes(json, "e", bytes, 8); /* a longer exponent is only slow */
    e = size > 0 ? BN_bin2bn(bytes, (int)size, NULL) : NULL;
    if (builder != NULL && n != NULL && e != NULL && BN_num_bits(n) >= RSA_BITS_MIN &&
        BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        key = make_key("RSA", builder);
    }
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static size_t coordinate_size_of(const char *curve)
{
    return strcmp(curve, "P-256") == 0   ? 32
           : strcmp(curve, "P-384") == 0 ? 48
           : strcmp(curve, "P-521") == 0 ? 66
                                         : 0;
}

/* The point is checked to be on its curve when it is taken. */
static EVP_PKEY *make_ec(const json_t *json, const char *curve, size_t *ret_coordinate_size)
{
    size_t size = coordinate_size_of(curve);
    uint8_t point[1 + 2 * COORDINATE_SIZE_MAX] = {4}; /* uncompressed */
    OSSL_PARAM_BLD *builder;
    EVP_PKEY *key = NULL;

    if (size == 0 || member_bytes(json, "x", point + 1, size) != (ssize_t)size ||
        member_bytes(json, "y", point + 1 + size, size) != (ssize_t)size) {
        return NULL;
    }
    builder = OSSL_PARAM_BLD_new();
    if (builder != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size) ==
            1) {
        key = make_key("EC", builder);
    }
    OSSL_PARAM_BLD_free(builder);
    *ret_coordinate_size = size;
    return key;
}

static EVP_PKEY *make_okp(const json_t *json, const char *curve)
{
    bool is_448 = strcmp(curve, "Ed448") == 0;
    size_t wanted = is_448 ? 57 : 32;
    uint8_t bytes[57];

    if ((!is_448 && strcmp(curve, "Ed25519") != 0) ||
        member_bytes(json, "x", bytes, wanted) != (ssize_t)wanted) {
        return NULL;
    }
    return EVP_PKEY_new_raw_public_key(is_448 ? EVP_PKEY_ED448 : EVP_PKEY_ED25519, NULL, bytes,
                                       wanted);
}

static bool allows_verifying(const json_t *json)
{
    const json_t *use = json_object_get(json, "use");
    const json_t *operations = json_object_get(json, "key_ops");

    if (use != NULL && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *word = json_string_value(json_array_get(operations, i));
        if (word != NULL && strcmp(word, "verify") == 0) {
            return true;
        }
    }
    return operations == NULL;
}

static bool fits(const struct jwk *jwk, const struct jws_algorithm *algorithm)
{
    return algorithm->kind == jwk->kind && algorithm->coordinate_size == jwk->coordinate_size;
}

/* Whether the key is one for us; 0, MR_ENOENT (it is not) or MR_ENOMEM. */
static int take_key(const json_t *json, struct jwk *jwk)
{
    const char *type = json_string_value(json_object_get(json, "kty"));
    const char *curve = json_string_value(json_object_get(json, "crv"));
    const json_t *algorithm = json_object_get(json, "alg");
    const json_t *id = json_object_get(json, "kid");

    if (type == NULL || !allows_verifying(json) ||
        (id != NULL && (!json_is_string(id) || json_string_length(id) > ID_SIZE_MAX))) {
        return MR_ENOENT;
    }
    if (strcmp(type, "RSA") == 0) {
        jwk->kind = JWK_RSA;
        jwk->key = make_rsa(json);
    } else if (strcmp(type, "EC") == 0 && curve != NULL) {
        jwk->kind = JWK_EC;
        jwk->key = make_ec(json, curve, &jwk->coordinate_size);
    } else if (strcmp(type, "OKP") == 0 && curve != NULL) {
        jwk->kind = JWK_OKP;
        jwk->key = make_okp(json, curve);
    }
    if (jwk->key == NULL) {
        return MR_ENOENT;
    }
    if (algorithm != NULL) {
        jwk->algorithm =
            json_is_string(algorithm) ? jws_algorithm_find(json_string_value(algorithm)) : NULL;
        if (jwk->algorithm == NULL || !fits(jwk, jwk->algorithm)) {
            return MR_ENOENT;
        }
    }
    if (id != NULL) {
        jwk->id = mr_strdup(json_string_value(id));
        return jwk->id != NULL ? 0 : MR_ENOMEM;
    }
    return 0;
}

static void jwk_done(struct jwk *jwk)
{
    EVP_PKEY_free(jwk->key);
    mr_free(jwk->id);
    memset(jwk, 0, sizeof *jwk);
}

/* ---- the set ---- */

struct mr_jwk_set *mr_jwk_set_ref(struct mr_jwk_set *set)
{
    (void)atomic_fetch_add(&set->references, 1);
    return set;
}

void mr_jwk_set_unref(struct mr_jwk_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) > 1) {
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        jwk_done(&set->items[i]);
    }
    mr_free(set);
}

size_t mr_jwk_set_count(const struct mr_jwk_set *set)
{
    return set->count;
}

static int take_keys(const json_t *keys, struct mr_jwk_set **ret_set, struct mr_error *error)
{
    size_t count = json_array_size(keys);
    struct mr_jwk_set *set = mr_calloc(1, sizeof *set + count * sizeof set->items[0]);

    if (set == NULL) {
        return mr_fail(error, MR_ENOMEM, "keys");
    }
    atomic_init(&set->references, 1);
    for (size_t i = 0; i < count; i++) {
        struct jwk *jwk = &set->items[set->count];
        int rc = take_key(json_array_get(keys, i), jwk);
        if (rc == 0) {
            set->count += 1;
            continue;
        }
        jwk_done(jwk);
        if (rc == MR_ENOMEM) {
            mr_jwk_set_unref(set);
            return mr_fail(error, rc, "keys");
        }
    }
    if (set->count == 0) {
        mr_jwk_set_unref(set);
        return mr_fail_text(error, MR_EINVAL,
                            "none of the %zu keys is one that verifies signatures: RSA of 2048 "
                            "bits or more, P-256, P-384, P-521, Ed25519 or Ed448",
                            count);
    }
    *ret_set = set;
    return 0;
}

int mr_jwk_set_parse(const char *text, size_t size, struct mr_jwk_set **ret_set,
                     struct mr_error *error)
{
    json_error_t where;
    json_t *json;
    const json_t *keys;
    int rc;

    if (size > MR_JWK_SET_SIZE_MAX) {
        return mr_fail(error, MR_ETOOLARGE, "a set of keys");
    }
    json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (json == NULL) {
        return mr_fail_text(error, MR_EINVAL, "not JSON: line %d: %s", where.line, where.text);
    }
    keys = json_object_get(json, "keys");
    if (!json_is_array(keys)) {
        rc = mr_fail_text(error, MR_EINVAL, "not a set of keys: there is no list 'keys'");
    } else if (json_array_size(keys) > MR_JWK_COUNT_MAX) {
        rc = mr_fail_text(error, MR_ETOOLARGE, "more than %d keys", MR_JWK_COUNT_MAX);
    } else {
        rc = take_keys(keys, ret_set, error);
        ERR_clear_error(); /* what keys were left out for is nobody's business on this thread */
    }
    json_decref(json);
    return rc;
}
