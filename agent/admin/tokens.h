/* Tokens of the admin API: who may ask over TCP, and how much.
 *
 * A token is 256 random bits, shown once. What is kept of it is its SHA-256: enough to know it
 * again, useless to whoever reads the file. Guessing needs no slow hash against it, as a password
 * would. They belong to one node and are kept in the file "tokens" of its data directory (mode
 * 0600): one line per token,
 *
 *     millrace-tokens 1
 *     <name> <read|admin> <created ms> <expires ms, 0: never> <last used ms, 0: never> <hash, hex>
 *
 * replaced as a whole. A line that cannot be read is a token that nobody has. When one was last
 * used is written at most once a minute, and may be forgotten by a kill. */
#ifndef AGENT_ADMIN_TOKENS_H
#define AGENT_ADMIN_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "base/core/digest.h"

struct mr_disk;
struct mr_error;
struct mr_loop;
struct mr_random;
struct tokens;

enum token_role { TOKEN_READ, TOKEN_ADMIN };

enum { TOKENS_MAX = 256, TOKEN_NAME_SIZE_MAX = 64, TOKEN_TEXT_SIZE = 4 + 64 + 1 };

struct token {
    char name[TOKEN_NAME_SIZE_MAX + 1];
    enum token_role role;
    int64_t created_ms;
    int64_t expires_ms; /* 0: never */
    int64_t used_ms;    /* 0: never */
    uint8_t hash[MR_SHA256_SIZE];
};

/* Reads the file if there is one. directory is copied. */
int tokens_open(struct mr_disk *disk, struct mr_random *random, struct mr_loop *loop,
                const char *directory, struct tokens **ret_tokens, struct mr_error *error);
void tokens_close(struct tokens *tokens); /* NULL is fine */

/* Writes the token's text, the only time. lifetime_ms 0: for ever. MR_EINVAL (the name), MR_EEXIST,
 * MR_EFULL, or what the disk says; then there is none. */
int tokens_create(struct tokens *tokens, const char *name, enum token_role role,
                  int64_t lifetime_ms, char text[TOKEN_TEXT_SIZE], struct mr_error *error);
/* MR_ENOENT. What the disk refuses stays in force. */
int tokens_revoke(struct tokens *tokens, const char *name, struct mr_error *error);
/* The token that this text is, and notes its use; NULL: none, or it has expired. */
const struct token *tokens_find(struct tokens *tokens, const char *text);
const struct token *tokens_at(const struct tokens *tokens, size_t place); /* NULL at the end */
const char *token_role_name(enum token_role role);
int token_role_parse(const char *text, enum token_role *ret_role); /* MR_EINVAL */

/* ---- for the fuzzer ---- */

/* One line of the file, without its end: 0 or MR_ECORRUPT. */
int token_parse(const char *line, size_t size, struct token *ret_token);

#endif
