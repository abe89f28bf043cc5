/* The tables of who somebody is (authentication) and what he may do (authorization). */
#include <stddef.h>
#include <string.h>

#include "agent/config/config.h"
#include "agent/config/options_internal.h"

static const struct mr_option oauth_options[] = {
    {.name = "keys",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, keys),
     .example = "https://id.example/.well-known/jwks.json",
     .help =
         "A file or URL with the keys that tokens are signed with, as a JSON Web Key Set. Read "
         "again every 'refresh', and when a token names a key that is not known. A URL is https, "
         "or on a loopback address."},
    {.name = "ca",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, ca),
     .help = "PEM file of the authorities that are trusted for that URL; the system's unless "
             "written."},
    {.name = "refresh",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_oauth, refresh_ms),
     .fallback = "1h",
     .min = 100,
     .help = "How often the keys are read again."},
    {.name = "issuer",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, issuer),
     .example = "https://id.example/",
     .help = "Tokens must be from this issuer (claim iss)."},
    {.name = "audience",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_oauth, audiences),
     .example = "[millrace]",
     .help =
         "Tokens must be for one of these (claim aud). Unless written, only tokens that are for "
         "nobody in particular are taken."},
    {.name = "subject_claim",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, subject_claim),
     .fallback = "sub",
     .help = "The claim whose text is the user's name (Kafka's sasl.oauthbearer.sub.claim.name)."},
    {.name = "scope_claim",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, scope_claim),
     .fallback = "scope",
     .help = "The claim with the scopes, a text with blanks or a list (Kafka's "
             "sasl.oauthbearer.scope.claim.name)."},
    {.name = "scopes",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_oauth, scopes),
     .example = "[kafka]",
     .help = "Scopes that a token must have, all of them. None unless written."},
    {.name = "clock_skew",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_oauth, skew_ms),
     .fallback = "30s",
     .max = 3600000,
     .help = "How far the issuer's clock and this node's may differ."},
    {0}};

const struct mr_option config_authentication_options[] = {
    {.name = "oauth",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_authentication, oauth),
     .children = oauth_options,
     .help =
         "Tokens of OAUTHBEARER: signed by RSA (RS256 to PS512), elliptic curves (ES256 to ES512) "
         "or EdDSA, never by a shared secret."},
    {0}};

static const char *const enforce_words[] = {"auto", "always", "never", NULL};

static const char *check_certificate_names(const void *value)
{
    static const char *const words[] = {"subject", "uri", "dns", "email"};
    const struct mr_string_list *list = value;

    for (size_t i = 0; i < list->count; i++) {
        bool is_known = false;
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++) {
            is_known = is_known || strcmp(list->items[i], words[j]) == 0;
        }
        if (!is_known) {
            return "only subject, uri, dns and email are known";
        }
    }
    return list->count > 0 ? NULL : "at least one of subject, uri, dns and email is wanted";
}

const struct mr_option config_authorization_options[] = {
    {.name = "super_users",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, super_users),
     .example = "[admin, \"CN=ops\"]",
     .help = "Who may do everything. The node's own socket may in any case."},
    {.name = "enforce",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_authorization, enforce),
     .words = enforce_words,
     .fallback = "auto",
     .help = "Whether access control lists decide: 'auto' as soon as any listener asks who its "
             "clients are; 'never' lets everybody who is known do everything."},
    {.name = "allow_without_acl",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_authorization, allows_without_acl),
     .help = "Whether that which no binding mentions is open to all (Kafka's "
             "allow.everyone.if.no.acl.found)."},
    {.name = "principals",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, principals),
     .example = "['RULE:^CN=([^,]+).*$/$1/L', DEFAULT]",
     .help = "How the subject of a certificate becomes a name, as Kafka's "
             "ssl.principal.mapping.rules. DEFAULT, the whole subject, unless written."},
    {.name = "certificate_name",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, certificate_names),
     .check = check_certificate_names,
     .fallback = "subject",
     .example = "[uri, dns, subject]",
     .help = "What of a certificate is the name that 'principals' begins with: its subject, or the "
             "first alternative name of a kind (uri, for SPIFFE; dns; email). The first that the "
             "certificate has."},
    {.name = "peer_principals",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, peer_principals),
     .example = "['RULE:^uid\\\\.0$/root/', 'RULE:^(.*)$/local-$1/']",
     .help = "How the name of a process at a Unix socket (listen[].peer_names) becomes a "
             "principal, by the same rules as 'principals'. The name as it is unless written; who "
             "no rule matches is refused."},
    {.name = "nodes",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, nodes),
     .example = "['CN=edge-*,O=example']",
     .help =
         "Users that are other nodes; * stands for any text. They may forward: write, create and "
         "describe all topics but internal ones, without a binding. Nodes that know "
         "node.cluster_key may in any case."},
    {0}};
