/* Certificates made for a test: P-256, so that they take no time. Files are written into a
 * directory and named by what they are. */
#ifndef TESTS_LIB_TEST_CERTS_H
#define TESTS_LIB_TEST_CERTS_H

#include <openssl/x509.h>
#include <stdbool.h>

struct test_ca {
    EVP_PKEY *key;
    X509 *certificate;
    long serial;
};

struct test_cert {
    const char *subject; /* common name */
    const char *names;   /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    long begins_s;       /* from now */
    long ends_s;         /* from now; 0: in an hour */
};

/* Writes <directory>/<name>.pem. */
void test_ca_init(struct test_ca *ca, const char *directory, const char *name);
void test_ca_done(struct test_ca *ca);
/* Writes <directory>/<name>.pem and <name>.key; returns the serial number. */
long test_ca_issue(struct test_ca *ca, const char *directory, const char *name,
                   const struct test_cert *cert);
/* Writes <directory>/<name>.crl with one revoked serial number. */
void test_ca_revoke(struct test_ca *ca, const char *directory, const char *name, long serial);

#endif
