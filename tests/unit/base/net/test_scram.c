/* SCRAM against the vectors of RFC 7677, against numbers that another program computed, and against
 * itself with everything that can be wrong being wrong. */
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/random.h"
#include "base/net/scram.h"
#include "tests/lib/test.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define BOTH_NONCES  CLIENT_NONCE SERVER_NONCE

static const uint8_t salt256[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                  0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};

struct talk {
    struct mr_scram_credential credential;
    struct mr_scram_client client;
    struct mr_scram_server server;
    char first[1024];
    ssize_t first_size;
    char challenge[1024];
    ssize_t challenge_size;
    char answer[1024];
    ssize_t answer_size;
    char proof[256];
};

/* Up to the client's answer, for user "user" with password "pencil". */
static void talk_begin(struct talk *talk, enum mr_scram_mechanism mechanism, const char *password)
{
    memset(talk, 0, sizeof *talk);
    CHECK_EQ(
        mr_scram_derive(mechanism, "pencil", 6, salt256, sizeof salt256, 4096, &talk->credential),
        0);
    talk->first_size = mr_scram_client_begin(&talk->client, mechanism, "user", CLIENT_NONCE,
                                             talk->first, sizeof talk->first);
    CHECK_OK(talk->first_size, NULL);
    CHECK_EQ(mr_scram_server_begin(&talk->server, talk->first, (size_t)talk->first_size), 0);
    CHECK_STR(talk->server.user, "user");
    talk->challenge_size = mr_scram_server_challenge(&talk->server, &talk->credential, SERVER_NONCE,
                                                     talk->challenge, sizeof talk->challenge);
    CHECK_OK(talk->challenge_size, NULL);
    talk->answer_size =
        mr_scram_client_answer(&talk->client, password, talk->challenge,
                               (size_t)talk->challenge_size, talk->answer, sizeof talk->answer);
    CHECK_OK(talk->answer_size, NULL);
}

static ssize_t talk_finish(struct talk *talk)
{
    return mr_scram_server_finish(&talk->server, talk->answer, (size_t)talk->answer_size,
                                  talk->proof, sizeof talk->proof);
}

/* RFC 7677, section 3: every message of the example, byte by byte. */
TEST(scram, gives_the_messages_of_the_rfc)
{
    struct talk talk;
    ssize_t size;

    talk_begin(&talk, MR_SCRAM_SHA_256, "pencil");
    talk.first[talk.first_size] = '\0';
    talk.challenge[talk.challenge_size] = '\0';
    talk.answer[talk.answer_size] = '\0';
    CHECK_STR(talk.first, "n,,n=user,r=" CLIENT_NONCE);
    CHECK_STR(talk.challenge, "r=" BOTH_NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    CHECK_STR(talk.answer,
              "c=biws,r=" BOTH_NONCES ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    size = talk_finish(&talk);
    CHECK_OK(size, NULL);
    talk.proof[size] = '\0';
    CHECK_STR(talk.proof, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    CHECK_EQ(mr_scram_client_finish(&talk.client, talk.proof, (size_t)size), 0);
}

/* No RFC has an example with SHA-512: the numbers are those of Python's hashlib and hmac. */
TEST(scram, gives_the_messages_of_another_program_with_sha_512)
{
    static const char challenge[] =
        "r=" BOTH_NONCES ",s=Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=,i=4096";
    static const char proof[] = "v=5AwW78p+EVPirB3A5lrHcvrN8pVKRlR3opLuRoxXrN9ubKokkPzVPzWNNNuBbrtZ"
                                "rv5mpfKZ7+QCDSZWeZQEqw==";
    struct mr_scram_client client;
    char text[1024];
    ssize_t size =
        mr_scram_client_begin(&client, MR_SCRAM_SHA_512, "user", CLIENT_NONCE, text, sizeof text);

    CHECK_OK(size, NULL);
    size = mr_scram_client_answer(&client, "pencil", challenge, sizeof challenge - 1, text,
                                  sizeof text - 1);
    CHECK_OK(size, NULL);
    text[size] = '\0';
    CHECK_STR(text, "c=biws,r=" BOTH_NONCES
                    ",p=/3obeUE1tHCJjbQttd+ChF5ox2IU1rNjj2wVDnbQ5LdNT126oy4QgLz2tHw/Uj7Gwb6PRuHOS3"
                    "HC+45exxT58A==");
    CHECK_EQ(mr_scram_client_finish(&client, proof, sizeof proof - 1), 0);
}

TEST(scram, both_sides_agree_in_both_mechanisms)
{
    for (int mechanism = MR_SCRAM_SHA_256; mechanism <= MR_SCRAM_SHA_512; mechanism++) {
        struct talk talk;
        ssize_t size;
        talk_begin(&talk, (enum mr_scram_mechanism)mechanism, "pencil");
        size = talk_finish(&talk);
        CHECK_OK(size, NULL);
        CHECK_EQ(mr_scram_client_finish(&talk.client, talk.proof, (size_t)size), 0);
    }
}

TEST(scram, a_wrong_password_is_refused)
{
    struct talk talk;

    talk_begin(&talk, MR_SCRAM_SHA_256, "pencil ");
    CHECK_EQ(talk_finish(&talk), MR_EAUTH);
    talk_begin(&talk, MR_SCRAM_SHA_512, "");
    CHECK_EQ(talk_finish(&talk), MR_EAUTH);
}

/* The answer of one conversation says nothing in another one: the server's nonce is another. */
TEST(scram, a_replayed_answer_is_refused)
{
    struct talk talk;
    struct mr_scram_server other;
    char challenge[1024];

    talk_begin(&talk, MR_SCRAM_SHA_256, "pencil");
    CHECK_EQ(mr_scram_server_begin(&other, talk.first, (size_t)talk.first_size), 0);
    CHECK_OK(mr_scram_server_challenge(&other, &talk.credential, "anotherNonceOfTheServer",
                                       challenge, sizeof challenge),
             NULL);
    CHECK_EQ(mr_scram_server_finish(&other, talk.answer, (size_t)talk.answer_size, talk.proof,
                                    sizeof talk.proof),
             MR_EPROTOCOL);
}

/* Flip each bit of the answer in turn: none is accepted, and none crashes. */
TEST(scram, every_bit_of_the_answer_counts)
{
    struct talk talk;

    talk_begin(&talk, MR_SCRAM_SHA_256, "pencil");
    for (ssize_t at = 0; at < talk.answer_size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct talk copy = talk;
            copy.answer[at] = (char)(copy.answer[at] ^ (1 << bit));
            CHECK_LT(talk_finish(&copy), 0);
        }
        struct talk copy = talk;
        copy.answer_size = at;
        CHECK_LT(talk_finish(&copy), 0);
    }
}

static int begin(const char *message)
{
    struct mr_scram_server server;

    return mr_scram_server_begin(&server, message, strlen(message));
}

TEST(scram, first_messages_are_read_strictly)
{
    struct mr_scram_server server;

    CHECK_EQ(begin("n,,n=user,r=abc"), 0);
    CHECK_EQ(begin("y,,n=user,r=abc"), 0); /* supports binding, thinks that we do not: right */
    CHECK_EQ(begin("n,a=user,n=user,r=abc"), 0);
    CHECK_EQ(begin("n,,n=user,r=abc,ext=1"), 0);
    CHECK_EQ(begin("p=tls-unique,,n=user,r=abc"), MR_EUNSUPPORTED);
    CHECK_EQ(begin("n,,m=1,n=user,r=abc"), MR_EUNSUPPORTED);
    CHECK_EQ(begin("n,,n=user,r=abc,tokenauth=true"), MR_EUNSUPPORTED);
    CHECK_EQ(begin("n,a=admin,n=user,r=abc"), MR_EPROTOCOL);
    CHECK_EQ(begin(""), MR_EPROTOCOL);
    CHECK_EQ(begin("n"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,n=,r=abc"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,n=user"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,n=user,r="), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,r=abc,n=user"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,n=us=er,r=abc"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,n=user=2,r=abc"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,n=user=3C,r=abc"), MR_EPROTOCOL);
    CHECK_EQ(begin("n,,n=user,r=a\tb"), MR_EPROTOCOL);
    CHECK_EQ(mr_scram_server_begin(&server, "n,,n=us\0er,r=abc", 16), MR_EPROTOCOL);
    CHECK_EQ(mr_scram_server_begin(&server, "n,,n=a=2Cb=3D,r=abc", 19), 0);
    CHECK_STR(server.user, "a,b=");
}

TEST(scram, the_client_escapes_names)
{
    struct mr_scram_client client;
    char text[256];
    ssize_t size =
        mr_scram_client_begin(&client, MR_SCRAM_SHA_256, "a,b=", "xyz", text, sizeof text - 1);

    CHECK_OK(size, NULL);
    text[size] = '\0';
    CHECK_STR(text, "n,,n=a=2Cb=3D,r=xyz");
}

static ssize_t answer(const char *challenge)
{
    struct mr_scram_client client;
    char text[1024];

    CHECK_OK(mr_scram_client_begin(&client, MR_SCRAM_SHA_256, "user", "abc", text, sizeof text),
             NULL);
    return mr_scram_client_answer(&client, "pencil", challenge, strlen(challenge), text,
                                  sizeof text);
}

/* A server in between would like few iterations, or a nonce of its own alone. */
TEST(scram, the_client_refuses_a_downgrade)
{
    CHECK_GT(answer("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), 0);
    CHECK_EQ(answer("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095"), MR_EPROTOCOL);
    CHECK_EQ(answer("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1"), MR_EPROTOCOL);
    CHECK_EQ(answer("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999"), MR_EPROTOCOL);
    CHECK_EQ(answer("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i="), MR_EPROTOCOL);
    CHECK_EQ(answer("r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), MR_EPROTOCOL);
    CHECK_EQ(answer("r=xbcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), MR_EPROTOCOL);
    CHECK_EQ(answer("r=abcdef,s=,i=4096"), MR_EPROTOCOL);
    CHECK_EQ(answer("r=abcdef,s=W22Z J0S,i=4096"), MR_EPROTOCOL);
    CHECK_EQ(answer("e=unknown-user"), MR_EPROTOCOL);
}

TEST(scram, the_client_notices_a_server_without_the_password)
{
    struct talk talk;
    ssize_t size;

    talk_begin(&talk, MR_SCRAM_SHA_256, "pencil");
    size = talk_finish(&talk);
    CHECK_OK(size, NULL);
    talk.proof[4] = talk.proof[4] == 'A' ? 'B' : 'A';
    CHECK_EQ(mr_scram_client_finish(&talk.client, talk.proof, (size_t)size), MR_EAUTH);
    CHECK_EQ(mr_scram_client_finish(&talk.client, "v=", 2), MR_EPROTOCOL);
    CHECK_EQ(mr_scram_client_finish(&talk.client, "", 0), MR_EPROTOCOL);
    CHECK_EQ(mr_scram_client_finish(&talk.client, "e=invalid-proof", 15), MR_EAUTH);
}

TEST(scram, a_password_is_checked_against_what_is_stored)
{
    struct mr_scram_credential credential;
    struct mr_scram_credential other;
    uint8_t salted[MR_SCRAM_KEY_SIZE_MAX];

    CHECK_EQ(
        mr_scram_derive(MR_SCRAM_SHA_512, "pencil", 6, salt256, sizeof salt256, 4096, &credential),
        0);
    CHECK(mr_scram_is_password(&credential, "pencil", 6));
    CHECK(!mr_scram_is_password(&credential, "pencil", 5));
    CHECK(!mr_scram_is_password(&credential, "", 0));
    CHECK_EQ(mr_scram_salt_password(MR_SCRAM_SHA_512, "pencil", 6, salt256, sizeof salt256, 4096,
                                    salted),
             0);
    CHECK_EQ(
        mr_scram_from_salted(MR_SCRAM_SHA_512, salted, 64, salt256, sizeof salt256, 4096, &other),
        0);
    CHECK_MEM(&credential, &other, sizeof other);
    CHECK_EQ(
        mr_scram_from_salted(MR_SCRAM_SHA_512, salted, 32, salt256, sizeof salt256, 4096, &other),
        MR_EINVAL);
    CHECK_EQ(mr_scram_derive(MR_SCRAM_SHA_512, "pencil", 6, salt256, sizeof salt256, 4095, &other),
             MR_EINVAL);
    CHECK_EQ(mr_scram_derive(MR_SCRAM_SHA_512, "pencil", 6, salt256, 0, 4096, &other), MR_EINVAL);
}

/* A stranger gets the same challenge each time, of the form that others' have. */
TEST(scram, strangers_are_not_told_that_they_are)
{
    static const uint8_t secret[MR_SCRAM_SECRET_SIZE] = {1, 2, 3};
    struct mr_scram_credential first;
    struct mr_scram_credential again;
    struct mr_scram_credential other;
    struct mr_scram_credential like = {.iterations = 8192, .salt_size = 26};

    memcpy(like.salt, "0123456789abcdefghijklmnop", 26);
    mr_scram_fake(MR_SCRAM_SHA_256, secret, "eve", 3, NULL, &first);
    mr_scram_fake(MR_SCRAM_SHA_256, secret, "eve", 3, NULL, &again);
    mr_scram_fake(MR_SCRAM_SHA_256, secret, "eva", 3, NULL, &other);
    CHECK_MEM(&first, &again, sizeof first);
    CHECK_EQ(first.iterations, 4096);
    CHECK_EQ(first.salt_size, MR_SCRAM_SALT_SIZE);
    CHECK_NE(memcmp(first.salt, other.salt, first.salt_size), 0);
    mr_scram_fake(MR_SCRAM_SHA_256, secret, "eve", 3, &like, &other);
    CHECK_EQ(other.iterations, 8192);
    CHECK_EQ(other.salt_size, 26);
    for (size_t i = 0; i < 26; i++) {
        CHECK((other.salt[i] >= '0' && other.salt[i] <= '9') ||
              (other.salt[i] >= 'a' && other.salt[i] <= 'z'));
    }
}

TEST(scram, nonces_are_fresh_and_printable)
{
    char one[MR_SCRAM_NONCE_SIZE];
    char two[MR_SCRAM_NONCE_SIZE];

    mr_scram_nonce(mr_random_system(), one);
    mr_scram_nonce(mr_random_system(), two);
    CHECK_EQ(strlen(one), 32);
    CHECK(strcmp(one, two) != 0);
    CHECK(strchr(one, ',') == NULL);
}
