/* Addresses as people write them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/core/error.h"
#include "base/net/stream.h"

static int parse_unix(const char *path, struct mr_address *ret_address, struct mr_error *error)
{
    size_t size = strlen(path);

    if (size == 0) {
        return mr_fail(error, MR_EINVAL, "address 'unix:' without a path");
    }
    if (size >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return mr_fail_text(error, MR_EINVAL,
                            "address 'unix:%s': the path is longer than the system's %zu bytes",
                            path, sizeof((struct sockaddr_un *)0)->sun_path - 1);
    }
    *ret_address = (struct mr_address){.is_unix = true};
    memcpy(ret_address->host, path, size + 1);
    return 0;
}

/* Digits only: strtol would take signs and blanks. */
static int parse_port(const char *text, uint16_t *ret_port)
{
    unsigned port = 0;
    size_t size = strlen(text);

    if (size == 0 || size > 5 || strspn(text, "0123456789") != size) {
        return MR_EINVAL;
    }
    for (size_t i = 0; i < size; i++) {
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port > UINT16_MAX) {
        return MR_EINVAL;
    }
    *ret_port = (uint16_t)port;
    return 0;
}

/* Splits "host", "host:port", "[v6]", "[v6]:port"; *ret_port_text is NULL when there is none. */
static const char *split(const char *text, const char **ret_host, size_t *ret_host_size,
                         const char **ret_port_text)
{
    const char *colon = strchr(text, ':');
    const char *bracket;

    *ret_port_text = NULL;
    if (text[0] != '[') {
        if (colon != NULL && strchr(colon + 1, ':') != NULL) {
            return "an IPv6 address is written in brackets: [::1]:9092";
        }
        *ret_host = text;
        *ret_host_size = colon != NULL ? (size_t)(colon - text) : strlen(text);
        *ret_port_text = colon != NULL ? colon + 1 : NULL;
        return NULL;
    }
    bracket = strchr(text, ']');
    if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':')) {
        return "a bracket is not closed, or something else than :port follows it";
    }
    *ret_host = text + 1;
    *ret_host_size = (size_t)(bracket - text) - 1;
    *ret_port_text = bracket[1] == ':' ? bracket + 2 : NULL;
    return NULL;
}

static bool is_host_text(const char *host, size_t size, bool is_bracketed)
{
    char copy[INET6_ADDRSTRLEN + 32]; /* with %scope */
    struct in6_addr in6;

    if (is_bracketed) {
        if (size >= sizeof copy) {
            return false;
        }
        memcpy(copy, host, size);
        copy[size] = '\0';
        copy[strcspn(copy, "%")] = '\0';
        return inet_pton(AF_INET6, copy, &in6) == 1;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)host[i];

        if (c <= ' ' || c == 0x7f || c == '/' || c == '@' || c == '[' || c == ']') {
            return false;
        }
    }
    return size > 0;
}

int mr_address_parse(const char *text, uint16_t default_port, struct mr_address *ret_address,
                     struct mr_error *error)
{
    struct mr_address address = {.port = default_port};
    const char *host = NULL;
    const char *port_text = NULL;
    const char *problem;
    size_t host_size = 0;

    if (strncmp(text, "unix:", 5) == 0) {
        return parse_unix(text + 5, ret_address, error);
    }
    problem = split(text, &host, &host_size, &port_text);
    if (problem != NULL) {
        return mr_fail_text(error, MR_EINVAL, "address '%s': %s", text, problem);
    }
    if (host_size >= sizeof address.host || !is_host_text(host, host_size, text[0] == '[')) {
        return mr_fail_text(error, MR_EINVAL, "address '%s': '%.*s' is not a host", text,
                            (int)(host_size < 256 ? host_size : 256), host);
    }
    if (port_text != NULL && parse_port(port_text, &address.port) != 0) {
        return mr_fail_text(error, MR_EINVAL, "address '%s': '%s' is not a port (0 to 65535)", text,
                            port_text);
    }
    if (port_text == NULL && default_port == 0) {
        return mr_fail_text(error, MR_EINVAL, "address '%s': a port is missing (host:port)", text);
    }
    memcpy(address.host, host, host_size);
    *ret_address = address;
    return 0;
}

void mr_address_format(const struct mr_address *address, char *text, size_t size)
{
    if (address->is_unix) {
        (void)snprintf(text, size, "unix:%s", address->host);
    } else if (strchr(address->host, ':') != NULL) {
        (void)snprintf(text, size, "[%s]:%u", address->host, address->port);
    } else {
        (void)snprintf(text, size, "%s:%u", address->host, address->port);
    }
}

bool mr_address_is_loopback(const struct mr_address *address)
{
    struct in_addr in;
    struct in6_addr in6;

    if (address->is_unix || strcasecmp(address->host, "localhost") == 0) {
        return true;
    }
    if (inet_pton(AF_INET, address->host, &in) == 1) {
        return (ntohl(in.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, address->host, &in6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&in6) || (IN6_IS_ADDR_V4MAPPED(&in6) && in6.s6_addr[12] == 127);
    }
    return false;
}
