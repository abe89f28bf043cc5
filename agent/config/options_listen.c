/* The tables of what others may connect to: listeners and the admin address, with their TLS. */
#include <stddef.h>
#include <string.h>

#include "agent/config/config.h"
#include "agent/config/options_internal.h"

static const char *const clients_words[] = {"none", "optional", "required", NULL};

/* Twice, since a listener that says nothing takes what the node says. */
#define TLS_OPTIONS(is_on_words, clients_default)                                                  \
    {.name = "enabled",                                                                            \
     .type = MR_OPT_BOOL,                                                                          \
     .offset = offsetof(struct config_tls, is_on),                                                 \
     .fallback = "true",                                                                           \
     .help = is_on_words},                                                                         \
        {.name = "cert",                                                                           \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, cert),                                              \
         .example = "/etc/millrace/cert.pem",                                                      \
         .help = "PEM file of the certificate, with the chain behind it."},                        \
        {.name = "key",                                                                            \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, key),                                               \
         .example = "/etc/millrace/key.pem",                                                       \
         .help = "PEM file of its key, not encrypted."},                                           \
        {.name = "ca",                                                                             \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, ca),                                                \
         .example = "/etc/millrace/ca.pem",                                                        \
         .help = "PEM file of the authorities that are trusted."},                                 \
        {.name = "crl",                                                                            \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, crl),                                               \
         .help = "PEM file of revocation lists, one per authority that signs."},                   \
        {.name = "clients",                                                                        \
         .type = MR_OPT_ENUM,                                                                      \
         .offset = offsetof(struct config_tls, clients),                                           \
         .words = clients_words,                                                                   \
         .help = "Whether clients must show a certificate that a listed authority has signed. "    \
                 "Its subject is then who they are.",                                              \
         clients_default},                                                                         \
        {.name = "tls13",                                                                          \
         .type = MR_OPT_BOOL,                                                                      \
         .offset = offsetof(struct config_tls, is_tls13_required),                                 \
         .help = "Refuse TLS 1.2."},                                                               \
    {                                                                                              \
        0                                                                                          \
    }

const struct mr_option config_node_tls_options[] = {
    {.name = "reload",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_tls, reload_ms),
     .fallback = "10s",
     .min = 0,
     .max = 86400000,
     .help = "How often the files of all listeners and sinks are looked at; what has changed is "
             "taken. 0: at SIGHUP only, which always reads them."},
    TLS_OPTIONS("Whether listeners speak TLS unless they say otherwise. Needs cert and key.",
                .fallback = "none")};
static const struct mr_option listen_tls_options[] = {
    TLS_OPTIONS("Whether this listener speaks TLS, where there is a certificate.", .absent = -1)};
#undef TLS_OPTIONS

static const char *check_mode(const void *value)
{
    const char *text = *(const char *const *)value;
    size_t size = strlen(text);

    return size >= 3 && size <= 4 && strspn(text, "01234567") == size &&
                   (size == 3 || text[0] == '0')
               ? NULL
               : "an octal mode such as \"0660\" is wanted here, in quotes";
}

const struct mr_option config_socket_options[] = {
    {.name = "owner",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_socket, owner),
     .example = "millrace",
     .help = "Name or number of the user that the file is to belong to. The process's unless "
             "written; another one needs the capability CAP_CHOWN."},
    {.name = "group",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_socket, group),
     .example = "kafka-clients",
     .help = "Name or number of its group: one that the process is a member of, unless it may "
             "change owners."},
    {.name = "mode",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_socket, mode),
     .fallback = "0660",
     .check = check_mode,
     .help = "Its mode, octal; who has the right to write may connect."},
    {0}};

static const char *const peer_names_words[] = {"uid", "name", NULL};

static const char *check_mechanisms(const void *value)
{
    const struct mr_string_list *list = value;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], "PLAIN") != 0 && strcmp(list->items[i], "SCRAM-SHA-256") != 0 &&
            strcmp(list->items[i], "SCRAM-SHA-512") != 0 &&
            strcmp(list->items[i], "OAUTHBEARER") != 0 &&
            strcmp(list->items[i], "CLUSTER-KEY") != 0) {
            return "only SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, OAUTHBEARER and CLUSTER-KEY are "
                   "known";
        }
    }
    return NULL;
}

const struct mr_option config_listen_options[] = {
    {.name = "address",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_listen, address),
     .is_required = true,
     .example = "127.0.0.1:9092",
     .help =
         "HOST:PORT or unix:PATH to serve the Kafka protocol on. The port is 9092 unless written."},
    {.name = "advertise",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_listen, advertise),
     .help = "HOST:PORT that clients are told to connect to. The address itself unless written.",
     .example = "hub-1:9092"},
    {.name = "connections",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_listen, connections_max),
     .fallback = "20000",
     .min = 1,
     .max = 1000000,
     .help = "More connections than this are closed at once, and counted."},
    {.name = "connection_rate",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_listen, connection_rate_max),
     .fallback = "0",
     .max = 1000000,
     .help = "New connections a second; beyond it they wait until they are accepted. 0: as many as "
             "come."},
    {.name = "insecure",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_listen, is_insecure),
     .help = "Must be true for an address that is not loopback unless both TLS and authentication "
             "protect it, and for PLAIN or OAUTHBEARER without TLS."},
    {.name = "tls",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_listen, tls),
     .children = listen_tls_options,
     .help = "TLS on this listener. What is not written is taken from node.tls; Unix sockets have "
             "none."},
    {.name = "sasl",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_listen, sasl),
     .check = check_mechanisms,
     .example = "[SCRAM-SHA-512]",
     .help = "Clients must show who they are by one of these: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, "
             "OAUTHBEARER. Users are made with 'millrace users create'; tokens need "
             "authentication.oauth. CLUSTER-KEY is for other nodes and needs node.cluster_key."},
    {.name = "sasl_session",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_listen, sasl_session_ms),
     .fallback = "0",
     .help = "After this long clients must show it again (Kafka's connections.max.reauth.ms); 0: "
             "never."},
    {.name = "socket",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_listen, socket),
     .children = config_socket_options,
     .help =
         "Rights on the file of a Unix socket; it never has more, not for a moment. One that "
         "systemd has opened keeps those of its unit (SocketUser=, SocketGroup=, SocketMode=)."},
    {.name = "peer_names",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_listen, peer_names),
     .words = peer_names_words,
     .fallback = "uid",
     .help = "Who a process at the other end of a Unix socket is: 'uid' gives uid.1000, 'name' the "
             "login name of that user, or uid.1000 where it has none. "
             "authorization.peer_principals then applies."},
    {0}};

const struct mr_option config_admin_options[] = {
    {.name = "address",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_admin, address),
     .example = "127.0.0.1:9692",
     .help = "HOST:PORT of the admin API: /metrics and /health for all, the rest for who has a "
             "token ('millrace tokens create'). Only on the Unix socket in the data directory "
             "unless written."},
    {.name = "hosts",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_admin, hosts),
     .example = "[hub-1.example.com]",
     .help = "Names besides node.name and localhost by which clients may call this address without "
             "TLS. Others are refused, as a browser can be led here by any name."},
    {.name = "insecure",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_admin, is_insecure),
     .help = "Must be true for an address that is not loopback and has no TLS."},
    {.name = "tls",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_admin, tls),
     .children = listen_tls_options,
     .help = "TLS on this address. What is not written is taken from node.tls."},
    {0}};
