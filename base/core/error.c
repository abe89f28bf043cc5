/* The one table of codes, and the texts that gather context on the way up.
 *
 * Texts are formatted beside the struct first: a caller may pass the error's own text as an
 * argument. */
#include "base/core/error.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct code_entry {
    const char *name;
    const char *text;
};

static const struct code_entry code_table[] = {
    [-MR_OK] = {"MR_OK", "success"},
    [-MR_ENOMEM] = {"MR_ENOMEM", "out of memory"},
    [-MR_EINVAL] = {"MR_EINVAL", "not allowed"},
    [-MR_ENOENT] = {"MR_ENOENT", "not found"},
    [-MR_EEXIST] = {"MR_EEXIST", "exists already"},
    [-MR_EAGAIN] = {"MR_EAGAIN", "try again later"},
    [-MR_EIO] = {"MR_EIO", "input/output error"},
    [-MR_ENOSPC] = {"MR_ENOSPC", "no space left on device"},
    [-MR_EACCES] = {"MR_EACCES", "permission denied, or a read-only file system"},
    [-MR_EBUSY] = {"MR_EBUSY", "in use by another"},
    [-MR_ECORRUPT] = {"MR_ECORRUPT", "corrupt data"},
    [-MR_ETRUNCATED] = {"MR_ETRUNCATED", "data ends too early"},
    [-MR_EUNSUPPORTED] = {"MR_EUNSUPPORTED", "not supported"},
    [-MR_ETOOLARGE] = {"MR_ETOOLARGE", "too large"},
    [-MR_ERANGE] = {"MR_ERANGE", "out of range"},
    [-MR_ECANCELED] = {"MR_ECANCELED", "canceled"},
    [-MR_ETIMEDOUT] = {"MR_ETIMEDOUT", "timed out"},
    [-MR_ENETWORK] = {"MR_ENETWORK", "network failure"},
    [-MR_EOF] = {"MR_EOF", "end of stream"},
    [-MR_EPROTOCOL] = {"MR_EPROTOCOL", "protocol violation"},
    [-MR_EAUTH] = {"MR_EAUTH", "not authorized"},
    [-MR_ECONFIG] = {"MR_ECONFIG", "wrong configuration"},
    [-MR_EDUPLICATE] = {"MR_EDUPLICATE", "appended already"},
    [-MR_ESEQUENCE] = {"MR_ESEQUENCE", "sequence out of order"},
    [-MR_EFENCED] = {"MR_EFENCED", "fenced by a newer epoch"},
    [-MR_EFULL] = {"MR_EFULL", "full"},
    [-MR_EINTERNAL] = {"MR_EINTERNAL", "internal error"},
};

enum { CODE_COUNT = sizeof code_table / sizeof code_table[0] };
static_assert(CODE_COUNT == -MR_CODE_END, "every code has its line in the table");

static const struct code_entry *code_find(int code)
{
    static const struct code_entry unknown = {"MR_UNKNOWN", "unknown error"};

    if (code > 0 || code <= MR_CODE_END) {
        return &unknown;
    }
    return &code_table[-code];
}

const char *mr_code_text(int code)
{
    return code_find(code)->text;
}

const char *mr_code_name(int code)
{
    return code_find(code)->name;
}

struct errno_entry {
    int error_number;
    int code;
};

static const struct errno_entry errno_table[] = {
    {0, MR_OK},
    {ENOMEM, MR_ENOMEM},
    {ENOBUFS, MR_ENOMEM},
    {EINVAL, MR_EINVAL},
    {EISDIR, MR_EINVAL},
    {ELOOP, MR_EINVAL},
    {ENAMETOOLONG, MR_EINVAL},
    {EXDEV, MR_EINVAL},
    {ENOENT, MR_ENOENT},
    {ENOTDIR, MR_ENOENT},
    {ENODEV, MR_ENOENT},
    {ENXIO, MR_ENOENT},
    {ESRCH, MR_ENOENT},
    {EEXIST, MR_EEXIST},
    {ENOTEMPTY, MR_EEXIST}, /* POSIX lets rmdir give either */
    {EAGAIN, MR_EAGAIN},
    {EINTR, MR_EAGAIN},
    {EINPROGRESS, MR_EAGAIN},
    {EALREADY, MR_EAGAIN},
    {EIO, MR_EIO},
    {ESTALE, MR_EIO},
    {EUCLEAN, MR_EIO}, /* a file system that found itself damaged */
    {ENOSPC, MR_ENOSPC},
    {EDQUOT, MR_ENOSPC},
    {EACCES, MR_EACCES},
    {EPERM, MR_EACCES},
    {EROFS, MR_EACCES},
    {EBUSY, MR_EBUSY},
    {ETXTBSY, MR_EBUSY},
    {EADDRINUSE, MR_EBUSY},
    {EFBIG, MR_ETOOLARGE},
    {EMSGSIZE, MR_ETOOLARGE},
    {E2BIG, MR_ETOOLARGE},
    {ERANGE, MR_ERANGE},
    {EOVERFLOW, MR_ERANGE},
    {EDOM, MR_ERANGE},
    {ECANCELED, MR_ECANCELED},
    {ETIMEDOUT, MR_ETIMEDOUT},
    {EPIPE, MR_ENETWORK},
    {ECONNRESET, MR_ENETWORK},
    {ECONNREFUSED, MR_ENETWORK},
    {ECONNABORTED, MR_ENETWORK},
    {ENOTCONN, MR_ENETWORK},
    {EHOSTUNREACH, MR_ENETWORK},
    {EHOSTDOWN, MR_ENETWORK},
    {ENETUNREACH, MR_ENETWORK},
    {ENETDOWN, MR_ENETWORK},
    {ENETRESET, MR_ENETWORK},
    {EADDRNOTAVAIL, MR_ENETWORK},
    {EPROTO, MR_EPROTOCOL},
    {EBADMSG, MR_ECORRUPT},
    {ENOSYS, MR_EUNSUPPORTED},
    {EOPNOTSUPP, MR_EUNSUPPORTED},
    {EAFNOSUPPORT, MR_EUNSUPPORTED},
    {EPROTONOSUPPORT, MR_EUNSUPPORTED},
    {EMFILE, MR_EFULL},
    {ENFILE, MR_EFULL},
    {EMLINK, MR_EFULL},
};

int mr_code_of_errno(int error_number)
{
    for (size_t i = 0; i < sizeof errno_table / sizeof errno_table[0]; i++) {
        if (errno_table[i].error_number == error_number) {
            return errno_table[i].code;
        }
    }
    return MR_EINTERNAL;
}

/* "<formatted><joint><tail>" into the error; what does not fit ends in "...". */
static void error_set(struct mr_error *error, const char *joint, const char *tail,
                      const char *format, va_list arguments) __attribute__((format(printf, 4, 0)));

static void error_set(struct mr_error *error, const char *joint, const char *tail,
                      const char *format, va_list arguments)
{
    char text[MR_ERROR_TEXT_SIZE];
    static const char cut[] = "...";
    int size = vsnprintf(text, sizeof text, format, arguments);
    size_t used = size < 0 ? 0 : (size_t)size;

    if (size < 0) {
        text[0] = '\0';
    }
    if (used < sizeof text) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", joint, tail);
    }
    if (used >= sizeof text) {
        memcpy(text + sizeof text - sizeof cut, cut, sizeof cut);
    }
    memcpy(error->text, text, sizeof text);
}

int mr_fail(struct mr_error *error, int code, const char *format, ...)
{
    va_list arguments;

    mr_assert(code < 0);
    if (error != NULL) {
        va_start(arguments, format);
        error_set(error, ": ", mr_code_text(code), format, arguments);
        va_end(arguments);
        error->code = code;
    }
    return code;
}

int mr_fail_errno(struct mr_error *error, int error_number, const char *format, ...)
{
    int code = mr_code_of_errno(error_number);
    va_list arguments;

    mr_assert(error_number > 0);
    if (error != NULL) {
        char number[32];
        const char *tail = strerrordesc_np(error_number); /* unlike strerror: no lock, no buffer */

        if (tail == NULL) {
            (void)snprintf(number, sizeof number, "errno %d", error_number);
            tail = number;
        }
        va_start(arguments, format);
        error_set(error, ": ", tail, format, arguments);
        va_end(arguments);
        error->code = code;
    }
    return code;
}

int mr_fail_text(struct mr_error *error, int code, const char *format, ...)
{
    va_list arguments;

    mr_assert(code < 0);
    if (error != NULL) {
        va_start(arguments, format);
        error_set(error, "", "", format, arguments);
        va_end(arguments);
        error->code = code;
    }
    return code;
}

int mr_error_context(struct mr_error *error, const char *format, ...)
{
    va_list arguments;

    if (error == NULL) {
        return MR_EINTERNAL;
    }
    va_start(arguments, format);
    error_set(error, ": ", error->text, format, arguments);
    va_end(arguments);
    return error->code;
}

/* Neither the heap nor the logger may be trusted here: one write, then a core dump. */
void mr_assert_failed(const char *condition, const char *file, int line, const char *function)
{
    char text[512];
    int size = snprintf(text, sizeof text, "<2>millrace: assertion failed: %s (%s:%d, %s)\n",
                        condition, file, line, function);

    if (size > 0) {
        size_t length = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
        ssize_t written = write(STDERR_FILENO, text, length);
        (void)written; /* nobody is left to tell */
    }
    abort();
}
