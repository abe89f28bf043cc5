/* Inside of JSON Web Keys: what keys and signatures share. */
#ifndef BASE_NET_JWK_INTERNAL_H
#define BASE_NET_JWK_INTERNAL_H

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/net/jwk.h"

enum jwk_kind { JWK_RSA, JWK_EC, JWK_OKP };

struct jws_algorithm {
    const char *name;
    enum jwk_kind kind;
    const char *digest; /* NULL: the algorithm's own */
    bool is_pss;
    size_t coordinate_size; /* of the curve that belongs to it; 0: none */
};

struct jwk {
    char *id; /* NULL: none */
    enum jwk_kind kind;
    size_t coordinate_size;                /* EC */
    const struct jws_algorithm *algorithm; /* the only one that it is for; NULL: any of its kind */
    EVP_PKEY *key;
};

struct mr_jwk_set {
    atomic_int references;
    size_t count;
    struct jwk items[]; /* as many as the set has room for */
};

/* NULL: unknown, "none", or HMAC. */
const struct jws_algorithm *jws_algorithm_find(const char *name);
/* Base64url without padding (RFC 7515, 2), in the one right spelling: the size, or MR_EPROTOCOL,
 * MR_ETOOLARGE. */
ssize_t jwk_decode(const char *text, size_t size, uint8_t *data, size_t capacity);

#endif
