#include "base/net/tls_pem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/memory.h"

enum { FILE_SIZE_MAX = 4 * 1024 * 1024 }; /* a bundle of a whole system is 0.25 MiB */

int tls_pem_open(struct mr_disk *disk, const char *path, struct tls_pem *pem,
                 struct mr_error *error)
{
    int rc = mr_disk_read_file(disk != NULL ? disk : mr_disk_system(), path, FILE_SIZE_MAX,
                               &pem->text, &pem->size, error);

    if (rc != 0) {
        return rc;
    }
    pem->bio = BIO_new_mem_buf(pem->text, (int)pem->size);
    if (pem->bio == NULL) {
        mr_free(pem->text);
        return mr_fail(error, MR_ENOMEM, "'%s'", path);
    }
    return 0;
}

void tls_pem_close(struct tls_pem *pem)
{
    BIO_free(pem->bio);
    OPENSSL_cleanse(pem->text, pem->size);
    mr_free(pem->text);
    ERR_clear_error(); /* the end of the file counts as one */
}

static int no_password(char *text, int size, int is_write, void *owner)
{
    (void)text;
    (void)size;
    (void)is_write;
    *(bool *)owner = true;
    return -1;
}

int tls_pem_key(struct mr_disk *disk, const char *path, EVP_PKEY **ret_key, struct mr_error *error)
{
    struct tls_pem pem;
    bool is_encrypted = false;
    EVP_PKEY *key;
    int rc = tls_pem_open(disk, path, &pem, error);

    if (rc != 0) {
        return rc;
    }
    key = PEM_read_bio_PrivateKey(pem.bio, NULL, no_password, &is_encrypted);
    tls_pem_close(&pem);
    if (key == NULL) {
        return mr_fail_text(error, MR_ECONFIG, "'%s': %s", path,
                            is_encrypted ? "the key is encrypted; give one without a pass phrase"
                                         : "no private key in PEM form");
    }
    *ret_key = key;
    return 0;
}

int tls_pem_certificate(struct mr_disk *disk, const char *path, X509 **ret_certificate,
                        struct mr_error *error)
{
    struct tls_pem pem;
    X509 *certificate;
    int rc = tls_pem_open(disk, path, &pem, error);

    if (rc != 0) {
        return rc;
    }
    certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL);
    tls_pem_close(&pem);
    if (certificate == NULL) {
        return mr_fail_text(error, MR_ECONFIG, "'%s': no certificate in PEM form", path);
    }
    *ret_certificate = certificate;
    return 0;
}

int64_t tls_time_ms(const ASN1_TIME *time)
{
    struct tm parts;

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : 0;
}

/* ---- names ---- */

void tls_name_text(const X509_NAME *name, char *text, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int used = 0;

    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        used = BIO_read(bio, text, (int)size - 1);
    }
    text[used > 0 ? used : 0] = '\0';
    BIO_free(bio);
}

static int print_ip(const ASN1_OCTET_STRING *ip, char *text, size_t size)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(ip);
    int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
    char host[INET6_ADDRSTRLEN];

    if ((ASN1_STRING_length(ip) != 4 && ASN1_STRING_length(ip) != 16) ||
        inet_ntop(family, bytes, host, sizeof host) == NULL) {
        return MR_EUNSUPPORTED;
    }
    return snprintf(text, size, "IP:%s", host) < (int)size ? 0 : MR_ETOOLARGE;
}

/* 0, MR_ETOOLARGE, or MR_EUNSUPPORTED for what is left out. */
static int print_name(const GENERAL_NAME *name, char *text, size_t size)
{
    const ASN1_IA5STRING *string;
    const char *kind;
    int length;

    switch (name->type) {
    case GEN_IPADD:
        return print_ip(name->d.iPAddress, text, size);
    case GEN_DNS:
        kind = "DNS";
        break;
    case GEN_URI:
        kind = "URI";
        break;
    case GEN_EMAIL:
        kind = "EMAIL";
        break;
    default:
        return MR_EUNSUPPORTED;
    }
    string = name->d.ia5;
    length = ASN1_STRING_length(string);
    /* A NUL inside would make one name look like another. */
    if (memchr(ASN1_STRING_get0_data(string), '\0', (size_t)length) != NULL) {
        return MR_EUNSUPPORTED;
    }
    return snprintf(text, size, "%s:%.*s", kind, length, ASN1_STRING_get0_data(string)) < (int)size
               ? 0
               : MR_ETOOLARGE;
}

int tls_alternative(const X509 *certificate, int index, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int rc = MR_ENOENT;

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        rc = print_name(sk_GENERAL_NAME_value(names, i), text, size);
        if (rc != MR_EUNSUPPORTED && index-- == 0) {
            break;
        }
        rc = MR_ENOENT;
    }
    GENERAL_NAMES_free(names);
    return rc;
}

void tls_alternatives(const X509 *certificate, char *text, size_t size)
{
    char name[128];
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; tls_alternative(certificate, i, name, sizeof name) == 0; i++) {
        int more = snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", name);

        if (more < 0 || (size_t)more >= size - used) {
            text[used] = '\0';
            return;
        }
        used += (size_t)more;
    }
}
