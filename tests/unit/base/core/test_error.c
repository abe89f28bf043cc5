/* Errors: every code has words, and context gathers in front without losing what was said. */
#include "base/core/error.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/test.h"

/* A code that is added without its line in the table would show as unknown. */
TEST(error, every_code_has_a_name_and_a_text)
{
    for (int code = 0; code > MR_CODE_END; code--) {
        CHECK(strcmp(mr_code_name(code), "MR_UNKNOWN") != 0);
        CHECK(mr_code_text(code)[0] != '\0');
    }
    CHECK_STR(mr_code_name(MR_EINTERNAL), "MR_EINTERNAL");
    CHECK_STR(mr_code_name(MR_ENOSPC), "MR_ENOSPC");
    CHECK_STR(mr_code_name(1), "MR_UNKNOWN");
    CHECK_STR(mr_code_name(MR_CODE_END), "MR_UNKNOWN");
    CHECK_STR(mr_code_name(INT32_MIN), "MR_UNKNOWN");
}

TEST(error, context_gathers_from_the_inside_out)
{
    struct mr_error error = {0};

    CHECK_EQ(mr_fail(&error, MR_ENOSPC, "segment %d", 512), MR_ENOSPC);
    CHECK_EQ(mr_error_context(&error, "partition %d", 3), MR_ENOSPC);
    CHECK_EQ(mr_error_context(&error, "topic '%s'", "web"), MR_ENOSPC);
    CHECK_STR(error.text, "topic 'web': partition 3: segment 512: no space left on device");
    CHECK_EQ(error.code, MR_ENOSPC);
}

TEST(error, text_of_errno_is_the_kernels)
{
    struct mr_error error = {0};

    CHECK_EQ(mr_fail_errno(&error, EROFS, "open %s", "/x"), MR_EACCES);
    CHECK_STR(error.text, "open /x: Read-only file system");
    CHECK_EQ(mr_fail_errno(&error, 4000, "strange"), MR_EINTERNAL);
    CHECK_STR(error.text, "strange: errno 4000");
    CHECK_EQ(mr_code_of_errno(0), 0);
}

TEST(error, own_text_may_be_an_argument)
{
    struct mr_error error = {0};

    mr_fail_text(&error, MR_ECONFIG, "line 3: unknown key");
    mr_fail_text(&error, MR_ECONFIG, "a.yaml: %s", error.text);
    CHECK_STR(error.text, "a.yaml: line 3: unknown key");
}

/* Length sweeps over the border of the text: always ended, and visibly cut. */
TEST(error, long_text_is_cut_visibly)
{
    char word[MR_ERROR_TEXT_SIZE + 16];

    for (size_t size = MR_ERROR_TEXT_SIZE - 24; size < sizeof word - 1; size++) {
        struct mr_error error = {0};
        size_t full = size + strlen(": not found");

        memset(word, 'x', size);
        word[size] = '\0';
        mr_fail(&error, MR_ENOENT, "%s", word);
        if (full < MR_ERROR_TEXT_SIZE) {
            CHECK_EQ(strlen(error.text), full);
            CHECK_HAS(error.text, ": not found");
        } else {
            CHECK_EQ(strlen(error.text), MR_ERROR_TEXT_SIZE - 1);
            CHECK_STR(error.text + MR_ERROR_TEXT_SIZE - 4, "...");
        }
    }
}

TEST(error, missing_struct_is_fine)
{
    CHECK_EQ(mr_fail(NULL, MR_EIO, "x"), MR_EIO);
    CHECK_EQ(mr_fail_errno(NULL, ENOENT, "x"), MR_ENOENT);
    CHECK_EQ(mr_fail_text(NULL, MR_EOF, "x"), MR_EOF);
}
