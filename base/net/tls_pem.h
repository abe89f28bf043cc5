/* PEM files as OpenSSL reads them, for contexts and for who makes certificates. Names OpenSSL. */
#ifndef BASE_NET_TLS_PEM_H
#define BASE_NET_TLS_PEM_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdint.h>

struct mr_disk;
struct mr_error;

/* A file's text, wiped when it is closed. disk NULL: the system's. */
struct tls_pem {
    BIO *bio;
    char *text;
    size_t size;
};

int tls_pem_open(struct mr_disk *disk, const char *path, struct tls_pem *pem,
                 struct mr_error *error);
void tls_pem_close(struct tls_pem *pem);
/* The private key of a file; words say if it is encrypted. */
int tls_pem_key(struct mr_disk *disk, const char *path, EVP_PKEY **ret_key, struct mr_error *error);
/* The first certificate of a file. */
int tls_pem_certificate(struct mr_disk *disk, const char *path, X509 **ret_certificate,
                        struct mr_error *error);
/* A time of a certificate in ms since 1970, 0 if it is none. */
int64_t tls_time_ms(const ASN1_TIME *time);
/* A name as in RFC 2253, cut to the size. */
void tls_name_text(const X509_NAME *name, char *text, size_t size);
/* The nth alternative name that can be shown, as mr_stream_tls_alternative. */
int tls_alternative(const X509 *certificate, int index, char *text, size_t size);
/* All of them, "DNS:hub-1, IP:10.0.0.1", as far as there is room. */
void tls_alternatives(const X509 *certificate, char *text, size_t size);

#endif
