/* Big-endian integers and base-128 varints in memory. Kafka's order is the network's; this program
 * runs on little-endian machines only, and says so here. */
#ifndef QUEUE_WIRE_BYTES_H
#define QUEUE_WIRE_BYTES_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the swaps below assume it");

enum { WIRE_VARINT_SIZE_MAX = 5, WIRE_VARLONG_SIZE_MAX = 10 };

static inline uint16_t wire_get_uint16(const void *at)
{
    uint16_t big;
    memcpy(&big, at, sizeof big);
    return __builtin_bswap16(big);
}

static inline uint32_t wire_get_uint32(const void *at)
{
    uint32_t big;
    memcpy(&big, at, sizeof big);
    return __builtin_bswap32(big);
}

static inline uint64_t wire_get_uint64(const void *at)
{
    uint64_t big;
    memcpy(&big, at, sizeof big);
    return __builtin_bswap64(big);
}

static inline int16_t wire_get_int16(const void *at)
{
    return (int16_t)wire_get_uint16(at);
}

static inline int32_t wire_get_int32(const void *at)
{
    return (int32_t)wire_get_uint32(at);
}

static inline int64_t wire_get_int64(const void *at)
{
    return (int64_t)wire_get_uint64(at);
}

static inline void wire_put_int16(void *at, int16_t value)
{
    uint16_t big = __builtin_bswap16((uint16_t)value);
    memcpy(at, &big, sizeof big);
}

static inline void wire_put_int32(void *at, int32_t value)
{
    uint32_t big = __builtin_bswap32((uint32_t)value);
    memcpy(at, &big, sizeof big);
}

static inline void wire_put_int64(void *at, int64_t value)
{
    uint64_t big = __builtin_bswap64((uint64_t)value);
    memcpy(at, &big, sizeof big);
}

/* Writes up to WIRE_VARINT_SIZE_MAX bytes; returns the place after them. */
static inline uint8_t *wire_put_uvarint(uint8_t *at, uint32_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint32_t wire_zigzag32(int32_t value)
{
    return ((uint32_t)value << 1) ^ (uint32_t)(value >> 31);
}

static inline uint64_t wire_zigzag64(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline uint8_t *wire_put_varint(uint8_t *at, int32_t value)
{
    return wire_put_uvarint(at, wire_zigzag32(value));
}

/* Writes up to WIRE_VARLONG_SIZE_MAX bytes; returns the place after them. */
static inline uint8_t *wire_put_varlong(uint8_t *at, int64_t value)
{
    uint64_t rest = wire_zigzag64(value);

    while (rest >= 0x80) {
        *at++ = (uint8_t)(rest | 0x80);
        rest >>= 7;
    }
    *at++ = (uint8_t)rest;
    return at;
}

static inline size_t wire_varint_size(int32_t value)
{
    uint32_t zigzag = wire_zigzag32(value);
    return zigzag < 0x80 ? 1 : (size_t)(31 - __builtin_clz(zigzag)) / 7 + 1;
}

static inline size_t wire_varlong_size(int64_t value)
{
    uint64_t zigzag = wire_zigzag64(value);
    return zigzag < 0x80 ? 1 : (size_t)(63 - __builtin_clzll(zigzag)) / 7 + 1;
}

/* Readers return the place after the number, or NULL if the bytes end before it does, or if it does
 * not fit (a sixth byte, or bits beyond 32; an eleventh, or beyond 64). */
static inline const uint8_t *wire_get_uvarint(const uint8_t *at, const uint8_t *end,
                                              uint32_t *ret_value)
{
    uint32_t value = 0;

    for (int shift = 0; shift < 35 && at < end; shift += 7) {
        uint8_t byte = *at++;
        value |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (shift == 28 && byte > 0x0f) {
                return NULL;
            }
            *ret_value = value;
            return at;
        }
    }
    return NULL;
}

static inline const uint8_t *wire_get_varint(const uint8_t *at, const uint8_t *end,
                                             int32_t *ret_value)
{
    uint32_t zigzag = 0;

    at = wire_get_uvarint(at, end, &zigzag);
    if (at != NULL) {
        *ret_value = (int32_t)(zigzag >> 1) ^ -(int32_t)(zigzag & 1);
    }
    return at;
}

static inline const uint8_t *wire_get_varlong(const uint8_t *at, const uint8_t *end,
                                              int64_t *ret_value)
{
    uint64_t zigzag = 0;

    for (int shift = 0; shift < 70 && at < end; shift += 7) {
        uint8_t byte = *at++;
        zigzag |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (shift == 63 && byte > 0x01) {
                return NULL;
            }
            *ret_value = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
            return at;
        }
    }
    return NULL;
}

#endif
