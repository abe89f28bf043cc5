/* pcre2 takes its memory from mr_malloc, so that tests can fail it. */
#include "base/text/regex.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/core/error.h"
#include "base/core/memory.h"

enum {
    /* pcre2's default is 10 million, which is about a second; this is well below a tenth of that.
     */
    MATCH_LIMIT = 500000,
    HEAP_LIMIT_KIB = 4096,
    JIT_STACK_SIZE_BYTES_START = 32 << 10,
    JIT_STACK_SIZE_BYTES_MAX = 512 << 10,
};

struct mr_regex {
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_match_data *captures;
    pcre2_jit_stack *stack;
    const char **names; /* by group; point into the code */
    int group_count;
    bool is_compiled;
};

static void *allocate(size_t size, void *owner)
{
    (void)owner;
    return mr_malloc(size);
}

static void release(void *memory, void *owner)
{
    (void)owner;
    mr_free(memory);
}

static int fail_compile(struct mr_error *error, int number, size_t offset)
{
    PCRE2_UCHAR text[256];

    if (number == PCRE2_ERROR_HEAP_FAILED) {
        return mr_fail(error, MR_ENOMEM, "regular expression");
    }
    if (pcre2_get_error_message(number, text, sizeof text) < 0) {
        text[0] = '\0';
    }
    return mr_fail_text(error, MR_EINVAL, "column %zu: %s", offset + 1, (const char *)text);
}

/* Groups may have names; the table in the code is sorted by name, ours is by number. */
static int read_names(struct mr_regex *regex)
{
    uint32_t groups = 0;
    uint32_t count = 0;
    uint32_t entry_size = 0;
    PCRE2_SPTR table = NULL;

    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_NAMECOUNT, &count);
    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &table);
    regex->group_count = (int)groups;
    regex->names = mr_calloc(groups + 1, sizeof *regex->names);
    if (regex->names == NULL) {
        return MR_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        PCRE2_SPTR entry = table + (size_t)i * entry_size;
        unsigned group = (unsigned)entry[0] << 8 | entry[1];

        if (group <= groups) {
            regex->names[group] = (const char *)entry + 2;
        }
    }
    return 0;
}

static int prepare_match(struct mr_regex *regex, unsigned flags)
{
    regex->limits = pcre2_match_context_create(regex->memory);
    regex->captures = pcre2_match_data_create_from_pattern(regex->code, regex->memory);
    if (regex->limits == NULL || regex->captures == NULL || read_names(regex) != 0) {
        return MR_ENOMEM;
    }
    (void)pcre2_set_match_limit(regex->limits, MATCH_LIMIT);
    (void)pcre2_set_heap_limit(regex->limits, HEAP_LIMIT_KIB);
    /* Any failure (no JIT in this build, no executable memory) leaves the interpreter. */
    if ((flags & MR_REGEX_INTERPRET) || pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) != 0) {
        return 0;
    }
    regex->stack =
        pcre2_jit_stack_create(JIT_STACK_SIZE_BYTES_START, JIT_STACK_SIZE_BYTES_MAX, regex->memory);
    if (regex->stack == NULL) {
        return MR_ENOMEM;
    }
    pcre2_jit_stack_assign(regex->limits, NULL, regex->stack);
    regex->is_compiled = true;
    return 0;
}

int mr_regex_compile(const char *pattern, unsigned flags, struct mr_regex **ret_regex,
                     struct mr_error *error)
{
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                       (flags & MR_REGEX_CASELESS ? PCRE2_CASELESS : 0) |
                       (flags & MR_REGEX_ANCHORED ? PCRE2_ANCHORED : 0) |
                       (flags & MR_REGEX_MULTILINE ? PCRE2_MULTILINE : 0);
    struct mr_regex *regex = mr_calloc(1, sizeof *regex);
    pcre2_compile_context *compiling = NULL;
    PCRE2_SIZE offset = 0;
    int number = 0;
    int rc = 0;

    if (regex == NULL) {
        return mr_fail(error, MR_ENOMEM, "regular expression");
    }
    regex->memory = pcre2_general_context_create(allocate, release, NULL);
    if (regex->memory != NULL) {
        compiling = pcre2_compile_context_create(regex->memory);
    }
    if (compiling == NULL) {
        rc = mr_fail(error, MR_ENOMEM, "regular expression");
        goto failed;
    }
    regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &number,
                                &offset, compiling);
    pcre2_compile_context_free(compiling);
    if (regex->code == NULL) {
        rc = fail_compile(error, number, offset);
        goto failed;
    }
    if (prepare_match(regex, flags) != 0) {
        rc = mr_fail(error, MR_ENOMEM, "regular expression");
        goto failed;
    }
    *ret_regex = regex;
    return 0;
failed:
    mr_regex_free(regex);
    return rc;
}

void mr_regex_free(struct mr_regex *regex)
{
    if (regex == NULL) {
        return;
    }
    mr_free(regex->names);
    pcre2_match_data_free(regex->captures);
    pcre2_match_context_free(regex->limits);
    pcre2_jit_stack_free(regex->stack);
    pcre2_code_free(regex->code);
    pcre2_general_context_free(regex->memory);
    mr_free(regex);
}

int mr_regex_match(struct mr_regex *regex, const void *data, size_t size, size_t start)
{
    int rc;

    mr_assert(start <= size);
    rc = pcre2_match(regex->code, size > 0 ? data : "", size, start, 0, regex->captures,
                     regex->limits);
    if (rc > 0) {
        return 1;
    }
    switch (rc) {
    case PCRE2_ERROR_NOMATCH:
        return 0;
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_JIT_STACKLIMIT:
        return MR_ETOOLARGE;
    case PCRE2_ERROR_NOMEMORY:
        return MR_ENOMEM;
    default:
        return MR_EINTERNAL;
    }
}

bool mr_regex_capture(const struct mr_regex *regex, int group, size_t *ret_start, size_t *ret_end)
{
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(regex->captures);

    mr_assert(group >= 0 && group <= regex->group_count);
    if (offsets[2 * group] == PCRE2_UNSET) {
        return false;
    }
    *ret_start = offsets[2 * group];
    *ret_end = offsets[2 * group + 1];
    return true;
}

int mr_regex_group_count(const struct mr_regex *regex)
{
    return regex->group_count;
}

const char *mr_regex_group_name(const struct mr_regex *regex, int group)
{
    mr_assert(group >= 0 && group <= regex->group_count);
    return regex->names[group];
}

int mr_regex_group_of(const struct mr_regex *regex, const char *name)
{
    for (int i = 1; i <= regex->group_count; i++) {
        if (regex->names[i] != NULL && strcmp(regex->names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

bool mr_regex_is_compiled(const struct mr_regex *regex)
{
    return regex->is_compiled;
}
