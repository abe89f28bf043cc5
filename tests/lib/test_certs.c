#include "tests/lib/test_certs.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/core/error.h"

static FILE *create(const char *directory, const char *name, const char *suffix)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
    file = fopen(path, "w");
    mr_assert(file != NULL);
    return file;
}

static X509 *certificate_new(struct test_ca *ca, EVP_PKEY *key, const struct test_cert *cert)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    mr_assert(X509_set_version(certificate, 2) == 1);
    mr_assert(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++ca->serial) == 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), cert->begins_s - 60);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), cert->ends_s != 0 ? cert->ends_s : 3600);
    mr_assert(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                         (const unsigned char *)cert->subject, -1, -1, 0) == 1);
    mr_assert(X509_set_pubkey(certificate, key) == 1);
    return certificate;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    mr_assert(extension != NULL);
    mr_assert(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void write_certificate(const char *directory, const char *name, X509 *certificate)
{
    FILE *file = create(directory, name, ".pem");

    mr_assert(PEM_write_X509(file, certificate) == 1);
    (void)fclose(file);
}

void test_ca_init(struct test_ca *ca, const char *directory, const char *name)
{
    struct test_cert self = {.subject = name};

    *ca = (struct test_ca){.key = EVP_EC_gen("P-256")};
    ca->certificate = certificate_new(ca, ca->key, &self);
    mr_assert(X509_set_issuer_name(ca->certificate, X509_get_subject_name(ca->certificate)) == 1);
    add_extension(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca->certificate, ca->certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(ca->certificate, ca->certificate, NID_subject_key_identifier, "hash");
    mr_assert(X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0);
    write_certificate(directory, name, ca->certificate);
}

void test_ca_done(struct test_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
}

long test_ca_issue(struct test_ca *ca, const char *directory, const char *name,
                   const struct test_cert *cert)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_new(ca, key, cert);
    FILE *file = create(directory, name, ".key");

    mr_assert(X509_set_issuer_name(certificate, X509_get_subject_name(ca->certificate)) == 1);
    if (cert->names != NULL) {
        add_extension(certificate, ca->certificate, NID_subject_alt_name, cert->names);
    }
    mr_assert(X509_sign(certificate, ca->key, EVP_sha256()) > 0);
    write_certificate(directory, name, certificate);
    mr_assert(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    (void)fclose(file);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return ca->serial;
}

void test_ca_revoke(struct test_ca *ca, const char *directory, const char *name, long serial)
{
    X509_CRL *list = X509_CRL_new();
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
    ASN1_TIME *later = X509_gmtime_adj(NULL, 3600);
    FILE *file = create(directory, name, ".crl");

    mr_assert(ASN1_INTEGER_set(number, serial) == 1);
    mr_assert(X509_REVOKED_set_serialNumber(revoked, number) == 1);
    mr_assert(X509_REVOKED_set_revocationDate(revoked, now) == 1);
    mr_assert(X509_CRL_set_version(list, 1) == 1);
    mr_assert(X509_CRL_set_issuer_name(list, X509_get_subject_name(ca->certificate)) == 1);
    mr_assert(X509_CRL_set1_lastUpdate(list, now) == 1);
    mr_assert(X509_CRL_set1_nextUpdate(list, later) == 1);
    mr_assert(X509_CRL_add0_revoked(list, revoked) == 1);
    mr_assert(X509_CRL_sign(list, ca->key, EVP_sha256()) > 0);
    mr_assert(PEM_write_X509_CRL(file, list) == 1);
    (void)fclose(file);
    X509_CRL_free(list);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
}
