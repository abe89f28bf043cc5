/* Inside of SCRAM: what keys, server and client share. */
#ifndef BASE_NET_SCRAM_INTERNAL_H
#define BASE_NET_SCRAM_INTERNAL_H

#include "base/net/scram.h"

/* 0 or MR_EINTERNAL. */
int scram_hmac(enum mr_scram_mechanism mechanism, const uint8_t *key, size_t key_size,
               const void *data, size_t size, uint8_t out[MR_SCRAM_KEY_SIZE_MAX]);
/* Of a key: key_size bytes. */
int scram_hash(enum mr_scram_mechanism mechanism, const uint8_t *data,
               uint8_t out[MR_SCRAM_KEY_SIZE_MAX]);
/* PBKDF2; whoever calls has checked the bounds. */
int scram_salt_unbounded(enum mr_scram_mechanism mechanism, const char *password,
                         size_t password_size, const uint8_t *salt, size_t salt_size,
                         int32_t iterations, uint8_t salted[MR_SCRAM_KEY_SIZE_MAX]);

/* A message that is read attribute by attribute: "r=...,s=...,i=4096". */
struct scram_reader {
    const char *data;
    size_t size;
};

/* Takes "<name>=value" and the comma behind it. MR_EPROTOCOL if something else comes first. */
int scram_take(struct scram_reader *reader, char name, const char **ret_value, size_t *ret_size);
/* "n,," or "n,a=<authzid>,": no channel binding (MR_EUNSUPPORTED), and perhaps on whose behalf, as
 * scram_decode_name has it. */
int scram_take_gs2(struct scram_reader *reader, char *authzid, size_t *ret_authzid_size);
/* Standard base64 with padding; the size, or MR_EPROTOCOL. */
ssize_t scram_decode(const char *text, size_t size, uint8_t *data, size_t capacity);
/* A saslname (RFC 5802, 5.1): "=2C" is a comma, "=3D" an equals sign, nothing else is escaped. Room
 * for MR_SCRAM_USER_SIZE_MAX and a NUL. MR_EPROTOCOL, also if it is empty. */
int scram_decode_name(const char *text, size_t size, char *user, size_t *ret_size);
/* Printable ASCII without commas, not empty. */
bool scram_is_nonce(const char *text, size_t size);
/* Appends to the AuthMessage or another bounded text: 0 or MR_ETOOLARGE. */
int scram_append(char *text, size_t capacity, size_t *size, const void *more, size_t more_size);
int scram_append_base64(char *text, size_t capacity, size_t *size, const uint8_t *data,
                        size_t data_size);

#endif
