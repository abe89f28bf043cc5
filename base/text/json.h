/* A JSON writer (RFC 8259) for API answers, CLI output and hot paths: it appends to an mr_bytes,
 * keeps the commas, and holds no tree. Reading, and documents that are built out of order, use
 * jansson.
 *
 *     struct mr_json json;
 *     mr_json_init(&json, &bytes);
 *     mr_json_open_object(&json);
 *     mr_json_key(&json, "lag");
 *     mr_json_i64(&json, lag);
 *     mr_json_close_object(&json);
 *
 * Strings may hold any bytes: what is no UTF-8 becomes U+FFFD, so the output is always valid. Calls
 * in an impossible order (a value without a key, a wrong close) are asserted. Memory failures show
 * in bytes->failed. */
#ifndef BASE_TEXT_JSON_H
#define BASE_TEXT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_bytes;

enum { MR_JSON_DEPTH_MAX = 32 };

struct mr_json {
    struct mr_bytes *out;
    int depth;
    bool has_key;                       /* a key waits for its value */
    bool is_object[MR_JSON_DEPTH_MAX];  /* by depth */
    bool has_member[MR_JSON_DEPTH_MAX]; /* the next one needs a comma */
};

void mr_json_init(struct mr_json *json, struct mr_bytes *out);
void mr_json_open_object(struct mr_json *json);
void mr_json_close_object(struct mr_json *json);
void mr_json_open_array(struct mr_json *json);
void mr_json_close_array(struct mr_json *json);
void mr_json_key(struct mr_json *json, const char *key);
void mr_json_key_bytes(struct mr_json *json, const void *key, size_t size);
void mr_json_text(struct mr_json *json, const char *text); /* NULL: null */
void mr_json_string(struct mr_json *json, const void *data, size_t size);
void mr_json_i64(struct mr_json *json, int64_t value);
void mr_json_u64(struct mr_json *json, uint64_t value);
void mr_json_double(struct mr_json *json, double value); /* not a number, infinite: null */
void mr_json_bool(struct mr_json *json, bool value);
void mr_json_null(struct mr_json *json);
/* A value that is JSON already, one line. */
void mr_json_raw(struct mr_json *json, const void *data, size_t size);

/* Only the inside of a string, without quotes. */
void mr_json_escape(struct mr_bytes *out, const void *data, size_t size);

#endif
