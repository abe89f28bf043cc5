/* What is stored instead of a password: derived, checked, and made up for strangers. */
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/random.h"
#include "base/net/scram.h"
#include "base/net/scram_internal.h"

static const EVP_MD *digest_of(enum mr_scram_mechanism mechanism)
{
    return mechanism == MR_SCRAM_SHA_512 ? EVP_sha512() : EVP_sha256();
}

const char *mr_scram_name(enum mr_scram_mechanism mechanism)
{
    return mechanism == MR_SCRAM_SHA_512 ? "SCRAM-SHA-512" : "SCRAM-SHA-256";
}

size_t mr_scram_key_size(enum mr_scram_mechanism mechanism)
{
    return mechanism == MR_SCRAM_SHA_512 ? 64 : 32;
}

void mr_scram_wipe(void *secret, size_t size_bytes)
{
    OPENSSL_cleanse(secret, size_bytes);
}

int scram_hmac(enum mr_scram_mechanism mechanism, const uint8_t *key, size_t key_size,
               const void *data, size_t size, uint8_t out[MR_SCRAM_KEY_SIZE_MAX])
{
    unsigned written = 0;

    return HMAC(digest_of(mechanism), key, (int)key_size, data, size, out, &written) == NULL ||
                   written != mr_scram_key_size(mechanism)
               ? MR_EINTERNAL
               : 0;
}

int scram_hash(enum mr_scram_mechanism mechanism, const uint8_t *data,
               uint8_t out[MR_SCRAM_KEY_SIZE_MAX])
{
    return EVP_Digest(data, mr_scram_key_size(mechanism), out, NULL, digest_of(mechanism), NULL) ==
                   1
               ? 0
               : MR_EINTERNAL;
}

int scram_salt_unbounded(enum mr_scram_mechanism mechanism, const char *password,
                         size_t password_size, const uint8_t *salt, size_t salt_size,
                         int32_t iterations, uint8_t salted[MR_SCRAM_KEY_SIZE_MAX])
{
    return PKCS5_PBKDF2_HMAC(password, (int)password_size, salt, (int)salt_size, iterations,
                             digest_of(mechanism), (int)mr_scram_key_size(mechanism), salted) == 1
               ? 0
               : MR_EINTERNAL;
}

static bool is_in_bounds(size_t salt_size, int32_t iterations)
{
    return salt_size > 0 && salt_size <= MR_SCRAM_SALT_SIZE_MAX &&
           iterations >= MR_SCRAM_ITERATIONS_MIN && iterations <= MR_SCRAM_ITERATIONS_MAX;
}

int mr_scram_salt_password(enum mr_scram_mechanism mechanism, const char *password,
                           size_t password_size, const uint8_t *salt, size_t salt_size,
                           int32_t iterations, uint8_t salted[MR_SCRAM_KEY_SIZE_MAX])
{
    if (!is_in_bounds(salt_size, iterations) || password_size > INT32_MAX) {
        return MR_EINVAL;
    }
    return scram_salt_unbounded(mechanism, password, password_size, salt, salt_size, iterations,
                                salted);
}

int mr_scram_from_salted(enum mr_scram_mechanism mechanism, const uint8_t *salted,
                         size_t salted_size, const uint8_t *salt, size_t salt_size,
                         int32_t iterations, struct mr_scram_credential *ret_credential)
{
    struct mr_scram_credential made = {.mechanism = mechanism, .iterations = iterations};
    uint8_t client_key[MR_SCRAM_KEY_SIZE_MAX];
    int rc;

    if (!is_in_bounds(salt_size, iterations) || salted_size != mr_scram_key_size(mechanism)) {
        return MR_EINVAL;
    }
    made.salt_size = salt_size;
    memcpy(made.salt, salt, salt_size);
    rc = scram_hmac(mechanism, salted, salted_size, "Client Key", 10, client_key);
    if (rc == 0) {
        rc = scram_hash(mechanism, client_key, made.stored_key);
    }
    if (rc == 0) {
        rc = scram_hmac(mechanism, salted, salted_size, "Server Key", 10, made.server_key);
    }
    mr_scram_wipe(client_key, sizeof client_key);
    if (rc == 0) {
        *ret_credential = made;
    }
    mr_scram_wipe(&made, sizeof made);
    return rc;
}

int mr_scram_derive(enum mr_scram_mechanism mechanism, const char *password, size_t password_size,
                    const uint8_t *salt, size_t salt_size, int32_t iterations,
                    struct mr_scram_credential *ret_credential)
{
    uint8_t salted[MR_SCRAM_KEY_SIZE_MAX];
    int rc = mr_scram_salt_password(mechanism, password, password_size, salt, salt_size, iterations,
                                    salted);

    if (rc == 0) {
        rc = mr_scram_from_salted(mechanism, salted, mr_scram_key_size(mechanism), salt, salt_size,
                                  iterations, ret_credential);
    }
    mr_scram_wipe(salted, sizeof salted);
    return rc;
}

bool mr_scram_is_password(const struct mr_scram_credential *credential, const char *password,
                          size_t password_size)
{
    struct mr_scram_credential made = {0};
    int rc = mr_scram_derive(credential->mechanism, password, password_size, credential->salt,
                             credential->salt_size, credential->iterations, &made);
    bool is_equal = CRYPTO_memcmp(made.stored_key, credential->stored_key,
                                  mr_scram_key_size(credential->mechanism)) == 0;

    mr_scram_wipe(&made, sizeof made);
    return rc == 0 && is_equal;
}

/* Kafka's tools draw salts of lower-case letters and digits, we draw bytes. */
static bool is_textual(const struct mr_scram_credential *credential)
{
    for (size_t i = 0; i < credential->salt_size; i++) {
        uint8_t c = credential->salt[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))) {
            return false;
        }
    }
    return true;
}

void mr_scram_fake(enum mr_scram_mechanism mechanism, const uint8_t secret[MR_SCRAM_SECRET_SIZE],
                   const char *user, size_t user_size, const struct mr_scram_credential *like,
                   struct mr_scram_credential *ret_credential)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct mr_scram_credential made = {.mechanism = mechanism,
                                       .iterations = MR_SCRAM_ITERATIONS_DEFAULT,
                                       .salt_size = MR_SCRAM_SALT_SIZE};
    uint8_t noise[MR_SCRAM_KEY_SIZE_MAX] = {0};

    static_assert((int)MR_SCRAM_SALT_SIZE_MAX <= (int)MR_SCRAM_KEY_SIZE_MAX, "noise fills a salt");
    (void)scram_hmac(MR_SCRAM_SHA_512, secret, MR_SCRAM_SECRET_SIZE, user, user_size, noise);
    if (like != NULL) {
        made.iterations = like->iterations;
        made.salt_size = like->salt_size;
    }
    for (size_t i = 0; i < made.salt_size; i++) {
        made.salt[i] =
            like != NULL && is_textual(like) ? (uint8_t)letters[noise[i] % 36] : noise[i];
    }
    /* Keys that no password leads to, as far as anybody can find out. */
    (void)scram_hmac(MR_SCRAM_SHA_512, secret, MR_SCRAM_SECRET_SIZE, noise, sizeof noise,
                     made.stored_key);
    (void)scram_hmac(MR_SCRAM_SHA_512, secret, MR_SCRAM_SECRET_SIZE, made.stored_key,
                     sizeof made.stored_key, made.server_key);
    *ret_credential = made;
}

void mr_scram_nonce(struct mr_random *random, char nonce[MR_SCRAM_NONCE_SIZE])
{
    uint8_t bytes[24];

    random->fill(random, bytes, sizeof bytes);
    (void)EVP_EncodeBlock((uint8_t *)nonce, bytes, sizeof bytes);
}
