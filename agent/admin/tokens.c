/* A table in memory, written through to its file. Every token is compared with what was presented,
 * each in constant time: neither which one nor how much of it was right shows. */
#include "agent/admin/tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/random.h"

enum { SECRET_SIZE = 32, FILE_SIZE_MAX = 256 << 10, USE_WRITTEN_MS = 60 * 1000, LINE_SIZE = 256 };

static const char title[] = "millrace-tokens 1";
static const char prefix[] = "mrt_"; /* so that scanners for leaked secrets know one */
static const char digits[] = "0123456789abcdef";

struct tokens {
    struct mr_disk *disk;
    struct mr_random *random;
    struct mr_loop *loop;
    char *path;
    struct token *items;
    size_t count;
    struct mr_timer write_timer; /* running while a use is not written */
};

const char *token_role_name(enum token_role role)
{
    return role == TOKEN_ADMIN ? "admin" : "read";
}

int token_role_parse(const char *text, enum token_role *ret_role)
{
    if (strcmp(text, "read") != 0 && strcmp(text, "admin") != 0) {
        return MR_EINVAL;
    }
    *ret_role = strcmp(text, "admin") == 0 ? TOKEN_ADMIN : TOKEN_READ;
    return 0;
}

static bool is_name(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= TOKEN_NAME_SIZE_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               size;
}

static void put_hex(const uint8_t *data, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    text[2 * size] = '\0';
}

static int take_hex(const char *text, size_t size, uint8_t *data)
{
    for (size_t i = 0; i < 2 * size; i++) {
        const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (digit == NULL) {
            return MR_ECORRUPT;
        }
        data[i / 2] = (uint8_t)(data[i / 2] << 4 | (digit - digits));
    }
    return text[2 * size] == '\0' ? 0 : MR_ECORRUPT;
}

/* ---- the file ---- */

static int take_time(const char *word, int64_t *ret_ms)
{
    char *end;

    *ret_ms = strtoll(word, &end, 10);
    return *word >= '0' && *word <= '9' && *end == '\0' ? 0 : MR_ECORRUPT;
}

int token_parse(const char *line, size_t size, struct token *ret_token)
{
    struct token token = {0};
    char text[LINE_SIZE];
    char *words[6];
    char *rest = text;

    if (size >= sizeof text || memchr(line, '\0', size) != NULL) {
        return MR_ECORRUPT;
    }
    memcpy(text, line, size);
    text[size] = '\0';
    for (int i = 0; i < 6; i++) {
        words[i] = strsep(&rest, " ");
        if (words[i] == NULL) {
            return MR_ECORRUPT;
        }
    }
    if (rest != NULL || !is_name(words[0]) || token_role_parse(words[1], &token.role) != 0 ||
        take_time(words[2], &token.created_ms) != 0 ||
        take_time(words[3], &token.expires_ms) != 0 || take_time(words[4], &token.used_ms) != 0 ||
        take_hex(words[5], sizeof token.hash, token.hash) != 0) {
        return MR_ECORRUPT;
    }
    memcpy(token.name, words[0], strlen(words[0]) + 1);
    *ret_token = token;
    return 0;
}

static struct token *find_name(const struct tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (strcmp(tokens->items[i].name, name) == 0) {
            return &tokens->items[i];
        }
    }
    return NULL;
}

static void take_lines(struct tokens *tokens, const char *text)
{
    int line = 1;

    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        struct token token;
        if (line > 1 && size > 0) {
            if (tokens->count < TOKENS_MAX && token_parse(text, size, &token) == 0 &&
                find_name(tokens, token.name) == NULL) {
                tokens->items[tokens->count++] = token;
            } else {
                mr_warn("a line is no token and is left out", KV_STR("file", tokens->path),
                        KV_I64("line", line));
            }
        }
        text += size;
        text += *text == '\n';
        line++;
    }
}

static int load(struct tokens *tokens, struct mr_error *error)
{
    char *text = NULL;
    size_t size = 0;
    int rc = mr_disk_read_file(tokens->disk, tokens->path, FILE_SIZE_MAX, &text, &size, error);

    if (rc == MR_ENOENT) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    if (size < sizeof title || memcmp(text, title, sizeof title - 1) != 0 ||
        text[sizeof title - 1] != '\n') {
        mr_error("this is no file of tokens: none is taken", KV_STR("file", tokens->path));
    } else {
        take_lines(tokens, text);
    }
    mr_free(text);
    return 0;
}

static int save(struct tokens *tokens, struct mr_error *error)
{
    struct mr_bytes text;
    char hash[2 * MR_SHA256_SIZE + 1];
    int rc;

    mr_timer_stop(&tokens->write_timer);
    mr_bytes_init(&text);
    mr_bytes_printf(&text, "%s\n", title);
    for (size_t i = 0; i < tokens->count; i++) {
        const struct token *token = &tokens->items[i];
        put_hex(token->hash, sizeof token->hash, hash);
        mr_bytes_printf(&text, "%s %s %" PRId64 " %" PRId64 " %" PRId64 " %s\n", token->name,
                        token_role_name(token->role), token->created_ms, token->expires_ms,
                        token->used_ms, hash);
    }
    rc = text.failed != 0 ? mr_fail(error, MR_ENOMEM, "%s", tokens->path)
                          : mr_disk_write_private_file(tokens->disk, tokens->path, text.data,
                                                       text.size_bytes, error);
    mr_bytes_done(&text);
    return rc;
}

static void on_write_time(struct mr_timer *timer)
{
    struct tokens *tokens = timer->owner;
    struct mr_error error = {0};

    if (save(tokens, &error) != 0) {
        mr_warn("when tokens were last used is not written", KV_STR("reason", error.text));
    }
}

int tokens_open(struct mr_disk *disk, struct mr_random *random, struct mr_loop *loop,
                const char *directory, struct tokens **ret_tokens, struct mr_error *error)
{
    struct tokens *tokens = mr_calloc(1, sizeof *tokens);
    int rc;

    if (tokens == NULL) {
        return mr_fail(error, MR_ENOMEM, "tokens");
    }
    tokens->disk = disk;
    tokens->random = random;
    tokens->loop = loop;
    mr_timer_init(&tokens->write_timer, loop, on_write_time, tokens);
    tokens->path = mr_asprintf("%s/tokens", directory);
    tokens->items = mr_calloc(TOKENS_MAX, sizeof *tokens->items);
    rc = tokens->path == NULL || tokens->items == NULL ? mr_fail(error, MR_ENOMEM, "tokens")
                                                       : load(tokens, error);
    if (rc != 0) {
        tokens_close(tokens);
        return rc;
    }
    *ret_tokens = tokens;
    return 0;
}

void tokens_close(struct tokens *tokens)
{
    if (tokens == NULL) {
        return;
    }
    if (mr_timer_is_running(&tokens->write_timer)) {
        on_write_time(&tokens->write_timer);
    }
    mr_timer_stop(&tokens->write_timer);
    mr_free(tokens->items);
    mr_free(tokens->path);
    mr_free(tokens);
}

/* ---- the table ---- */

int tokens_create(struct tokens *tokens, const char *name, enum token_role role,
                  int64_t lifetime_ms, char text[TOKEN_TEXT_SIZE], struct mr_error *error)
{
    int64_t now_ms = mr_loop_wall_ms(tokens->loop);
    struct token *token = &tokens->items[tokens->count];
    uint8_t secret[SECRET_SIZE];
    int rc;

    if (!is_name(name)) {
        return mr_fail_text(error, MR_EINVAL,
                            "a token's name has 1 to 64 letters, digits, '.', '_' or '-'");
    }
    if (find_name(tokens, name) != NULL) {
        return mr_fail_text(error, MR_EEXIST, "there is a token '%s' already", name);
    }
    if (tokens->count == TOKENS_MAX) {
        return mr_fail_text(error, MR_EFULL, "there are %d tokens: revoke some", TOKENS_MAX);
    }
    tokens->random->fill(tokens->random, secret, sizeof secret);
    memcpy(text, prefix, sizeof prefix);
    put_hex(secret, sizeof secret, text + sizeof prefix - 1);
    explicit_bzero(secret, sizeof secret);
    *token = (struct token){.role = role,
                            .created_ms = now_ms,
                            .expires_ms = lifetime_ms > 0 ? now_ms + lifetime_ms : 0};
    memcpy(token->name, name, strlen(name) + 1);
    rc = mr_sha256(text, strlen(text), token->hash);
    if (rc != 0) {
        (void)mr_fail(error, rc, "token '%s'", name);
    } else {
        tokens->count++;
        rc = save(tokens, error);
        tokens->count -= rc != 0;
    }
    if (rc != 0) {
        explicit_bzero(text, TOKEN_TEXT_SIZE);
    }
    return rc;
}

int tokens_revoke(struct tokens *tokens, const char *name, struct mr_error *error)
{
    struct token *token = find_name(tokens, name);
    struct token gone;
    size_t place;
    size_t behind;
    int rc;

    if (token == NULL) {
        return mr_fail_text(error, MR_ENOENT, "there is no token '%s'", name);
    }
    gone = *token;
    place = (size_t)(token - tokens->items);
    behind = tokens->count - place - 1;
    memmove(token, token + 1, behind * sizeof *token);
    tokens->count--;
    rc = save(tokens, error);
    if (rc != 0) {
        memmove(token + 1, token, behind * sizeof *token);
        *token = gone;
        tokens->count++;
    }
    return rc;
}

const struct token *tokens_find(struct tokens *tokens, const char *text)
{
    int64_t now_ms = mr_loop_wall_ms(tokens->loop);
    uint8_t hash[MR_SHA256_SIZE];
    struct token *found = NULL;

    if (mr_sha256(text, strlen(text), hash) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < tokens->count; i++) {
        if (mr_equal_slowly(tokens->items[i].hash, hash, sizeof hash)) {
            found = &tokens->items[i];
        }
    }
    if (found == NULL || (found->expires_ms != 0 && now_ms >= found->expires_ms)) {
        return NULL;
    }
    found->used_ms = now_ms;
    if (!mr_timer_is_running(&tokens->write_timer)) {
        (void)mr_timer_start(&tokens->write_timer, USE_WRITTEN_MS); /* else with the next change */
    }
    return found;
}

const struct token *tokens_at(const struct tokens *tokens, size_t place)
{
    return place < tokens->count ? &tokens->items[place] : NULL;
}
