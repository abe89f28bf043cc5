/* Public keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037), and signatures by them (RFC 7515,
 * compact form). Pure: where the keys come from is jwks.h, what a token says is jwt.h.
 *
 * A token chooses its key and algorithm, but only among what the key is for: RSA keys verify RS and
 * PS, a curve's key its own ES, Ed25519 and Ed448 EdDSA. "none" and HMAC are not known at all, so
 * no public key can be taken for a shared secret. */
#ifndef BASE_NET_JWK_H
#define BASE_NET_JWK_H

#include <stddef.h>

struct mr_bytes;
struct mr_error;
struct mr_jwk_set;

enum {
    MR_JWK_COUNT_MAX = 100,
    MR_JWK_SET_SIZE_MAX = 1 << 20, /* bytes of JSON */
    MR_JWS_SIZE_MAX = 64 << 10,    /* of a token */
};

/* Keys for encryption, of unknown kinds, or too weak are left out; a set in which nothing is left
 * is MR_EINVAL, as is what is not a set. One reference. */
int mr_jwk_set_parse(const char *text, size_t size, struct mr_jwk_set **ret_set,
                     struct mr_error *error);
/* A set does not change; references may be given back by any thread. */
struct mr_jwk_set *mr_jwk_set_ref(struct mr_jwk_set *set);
void mr_jwk_set_unref(struct mr_jwk_set *set); /* NULL is fine */
size_t mr_jwk_set_count(const struct mr_jwk_set *set);

/* Appends the payload of a token whose signature is right. MR_EPROTOCOL: not a token; MR_ETOOLARGE;
 * MR_EUNSUPPORTED: an algorithm or header that is not taken; MR_ENOENT: no key of this id, or for
 * this algorithm; MR_EAUTH: not signed by that key; MR_ENOMEM. Costs a signature check, or, where
 * the token names no key, one for each that fits. Any thread. */
int mr_jws_verify(const struct mr_jwk_set *set, const char *token, size_t size,
                  struct mr_bytes *payload);

#endif
