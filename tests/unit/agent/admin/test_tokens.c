/* Tokens: what is stored and what is not, expiry, a broken file, a failing disk; and the guard in
 * front of the routes, over real sockets. */
#include "agent/admin/tokens.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/admin/admin.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/random.h"
#include "base/net/http_server.h"
#include "base/text/json.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"
#include "tests/lib/test_clock.h"

/* ---- the table and its file ---- */

struct tokens_fixture {
    struct test_clock clock;
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct tokens *tokens;
};

static void open_tokens(struct tokens_fixture *f, const char *directory)
{
    struct mr_error error = {0};

    CHECK_OK(tokens_open(f->disk, mr_random_system(), f->loop, directory, &f->tokens, &error),
             &error);
}

static void fixture_init(struct tokens_fixture *f, struct mr_disk *disk, const char *directory)
{
    test_clock_init(&f->clock);
    f->disk = disk;
    CHECK_EQ(mr_loop_new_virtual(&f->clock.clock, &f->loop), 0);
    open_tokens(f, directory);
}

static void fixture_done(struct tokens_fixture *f)
{
    tokens_close(f->tokens);
    mr_loop_free(f->loop);
}

static char *read_back(const struct tokens_fixture *f)
{
    char *path = test_path("tokens");
    char *text = NULL;
    size_t size = 0;

    CHECK_EQ(mr_disk_read_file(f->disk, path, 1 << 20, &text, &size, NULL), 0);
    mr_free(path);
    return text;
}

/* The text is 256 bits, the file has a hash of it and mode 0600, and a restart knows it again. */
TEST(tokens, are_known_again_and_nowhere_written)
{
    struct tokens_fixture f;
    char text[TOKEN_TEXT_SIZE];
    char *path = test_path("tokens");
    struct stat status;
    char *file;

    fixture_init(&f, mr_disk_system(), test_tmpdir());
    CHECK(stat(path, &status) != 0); /* no file without a token */
    CHECK_OK(tokens_create(f.tokens, "ops", TOKEN_ADMIN, 0, text, NULL), NULL);
    CHECK_EQ(strlen(text), TOKEN_TEXT_SIZE - 1);
    CHECK_EQ(tokens_create(f.tokens, "ops", TOKEN_READ, 0, text, NULL), MR_EEXIST);
    CHECK_EQ(tokens_create(f.tokens, "two words", TOKEN_READ, 0, text, NULL), MR_EINVAL);
    tokens_close(f.tokens);
    CHECK_EQ(stat(path, &status), 0);
    CHECK_EQ(status.st_mode & 0777, 0600);
    file = read_back(&f);
    CHECK_HAS(file, "\nops admin ");
    CHECK(strstr(file, text + 4) == NULL);
    open_tokens(&f, test_tmpdir());
    CHECK(tokens_find(f.tokens, text) != NULL);
    CHECK_EQ(tokens_find(f.tokens, text)->role, TOKEN_ADMIN);
    text[10] = text[10] == 'a' ? 'b' : 'a';
    CHECK(tokens_find(f.tokens, text) == NULL);
    CHECK(tokens_find(f.tokens, "") == NULL);
    CHECK_EQ(tokens_revoke(f.tokens, "ops", NULL), 0);
    CHECK_EQ(tokens_revoke(f.tokens, "ops", NULL), MR_ENOENT);
    CHECK(tokens_at(f.tokens, 0) == NULL);
    mr_free(file);
    mr_free(path);
    fixture_done(&f);
}

TEST(tokens, end_and_remember_their_use)
{
    struct tokens_fixture f;
    char text[TOKEN_TEXT_SIZE];
    char *file;

    fixture_init(&f, mr_disk_system(), test_tmpdir());
    CHECK_EQ(tokens_create(f.tokens, "short", TOKEN_READ, 5000, text, NULL), 0);
    CHECK_EQ(tokens_at(f.tokens, 0)->used_ms, 0);
    CHECK(tokens_find(f.tokens, text) != NULL);
    CHECK_GT(tokens_at(f.tokens, 0)->used_ms, 0);
    test_clock_advance_ms(&f.clock, 4999);
    CHECK(tokens_find(f.tokens, text) != NULL);
    test_clock_advance_ms(&f.clock, 1);
    CHECK(tokens_find(f.tokens, text) == NULL);
    test_clock_advance_ms(&f.clock, 60 * 1000); /* the use is written by then */
    for (int i = 0; i < 3; i++) {
        mr_loop_turn(f.loop, 0);
    }
    file = read_back(&f);
    CHECK(strstr(file, " 0 ") == NULL);
    mr_free(file);
    fixture_done(&f);
}

/* Lines that are none are left out, and give nobody anything. */
TEST(tokens, a_broken_file_is_no_token)
{
    static const char text[] =
        "millrace-tokens 1\n"
        "good read 1 0 0 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
        "good read 1 0 0 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
        "bad root 1 0 0 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
        "short read 1 0 0 0001\n"
        "late read 1 x 0 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
        "torn rea";
    struct tokens_fixture f;
    char *path = test_path("tokens");

    CHECK_EQ(mr_disk_write_file(mr_disk_system(), path, text, sizeof text - 1, NULL), 0);
    fixture_init(&f, mr_disk_system(), test_tmpdir());
    CHECK_STR(tokens_at(f.tokens, 0)->name, "good");
    CHECK(tokens_at(f.tokens, 1) == NULL);
    fixture_done(&f);
    CHECK_EQ(mr_disk_write_file(mr_disk_system(), path, "junk", 4, NULL), 0);
    fixture_init(&f, mr_disk_system(), test_tmpdir());
    CHECK(tokens_at(f.tokens, 0) == NULL);
    fixture_done(&f);
    mr_free(path);
}

/* Whichever call of the disk fails: what was said to be made is there after a restart, what was
 * said to be revoked is not, and what failed has changed nothing. */
TEST(tokens, say_what_is_so_when_the_disk_fails)
{
    for (int nth = 1;; nth++) {
        struct fault_disk *disk = fault_disk_new(test_seed());
        struct tokens_fixture f;
        char root[512];
        char kept[TOKEN_TEXT_SIZE];
        char text[TOKEN_TEXT_SIZE];
        int made;
        int revoked;
        bool fired;

        (void)snprintf(root, sizeof root, "%s", fault_disk_path(disk, "."));
        fixture_init(&f, &disk->base, root);
        CHECK_EQ(tokens_create(f.tokens, "kept", TOKEN_READ, 0, kept, NULL), 0);
        fault_set(&disk->faults[DISK_ANY], nth, MR_ENOSPC);
        made = tokens_create(f.tokens, "new", TOKEN_READ, 0, text, NULL);
        revoked = tokens_revoke(f.tokens, "kept", NULL);
        CHECK_EQ(tokens_find(f.tokens, kept) != NULL, revoked != 0);
        fired = fault_fired(&disk->faults[DISK_ANY]);
        fault_set(&disk->faults[DISK_ANY], 0, 0);
        tokens_close(f.tokens);
        open_tokens(&f, root);
        CHECK(made != 0 || tokens_find(f.tokens, text) != NULL);
        CHECK(revoked != 0 || tokens_find(f.tokens, kept) == NULL);
        fixture_done(&f);
        fault_disk_free(disk);
        if (!fired) {
            break;
        }
    }
}

/* ---- the guard ---- */

struct guard_fixture {
    struct net_fixture *net;
    struct admin *admin;
    char socket_path[128];
    char audited[256];
};

static int handle_data(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                       struct mr_error *error)
{
    (void)exchange;
    (void)error;
    mr_json_text(json, admin_caller(((struct guard_fixture *)owner)->admin));
    return 0;
}

static void on_audit(void *owner, const char *caller, const char *peer, const char *action,
                     const char *resource, const char *outcome)
{
    struct guard_fixture *f = owner;

    CHECK(peer[0] != '\0');
    (void)snprintf(f->audited, sizeof f->audited, "%s %s %s: %s", caller, action, resource,
                   outcome);
}

static struct guard_fixture *guard_new(void)
{
    static const char *const hosts[] = {"hub-1"};
    struct guard_fixture *f = mr_calloc(1, sizeof *f);
    struct admin_config config = {.address = "127.0.0.1:0",
                                  .directory = test_tmpdir(),
                                  .disk = mr_disk_system(),
                                  .random = mr_random_system(),
                                  .hosts = hosts,
                                  .host_count = 1,
                                  .on_audit = on_audit,
                                  .owner = f};
    struct admin_route route = {.method = "GET",
                                .path = "/data",
                                .handler = handle_data,
                                .access = ADMIN_FOR_READERS,
                                .owner = f};
    struct mr_error error = {0};

    f->net = net_fixture_new();
    (void)snprintf(f->socket_path, sizeof f->socket_path, "%s/admin", f->net->directory);
    config.loop = f->net->loop;
    config.net = f->net->net;
    config.metrics = f->net->metrics;
    config.socket_path = f->socket_path;
    CHECK_OK(admin_open(&config, &f->admin, &error), &error);
    CHECK_EQ(admin_add_route(f->admin, &route), 0);
    return f;
}

static void guard_free(struct guard_fixture *f)
{
    admin_close(f->admin);
    net_fixture_free(f->net);
    mr_free(f);
}

/* The answer to one request on a connection of its own, by TCP or (host NULL) by the socket. */
static const char *ask(struct guard_fixture *f, const char *line, const char *host,
                       const char *token, const char *body)
{
    static char answer[32768];
    static char request[4096];
    struct mr_stream_piece piece = {0};
    int calls = f->net->connect_calls;

    if (host == NULL) {
        (void)snprintf(request, sizeof request, "unix:%s", f->socket_path);
    } else {
        (void)snprintf(request, sizeof request, "127.0.0.1:%u", admin_port(f->admin));
    }
    CHECK_EQ(mr_address_parse(request, 0, &f->net->address, NULL), 0);
    net_fixture_dial(f->net, NULL);
    CHECK(NET_UNTIL(f->net, f->net->connect_calls > calls));
    (void)snprintf(request, sizeof request,
                   "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%sContent-Length: "
                   "%zu\r\n\r\n%s",
                   line, host == NULL ? "x" : host,
                   token[0] != '\0' ? "Authorization: Bearer " : "", token,
                   token[0] != '\0' ? "\r\n" : "", strlen(body), body);
    piece.slice = (struct mr_slice){.data = (uint8_t *)request, .size_bytes = strlen(request)};
    CHECK_EQ(mr_stream_send(f->net->client.stream, &piece), 0);
    CHECK(NET_UNTIL(f->net, f->net->client.ended != 0));
    CHECK_LT(f->net->client.got.size_bytes, sizeof answer);
    memcpy(answer, f->net->client.got.data, f->net->client.got.size_bytes);
    answer[f->net->client.got.size_bytes] = '\0';
    net_end_close(&f->net->client, false);
    return answer;
}

/* Makes one over the local socket; the text is the caller's (TOKEN_TEXT_SIZE). */
static void make(struct guard_fixture *f, const char *name, const char *role, char *text)
{
    char body[128];
    const char *answer;
    const char *token;

    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"role\":\"%s\"}", name, role);
    answer = ask(f, "POST /tokens", NULL, "", body);
    CHECK_HAS(answer, "200 OK");
    token = strstr(answer, "\"token\":\"");
    CHECK(token != NULL);
    memcpy(text, token + 9, TOKEN_TEXT_SIZE - 1);
    text[TOKEN_TEXT_SIZE - 1] = '\0';
}

/* Each role does what it may and nothing more; the local socket needs none; all is told to the
 * audit, and no answer but the first has the token. */
TEST(guard, admits_by_token_and_role)
{
    struct guard_fixture *f = guard_new();
    char reader[TOKEN_TEXT_SIZE];
    char ops[TOKEN_TEXT_SIZE];

    make(f, "reader", "read", reader);
    CHECK_HAS(f->audited, " TokenCreate reader: ok");
    CHECK_HAS(f->audited, "uid:");
    make(f, "ops", "admin", ops);
    CHECK_HAS(ask(f, "GET /data", NULL, "", ""), "\"uid:");
    CHECK_HAS(ask(f, "GET /data", "127.0.0.1", reader, ""), "\"token:reader\"");
    CHECK_HAS(ask(f, "GET /data", "localhost:1", ops, ""), "\"token:ops\"");
    CHECK_HAS(ask(f, "GET /tokens", "127.0.0.1", reader, ""), "403 ");
    CHECK_STR(f->audited, "token:reader AdminRequest GET /tokens: the token may only read");
    CHECK_HAS(ask(f, "GET /tokens", "[::1]:5", ops, ""), "\"name\":\"reader\",\"role\":\"read\"");
    CHECK(strstr(ask(f, "GET /tokens", "[::1]", ops, ""), ops) == NULL);
    CHECK_HAS(ask(f, "POST /tokens", "127.0.0.1", ops, "{\"name\":1}"), "400 ");
    CHECK_HAS(ask(f, "DELETE /tokens/reader", "127.0.0.1", ops, ""), "200 ");
    CHECK_STR(f->audited, "token:ops TokenRevoke reader: ok");
    CHECK_HAS(ask(f, "GET /data", "127.0.0.1", reader, ""), "401 ");
    CHECK_HAS(ask(f, "GET /health", "127.0.0.1", "", ""), "200 ");
    guard_free(f);
}

/* Nobody, and who guesses, waits longer each time, is counted, and finds no other answer. */
TEST(guard, slows_down_who_guesses)
{
    struct guard_fixture *f = guard_new();
    int64_t start_ms = mr_loop_now_ms(f->net->loop);
    const char *answer = ask(f, "GET /data", "127.0.0.1", "", "");

    CHECK_HAS(answer, "401 ");
    CHECK_HAS(answer, "WWW-Authenticate: Bearer");
    CHECK_STR(f->audited, "anonymous AdminRequest GET /data: no token");
    CHECK_HAS(ask(f, "GET /data", "127.0.0.1", "mrt_guess", ""), "401 ");
    CHECK_STR(f->audited, "anonymous AdminRequest GET /data: wrong or expired token");
    CHECK_GE(mr_loop_now_ms(f->net->loop) - start_ms, 300); /* 100 and 200 */
    CHECK_HAS(ask(f, "GET /metrics", "127.0.0.1", "", ""), "millrace_admin_wrong_tokens_total 2");
    guard_free(f);
}

/* A browser that was led here by somebody's name is refused before tokens are looked at; pages of
 * all are as public by one name as by another. */
TEST(guard, answers_to_its_own_names_only)
{
    struct guard_fixture *f = guard_new();
    char reader[TOKEN_TEXT_SIZE];

    make(f, "reader", "read", reader);
    CHECK_HAS(ask(f, "GET /data", "evil.example:9692", reader, ""), "421 ");
    CHECK_HAS(ask(f, "GET /data", "HUB-1:9692", reader, ""), "200 ");
    CHECK_HAS(ask(f, "GET /data", "[::1", reader, ""), "200 ");
    CHECK_HAS(ask(f, "GET /data", "", reader, ""), "421 ");
    CHECK_HAS(ask(f, "GET /metrics", "evil.example", "", ""), "200 ");
    CHECK_HAS(ask(f, "GET /", "evil.example", "", ""), "frame-ancestors 'none'");
    guard_free(f);
}
