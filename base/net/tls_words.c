/* Why a handshake failed, in a sentence that a person can act on: OpenSSL's own words name a place
 * in its code ("certificate verify failed"); what matters is which certificate, whose, and what is
 * wrong. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/net/tls.h"
#include "base/net/tls_stream.h"

const char *tls_reason(const char *otherwise)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : otherwise;
}

static void subject_of(X509 *certificate, char *text, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int used = 0;

    if (bio != NULL &&
        X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
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

static int alternative_of(const X509 *certificate, int index, char *text, size_t size)
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

/* "DNS:hub-1, IP:10.0.0.1", as far as there is room. */
static void names_of(const X509 *certificate, char *text, size_t size)
{
    char name[128];
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; alternative_of(certificate, i, name, sizeof name) == 0; i++) {
        int more = snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", name);

        if (more < 0 || (size_t)more >= size - used) {
            text[used] = '\0';
            return;
        }
        used += (size_t)more;
    }
}

static int fail_verify(struct mr_error *error, const struct tls_stream *self, long verdict)
{
    char subject[256] = "";
    char names[256] = "";

    if (self->refused == NULL || self->leaf == NULL) {
        return mr_fail_text(error, MR_EAUTH, "TLS: the peer's certificate is refused: %s",
                            X509_verify_cert_error_string(verdict));
    }
    subject_of(self->refused, subject, sizeof subject);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        names_of(self->leaf, names, sizeof names);
        return mr_fail_text(
            error, MR_EAUTH, "TLS: the server's certificate (%s) is not for '%s' but for %s",
            subject, self->server_name, names[0] != '\0' ? names : "no name at all");
    }
    return mr_fail_text(error, MR_EAUTH, "TLS: the peer's certificate (%s) is refused: %s", subject,
                        X509_verify_cert_error_string(verdict));
}

/* What the peer said with an alert (RFC 8446, 6.2) before it ended the connection. */
static int fail_alert(struct mr_error *error, unsigned long code)
{
    switch (ERR_GET_REASON(code)) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return mr_fail_text(error, MR_EAUTH, "TLS: the peer refuses our certificate: %s",
                            ERR_reason_error_string(code));
    default:
        return mr_fail_text(error, MR_EPROTOCOL, "TLS: the peer ends the connection: %s",
                            ERR_reason_error_string(code));
    }
}

int tls_fail(struct mr_error *error, const struct tls_stream *self, int ssl_error)
{
    unsigned long code = ERR_peek_error();
    long verdict = SSL_get_verify_result(self->ssl);
    int reason = ERR_GET_REASON(code);
    int rc;

    if (code == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
        ssl_error == SSL_ERROR_SYSCALL) {
        rc = mr_fail_text(error, MR_ENETWORK, "TLS: the peer is gone without a word");
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        rc = fail_verify(error, self, verdict);
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        rc = mr_fail_text(error, MR_EAUTH, "TLS: the client shows no certificate");
    } else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
        rc = mr_fail_text(error, MR_EPROTOCOL, "TLS: the peer does not speak TLS here");
    } else if (reason >= SSL_AD_REASON_OFFSET) {
        rc = fail_alert(error, code);
    } else {
        rc = mr_fail_text(error, MR_EPROTOCOL, "TLS: %s",
                          ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code)
                                                                : "the handshake failed");
    }
    ERR_clear_error();
    return rc;
}

/* ---- what the handshake showed ---- */

static X509 *peer_of(const struct mr_stream *stream)
{
    return SSL_get1_peer_certificate(((const struct tls_stream *)(const void *)stream)->ssl);
}

int mr_stream_tls_subject(const struct mr_stream *stream, char *text, size_t size)
{
    char subject[1024];
    X509 *certificate;

    if (!mr_stream_is_tls(stream)) {
        return MR_EUNSUPPORTED;
    }
    certificate = peer_of(stream);
    if (certificate == NULL) {
        return MR_ENOENT;
    }
    subject_of(certificate, subject, sizeof subject);
    X509_free(certificate);
    if (strlen(subject) >= size || strlen(subject) == sizeof subject - 1) {
        return MR_ETOOLARGE;
    }
    memcpy(text, subject, strlen(subject) + 1);
    return 0;
}

int mr_stream_tls_alternative(const struct mr_stream *stream, int index, char *text, size_t size)
{
    X509 *certificate;
    int rc;

    if (!mr_stream_is_tls(stream)) {
        return MR_EUNSUPPORTED;
    }
    certificate = peer_of(stream);
    if (certificate == NULL) {
        return MR_ENOENT;
    }
    rc = alternative_of(certificate, index, text, size);
    X509_free(certificate);
    return rc;
}
