#include "base/net/scram.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/net/scram_internal.h"

enum { CLIENT_ITERATIONS_MAX = 1000000 }; /* what a server may make us compute: about a second */

/* ---- reading and writing ---- */

int scram_take(struct scram_reader *reader, char name, const char **ret_value, size_t *ret_size)
{
    const char *end;
    size_t size;

    if (reader->size < 2 || reader->data[0] != name || reader->data[1] != '=') {
        return MR_EPROTOCOL;
    }
    end = memchr(reader->data, ',', reader->size);
    size = end != NULL ? (size_t)(end - reader->data) : reader->size;
    *ret_value = reader->data + 2;
    *ret_size = size - 2;
    reader->data += size;
    reader->size -= size;
    if (end != NULL) {
        reader->data += 1;
        reader->size -= 1;
    }
    return 0;
}

ssize_t scram_decode(const char *text, size_t size, uint8_t *data, size_t capacity)
{
    uint8_t decoded[MR_SCRAM_MESSAGE_SIZE_MAX];
    char again[MR_SCRAM_MESSAGE_SIZE_MAX + 1];
    size_t padding = 0;
    int got;

    if (size == 0 || size % 4 != 0 || size > sizeof decoded) {
        return MR_EPROTOCOL;
    }
    while (padding < 2 && text[size - 1 - padding] == '=') {
        padding += 1;
    }
    got = EVP_DecodeBlock(decoded, (const uint8_t *)text, (int)size);
    if (got < 0 || (size_t)got - padding > capacity) {
        return MR_EPROTOCOL;
    }
    /* The library skips white space and takes bits that say nothing: only the one right spelling.
     */
    if (EVP_EncodeBlock((uint8_t *)again, decoded, got - (int)padding) != (int)size ||
        memcmp(again, text, size) != 0) {
        return MR_EPROTOCOL;
    }
    memcpy(data, decoded, (size_t)got - padding);
    mr_scram_wipe(decoded, sizeof decoded);
    return (ssize_t)((size_t)got - padding);
}

bool scram_is_nonce(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '!' || text[i] > '~' || text[i] == ',') {
            return false;
        }
    }
    return size > 0;
}

int scram_append(char *text, size_t capacity, size_t *size, const void *more, size_t more_size)
{
    if (more_size > capacity - *size) {
        return MR_ETOOLARGE;
    }
    memcpy(text + *size, more, more_size);
    *size += more_size;
    return 0;
}

int scram_append_base64(char *text, size_t capacity, size_t *size, const uint8_t *data,
                        size_t data_size)
{
    char encoded[MR_SCRAM_MESSAGE_SIZE_MAX];
    int written;

    if (data_size > sizeof encoded / 4 * 3 - 3) {
        return MR_ETOOLARGE;
    }
    written = EVP_EncodeBlock((uint8_t *)encoded, data, (int)data_size);
    return scram_append(text, capacity, size, encoded, (size_t)written);
}

static void xor_into(uint8_t *target, const uint8_t *other, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        target[i] ^= other[i];
    }
}

/* ---- the server's side ---- */

int scram_decode_name(const char *text, size_t size, char *user, size_t *ret_size)
{
    size_t at = 0;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '=') {
            if (size - i < 3 || text[i + 1] != (text[i + 2] == 'C' ? '2' : '3') ||
                (text[i + 2] != 'C' && text[i + 2] != 'D')) {
                return MR_EPROTOCOL;
            }
            c = text[i + 2] == 'C' ? ',' : '=';
            i += 2;
        }
        if (c == '\0' || at == MR_SCRAM_USER_SIZE_MAX) {
            return MR_EPROTOCOL;
        }
        user[at++] = c;
    }
    user[at] = '\0';
    *ret_size = at;
    return at > 0 ? 0 : MR_EPROTOCOL;
}

int scram_take_gs2(struct scram_reader *reader, char *authzid, size_t *ret_authzid_size)
{
    const char *value;
    size_t size;

    if (reader->size < 3) {
        return MR_EPROTOCOL;
    }
    if (reader->data[0] == 'p') {
        return MR_EUNSUPPORTED;
    }
    if ((reader->data[0] != 'n' && reader->data[0] != 'y') || reader->data[1] != ',') {
        return MR_EPROTOCOL;
    }
    reader->data += 2;
    reader->size -= 2;
    if (reader->data[0] == ',') {
        reader->data += 1;
        reader->size -= 1;
        *ret_authzid_size = 0;
        return 0;
    }
    return scram_take(reader, 'a', &value, &size) == 0
               ? scram_decode_name(value, size, authzid, ret_authzid_size)
               : MR_EPROTOCOL;
}

/* On whose behalf may only be the user itself. */
static int read_gs2(struct mr_scram_server *server, struct scram_reader *reader, char *authzid,
                    size_t *ret_authzid_size)
{
    const char *start = reader->data;
    int rc = scram_take_gs2(reader, authzid, ret_authzid_size);

    if (rc != 0) {
        return rc;
    }
    server->gs2_size = (size_t)(reader->data - start);
    memcpy(server->gs2_header, start, server->gs2_size);
    return 0;
}

/* Attributes behind the nonce may be ignored, but Kafka's, which asks for another kind of
 * credential (KIP-48). */
static int read_extensions(struct scram_reader *reader)
{
    while (reader->size > 0) {
        const char *end = memchr(reader->data, ',', reader->size);
        size_t size = end != NULL ? (size_t)(end - reader->data) : reader->size;
        if (size == 14 && memcmp(reader->data, "tokenauth=true", 14) == 0) {
            return MR_EUNSUPPORTED;
        }
        reader->data += size + (end != NULL ? 1 : 0);
        reader->size -= size + (end != NULL ? 1 : 0);
    }
    return 0;
}

int mr_scram_server_begin(struct mr_scram_server *server, const void *message, size_t size)
{
    struct scram_reader reader = {message, size};
    char authzid[MR_SCRAM_USER_SIZE_MAX + 1];
    size_t authzid_size;
    const char *bare;
    const char *value;
    size_t value_size;
    int rc;

    memset(server, 0, sizeof *server);
    if (size > MR_SCRAM_MESSAGE_SIZE_MAX) {
        return MR_EPROTOCOL;
    }
    rc = read_gs2(server, &reader, authzid, &authzid_size);
    if (rc != 0) {
        return rc;
    }
    bare = reader.data;
    if (reader.size >= 2 && memcmp(reader.data, "m=", 2) == 0) {
        return MR_EUNSUPPORTED; /* an extension that must be understood */
    }
    if (scram_take(&reader, 'n', &value, &value_size) != 0 ||
        scram_decode_name(value, value_size, server->user, &server->user_size) != 0 ||
        scram_take(&reader, 'r', &value, &value_size) != 0 || !scram_is_nonce(value, value_size)) {
        return MR_EPROTOCOL;
    }
    if (authzid_size > 0 &&
        (authzid_size != server->user_size || memcmp(authzid, server->user, authzid_size) != 0)) {
        return MR_EPROTOCOL;
    }
    memcpy(server->nonce, value, value_size);
    server->nonce_size = value_size;
    server->auth_size = size - (size_t)(bare - (const char *)message);
    memcpy(server->auth, bare, server->auth_size);
    return read_extensions(&reader);
}

ssize_t mr_scram_server_challenge(struct mr_scram_server *server,
                                  const struct mr_scram_credential *credential, const char *nonce,
                                  char *text, size_t text_size)
{
    char iterations[16];
    size_t size = 0;
    int rc = scram_append(server->nonce, sizeof server->nonce, &server->nonce_size, nonce,
                          strlen(nonce));

    (void)snprintf(iterations, sizeof iterations, "%" PRId32, credential->iterations);
    server->credential = *credential;
    if (rc != 0 || scram_append(text, text_size, &size, "r=", 2) != 0 ||
        scram_append(text, text_size, &size, server->nonce, server->nonce_size) != 0 ||
        scram_append(text, text_size, &size, ",s=", 3) != 0 ||
        scram_append_base64(text, text_size, &size, credential->salt, credential->salt_size) != 0 ||
        scram_append(text, text_size, &size, ",i=", 3) != 0 ||
        scram_append(text, text_size, &size, iterations, strlen(iterations)) != 0 ||
        scram_append(server->auth, sizeof server->auth, &server->auth_size, ",", 1) != 0 ||
        scram_append(server->auth, sizeof server->auth, &server->auth_size, text, size) != 0) {
        return MR_ETOOLARGE;
    }
    return (ssize_t)size;
}

/* ClientProof xor HMAC(StoredKey, AuthMessage) is a key whose hash must be the stored one. */
static int check_proof(const struct mr_scram_server *server, uint8_t *proof)
{
    enum mr_scram_mechanism mechanism = server->credential.mechanism;
    size_t key_size = mr_scram_key_size(mechanism);
    uint8_t signature[MR_SCRAM_KEY_SIZE_MAX];
    uint8_t hashed[MR_SCRAM_KEY_SIZE_MAX];
    int rc = scram_hmac(mechanism, server->credential.stored_key, key_size, server->auth,
                        server->auth_size, signature);

    if (rc == 0) {
        xor_into(proof, signature, key_size);
        rc = scram_hash(mechanism, proof, hashed);
    }
    mr_scram_wipe(proof, key_size);
    if (rc != 0) {
        return rc;
    }
    return CRYPTO_memcmp(hashed, server->credential.stored_key, key_size) == 0 ? 0 : MR_EAUTH;
}

static bool is_our_binding(const struct mr_scram_server *server, const char *value, size_t size)
{
    uint8_t header[MR_SCRAM_MESSAGE_SIZE_MAX];
    ssize_t got = scram_decode(value, size, header, sizeof header);

    return got == (ssize_t)server->gs2_size && memcmp(header, server->gs2_header, (size_t)got) == 0;
}

/* librdkafka before 2.6.1 writes its own nonce once more in front, and Kafka lets it: all of what
 * the client wrote is signed, and the nonce of this conversation is in it. */
static bool ends_with_our_nonce(const struct mr_scram_server *server, const char *value,
                                size_t size)
{
    return size >= server->nonce_size &&
           CRYPTO_memcmp(value + size - server->nonce_size, server->nonce, server->nonce_size) == 0;
}

ssize_t mr_scram_server_finish(struct mr_scram_server *server, const void *message, size_t size,
                               char *text, size_t text_size)
{
    enum mr_scram_mechanism mechanism = server->credential.mechanism;
    size_t key_size = mr_scram_key_size(mechanism);
    struct scram_reader reader = {message, size};
    uint8_t key[MR_SCRAM_KEY_SIZE_MAX];
    const char *value;
    size_t value_size;
    const char *proof;
    size_t out = 0;
    int rc;

    if (size > MR_SCRAM_MESSAGE_SIZE_MAX + 256 ||
        scram_take(&reader, 'c', &value, &value_size) != 0 ||
        !is_our_binding(server, value, value_size) ||
        scram_take(&reader, 'r', &value, &value_size) != 0 ||
        !ends_with_our_nonce(server, value, value_size)) {
        return MR_EPROTOCOL;
    }
    /* The proof is the last attribute; extensions between are part of what is signed. */
    while (reader.size >= 2 && reader.data[0] != 'p') {
        if (scram_take(&reader, reader.data[0], &value, &value_size) != 0) {
            return MR_EPROTOCOL;
        }
    }
    proof = reader.data;
    if (scram_take(&reader, 'p', &value, &value_size) != 0 || reader.size != 0 ||
        scram_decode(value, value_size, key, key_size) != (ssize_t)key_size ||
        scram_append(server->auth, sizeof server->auth, &server->auth_size, ",", 1) != 0 ||
        scram_append(server->auth, sizeof server->auth, &server->auth_size, message,
                     (size_t)(proof - (const char *)message) - 1) != 0) {
        return MR_EPROTOCOL;
    }
    rc = check_proof(server, key);
    if (rc == 0) {
        rc = scram_hmac(mechanism, server->credential.server_key, key_size, server->auth,
                        server->auth_size, key);
    }
    if (rc != 0) {
        return rc;
    }
    if (scram_append(text, text_size, &out, "v=", 2) != 0 ||
        scram_append_base64(text, text_size, &out, key, key_size) != 0) {
        return MR_ETOOLARGE;
    }
    return (ssize_t)out;
}

/* ---- the client's side ---- */

ssize_t mr_scram_client_begin(struct mr_scram_client *client, enum mr_scram_mechanism mechanism,
                              const char *user, const char *nonce, char *text, size_t text_size)
{
    size_t size = 0;
    int rc = scram_append(text, text_size, &size, "n,,n=", 5);

    memset(client, 0, sizeof *client);
    client->mechanism = mechanism;
    (void)snprintf(client->nonce, sizeof client->nonce, "%s", nonce);
    for (const char *at = user; rc == 0 && *at != '\0'; at++) {
        const char *word = *at == ',' ? "=2C" : *at == '=' ? "=3D" : at;
        rc = scram_append(text, text_size, &size, word, word == at ? 1 : 3);
    }
    if (rc != 0 || scram_append(text, text_size, &size, ",r=", 3) != 0 ||
        scram_append(text, text_size, &size, client->nonce, strlen(client->nonce)) != 0 ||
        size > MR_SCRAM_MESSAGE_SIZE_MAX) {
        return MR_ETOOLARGE;
    }
    memcpy(client->auth, text + 3, size - 3);
    client->auth_size = size - 3;
    return (ssize_t)size;
}

struct challenge {
    const char *nonce;
    size_t nonce_size;
    uint8_t salt[MR_SCRAM_MESSAGE_SIZE_MAX];
    size_t salt_size;
    int32_t iterations;
};

static int read_number(const char *text, size_t size, int32_t *ret_number)
{
    int64_t number = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || number > CLIENT_ITERATIONS_MAX) {
            return MR_EPROTOCOL;
        }
        number = number * 10 + (text[i] - '0');
    }
    if (number < MR_SCRAM_ITERATIONS_MIN || number > CLIENT_ITERATIONS_MAX) {
        return MR_EPROTOCOL;
    }
    *ret_number = (int32_t)number;
    return 0;
}

static int read_challenge(const struct mr_scram_client *client, const void *message, size_t size,
                          struct challenge *challenge)
{
    struct scram_reader reader = {message, size};
    size_t own_size = strlen(client->nonce);
    const char *value;
    size_t value_size;
    ssize_t got;

    if (size > MR_SCRAM_MESSAGE_SIZE_MAX ||
        scram_take(&reader, 'r', &challenge->nonce, &challenge->nonce_size) != 0 ||
        challenge->nonce_size <= own_size ||
        !scram_is_nonce(challenge->nonce, challenge->nonce_size) ||
        memcmp(challenge->nonce, client->nonce, own_size) != 0 ||
        scram_take(&reader, 's', &value, &value_size) != 0) {
        return MR_EPROTOCOL;
    }
    got = scram_decode(value, value_size, challenge->salt, sizeof challenge->salt);
    if (got <= 0 || scram_take(&reader, 'i', &value, &value_size) != 0) {
        return MR_EPROTOCOL;
    }
    challenge->salt_size = (size_t)got;
    return read_number(value, value_size, &challenge->iterations);
}

/* Leaves the proof in `proof` and the signature to expect in the client. */
static int make_proof(struct mr_scram_client *client, const char *password,
                      const struct challenge *challenge, uint8_t proof[MR_SCRAM_KEY_SIZE_MAX])
{
    enum mr_scram_mechanism mechanism = client->mechanism;
    size_t key_size = mr_scram_key_size(mechanism);
    uint8_t salted[MR_SCRAM_KEY_SIZE_MAX];
    uint8_t key[MR_SCRAM_KEY_SIZE_MAX];
    int rc = scram_salt_unbounded(mechanism, password, strlen(password), challenge->salt,
                                  challenge->salt_size, challenge->iterations, salted);

    if (rc == 0) {
        rc = scram_hmac(mechanism, salted, key_size, "Server Key", 10, key);
    }
    if (rc == 0) {
        rc = scram_hmac(mechanism, key, key_size, client->auth, client->auth_size,
                        client->server_signature);
    }
    if (rc == 0) {
        rc = scram_hmac(mechanism, salted, key_size, "Client Key", 10, proof);
    }
    if (rc == 0) {
        rc = scram_hash(mechanism, proof, key); /* the stored key */
    }
    if (rc == 0) {
        rc = scram_hmac(mechanism, key, key_size, client->auth, client->auth_size, key);
    }
    if (rc == 0) {
        xor_into(proof, key, key_size);
    }
    mr_scram_wipe(salted, sizeof salted);
    mr_scram_wipe(key, sizeof key);
    return rc;
}

ssize_t mr_scram_client_answer(struct mr_scram_client *client, const char *password,
                               const void *challenge_message, size_t challenge_size, char *text,
                               size_t text_size)
{
    struct challenge challenge;
    uint8_t proof[MR_SCRAM_KEY_SIZE_MAX];
    size_t size = 0;
    int rc = read_challenge(client, challenge_message, challenge_size, &challenge);

    if (rc != 0) {
        return rc;
    }
    if (scram_append(text, text_size, &size, "c=biws,r=", 9) != 0 ||
        scram_append(text, text_size, &size, challenge.nonce, challenge.nonce_size) != 0 ||
        scram_append(client->auth, sizeof client->auth, &client->auth_size, ",", 1) != 0 ||
        scram_append(client->auth, sizeof client->auth, &client->auth_size, challenge_message,
                     challenge_size) != 0 ||
        scram_append(client->auth, sizeof client->auth, &client->auth_size, ",", 1) != 0 ||
        scram_append(client->auth, sizeof client->auth, &client->auth_size, text, size) != 0) {
        return MR_ETOOLARGE;
    }
    rc = make_proof(client, password, &challenge, proof);
    if (rc != 0) {
        return rc;
    }
    if (scram_append(text, text_size, &size, ",p=", 3) != 0 ||
        scram_append_base64(text, text_size, &size, proof, mr_scram_key_size(client->mechanism)) !=
            0) {
        return MR_ETOOLARGE;
    }
    return (ssize_t)size;
}

int mr_scram_client_finish(const struct mr_scram_client *client, const void *message, size_t size)
{
    struct scram_reader reader = {message, size};
    size_t key_size = mr_scram_key_size(client->mechanism);
    uint8_t signature[MR_SCRAM_KEY_SIZE_MAX];
    const char *value;
    size_t value_size;

    if (size >= 2 && memcmp(message, "e=", 2) == 0) {
        return MR_EAUTH;
    }
    if (scram_take(&reader, 'v', &value, &value_size) != 0 ||
        scram_decode(value, value_size, signature, key_size) != (ssize_t)key_size) {
        return MR_EPROTOCOL;
    }
    return CRYPTO_memcmp(signature, client->server_signature, key_size) == 0 ? 0 : MR_EAUTH;
}
