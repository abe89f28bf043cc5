/* What a signed token says about its bearer (RFC 7519), checked against what is expected, as
 * Kafka's validator does it (KIP-768), a little stricter. Pure: the time is handed in. */
#ifndef BASE_NET_JWT_H
#define BASE_NET_JWT_H

#include <stddef.h>
#include <stdint.h>

struct mr_jwk_set;

enum { MR_JWT_SUBJECT_SIZE_MAX = 255 };

struct mr_jwt_policy {
    const char *issuer;           /* the claim iss must be this; NULL: anything */
    const char *const *audiences; /* one of them must be in aud; none: there must be no aud */
    size_t audience_count;
    const char *subject_claim; /* "sub": whose text is the name */
    const char *scope_claim;   /* "scope": a text with blanks, or a list */
    const char *const *scopes; /* all of them must be there */
    size_t scope_count;
    int64_t skew_ms; /* how far clocks may differ */
};

struct mr_jwt {
    char subject[MR_JWT_SUBJECT_SIZE_MAX + 1];
    int64_t expires_at_ms; /* since 1970 */
};

/* 0; what mr_jws_verify says; or MR_EAUTH for what it claims. *ret_reason is then why, in words
 * that live on and hold nothing of the token. exp and iat must be there. Any thread. */
int mr_jwt_check(const struct mr_jwk_set *keys, const struct mr_jwt_policy *policy,
                 const char *token, size_t size, int64_t now_ms, struct mr_jwt *ret_jwt,
                 const char **ret_reason);
/* When a token ends, whoever has signed it, for a client that wants to ask for the next one in
 * time; 0 if it does not say. */
int64_t mr_jwt_expires_ms(const char *token, size_t size);

#endif
