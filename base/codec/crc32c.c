/* CRC-32C over ISA-L, which picks the fastest instructions at run time (tens of GB/s), and the
 * arithmetic for joining checksums.
 *
 * A checksum is a polynomial over GF(2) modulo P, bit-reversed: bit 31 is x^0. Appending n zero
 * bytes multiplies it by x^(8n), and the checksum of A||B is crc(A) * x^(8n) + crc(B): the pre- and
 * post-conditioning of both cancel. x^(8n) is made from the powers x^(2^k) by the bits of n. */
#include "base/codec/crc32c.h"

#include <isa-l/crc.h>

#define POLYNOMIAL UINT32_C(0x82f63b78)

enum {
    ISAL_SIZE_BYTES_MAX = 1 << 30, /* its length is an int */
    /* P is (x + 1) times a primitive polynomial of degree 31, so that x^(2^31) = x and the powers
     * x^(2^k) repeat after 31. */
    POWER_COUNT = 31,
};

/* x^(2^k) modulo P; the unit test recomputes them through the plain checksum. */
static const uint32_t powers[POWER_COUNT] = {
    0x40000000, 0x20000000, 0x08000000, 0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18,
    0x510ac59a, 0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62,
    0x28461564, 0xbf455269, 0xe2ea32dc, 0xfe7740e6, 0xf946610b, 0x3c204f8f, 0x538586e3, 0x59726915,
    0x734d5309, 0xbc1ac763, 0x7d0722cc, 0xd289cabe, 0xe94ca9bc, 0x05b74f3f, 0xa51e1f42,
};

uint32_t mr_crc32c(uint32_t crc, const void *data, size_t size_bytes)
{
    /* ISA-L's parameter lacks const; it only reads. */
    union {
        const void *read;
        unsigned char *isal;
    } at = {.read = data};

    crc = ~crc;
    while (size_bytes > ISAL_SIZE_BYTES_MAX) {
        crc = crc32_iscsi(at.isal, ISAL_SIZE_BYTES_MAX, crc);
        at.isal += ISAL_SIZE_BYTES_MAX;
        size_bytes -= ISAL_SIZE_BYTES_MAX;
    }
    if (size_bytes > 0) {
        crc = crc32_iscsi(at.isal, (int)size_bytes, crc);
    }
    return ~crc;
}

/* The product modulo P: Horner's rule over the bits of `left`, highest power last. */
static uint32_t multiply(uint32_t left, uint32_t right)
{
    uint32_t product = 0;

    while (left != 0) {
        product ^= right & (0 - (left >> 31));
        left <<= 1;
        right = (right >> 1) ^ (POLYNOMIAL & (0 - (right & 1)));
    }
    return product;
}

uint32_t mr_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b_bytes)
{
    uint32_t shifted = crc_a;
    unsigned power = 3; /* bytes are 2^3 bits */

    for (uint64_t bits = size_b_bytes; bits != 0; bits >>= 1) {
        if (bits & 1) {
            shifted = multiply(powers[power], shifted);
        }
        power = power + 1 == POWER_COUNT ? 0 : power + 1;
    }
    return shifted ^ crc_b;
}
