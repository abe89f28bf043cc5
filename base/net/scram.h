/* SCRAM-SHA-256 and -512 (RFC 5802, RFC 7677): both sides of the conversation, and what is stored
 * instead of a password. Pure: no clock, no network, randomness is handed in.
 *
 * Names and passwords are taken as the UTF-8 that they are, without SASLprep, as Kafka and
 * librdkafka do. Channel binding is not offered (Kafka's clients have none): "p=" is refused. */
#ifndef BASE_NET_SCRAM_H
#define BASE_NET_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mr_random;

enum mr_scram_mechanism { MR_SCRAM_SHA_256 = 1, MR_SCRAM_SHA_512 = 2 }; /* Kafka's numbers */

enum {
    MR_SCRAM_KEY_SIZE_MAX = 64,
    MR_SCRAM_SALT_SIZE = 16,     /* of salts that we draw */
    MR_SCRAM_SALT_SIZE_MAX = 64, /* of salts that others drew */
    MR_SCRAM_ITERATIONS_MIN = 4096,
    MR_SCRAM_ITERATIONS_DEFAULT = 4096, /* Kafka's */
    MR_SCRAM_ITERATIONS_MAX = 16384,    /* Kafka's; each costs the server for PLAIN */
    MR_SCRAM_USER_SIZE_MAX = 255,
    MR_SCRAM_NONCE_SIZE = 33, /* 24 random bytes as base64, and NUL */
    MR_SCRAM_MESSAGE_SIZE_MAX = 1024,
    MR_SCRAM_SECRET_SIZE = 32,
};

/* What is kept of a password (RFC 5802, section 3). Enough to check it, not enough to log in with.
 */
struct mr_scram_credential {
    enum mr_scram_mechanism mechanism;
    int32_t iterations;
    size_t salt_size;
    uint8_t salt[MR_SCRAM_SALT_SIZE_MAX];
    uint8_t stored_key[MR_SCRAM_KEY_SIZE_MAX];
    uint8_t server_key[MR_SCRAM_KEY_SIZE_MAX];
};

const char *mr_scram_name(enum mr_scram_mechanism mechanism); /* "SCRAM-SHA-256" */
size_t mr_scram_key_size(enum mr_scram_mechanism mechanism);

/* ---- credentials ---- */

/* From a password: iterations of HMAC, so on a worker where a loop would wait. 0, MR_EINVAL (salt
 * or iterations out of bounds), MR_EINTERNAL (the library failed). */
int mr_scram_derive(enum mr_scram_mechanism mechanism, const char *password, size_t password_size,
                    const uint8_t *salt, size_t salt_size, int32_t iterations,
                    struct mr_scram_credential *ret_credential);
/* The salted password alone, which Kafka's AlterUserScramCredentials carries: key_size bytes. */
int mr_scram_salt_password(enum mr_scram_mechanism mechanism, const char *password,
                           size_t password_size, const uint8_t *salt, size_t salt_size,
                           int32_t iterations, uint8_t salted[MR_SCRAM_KEY_SIZE_MAX]);
/* From the salted password. */
int mr_scram_from_salted(enum mr_scram_mechanism mechanism, const uint8_t *salted,
                         size_t salted_size, const uint8_t *salt, size_t salt_size,
                         int32_t iterations, struct mr_scram_credential *ret_credential);
/* Whether this is the password; as costly as derive. Time does not depend on the answer. */
bool mr_scram_is_password(const struct mr_scram_credential *credential, const char *password,
                          size_t password_size);
/* A credential that nobody has the password of, for a user that does not exist: always the same one
 * for a user, and of the same form as `like` (a real one, NULL if there is none), so that the
 * conversation does not tell who exists. */
void mr_scram_fake(enum mr_scram_mechanism mechanism, const uint8_t secret[MR_SCRAM_SECRET_SIZE],
                   const char *user, size_t user_size, const struct mr_scram_credential *like,
                   struct mr_scram_credential *ret_credential);
void mr_scram_wipe(void *secret, size_t size_bytes);
void mr_scram_nonce(struct mr_random *random, char nonce[MR_SCRAM_NONCE_SIZE]);

/* ---- the server's side ---- */

struct mr_scram_server {
    struct mr_scram_credential credential;
    size_t user_size;
    char user[MR_SCRAM_USER_SIZE_MAX + 1];
    size_t nonce_size; /* of both sides together */
    char nonce[MR_SCRAM_MESSAGE_SIZE_MAX];
    size_t auth_size; /* the AuthMessage, as far as it is known */
    char auth[3 * MR_SCRAM_MESSAGE_SIZE_MAX + 512];
    size_t gs2_size;
    char gs2_header[MR_SCRAM_MESSAGE_SIZE_MAX]; /* must come again in the second message */
};

/* Reads the client's first message; server->user is then who it says it is. MR_EPROTOCOL;
 * MR_EUNSUPPORTED: channel binding, or an extension that must be understood. */
int mr_scram_server_begin(struct mr_scram_server *server, const void *message, size_t size);
/* Writes the challenge with that user's credential (a fake one for a stranger). The size, or
 * MR_ETOOLARGE. nonce: fresh. */
ssize_t mr_scram_server_challenge(struct mr_scram_server *server,
                                  const struct mr_scram_credential *credential, const char *nonce,
                                  char *text, size_t text_size);
/* Checks the proof, writes the server's own. The size; MR_EAUTH: wrong password; MR_EPROTOCOL: not
 * this conversation (a replay, for example). */
ssize_t mr_scram_server_finish(struct mr_scram_server *server, const void *message, size_t size,
                               char *text, size_t text_size);

/* ---- the client's side ---- */

struct mr_scram_client {
    enum mr_scram_mechanism mechanism;
    char nonce[MR_SCRAM_NONCE_SIZE];
    size_t auth_size;
    char auth[3 * MR_SCRAM_MESSAGE_SIZE_MAX + 512];
    uint8_t server_signature[MR_SCRAM_KEY_SIZE_MAX];
};

/* The first message; its size, or MR_ETOOLARGE. */
ssize_t mr_scram_client_begin(struct mr_scram_client *client, enum mr_scram_mechanism mechanism,
                              const char *user, const char *nonce, char *text, size_t text_size);
/* The answer to the challenge; as costly as derive. MR_EPROTOCOL: not an answer to our message, or
 * too few iterations (a server that asks for one round wants to guess the password). */
ssize_t mr_scram_client_answer(struct mr_scram_client *client, const char *password,
                               const void *challenge, size_t size, char *text, size_t text_size);
/* Whether the server knows the password too: 0, MR_EAUTH (it does not, or it refuses us),
 * MR_EPROTOCOL. */
int mr_scram_client_finish(const struct mr_scram_client *client, const void *message, size_t size);

#endif
