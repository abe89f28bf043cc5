/* OpenSSL's, behind two functions. */
#include "base/core/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/core/error.h"

int mr_sha256(const void *data, size_t size, uint8_t ret_digest[MR_SHA256_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;

    if (EVP_Digest(size > 0 ? data : "", size, digest, &digest_size, EVP_sha256(), NULL) != 1) {
        return MR_ENOMEM;
    }
    mr_assert(digest_size == MR_SHA256_SIZE);
    for (unsigned i = 0; i < digest_size; i++) {
        ret_digest[i] = digest[i];
    }
    return 0;
}

bool mr_equal_slowly(const void *left, const void *right, size_t size)
{
    return CRYPTO_memcmp(left, right, size) == 0;
}
