/* What a person wants to know of a certificate before it is used, and whether it will do. */
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/tls_make.h"
#include "base/net/tls_pem.h"
#include "base/net/tls_stream.h"

enum { LINE_SIZE = 256 };

/* ---- show ---- */

static void show_time(struct mr_bytes *out, const char *title, const ASN1_TIME *time)
{
    struct tm parts;

    if (time != NULL && ASN1_TIME_to_tm(time, &parts) == 1) {
        mr_bytes_printf(out, "%s%04d-%02d-%02dT%02d:%02d:%02dZ", title, parts.tm_year + 1900,
                        parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    }
}

static void show_name(struct mr_bytes *out, const char *title, const X509_NAME *name)
{
    char text[LINE_SIZE];

    tls_name_text(name, text, sizeof text);
    mr_bytes_printf(out, "%s%s\n", title, text);
}

static void show_serial(struct mr_bytes *out, const char *title, const ASN1_INTEGER *serial)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(serial);

    mr_bytes_text(out, title);
    for (int i = 0; i < ASN1_STRING_length(serial) && i < 20; i++) {
        mr_bytes_printf(out, "%02x", bytes[i]);
    }
    mr_bytes_text(out, "\n");
}

static void show_alternatives(struct mr_bytes *out, const X509 *certificate)
{
    char name[LINE_SIZE];
    int rc = 0;

    for (int i = 0; rc != MR_ENOENT; i++) {
        rc = tls_alternative(certificate, i, name, sizeof name);
        if (rc == 0) {
            mr_bytes_printf(out, "%s%s", i == 0 ? "names:   " : ", ", name);
        } else if (i > 0 && rc == MR_ENOENT) {
            mr_bytes_text(out, "\n");
        }
    }
}

static void show_use(struct mr_bytes *out, X509 *certificate)
{
    uint32_t extended = X509_get_extended_key_usage(certificate); /* UINT32_MAX: any */

    mr_bytes_printf(
        out, "good for:%s%s%s\n", X509_check_ca(certificate) != 0 ? " signing others" : "",
        X509_check_ca(certificate) == 0 && (extended & XKU_SSL_SERVER) != 0 ? " serving" : "",
        X509_check_ca(certificate) == 0 && (extended & XKU_SSL_CLIENT) != 0 ? " connecting" : "");
}

static void show_print(struct mr_bytes *out, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1) {
        mr_bytes_text(out, "sha256:  ");
        for (unsigned i = 0; i < size; i++) {
            mr_bytes_printf(out, "%02x", digest[i]);
        }
        mr_bytes_text(out, "\n");
    }
}

static void show_certificate(struct mr_bytes *out, X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);

    show_name(out, "subject: ", X509_get_subject_name(certificate));
    show_alternatives(out, certificate);
    show_name(out, "issuer:  ", X509_get_issuer_name(certificate));
    show_time(out, "valid:   ", X509_get0_notBefore(certificate));
    show_time(out, " to ", X509_get0_notAfter(certificate));
    mr_bytes_printf(out, "%s\n",
                    X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0    ? " (expired)"
                    : X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0 ? " (not yet)"
                                                                                  : "");
    if (key != NULL) {
        const char *type = EVP_PKEY_get0_type_name(key);
        mr_bytes_printf(out, "key:     %s, %d bits\n", type != NULL ? type : "unknown",
                        EVP_PKEY_get_bits(key));
    }
    show_use(out, certificate);
    show_serial(out, "serial:  ", X509_get0_serialNumber(certificate));
    show_print(out, certificate);
}

static void show_list(struct mr_bytes *out, X509_CRL *list)
{
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(list);

    show_name(out, "revoked by: ", X509_CRL_get_issuer(list));
    show_time(out, "valid:   ", X509_CRL_get0_lastUpdate(list));
    show_time(out, " to ", X509_CRL_get0_nextUpdate(list));
    mr_bytes_text(out, "\n");
    for (int i = 0; i < sk_X509_REVOKED_num(revoked); i++) {
        show_serial(out,
                    "serial:  ", X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(revoked, i)));
    }
}

int mr_tls_show(struct mr_disk *disk, const char *path, struct mr_bytes *out,
                struct mr_error *error)
{
    STACK_OF(X509_INFO) * items;
    struct tls_pem pem;
    int shown = 0;
    int rc = tls_pem_open(disk, path, &pem, error);

    if (rc != 0) {
        return rc;
    }
    items = PEM_X509_INFO_read_bio(pem.bio, NULL, NULL, NULL);
    tls_pem_close(&pem);
    for (int i = 0; i < sk_X509_INFO_num(items); i++) { /* -1 without a stack */
        const X509_INFO *item = sk_X509_INFO_value(items, i);
        if (item->x509 == NULL && item->crl == NULL) {
            continue; /* a key: nothing of it is shown */
        }
        mr_bytes_text(out, shown++ > 0 ? "\n" : "");
        if (item->x509 != NULL) {
            show_certificate(out, item->x509);
        } else {
            show_list(out, item->crl);
        }
    }
    sk_X509_INFO_pop_free(items, X509_INFO_free);
    if (shown == 0) {
        return mr_fail_text(error, MR_ECONFIG, "'%s': no certificate in PEM form", path);
    }
    return out->failed != 0 ? mr_fail(error, MR_ENOMEM, "TLS") : 0;
}

/* ---- check ---- */

static int load_store(struct mr_disk *disk, const struct mr_tls_check *check, X509_STORE *store,
                      struct mr_error *error)
{
    const char *paths[] = {check->ca, check->crl};
    int rc = 0;

    if (check->ca == NULL && X509_STORE_set_default_paths(store) != 1) {
        rc = mr_fail_text(error, MR_ECONFIG, "the system's authorities cannot be read");
    }
    for (int i = 0; rc == 0 && i < 2; i++) {
        STACK_OF(X509_INFO) * items;
        struct tls_pem pem;

        if (paths[i] == NULL) {
            continue;
        }
        rc = tls_pem_open(disk, paths[i], &pem, error);
        if (rc != 0) {
            return rc;
        }
        items = PEM_X509_INFO_read_bio(pem.bio, NULL, NULL, NULL);
        tls_pem_close(&pem);
        for (int j = 0; j < sk_X509_INFO_num(items); j++) {
            const X509_INFO *item = sk_X509_INFO_value(items, j);
            if (item->x509 != NULL) {
                (void)X509_STORE_add_cert(store, item->x509); /* one twice is one */
            }
            if (item->crl != NULL) {
                (void)X509_STORE_add_crl(store, item->crl);
            }
        }
        sk_X509_INFO_pop_free(items, X509_INFO_free);
    }
    if (check->crl != NULL) {
        (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    return rc;
}

/* The certificate, and what stands behind it in its file. */
static int load_chain(struct mr_disk *disk, const char *path, X509 **ret_leaf,
                      STACK_OF(X509) * others, struct mr_error *error)
{
    struct tls_pem pem;
    X509 *certificate;
    int rc = tls_pem_open(disk, path, &pem, error);

    if (rc != 0) {
        return rc;
    }
    while ((certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL)) != NULL) {
        if (*ret_leaf == NULL) {
            *ret_leaf = certificate;
        } else if (sk_X509_push(others, certificate) == 0) {
            X509_free(certificate);
        }
    }
    tls_pem_close(&pem);
    return *ret_leaf != NULL
               ? 0
               : mr_fail_text(error, MR_ECONFIG, "'%s': no certificate in PEM form", path);
}

static int check_key(struct mr_disk *disk, const struct mr_tls_check *check, const X509 *leaf,
                     struct mr_error *error)
{
    EVP_PKEY *key = NULL;
    int rc = tls_pem_key(disk, check->key, &key, error);

    if (rc == 0 && X509_check_private_key(leaf, key) != 1) {
        rc = mr_fail_text(error, MR_ECONFIG, "the key '%s' does not belong to '%s'", check->key,
                          check->cert);
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

static int verify(const struct mr_tls_check *check, X509_STORE *store, X509 *leaf,
                  STACK_OF(X509) * others, struct mr_error *error)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int rc = 0;

    if (context == NULL || X509_STORE_CTX_init(context, store, leaf, others) != 1) {
        rc = mr_fail(error, MR_ENOMEM, "TLS");
    } else {
        (void)X509_STORE_CTX_set_default(context, check->role == MR_TLS_CLIENT ? "ssl_client"
                                                                               : "ssl_server");
        if (X509_verify_cert(context) != 1) {
            rc = mr_fail_text(error, MR_ECONFIG, "'%s': %s", check->cert,
                              X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
        }
    }
    X509_STORE_CTX_free(context);
    ERR_clear_error();
    return rc;
}

static int check_name(const struct mr_tls_check *check, X509 *leaf, struct mr_error *error)
{
    unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    char names[LINE_SIZE];

    if (X509_check_ip_asc(leaf, check->name, 0) == 1 ||
        X509_check_host(leaf, check->name, 0, flags, NULL) == 1) {
        return 0;
    }
    tls_alternatives(leaf, names, sizeof names);
    return mr_fail_text(error, MR_ECONFIG, "'%s' is not for '%s' but for %s", check->cert,
                        check->name, names[0] != '\0' ? names : "no name at all");
}

int mr_tls_check(struct mr_disk *disk, const struct mr_tls_check *check, struct mr_error *error)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *others = sk_X509_new_null();
    X509 *leaf = NULL;
    int rc = store == NULL || others == NULL ? mr_fail(error, MR_ENOMEM, "TLS")
                                             : load_chain(disk, check->cert, &leaf, others, error);

    if (rc == 0 && check->key != NULL) {
        rc = check_key(disk, check, leaf, error);
    }
    if (rc == 0) {
        rc = load_store(disk, check, store, error);
    }
    if (rc == 0) {
        rc = verify(check, store, leaf, others, error);
    }
    if (rc == 0 && check->name != NULL) {
        rc = check_name(check, leaf, error);
    }
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
    X509_STORE_free(store);
    return rc;
}
