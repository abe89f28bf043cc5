/* Making certificates: what an authority, a node and a client need, and nothing more.
 *
 * An authority may sign end entities only (path length 0). A node's certificate is good for both
 * sides, since nodes connect to each other; a client's for connecting only. Everything begins an
 * hour ago, for clocks that are behind. Key identifiers and critical usages are there, as RFC 5280
 * and the strict checks of newer clients (Python 3.13) want them. */
#include "base/net/tls_make.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/tls_pem.h"
#include "base/net/tls_stream.h"

enum { SERIAL_BITS = 127, BACKDATED_S = 3600, DAY_S = 24 * 3600, DAYS_MAX = 36500 };

/* Who signs: for an authority of its own the subject itself. */
struct signer {
    X509 *certificate;
    EVP_PKEY *key;
};

static int fail_openssl(struct mr_error *error, const char *what)
{
    int rc = mr_fail_text(error, MR_EINVAL, "%s: %s", what, tls_reason("not possible"));

    ERR_clear_error();
    return rc;
}

/* ---- parts of a certificate ---- */

static int set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    int is_fine = number != NULL &&
                  BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

    BN_free(number);
    return is_fine;
}

static int set_subject(X509 *certificate, const struct mr_tls_make *make, struct mr_error *error)
{
    X509_NAME *name = X509_get_subject_name(certificate);

    if ((make->organization != NULL &&
         X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
                                    (const unsigned char *)make->organization, -1, -1, 0) != 1) ||
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                   (const unsigned char *)make->name, -1, -1, 0) != 1) {
        return fail_openssl(error, make->name);
    }
    return 0;
}

/* Nothing outlives who signed it. */
static int set_times(X509 *certificate, int64_t days, const X509 *authority)
{
    ASN1_TIME *ends = X509_getm_notAfter(certificate);
    int is_fine = X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATED_S) != NULL &&
                  X509_gmtime_adj(ends, (long)days * DAY_S) != NULL;

    if (is_fine && authority != NULL &&
        ASN1_TIME_compare(ends, X509_get0_notAfter(authority)) > 0) {
        is_fine = X509_set1_notAfter(certificate, X509_get0_notAfter(authority)) == 1;
    }
    return is_fine;
}

static bool is_host_name(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= 253 && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*") ==
               size;
}

static GENERAL_NAME *make_name(const char *text)
{
    struct in6_addr address;
    bool is_ip =
        inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;

    return is_ip || is_host_name(text)
               ? a2i_GENERAL_NAME(NULL, NULL, NULL, is_ip ? GEN_IPADD : GEN_DNS, text, 0)
               : NULL;
}

static int add_names(X509 *certificate, const struct mr_tls_make *make, struct mr_error *error)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    int rc = names == NULL ? mr_fail(error, MR_ENOMEM, "TLS") : 0;

    for (size_t i = 0; rc == 0 && i < make->name_count; i++) {
        GENERAL_NAME *name = make_name(make->names[i]);
        if (name == NULL || sk_GENERAL_NAME_push(names, name) == 0) {
            GENERAL_NAME_free(name);
            ERR_clear_error();
            rc = mr_fail_text(error, MR_EINVAL, "'%s' is neither a host name nor an IP address",
                              make->names[i]);
        }
    }
    if (rc == 0 && make->name_count > 0 &&
        X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) != 1) {
        rc = fail_openssl(error, "alternative names");
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return rc;
}

struct extension {
    int nid;
    const char *value;
};

static const struct extension extensions[][6] = {
    [MR_TLS_AUTHORITY] = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                          {NID_key_usage, "critical,keyCertSign,cRLSign"},
                          {NID_subject_key_identifier, "hash"},
                          {NID_authority_key_identifier, "keyid:always"},
                          {0}},
    [MR_TLS_NODE] = {{NID_basic_constraints, "critical,CA:FALSE"},
                     {NID_key_usage, "critical,digitalSignature"},
                     {NID_ext_key_usage, "serverAuth,clientAuth"},
                     {NID_subject_key_identifier, "hash"},
                     {NID_authority_key_identifier, "keyid:always"},
                     {0}},
    [MR_TLS_CLIENT] = {{NID_basic_constraints, "critical,CA:FALSE"},
                       {NID_key_usage, "critical,digitalSignature"},
                       {NID_ext_key_usage, "clientAuth"},
                       {NID_subject_key_identifier, "hash"},
                       {NID_authority_key_identifier, "keyid:always"},
                       {0}},
};

static int add_extensions(X509 *certificate, enum mr_tls_role role, X509 *issuer)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    for (const struct extension *item = extensions[role]; item->value != NULL; item++) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, item->nid, item->value);
        int is_fine = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;

        X509_EXTENSION_free(extension);
        if (!is_fine) {
            return 0;
        }
    }
    return 1;
}

/* ---- who signs ---- */

static void signer_done(struct signer *signer)
{
    X509_free(signer->certificate);
    EVP_PKEY_free(signer->key);
}

static int signer_load(struct mr_disk *disk, const struct mr_tls_authority *authority,
                       struct signer *signer, struct mr_error *error)
{
    int rc = tls_pem_certificate(disk, authority->cert, &signer->certificate, error);

    if (rc == 0) {
        rc = tls_pem_key(disk, authority->key, &signer->key, error);
    }
    if (rc != 0) {
        return rc;
    }
    if (X509_check_ca(signer->certificate) == 0) {
        return mr_fail_text(error, MR_ECONFIG, "'%s' is not an authority's certificate",
                            authority->cert);
    }
    if (X509_check_private_key(signer->certificate, signer->key) != 1) {
        ERR_clear_error();
        return mr_fail_text(error, MR_ECONFIG, "the key '%s' does not belong to '%s'",
                            authority->key, authority->cert);
    }
    if (X509_cmp_current_time(X509_get0_notAfter(signer->certificate)) < 0) {
        return mr_fail_text(error, MR_ECONFIG, "'%s' has expired", authority->cert);
    }
    return 0;
}

/* ---- out ---- */

static int take_text(BIO *bio, struct mr_bytes *out)
{
    char *text = NULL;
    long size = BIO_get_mem_data(bio, &text);

    mr_bytes_append(out, text, (size_t)size);
    OPENSSL_cleanse(text, (size_t)size);
    return out->failed;
}

static int write_pem(const X509 *certificate, const EVP_PKEY *key, struct mr_bytes *cert_out,
                     struct mr_bytes *key_out, struct mr_error *error)
{
    BIO *cert_bio = BIO_new(BIO_s_mem());
    BIO *key_bio = BIO_new(BIO_s_mem());
    int rc = 0;

    if (cert_bio == NULL || key_bio == NULL || PEM_write_bio_X509(cert_bio, certificate) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        take_text(cert_bio, cert_out) != 0 || take_text(key_bio, key_out) != 0) {
        ERR_clear_error();
        rc = mr_fail(error, MR_ENOMEM, "TLS");
    }
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return rc;
}

static int fill(X509 *certificate, EVP_PKEY *key, const struct mr_tls_make *make,
                const struct signer *signer, struct mr_error *error)
{
    X509 *issuer = signer->certificate != NULL ? signer->certificate : certificate;
    EVP_PKEY *issuer_key = signer->key != NULL ? signer->key : key;
    int rc = set_subject(certificate, make, error);

    if (rc == 0) {
        rc = add_names(certificate, make, error);
    }
    if (rc != 0) {
        return rc;
    }
    if (X509_set_version(certificate, X509_VERSION_3) != 1 || set_serial(certificate) != 1 ||
        set_times(certificate, make->days, signer->certificate) != 1 ||
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1 ||
        X509_set_pubkey(certificate, key) != 1 ||
        add_extensions(certificate, make->role, issuer) != 1 ||
        X509_sign(certificate, issuer_key, EVP_sha256()) == 0) {
        return fail_openssl(error, "the certificate");
    }
    return 0;
}

int mr_tls_make(struct mr_disk *disk, const struct mr_tls_make *make, struct mr_bytes *cert,
                struct mr_bytes *key, int64_t *ret_ends_ms, struct mr_error *error)
{
    struct signer signer = {NULL, NULL};
    X509 *certificate = X509_new();
    EVP_PKEY *own = EVP_EC_gen("P-256");
    int rc = certificate == NULL || own == NULL ? mr_fail(error, MR_ENOMEM, "TLS") : 0;

    if (make->days < 1 || make->days > DAYS_MAX) {
        rc = mr_fail_text(error, MR_EINVAL, "days: from 1 to %d", DAYS_MAX);
    }
    if (rc == 0 && make->role != MR_TLS_AUTHORITY) {
        rc = signer_load(disk, &make->authority, &signer, error);
    }
    if (rc == 0) {
        rc = fill(certificate, own, make, &signer, error);
    }
    if (rc == 0) {
        rc = write_pem(certificate, own, cert, key, error);
    }
    if (rc == 0) {
        *ret_ends_ms = tls_time_ms(X509_get0_notAfter(certificate));
    }
    signer_done(&signer);
    EVP_PKEY_free(own);
    X509_free(certificate);
    return rc;
}

/* ---- revocation lists ---- */

static int read_list(struct mr_disk *disk, const char *path, X509_CRL **ret_list,
                     struct mr_error *error)
{
    struct tls_pem pem;
    int rc = tls_pem_open(disk, path, &pem, error);

    if (rc != 0) {
        return rc;
    }
    *ret_list = PEM_read_bio_X509_CRL(pem.bio, NULL, NULL, NULL);
    tls_pem_close(&pem);
    return *ret_list != NULL
               ? 0
               : mr_fail_text(error, MR_ECONFIG, "'%s': no revocation list in PEM form", path);
}

static int add_revoked(X509_CRL *list, const X509 *issuer, X509 *certificate, const char *path,
                       struct mr_error *error)
{
    X509_REVOKED *known = NULL;
    X509_REVOKED *revoked;
    ASN1_TIME *now;
    bool is_fine;

    if (X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(issuer)) != 0) {
        return mr_fail_text(error, MR_EINVAL, "'%s' was not signed by this authority", path);
    }
    if (X509_CRL_get0_by_cert(list, &known, certificate) == 1) {
        return 0;
    }
    revoked = X509_REVOKED_new();
    now = X509_gmtime_adj(NULL, 0);
    is_fine = revoked != NULL && now != NULL &&
              X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(certificate)) == 1 &&
              X509_REVOKED_set_revocationDate(revoked, now) == 1 &&
              X509_CRL_add0_revoked(list, revoked) == 1;
    ASN1_TIME_free(now);
    if (!is_fine) {
        X509_REVOKED_free(revoked);
        return fail_openssl(error, path);
    }
    return 0;
}

/* The number must grow (RFC 5280, 5.2.3): seconds since 1970 do, for lists that people make. */
static int date_list(X509_CRL *list, const struct signer *signer, int64_t days)
{
    ASN1_TIME *begins = X509_gmtime_adj(NULL, -BACKDATED_S);
    ASN1_TIME *ends = X509_gmtime_adj(NULL, (long)days * DAY_S);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    X509V3_CTX context;
    X509_EXTENSION *key_id;
    int is_fine;

    while (X509_CRL_get_ext_count(list) > 0) {
        X509_EXTENSION_free(X509_CRL_delete_ext(list, 0));
    }
    X509V3_set_ctx(&context, signer->certificate, NULL, NULL, list, 0);
    X509V3_set_ctx_nodb(&context);
    key_id = X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
    is_fine = begins != NULL && ends != NULL && number != NULL && key_id != NULL &&
              X509_CRL_set_version(list, X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(list, X509_get_subject_name(signer->certificate)) == 1 &&
              X509_CRL_set1_lastUpdate(list, begins) == 1 &&
              X509_CRL_set1_nextUpdate(list, ends) == 1 &&
              ASN1_INTEGER_set_int64(number, tls_time_ms(begins) / 1000) == 1 &&
              X509_CRL_add1_ext_i2d(list, NID_crl_number, number, 0, 0) == 1 &&
              X509_CRL_add_ext(list, key_id, -1) == 1 && X509_CRL_sort(list) == 1 &&
              X509_CRL_sign(list, signer->key, EVP_sha256()) != 0;
    X509_EXTENSION_free(key_id);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(begins);
    ASN1_TIME_free(ends);
    return is_fine;
}

static int write_list(const X509_CRL *list, struct mr_bytes *out, struct mr_error *error)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int is_fine = bio != NULL && PEM_write_bio_X509_CRL(bio, list) == 1 && take_text(bio, out) == 0;

    BIO_free(bio);
    return is_fine ? 0 : mr_fail(error, MR_ENOMEM, "TLS");
}

int mr_tls_revoke(struct mr_disk *disk, const struct mr_tls_authority *authority, const char *old,
                  const char *const *certs, size_t cert_count, int64_t days, struct mr_bytes *out,
                  struct mr_error *error)
{
    struct signer signer = {NULL, NULL};
    X509_CRL *list = NULL;
    int rc = days < 1 || days > DAYS_MAX
                 ? mr_fail_text(error, MR_EINVAL, "days: from 1 to %d", DAYS_MAX)
                 : signer_load(disk, authority, &signer, error);

    if (rc == 0 && old != NULL) {
        rc = read_list(disk, old, &list, error);
    } else if (rc == 0) {
        list = X509_CRL_new();
        rc = list == NULL ? mr_fail(error, MR_ENOMEM, "TLS") : 0;
    }
    for (size_t i = 0; rc == 0 && i < cert_count; i++) {
        X509 *certificate = NULL;
        rc = tls_pem_certificate(disk, certs[i], &certificate, error);
        if (rc == 0) {
            rc = add_revoked(list, signer.certificate, certificate, certs[i], error);
            X509_free(certificate);
        }
    }
    if (rc == 0 && date_list(list, &signer, days) != 1) {
        rc = fail_openssl(error, "the revocation list");
    }
    if (rc == 0) {
        rc = write_list(list, out, error);
    }
    X509_CRL_free(list);
    signer_done(&signer);
    return rc;
}
