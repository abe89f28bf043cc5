/* TLS 1.2 and 1.3 under streams, by OpenSSL 3.
 *
 * A context is what one listener, or connections of one kind, present and trust; it is named in
 * mr_listen_options or mr_connect_options, and everything else is as with plain streams. The stream
 * is handed over when the handshake is done. Contexts may be used by several loops at a time. */
#ifndef BASE_NET_TLS_H
#define BASE_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_disk;
struct mr_error;
struct mr_metrics;
struct mr_net;
struct mr_stream;
struct mr_tls_context;

/* What a listener asks of its clients. */
enum mr_tls_clients { MR_TLS_CLIENTS_NONE, MR_TLS_CLIENTS_OPTIONAL, MR_TLS_CLIENTS_REQUIRED };

/* Strings are copied. */
struct mr_tls_config {
    const char *name;     /* label of the metrics: "node", "listener-9092" */
    struct mr_disk *disk; /* NULL: the system's */
    const char *cert;     /* PEM file: the certificate, then its chain; NULL: connecting only */
    const char *key;      /* PEM file, not encrypted */
    const char *ca;       /* PEM file of those who are trusted; NULL: the system's, to connect */
    const char *crl;      /* PEM file of revocation lists, one per CA that signs; needs ca */
    enum mr_tls_clients clients; /* other than NONE needs ca */
    bool is_tls13_required;
    /* Connecting: trust anybody (the traffic is then readable by who sits in between), or any name.
     */
    bool skips_verification;
    bool skips_names;
};

/* Reads the files. Fails with words that name the file: MR_ECONFIG (mismatched, encrypted, not
 * PEM), or what reading said. metrics may be NULL. */
int mr_tls_context_new(const struct mr_tls_config *config, struct mr_metrics *metrics,
                       struct mr_tls_context **ret_context, struct mr_error *error);
/* Reads the files again, for handshakes from now on. If that fails, all stays as it was, and the
 * metric of failed reloads grows. On the loop that made the context; blocks for the files. */
int mr_tls_context_reload(struct mr_tls_context *context, struct mr_error *error);
/* When the own certificate ends, in ms since 1970; 0 without one. */
int64_t mr_tls_context_expires_ms(struct mr_tls_context *context);
/* After everything that used it was closed. NULL is fine. */
void mr_tls_context_free(struct mr_tls_context *context);

/* ---- files that are replaced while the program runs (tls_watch.c) ---- */

/* Looks after the context until it or the network is freed. */
void mr_tls_watch(struct mr_net *net, struct mr_tls_context *context);
/* Looks at the files of all of them this often, and reads again what has changed; 0, and unless
 * this is called: only when asked. 0 or MR_ENOMEM. */
int mr_tls_watch_every(struct mr_net *net, int64_t interval_ms);
/* Reads all again. What cannot be taken is said in the log and the old one stays. */
void mr_tls_watch_now(struct mr_net *net);
/* 0, or MR_ECONFIG: files that cannot be taken since they changed, or a certificate that has ended.
 */
int mr_tls_watch_health(struct mr_net *net, struct mr_error *error);

/* ---- what a stream's handshake showed ---- */

bool mr_stream_is_tls(const struct mr_stream *stream);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" for plain streams. */
const char *mr_stream_tls_name(const struct mr_stream *stream);
/* The subject of the peer's verified certificate as in RFC 2253 ("CN=edge-1,O=x"), which is Kafka's
 * default principal. 0, MR_ENOENT (none was shown), MR_ETOOLARGE, MR_EUNSUPPORTED (plain). */
int mr_stream_tls_subject(const struct mr_stream *stream, char *text, size_t size);
/* The nth subject alternative name: "DNS:edge-1", "IP:10.0.0.1", "URI:spiffe://...", "EMAIL:...".
 * 0, or as above; MR_ENOENT behind the last one. Other kinds, and names with NULs, are left out. */
int mr_stream_tls_alternative(const struct mr_stream *stream, int index, char *text, size_t size);

#endif
