/* The messages around tokens: of the mechanism OAUTHBEARER, of HTTP servers, of those that give
 * tokens; and keys that are read again. */
#include <stdio.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/net/http_fetch.h"
#include "base/net/http_url.h"
#include "base/net/jwk.h"
#include "base/net/jwks.h"
#include "base/net/oauth_token.h"
#include "base/net/oauthbearer.h"
#include "tests/lib/test.h"
#include "tests/lib/test_clock.h"

/* ---- OAUTHBEARER ---- */

static int parse(const char *text, size_t size, struct mr_oauthbearer *message)
{
    char *copy = mr_malloc(size + 1); /* so that a sanitizer sees what is read behind it */
    int rc;

    memcpy(copy, text, size);
    rc = mr_oauthbearer_parse(copy, size, message);
    mr_free(copy);
    return rc;
}

#define PARSE(literal, message) parse(literal, sizeof literal - 1, message)

TEST(oauthbearer, takes_the_messages_of_kafkas_clients)
{
    struct mr_oauthbearer message;
    struct mr_bytes bytes;

    CHECK_EQ(PARSE("n,,\1auth=Bearer abc.d-e_f\1\1", &message), 0);
    CHECK_STR(message.name, "");
    CHECK_EQ(message.token_size, 9);
    CHECK_EQ(PARSE("n,a=ali=2Cce,\1auth=bearer   x\1\1", &message), 0);
    CHECK_STR(message.name, "ali,ce");
    CHECK_EQ(message.token_size, 1);
    CHECK_EQ(PARSE("n,,\1auth=Bearer x\1traceId=12 3\1host=a.b\1\1", &message), 0);
    CHECK_EQ(PARSE("y,,\1port=1\1auth=Bearer x\1\1", &message), 0);
    mr_bytes_init(&bytes);
    CHECK_EQ(mr_oauthbearer_write("a.b.c", 5, &bytes), 0);
    CHECK_EQ(mr_oauthbearer_parse(bytes.data, bytes.size_bytes, &message), 0);
    CHECK_MEM(message.token, "a.b.c", 5);
    CHECK_EQ(mr_oauthbearer_write("a b", 3, &bytes), MR_EINVAL);
    CHECK_EQ(mr_oauthbearer_write("", 0, &bytes), MR_EINVAL);
    mr_bytes_done(&bytes);
}

TEST(oauthbearer, refuses_everything_else)
{
    struct mr_oauthbearer message;

    CHECK_NE(PARSE("", &message), 0);
    CHECK_NE(PARSE("n", &message), 0);
    CHECK_NE(PARSE("n,,", &message), 0);
    CHECK_NE(PARSE("n,,\1", &message), 0);
    CHECK_NE(PARSE("n,,\1\1", &message), 0);
    CHECK_NE(PARSE("p=tls-unique,,\1auth=Bearer x\1\1", &message), 0);
    CHECK_NE(PARSE("n,,\1auth=Bearer x\1", &message), 0);
    CHECK_NE(PARSE("n,,\1auth=Bearer x", &message), 0);
    CHECK_NE(PARSE("n,,\1auth=Bearer \1\1", &message), 0);
    CHECK_NE(PARSE("n,,\1auth=Basic x\1\1", &message), 0);
    CHECK_NE(PARSE("n,,\1auth=Bearer x\1auth=Bearer y\1\1", &message), 0);
    CHECK_NE(PARSE("n,,\1auth=Bearer x\0y\1\1", &message), 0);
    CHECK_NE(PARSE("n,,\1auth=Bearer x\1\1z", &message), 0);
    CHECK_NE(PARSE("n,,\1=x\1auth=Bearer x\1\1", &message), 0);
    CHECK_NE(PARSE("n,,\1k1=x\1auth=Bearer x\1\1", &message), 0);
    CHECK_NE(PARSE("n,,\1k=\x80\1auth=Bearer x\1\1", &message), 0);
    CHECK_NE(PARSE("n,a=,\1auth=Bearer x\1\1", &message), 0);
    CHECK_NE(PARSE("n,a==,\1auth=Bearer x\1\1", &message), 0);
}

/* ---- HTTP ---- */

static int answer(const char *text, int *ret_status, const char **ret_body)
{
    static char body[256];
    struct mr_bytes bytes;
    int rc;

    mr_bytes_init(&bytes);
    rc = mr_http_answer_parse((const uint8_t *)text, strlen(text), ret_status, &bytes);
    (void)snprintf(body, sizeof body, "%.*s", (int)bytes.size_bytes,
                   bytes.data != NULL ? (const char *)bytes.data : "");
    *ret_body = body;
    mr_bytes_done(&bytes);
    return rc;
}

TEST(http_fetch, reads_answers_of_each_form)
{
    const char *body;
    int status = 0;

    CHECK_EQ(answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", &status, &body), 0);
    CHECK_EQ(status, 200);
    CHECK_STR(body, "{}");
    CHECK_EQ(answer("HTTP/1.0 404 No\r\n\r\ngone", &status, &body), 0);
    CHECK_EQ(status, 404);
    CHECK_STR(body, "gone");
    CHECK_EQ(
        answer("HTTP/1.1 200 OK\ntransfer-encoding:chunked\n\n3;x=y\nabc\nA\n0123456789\n0\n\n",
               &status, &body),
        0);
    CHECK_STR(body, "abc0123456789");
    CHECK_EQ(answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", &status, &body),
             MR_EPROTOCOL);
    CHECK_EQ(answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx", &status, &body),
             MR_EPROTOCOL);
    CHECK_EQ(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nx", &status, &body),
             MR_EPROTOCOL);
    CHECK_EQ(
        answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", &status, &body),
        MR_EPROTOCOL);
    CHECK_EQ(
        answer("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", &status, &body),
        MR_EPROTOCOL);
    CHECK_EQ(answer("HTTP/2 200 OK\r\n\r\n", &status, &body), MR_EPROTOCOL);
    CHECK_EQ(answer("HTTP/1.1 200 OK\r\n", &status, &body), MR_EPROTOCOL);
    CHECK_EQ(answer("", &status, &body), MR_EPROTOCOL);
}

TEST(http_fetch, reads_urls)
{
    static const char *const bad[] = {"",
                                      "id.example",
                                      "ftp://x/",
                                      "https://",
                                      "https:///x",
                                      "https://a b/",
                                      "https://u@h/",
                                      "https://h:0/",
                                      "https://h:x/",
                                      "https://h:70000/",
                                      "https://[::1/",
                                      "https://h/#x",
                                      "https://h?x",
                                      "https://h:+1/"};
    struct mr_error error = {0};
    struct mr_http_url url;

    CHECK_EQ(mr_http_url_parse("https://id.example/keys?a=b", &url, &error), 0);
    CHECK_STR(url.host, "id.example");
    CHECK_STR(url.path, "/keys?a=b");
    CHECK_EQ(url.port, 443);
    CHECK(url.is_tls && !mr_http_url_is_loopback(&url));
    CHECK_EQ(mr_http_url_parse("http://[::1]:8080", &url, &error), 0);
    CHECK_STR(url.host, "::1");
    CHECK_EQ(url.port, 8080);
    CHECK(!url.is_tls && mr_http_url_is_loopback(&url));
    CHECK_EQ(mr_http_url_parse("http://127.0.0.1.evil.example/", &url, &error), 0);
    CHECK(!mr_http_url_is_loopback(&url));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(mr_http_url_parse(bad[i], &url, &error), MR_EINVAL);
    }
}

/* Where nothing can be asked: each cause is told apart, with the name of what was meant. */
TEST(http_fetch, says_whom_it_does_not_reach)
{
    char long_path[200];
    const struct {
        const char *url;
        const char *socket_path;
        int rc;
        const char *words;
    } cases[] = {
        {"http://localhost/x", "/nonexistent/admin.sock", MR_ENOENT, "/nonexistent/admin.sock: "},
        {"http://localhost/x", long_path, MR_ETOOLARGE, "/xxx"},
        {"/x", NULL, MR_EINVAL, "'/x' is not a URL"},
    };

    (void)snprintf(long_path, sizeof long_path, "/%0150d", 0);
    memset(long_path + 1, 'x', 150);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mr_http_fetch fetch = {
            .url = cases[i].url, .socket_path = cases[i].socket_path, .answer_size_max = 100};
        struct mr_error error = {0};
        struct mr_bytes body;
        int status = 0;
        mr_bytes_init(&body);
        CHECK_EQ(mr_http_fetch(&fetch, &status, &body, &error), cases[i].rc);
        CHECK_MEM(error.text, cases[i].words, strlen(cases[i].words));
        CHECK(status == 0 && body.size_bytes == 0);
        mr_bytes_done(&body);
    }
}

/* ---- servers that give tokens ---- */

TEST(oauth_token, takes_bearer_tokens_only)
{
    static const struct {
        int status;
        const char *answer;
        int rc;
        int64_t lifetime_ms;
    } cases[] = {
        {200, "{\"access_token\":\"a.b\",\"token_type\":\"bearer\",\"expires_in\":60}", 0, 60000},
        {200, "{\"access_token\":\"a.b\"}", 0, 0},
        {200, "{\"access_token\":\"a.b\",\"expires_in\":-1}", 0, 0},
        {200, "{\"access_token\":\"a.b\",\"token_type\":\"mac\"}", MR_EPROTOCOL, 0},
        {200, "{\"access_token\":\"\"}", MR_EPROTOCOL, 0},
        {200, "{\"id_token\":\"x\"}", MR_EPROTOCOL, 0},
        {200, "x", MR_EPROTOCOL, 0},
        {401, "{\"error\":\"invalid_client\"}", MR_EAUTH, 0},
        {500, "<html>", MR_EPROTOCOL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_error error = {0};
        struct mr_bytes token;
        int64_t lifetime_ms = 0;
        mr_bytes_init(&token);
        CHECK_EQ(mr_oauth_token_parse(cases[i].status, cases[i].answer, strlen(cases[i].answer),
                                      &token, &lifetime_ms, &error),
                 cases[i].rc);
        CHECK_EQ(lifetime_ms, cases[i].lifetime_ms);
        CHECK_EQ(token.size_bytes, cases[i].rc == 0 ? 3 : 0);
        mr_bytes_done(&token);
    }
}

/* ---- keys ---- */

#define KEY(id)                                                                                    \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" id                                           \
    "\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

struct keys_fixture {
    struct test_clock clock;
    struct mr_loop *loop;
    struct mr_jwks *jwks;
    char *path;
    int told;
};

static void write_keys(const struct keys_fixture *f, const char *text)
{
    struct mr_error error = {0};

    CHECK_OK(mr_disk_write_file(mr_disk_system(), f->path, text, strlen(text), &error), &error);
}

static void on_told(struct mr_jwks_wait *wait)
{
    *(int *)wait->owner += 1;
}

static void turn(struct keys_fixture *f, int64_t ms)
{
    test_clock_advance_ms(&f->clock, ms);
    for (int i = 0; i < 4; i++) {
        mr_loop_turn(f->loop, 0);
    }
}

/* New keys are found by the timer and on demand, not more often than now and then; what is broken
 * changes nothing. */
TEST(jwks, keeps_the_last_good_keys)
{
    struct keys_fixture f = {.path = test_path("keys.json")};
    struct mr_error error = {0};
    struct mr_jwks_wait wait = {.cb = on_told, .owner = &f.told};
    struct mr_jwks_config config = {
        .disk = mr_disk_system(), .source = f.path, .refresh_ms = 60000};

    test_clock_init(&f.clock);
    CHECK_OK(mr_loop_new_virtual(&f.clock.clock, &f.loop), NULL);
    config.loop = f.loop;
    CHECK_EQ(mr_jwks_open(&config, &f.jwks, &error), MR_ENOENT); /* no file, no start */
    write_keys(&f, "{\"keys\":[]}");
    CHECK_EQ(mr_jwks_open(&config, &f.jwks, &error), MR_EINVAL);
    CHECK_HAS(error.text, f.path);
    write_keys(&f, "{\"keys\":[" KEY("a") "]}");
    CHECK_OK(mr_jwks_open(&config, &f.jwks, &error), &error);
    CHECK_EQ(mr_jwk_set_count(mr_jwks_keys(f.jwks)), 1);
    CHECK(!mr_jwks_refresh(f.jwks, &wait)); /* read a moment ago */
    write_keys(&f, "{\"keys\":[" KEY("a") "," KEY("b") "]}");
    turn(&f, 1000);
    CHECK(mr_jwks_refresh(f.jwks, &wait));
    turn(&f, 0);
    CHECK_EQ(f.told, 1);
    CHECK_EQ(mr_jwk_set_count(mr_jwks_keys(f.jwks)), 2);
    write_keys(&f, "half of it");
    turn(&f, 60000);
    CHECK_EQ(mr_jwk_set_count(mr_jwks_keys(f.jwks)), 2);
    write_keys(&f, "{\"keys\":[" KEY("c") "]}");
    turn(&f, 10000); /* after a failure sooner than the next time */
    CHECK_EQ(mr_jwk_set_count(mr_jwks_keys(f.jwks)), 1);
    turn(&f, 1000);
    CHECK(mr_jwks_refresh(f.jwks, &wait));
    mr_jwks_leave(&wait);
    mr_jwks_close(f.jwks);
    CHECK_EQ(f.told, 1);
    mr_loop_free(f.loop);
    mr_free(f.path);
}
