/* UTF-8 against a second, slower definition: a sequence is right if encoding its character gives
 * it. */
#include "base/core/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/lib/test.h"

static size_t encode(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* All 1,112,064 characters are taken at their full length and at none that is shorter. */
TEST(utf8, every_character_is_taken_whole)
{
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
        uint8_t bytes[4];
        size_t size = encode(code, bytes);

        CHECK_EQ(mr_utf8_length(bytes, size), is_surrogate ? 0 : size);
        for (size_t cut = 1; cut < size; cut++) {
            CHECK_EQ(mr_utf8_length(bytes, cut), 0);
        }
    }
}

/* All pairs of first bytes with two fixed tails: how many are taken is known from the table. */
TEST(utf8, nothing_else_is_taken)
{
    static const uint8_t wrong[][4] = {
        {0x80, 0x80, 0x80, 0x80}, {0xc0, 0x80, 0x80, 0x80}, {0xc1, 0xbf, 0x80, 0x80},
        {0xe0, 0x9f, 0xbf, 0x80}, {0xed, 0xa0, 0x80, 0x80}, {0xf0, 0x8f, 0xbf, 0xbf},
        {0xf4, 0x90, 0x80, 0x80}, {0xf5, 0x80, 0x80, 0x80}, {0xff, 0xff, 0xff, 0xff},
        {0xc3, 0x28, 0x80, 0x80}, {0xe2, 0x82, 0x28, 0x80}, {0xf0, 0x9f, 0x98, 0x28},
    };
    size_t taken = 0;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQ(mr_utf8_length(wrong[i], 4), 0);
    }
    for (unsigned first = 0x80; first < 0x100; first++) {
        for (unsigned second = 0; second < 0x100; second++) {
            uint8_t bytes[4] = {(uint8_t)first, (uint8_t)second, 0x80, 0xbf};

            taken += mr_utf8_length(bytes, 4) != 0;
        }
    }
    /* 30 * 64 of two bytes; 12 + 2 of 64, one of 32 and one of 32 of three; 48 + 3 * 64 + 16 of
     * four */
    CHECK_EQ(taken, 30 * 64 + 14 * 64 + 32 + 32 + 48 + 3 * 64 + 16);
}

/* Every boundary of every cut, against the definition: no character is split, and no more than
 * three bytes are given up for that. */
TEST(utf8, cuts_between_characters)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z\xc3\xa4";
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 13};

    for (size_t limit = 0; limit <= sizeof text - 1; limit++) {
        CHECK_EQ(mr_utf8_cut(text, sizeof text - 1, limit), want[limit]);
    }
    CHECK_EQ(mr_utf8_cut(text, sizeof text - 1, 1000), sizeof text - 1);
    /* What is no UTF-8 is cut where the limit says. */
    CHECK_EQ(mr_utf8_cut("\x80\x80\x80\x80\x80\x80", 6, 5), 5);
    CHECK_EQ(mr_utf8_cut("ab\xc3zz", 5, 3), 3);
    CHECK_EQ(mr_utf8_cut("\xff\xff\xff\xff", 4, 3), 3);
}

TEST(utf8, tells_valid_from_invalid)
{
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"", true},
        {"plain text of some length, over a word", true},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xed\x9f\xbf", true},
        {"\xed\xa0\x80", false}, /* a surrogate */
        {"\xc0\x80", false},     /* overlong */
        {"\xe0\x9f\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"abcdefgh\x80", false},
        {"abc\xe2\x82", false},
        {"\xf8\x88\x80\x80\x80", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQ(mr_utf8_is_valid(cases[i].text, strlen(cases[i].text)), cases[i].is_valid);
    }
}
