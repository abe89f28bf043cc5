/* A pattern, a zero byte, a subject: machine code and interpreter agree wherever neither meets a
 * limit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/utf8.h"
#include "base/text/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mr_strndup((const char *)data, size);
    size_t pattern_size = strlen(text);
    struct mr_regex *fast = NULL;
    struct mr_regex *slow = NULL;
    struct mr_error error;

    if (pattern_size < size && pattern_size < 64 && mr_regex_compile(text, 0, &fast, &error) == 0) {
        const uint8_t *subject = data + pattern_size + 1;
        size_t subject_size = size - pattern_size - 1;
        int fast_rc = mr_regex_match(fast, subject, subject_size, 0);
        int slow_rc;

        mr_assert(mr_regex_compile(text, MR_REGEX_INTERPRET, &slow, &error) == 0);
        slow_rc = mr_regex_match(slow, subject, subject_size, 0);
        mr_assert(fast_rc < 0 || slow_rc < 0 || fast_rc == slow_rc ||
                  !mr_utf8_is_valid(subject, subject_size));
        mr_assert(fast_rc != MR_EINTERNAL);
        mr_assert(slow_rc != MR_EINTERNAL);
    }
    mr_regex_free(fast);
    mr_regex_free(slow);
    mr_free(text);
    return 0;
}
