/* A small authority, and what it signs: enough for a first mesh, so that nobody is tempted to do
 * without TLS. Keys are EC P-256, certificates X.509 version 3 with alternative names; PEM texts go
 * in and out. Also what a person wants to know of such files. Blocks: for the command line. */
#ifndef BASE_NET_TLS_MAKE_H
#define BASE_NET_TLS_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_bytes;
struct mr_disk;
struct mr_error;

enum mr_tls_role {
    MR_TLS_AUTHORITY, /* signs others, itself included */
    MR_TLS_NODE,      /* a server that also connects to others */
    MR_TLS_CLIENT,    /* connects only */
};

/* Whose key signs. */
struct mr_tls_authority {
    const char *cert; /* PEM files */
    const char *key;
};

struct mr_tls_make {
    enum mr_tls_role role;
    const char *name;         /* the subject's common name, at most 64 bytes */
    const char *organization; /* of the subject; NULL: none */
    const char *const *names; /* host names and IP addresses */
    size_t name_count;
    int64_t days;
    struct mr_tls_authority authority; /* not of an authority */
};

/* Certificate and key in PEM. MR_EINVAL for what cannot be a name, MR_ECONFIG for an authority that
 * cannot sign. *ret_ends_ms may be earlier than `days` says: nothing outlives its authority. */
int mr_tls_make(struct mr_disk *disk, const struct mr_tls_make *make, struct mr_bytes *cert,
                struct mr_bytes *key, int64_t *ret_ends_ms, struct mr_error *error);
/* The list of what the authority has taken back: `old` (a PEM file, or NULL) with these
 * certificates added, dated from now. */
int mr_tls_revoke(struct mr_disk *disk, const struct mr_tls_authority *authority, const char *old,
                  const char *const *certs, size_t cert_count, int64_t days, struct mr_bytes *list,
                  struct mr_error *error);

/* ---- tls_show.c ---- */

/* Every certificate and list of a PEM file, in lines for people. MR_ECONFIG if there is none. */
int mr_tls_show(struct mr_disk *disk, const char *path, struct mr_bytes *out,
                struct mr_error *error);

struct mr_tls_check {
    const char *cert;
    const char *key;       /* NULL: not asked */
    const char *ca;        /* NULL: the system's */
    const char *crl;       /* or NULL */
    const char *name;      /* host or IP address that it must be for, or NULL */
    enum mr_tls_role role; /* NODE or CLIENT: what it must be good for */
};
/* 0, or MR_ECONFIG with the first thing that is wrong. */
int mr_tls_check(struct mr_disk *disk, const struct mr_tls_check *check, struct mr_error *error);

#endif
