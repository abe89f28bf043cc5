/* Errors: a negative code that travels as a return value, and, on slow paths, a text that each level
 * extends with what it knows: "topic 'web': partition 3: segment 512: no space left on device".
 *
 * Hot paths return the code alone; `error` may be NULL everywhere. Codes and texts stand in one
 * table in error.c; the mapping to Kafka's codes lives in queue/wire/. */
#ifndef BASE_CORE_ERROR_H
#define BASE_CORE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

enum mr_code {
    MR_OK = 0,
    MR_ENOMEM = -1,       /* memory, or a budget of it, is used up */
    MR_EINVAL = -2,       /* the caller's or the user's value is not allowed */
    MR_ENOENT = -3,       /* no such file, topic, key */
    MR_EEXIST = -4,       /* there is one already */
    MR_EAGAIN = -5,       /* not now; the callee says when */
    MR_EIO = -6,          /* the disk failed */
    MR_ENOSPC = -7,       /* the disk, or a configured limit of it, is full */
    MR_EACCES = -8,       /* permission, also a read-only file system */
    MR_EBUSY = -9,        /* in use by someone else */
    MR_ECORRUPT = -10,    /* bytes that are not what they should be: checksum, magic, length */
    MR_ETRUNCATED = -11,  /* the bytes end too early */
    MR_EUNSUPPORTED = -12,/* a version, codec or feature that this program does not have */
    MR_ETOOLARGE = -13,   /* beyond a stated bound */
    MR_ERANGE = -14,      /* an offset or number outside of what exists */
    MR_ECANCELED = -15,   /* the object was closed meanwhile */
    MR_ETIMEDOUT = -16,   /* a deadline passed */
    MR_ENETWORK = -17,    /* connection refused, reset, unreachable, or name not found */
    MR_EOF = -18,         /* the far side ended the stream in good order */
    MR_EPROTOCOL = -19,   /* the far side broke the protocol */
    MR_EAUTH = -20,       /* not authenticated, or not allowed */
    MR_ECONFIG = -21,     /* the configuration is wrong */
    MR_EDUPLICATE = -22,  /* an idempotent append that is in the log already (not a failure) */
    MR_ESEQUENCE = -23,   /* an idempotent append that leaves a gap */
    MR_EFENCED = -24,     /* an older epoch than the one that is known */
    MR_EFULL = -25,       /* a bounded queue or table is full */
    MR_EINTERNAL = -26,   /* a promise of our own is broken */
    MR_CODE_END = -27
};

enum { MR_ERROR_TEXT_SIZE = 1024 };

struct mr_error {
    int code; /* enum mr_code; 0 while nothing failed */
    char text[MR_ERROR_TEXT_SIZE];
};

/* "no space left on device" */
const char *mr_code_text(int code);
/* "MR_ENOSPC" */
const char *mr_code_name(int code);
/* Maps errno to the nearest code. */
int mr_code_of_errno(int error_number);

/* Sets code and text (replacing what was there) and returns code. The text ends with the code's own
 * text: mr_fail(e, MR_ENOENT, "topic '%s'", t) reads "topic 'web': not found". */
int mr_fail(struct mr_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, with the text of errno at the end; returns mr_code_of_errno(error_number). */
int mr_fail_errno(struct mr_error *error, int error_number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sets code and exactly this text, with nothing added: for messages that say it all. */
int mr_fail_text(struct mr_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "<context>: " in front of the text that a lower level set; returns error->code, or MR_EINTERNAL
 * when error is NULL: a caller that may have none keeps the code itself. */
int mr_error_context(struct mr_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Stays on in release: only for what nothing but our own mistake can cause. */
#define mr_assert(condition)                                                                       \
    ((condition) ? (void)0 : mr_assert_failed(#condition, __FILE__, __LINE__, __func__))
_Noreturn void mr_assert_failed(const char *condition, const char *file, int line,
                                const char *function);

#endif
