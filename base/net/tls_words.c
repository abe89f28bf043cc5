/* Why a handshake failed, in a sentence that a person can act on: OpenSSL's own words name a place
 * in its code ("certificate verify failed"); what matters is which certificate, whose, and what is
 * wrong. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/net/tls.h"
#include "base/net/tls_pem.h"
#include "base/net/tls_stream.h"

const char *tls_reason(const char *otherwise)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : otherwise;
}

static int fail_verify(struct mr_error *error, const struct tls_stream *self, long verdict)
{
    char subject[256] = "";
    char names[256] = "";

    if (self->refused == NULL || self->leaf == NULL) {
        return mr_fail_text(error, MR_EAUTH, "TLS: the peer's certificate is refused: %s",
                            X509_verify_cert_error_string(verdict));
    }
    tls_name_text(X509_get_subject_name(self->refused), subject, sizeof subject);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        tls_alternatives(self->leaf, names, sizeof names);
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

static bool is_not_tls(int reason)
{
    return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
           reason == SSL_R_HTTPS_PROXY_REQUEST || reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
           reason == SSL_R_UNEXPECTED_MESSAGE || reason == SSL_R_BAD_PACKET ||
           reason == SSL_R_RECORD_LENGTH_MISMATCH || reason == SSL_R_UNKNOWN_PROTOCOL;
}

static bool is_version(int reason)
{
    return reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_NO_SHARED_CIPHER ||
           reason == SSL_R_VERSION_TOO_LOW || reason == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM ||
           reason == SSL_R_NO_SUITABLE_KEY_SHARE || reason == SSL_R_INAPPROPRIATE_FALLBACK ||
           reason == SSL_R_NO_PROTOCOLS_AVAILABLE || reason == SSL_R_WRONG_SSL_VERSION;
}

int tls_fail(struct mr_error *error, struct tls_stream *self, int ssl_error)
{
    unsigned long code = ERR_peek_error();
    long verdict = SSL_get_verify_result(self->ssl);
    int reason = ERR_GET_REASON(code);
    int rc;

    self->failure = TLS_FAILURE_OTHER;
    if (code == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
        ssl_error == SSL_ERROR_SYSCALL) {
        self->failure = TLS_FAILURE_GONE;
        rc = mr_fail_text(error, MR_ENETWORK, "TLS: the peer is gone without a word%s",
                          SSL_get_state(self->ssl) == TLS_ST_CW_CLNT_HELLO
                              ? " at our first one; does it speak TLS here?"
                              : "");
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        self->failure = TLS_FAILURE_CERTIFICATE;
        rc = fail_verify(error, self, verdict);
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        self->failure = TLS_FAILURE_CERTIFICATE;
        rc = mr_fail_text(error, MR_EAUTH, "TLS: the client shows no certificate");
    } else if (is_not_tls(reason)) {
        self->failure = TLS_FAILURE_NOT_TLS;
        rc = mr_fail_text(error, MR_EPROTOCOL, "TLS: the peer does not speak TLS here");
    } else if (reason >= SSL_AD_REASON_OFFSET) {
        self->failure = TLS_FAILURE_ALERT;
        rc = fail_alert(error, code);
    } else {
        const char *words = ERR_reason_error_string(code);

        if (is_version(reason)) {
            self->failure = TLS_FAILURE_VERSION;
        }
        rc = mr_fail_text(error, MR_EPROTOCOL, "TLS: %s",
                          words != NULL ? words : "the handshake failed");
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
    tls_name_text(X509_get_subject_name(certificate), subject, sizeof subject);
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
    rc = tls_alternative(certificate, index, text, size);
    X509_free(certificate);
    return rc;
}
