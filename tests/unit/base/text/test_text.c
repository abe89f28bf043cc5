/* JSON, nearest words. */
#include <math.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/random.h"
#include "base/core/utf8.h"
#include "base/text/json.h"
#include "base/text/nearest.h"
#include "tests/lib/test.h"

static void check_text(const struct mr_bytes *bytes, const char *want)
{
    CHECK_EQ(bytes->size_bytes, strlen(want));
    CHECK(memcmp(bytes->data, want, bytes->size_bytes) == 0);
}

TEST(json, writes_documents)
{
    struct mr_bytes out;
    struct mr_json json;

    mr_bytes_init(&out);
    mr_json_init(&json, &out);
    mr_json_open_object(&json);
    mr_json_key(&json, "a");
    mr_json_open_array(&json);
    mr_json_i64(&json, INT64_MIN);
    mr_json_u64(&json, UINT64_MAX);
    mr_json_i64(&json, 0);
    mr_json_open_object(&json);
    mr_json_close_object(&json);
    mr_json_open_array(&json);
    mr_json_close_array(&json);
    mr_json_close_array(&json);
    mr_json_key(&json, "b\"");
    mr_json_text(&json, NULL);
    mr_json_key(&json, "c");
    mr_json_bool(&json, true);
    mr_json_key(&json, "d");
    mr_json_open_array(&json);
    mr_json_double(&json, 0.1);
    mr_json_double(&json, 1e300);
    mr_json_double(&json, 1.0 / 3);
    mr_json_double(&json, NAN);
    mr_json_double(&json, -INFINITY);
    mr_json_raw(&json, "{\"x\":1}", 7);
    mr_json_close_array(&json);
    mr_json_close_object(&json);
    check_text(&out, "{\"a\":[-9223372036854775808,18446744073709551615,0,{},[]],\"b\\\"\":null,"
                     "\"c\":true,\"d\":[0.1,1e+300,0.33333333333333331,null,null,{\"x\":1}]}");
    mr_bytes_done(&out);
}

TEST(json, escapes_strings)
{
    static const char ascii[] = "q\" b\\ n\n t\t r\r f\f b\b nul\0 e\x1f d\x7f / end";
    static const char beyond[] = "\xc3\xa4 \xe2\x82 \xff\xf0\x9f\x98\x80\xed\xa0\x80";
    struct mr_bytes out;

    mr_bytes_init(&out);
    mr_json_escape(&out, ascii, sizeof ascii - 1);
    check_text(&out, "q\\\" b\\\\ n\\n t\\t r\\r f\\f b\\b nul\\u0000 e\\u001f d\x7f / end");
    mr_bytes_clear(&out);
    mr_json_escape(&out, beyond, sizeof beyond - 1);
    check_text(&out, "\xc3\xa4 \xef\xbf\xbd \xef\xbf\xbd\xf0\x9f\x98\x80"
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    mr_bytes_done(&out);
}

/* Any bytes make valid UTF-8 without raw control characters or quotes, at every alignment. */
TEST(json, makes_valid_text_of_any_bytes)
{
    struct mr_random_seeded random;
    struct mr_bytes out;

    mr_bytes_init(&out);
    mr_random_seeded_init(&random, 41);
    for (int round = 0; round < 3000; round++) {
        uint8_t data[64];
        size_t size = mr_random_below(&random.base, sizeof data + 1);

        random.base.fill(&random.base, data, size);
        for (size_t i = 0; i < size; i++) {
            data[i] = round % 2 && mr_random_below(&random.base, 16) ? 'a' : data[i];
        }
        mr_bytes_clear(&out);
        mr_json_escape(&out, data, size);
        CHECK(mr_utf8_is_valid(out.data, out.size_bytes));
        for (size_t i = 0; i < out.size_bytes; i++) {
            CHECK(out.data[i] >= 0x20);
            if (out.data[i] == '\\') {
                i++;
                CHECK(strchr("\"\\bfnrtu", out.data[i]) != NULL);
            } else {
                CHECK(out.data[i] != '"');
            }
        }
    }
    mr_bytes_done(&out);
}

TEST(nearest, suggests_what_was_meant_and_nothing_far)
{
    static const char *const words[] = {"compression", "retention", "segment_size", "fsync",
                                        "topic",       "TLS",       "id",           NULL};

    CHECK(strcmp(mr_nearest_word("compresion", words), "compression") == 0);
    CHECK(strcmp(mr_nearest_word("rentention", words), "retention") == 0);
    CHECK(strcmp(mr_nearest_word("segment-size", words), "segment_size") == 0);
    CHECK(strcmp(mr_nearest_word("fsycn", words), "fsync") == 0);
    CHECK(strcmp(mr_nearest_word("tls", words), "TLS") == 0);
    CHECK(strcmp(mr_nearest_word("topics", words), "topic") == 0);
    CHECK(mr_nearest_word("zzzzz", words) == NULL);
    CHECK(mr_nearest_word("x", words) == NULL);
    CHECK(mr_nearest_word("", words) == NULL);
    CHECK_EQ(mr_word_distance("abc", "acb", 99), MR_WORD_COST);
    CHECK_EQ(mr_word_distance("abc", "", 99), 3 * MR_WORD_COST);
    CHECK_EQ(mr_word_distance("kitten", "sitting", 99), 3 * MR_WORD_COST);
    CHECK(mr_word_distance("completely", "different!", 20) > 20);
}
