/* The messages of the SASL mechanism OAUTHBEARER (RFC 7628). Pure. */
#ifndef BASE_NET_OAUTHBEARER_H
#define BASE_NET_OAUTHBEARER_H

#include <stddef.h>

struct mr_bytes;

enum { MR_OAUTHBEARER_NAME_SIZE_MAX = 255 };

struct mr_oauthbearer {
    char name[MR_OAUTHBEARER_NAME_SIZE_MAX + 1]; /* on whose behalf; "": the token's own subject */
    const char *token;                           /* into the message */
    size_t token_size;
};

/* Reads the client's first message: "n,," or "n,a=<name>,", then key=value pairs behind 0x01 each,
 * of which auth must be "Bearer <token>"; others (Kafka's extensions) are checked in form and left.
 * 0 or MR_EPROTOCOL. */
int mr_oauthbearer_parse(const void *message, size_t size, struct mr_oauthbearer *ret_message);
/* Appends the client's first message. 0, MR_EINVAL (what is no token), MR_ENOMEM. */
int mr_oauthbearer_write(const char *token, size_t size, struct mr_bytes *message);

#endif
