/* Addresses: what is taken, what is refused and with which hint, and that writing gives back
 * reading. */
#include <string.h>

#include "base/core/error.h"
#include "base/net/stream.h"
#include "tests/lib/test.h"

static bool reads_as(const char *text, uint16_t default_port, const char *host, uint16_t port)
{
    struct mr_address address;
    struct mr_error error = {0};

    return mr_address_parse(text, default_port, &address, &error) == 0 &&
           strcmp(address.host, host) == 0 && address.port == port;
}

static bool is_refused_with(const char *text, const char *hint)
{
    struct mr_address address;
    struct mr_error error = {0};

    return mr_address_parse(text, 0, &address, &error) == MR_EINVAL &&
           strstr(error.text, hint) != NULL;
}

TEST(address, takes_hosts_ports_and_paths)
{
    CHECK(reads_as("hub-1:9092", 0, "hub-1", 9092));
    CHECK(reads_as("hub-1", 9092, "hub-1", 9092));
    CHECK(reads_as("127.0.0.1:0", 9092, "127.0.0.1", 0));
    CHECK(reads_as("[::1]:9092", 0, "::1", 9092));
    CHECK(reads_as("[fe80::1%eth0]:1", 0, "fe80::1%eth0", 1));
    CHECK(reads_as("[::1]", 7, "::1", 7));
    CHECK(reads_as("unix:/run/x y.sock", 0, "/run/x y.sock", 0));
}

TEST(address, refuses_with_a_hint)
{
    CHECK(is_refused_with("", "not a host"));
    CHECK(is_refused_with("hub-1", "port is missing"));
    CHECK(is_refused_with("hub-1:", "not a port"));
    CHECK(is_refused_with("hub-1:65536", "not a port"));
    CHECK(is_refused_with("hub-1:+1", "not a port"));
    CHECK(is_refused_with("hub-1:99999999999999", "not a port"));
    CHECK(is_refused_with(":9092", "not a host"));
    CHECK(is_refused_with("::1", "brackets"));
    CHECK(is_refused_with("[::1:9092", "bracket"));
    CHECK(is_refused_with("[::1]9092", "bracket"));
    CHECK(is_refused_with("[hub]:9092", "not a host"));
    CHECK(is_refused_with("user@hub:9092", "not a host"));
    CHECK(is_refused_with("http://hub:9092", "brackets"));
    CHECK(is_refused_with("unix:", "without a path"));
    CHECK(is_refused_with("unix:/" /* 109 bytes */
                          "0123456789012345678901234567890123456789012345678901234567890123456789"
                          "01234567890123456789012345678901234567",
                          "longer"));
}

TEST(address, is_written_as_it_is_read)
{
    static const char *const texts[] = {"hub-1:9092", "[::1]:9092", "unix:/run/x.sock"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mr_address address;
        char text[MR_ADDRESS_TEXT_SIZE];

        CHECK_EQ(mr_address_parse(texts[i], 0, &address, NULL), 0);
        mr_address_format(&address, text, sizeof text);
        CHECK(strcmp(text, texts[i]) == 0);
    }
}

TEST(address, knows_loopback)
{
    static const struct {
        const char *text;
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:1", true},
        {"127.9.9.9:1", true},
        {"[::1]:1", true},
        {"localhost:1", true},
        {"unix:/x", true},
        {"[::ffff:127.0.0.1]:1", true},
        {"0.0.0.0:1", false},
        {"[::]:1", false},
        {"10.0.0.1:1", false},
        {"localhost.x:1", false},
        {"[::ffff:10.0.0.1]:1", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_address address;

        CHECK_EQ(mr_address_parse(cases[i].text, 0, &address, NULL), 0);
        CHECK_EQ(mr_address_is_loopback(&address), cases[i].is_loopback);
    }
}
