/* Keys of session tickets.
 *
 * They are drawn at random, never leave the process, and outlive a new certificate, so that a
 * renewal does not cost every client a full handshake. They rotate: a key makes tickets for an hour
 * and reads them for another, which is all the time that a stolen key is good for. They are thrown
 * away when what is trusted changes: a resumed session is not verified again, and must not let in
 * whom a new list has revoked. */
#include "base/net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/core/clock.h"

enum { KEY_MS = 3600 * 1000 };

void tls_tickets_init(struct tls_tickets *tickets)
{
    (void)pthread_mutex_init(&tickets->mutex, NULL); /* a plain one cannot fail on Linux */
    tickets->count = 0;
}

void tls_tickets_done(struct tls_tickets *tickets)
{
    tls_tickets_forget(tickets);
    (void)pthread_mutex_destroy(&tickets->mutex);
}

void tls_tickets_forget(struct tls_tickets *tickets)
{
    (void)pthread_mutex_lock(&tickets->mutex);
    OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
    tickets->count = 0;
    (void)pthread_mutex_unlock(&tickets->mutex);
}

/* Locked. The key that makes tickets now; NULL without randomness. */
static const struct tls_ticket_key *newest(struct tls_tickets *tickets, int64_t now_ms)
{
    struct tls_ticket_key fresh = {.made_ms = now_ms};

    if (tickets->count > 0 && now_ms - tickets->keys[0].made_ms < KEY_MS) {
        return &tickets->keys[0];
    }
    if (RAND_bytes(fresh.name, sizeof fresh.name) != 1 ||
        RAND_priv_bytes(fresh.cipher, sizeof fresh.cipher) != 1 ||
        RAND_priv_bytes(fresh.mac, sizeof fresh.mac) != 1) {
        return NULL;
    }
    tickets->keys[1] = tickets->keys[0];
    tickets->keys[0] = fresh;
    tickets->count += tickets->count < 2;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return &tickets->keys[0];
}

/* Locked. The key with that name, if it may still read. */
static const struct tls_ticket_key *find(const struct tls_tickets *tickets,
                                         const unsigned char *name, int64_t now_ms)
{
    for (int i = 0; i < tickets->count; i++) {
        const struct tls_ticket_key *key = &tickets->keys[i];

        if (now_ms - key->made_ms < 2 * KEY_MS &&
            CRYPTO_memcmp(key->name, name, sizeof key->name) == 0) {
            return key;
        }
    }
    return NULL;
}

static int set_mac(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
    uint8_t bytes[sizeof key->mac];
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, bytes, sizeof bytes),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    int is_fine;

    memcpy(bytes, key->mac, sizeof bytes);
    is_fine = EVP_MAC_CTX_set_params(mac, params);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return is_fine;
}

/* 1 fine, 2 fine and to be renewed, 0 unknown: a full handshake; -1 broken. */
int tls_tickets_key(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_encrypting)
{
    int64_t now_ms = mr_clock_monotonic_ms(mr_clock_system());
    const struct tls_ticket_key *key;
    int result;

    (void)pthread_mutex_lock(&tickets->mutex);
    key = is_encrypting ? newest(tickets, now_ms) : find(tickets, name, now_ms);
    if (key == NULL) {
        result = is_encrypting ? -1 : 0;
    } else if (is_encrypting) {
        memcpy(name, key->name, sizeof key->name);
        result = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
                         EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1
                     ? 1
                     : -1;
    } else {
        result = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1
                     ? 1 + (key != &tickets->keys[0])
                     : -1;
    }
    if (result > 0 && set_mac(mac, key) != 1) {
        result = -1;
    }
    (void)pthread_mutex_unlock(&tickets->mutex);
    return result;
}
