/* The admin API: its listeners, who may ask what, and the routes that every node has. */
#include "agent/admin/admin.h"

#include <stdio.h>
#include <string.h>

#include "agent/admin/process.h"
#include "agent/admin/token_routes.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/net/http_server.h"
#include "base/text/json.h"
#include "queue/queue.h"

enum { CHECKS_MAX = 32, SOCKET_MODE = 0660, CONNECTIONS_MAX = 64 };

struct admin_check {
    const char *name;
    admin_check_cb check;
    void *owner;
};

/* A route of JSON; the HTTP server's route points here. */
struct json_route {
    struct mr_link link;
    struct admin *admin;
    struct admin_route route;
};

struct admin {
    struct admin_config config;
    struct guard guard;
    struct tokens *tokens; /* NULL: none */
    struct mr_http_server *server;
    struct process_metrics process;
    struct admin_check checks[CHECKS_MAX];
    size_t check_count;
    struct mr_link routes; /* of json_route */
    uint16_t port;
    char caller[ADMIN_CALLER_SIZE]; /* of the request that is being handled */
};

static void on_denied(void *owner, struct mr_http_exchange *exchange, const char *caller,
                      const char *why)
{
    struct admin *admin = owner;
    char resource[128];

    (void)snprintf(resource, sizeof resource, "%s %.100s", mr_http_method(exchange),
                   mr_http_path(exchange));
    admin_audit(admin, exchange, caller, "AdminRequest", resource, why);
}

void admin_audit(struct admin *admin, struct mr_http_exchange *exchange, const char *caller,
                 const char *action, const char *resource, const char *outcome)
{
    if (admin->config.on_audit != NULL) {
        admin->config.on_audit(admin->config.owner, caller,
                               mr_stream_peer(mr_http_stream(exchange)), action, resource, outcome);
    }
}

/* ---- the routes that are always there ---- */

static void handle_metrics(struct mr_http_exchange *exchange, void *owner)
{
    struct admin *admin = owner;
    struct mr_bytes page;

    mr_bytes_init(&page);
    mr_metrics_render(admin->config.metrics, &page);
    mr_http_respond(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &page);
}

static void respond_json(struct mr_http_exchange *exchange, int status, struct mr_bytes *body)
{
    mr_bytes_text(body, "\n");
    mr_http_respond(exchange, status, "application/json", body);
}

static bool write_check(const struct admin_check *check, struct mr_json *json)
{
    char text[256] = "";
    bool is_well = check->check(check->owner, text, sizeof text);

    mr_json_open_object(json);
    mr_json_key(json, "name");
    mr_json_text(json, check->name);
    mr_json_key(json, "ok");
    mr_json_bool(json, is_well);
    if (text[0] != '\0') {
        mr_json_key(json, "text");
        mr_json_text(json, text);
    }
    mr_json_close_object(json);
    return is_well;
}

static void handle_health(struct mr_http_exchange *exchange, void *owner)
{
    struct admin *admin = owner;
    struct mr_bytes body;
    struct mr_json json;
    bool is_well = true;

    mr_bytes_init(&body);
    mr_json_init(&json, &body);
    mr_json_open_object(&json);
    mr_json_key(&json, "checks");
    mr_json_open_array(&json);
    for (size_t i = 0; i < admin->check_count; i++) {
        is_well = write_check(&admin->checks[i], &json) && is_well;
    }
    mr_json_close_array(&json);
    mr_json_key(&json, "status");
    mr_json_text(&json, is_well ? "ok" : "failing");
    mr_json_key(&json, "version");
    mr_json_text(&json, MR_VERSION);
    mr_json_close_object(&json);
    respond_json(exchange, is_well ? 200 : 503, &body);
}

static void handle_ready(struct mr_http_exchange *exchange, void *owner)
{
    const struct admin *admin = owner;
    bool is_ready = admin->config.is_ready == NULL || admin->config.is_ready(admin->config.owner);

    mr_http_respond_text(exchange, is_ready ? 200 : 503, is_ready ? "ready" : "not ready");
}

static void write_route(void *owner, const struct mr_http_route *route)
{
    static const char *const wants[] = {" (local socket, or a token of role admin)",
                                        " (local socket, or a token)", ""};

    mr_bytes_printf(owner, "%-6s %-32s %s%s\n", route->method, route->path,
                    route->help != NULL ? route->help : "", wants[route->auth]);
}

static void handle_list(struct mr_http_exchange *exchange, void *owner)
{
    const struct admin *admin = owner;
    struct mr_bytes page;

    mr_bytes_init(&page);
    mr_http_server_each_route(admin->server, write_route, &page);
    mr_http_respond(exchange, 200, "text/plain; charset=utf-8", &page);
}

static const struct mr_http_route builtin_routes[] = {
    {.method = "GET",
     .path = "/",
     .auth = ADMIN_FOR_ALL,
     .handler = handle_list,
     .help = "This list."},
    {.method = "GET",
     .path = "/metrics",
     .auth = ADMIN_FOR_ALL,
     .handler = handle_metrics,
     .help = "All metrics, as Prometheus reads them."},
    {.method = "GET",
     .path = "/health",
     .auth = ADMIN_FOR_ALL,
     .handler = handle_health,
     .help = "Whether all parts are well: 200 or 503, and what each one says."},
    {.method = "GET",
     .path = "/ready",
     .auth = ADMIN_FOR_ALL,
     .handler = handle_ready,
     .help = "Whether the node has started and is not being stopped: 200 or 503."},
    {0},
};

/* ---- routes and checks of others ---- */

static int status_of(int code)
{
    switch (code) {
    case MR_EINVAL:
    case MR_ERANGE:
    case MR_ETOOLARGE:
    case MR_EPROTOCOL:
        return 400;
    case MR_EAUTH:
    case MR_EACCES:
        return 403;
    case MR_ENOENT:
        return 404;
    case MR_EBUSY:
    case MR_EEXIST:
        return 409;
    case MR_EUNSUPPORTED:
        return 501;
    case MR_EAGAIN:
    case MR_EFULL:
    case MR_ENOMEM:
    case MR_ETIMEDOUT:
        return 503;
    default:
        return 500;
    }
}

static void handle_json(struct mr_http_exchange *exchange, void *owner)
{
    const struct json_route *json_route = owner;
    struct admin *admin = json_route->admin;
    struct mr_error error = {0};
    struct mr_bytes body;
    struct mr_json json;
    int rc;

    if (!guard_admits(&admin->guard, exchange, json_route->route.access, admin->caller)) {
        return;
    }
    mr_bytes_init(&body);
    mr_json_init(&json, &body);
    rc = json_route->route.handler(json_route->route.owner, exchange, &json, &error);
    if (rc != 0) {
        mr_bytes_clear(&body);
        mr_json_init(&json, &body);
        mr_json_open_object(&json);
        mr_json_key(&json, "error");
        mr_json_text(&json, error.code != 0 ? error.text : mr_code_text(rc));
        mr_json_close_object(&json);
    }
    respond_json(exchange, rc == 0 ? 200 : status_of(rc), &body);
}

int admin_add_route(struct admin *admin, const struct admin_route *route)
{
    struct json_route *json_route = mr_calloc(1, sizeof *json_route);
    struct mr_http_route http = {
        .method = route->method,
        .path = route->path,
        .handler = handle_json,
        .owner = json_route,
        .auth = (int)route->access,
        .body_size_bytes_max = (int64_t)route->body_size_bytes_max,
        .help = route->help,
    };
    int rc;

    if (json_route == NULL) {
        return MR_ENOMEM;
    }
    json_route->admin = admin;
    json_route->route = *route;
    rc = mr_http_server_add(admin->server, &http);
    if (rc != 0) {
        mr_free(json_route);
        return rc;
    }
    mr_list_append(&admin->routes, &json_route->link);
    return 0;
}

int admin_add_check(struct admin *admin, const char *name, admin_check_cb check, void *owner)
{
    if (admin->check_count == CHECKS_MAX) {
        return MR_EFULL;
    }
    admin->checks[admin->check_count++] = (struct admin_check){name, check, owner};
    return 0;
}

/* ---- opening and closing ---- */

static int listen_local(struct admin *admin, struct mr_error *error)
{
    const struct queue_socket_rights *rights = admin->config.socket_rights;
    struct mr_listen_options options = {.unix_mode = SOCKET_MODE};
    struct mr_address address;
    char text[MR_ADDRESS_TEXT_SIZE];
    int rc;

    (void)snprintf(text, sizeof text, "unix:%s", admin->config.socket_path);
    rc = mr_address_parse(text, 0, &address, error);
    if (rc != 0) {
        return rc;
    }
    if (rights != NULL) {
        options.unix_mode = rights->mode;
        options.has_unix_owner = rights->has_owner;
        options.has_unix_group = rights->has_group;
        options.unix_owner = rights->owner;
        options.unix_group = rights->group;
    }
    return mr_http_server_listen(admin->server, &address, &options, NULL, error);
}

static int listen_tcp(struct admin *admin, struct mr_error *error)
{
    struct mr_listen_options options = {.tls = admin->config.tls};
    struct mr_address address;
    int rc = mr_address_parse(admin->config.address, 0, &address, error);

    if (rc != 0) {
        return rc;
    }
    if (!mr_address_is_loopback(&address) && !admin->config.is_insecure) {
        return mr_fail_text(error, MR_ECONFIG,
                            "%s is not a loopback address: others could read the node's metrics; "
                            "write insecure: true if that is meant",
                            admin->config.address);
    }
    return mr_http_server_listen(admin->server, &address, &options, &admin->port, error);
}

static int open_guard(struct admin *admin, struct mr_error *error)
{
    const struct admin_config *config = &admin->config;
    int rc = 0;

    if (config->directory != NULL) {
        rc = tokens_open(config->disk, config->random, config->loop, config->directory,
                         &admin->tokens, error);
    }
    admin->guard = (struct guard){
        .loop = config->loop,
        .tokens = admin->tokens,
        .is_tls = config->tls != NULL,
        .hosts = config->hosts,
        .host_count = config->host_count,
        .on_denied = on_denied,
        .owner = admin,
    };
    guard_init(&admin->guard, config->metrics);
    if (rc == 0 && admin->tokens != NULL) {
        rc = token_routes_add(admin);
        rc = rc != 0 ? mr_fail(error, rc, "admin") : 0;
    }
    return rc;
}

struct tokens *admin_tokens(const struct admin *admin)
{
    return admin->tokens;
}

const char *admin_caller(const struct admin *admin)
{
    return admin->caller;
}

int admin_open(const struct admin_config *config, struct admin **ret_admin, struct mr_error *error)
{
    struct mr_http_config http = {
        .loop = config->loop,
        .net = config->net,
        .metrics = config->metrics,
        .name = "admin",
        .connections_max = CONNECTIONS_MAX,
    };
    struct admin *admin = mr_calloc(1, sizeof *admin);
    int rc;

    if (admin == NULL) {
        return mr_fail(error, MR_ENOMEM, "admin");
    }
    admin->config = *config;
    mr_list_init(&admin->routes);
    http.owner = admin;
    rc = mr_http_server_new(&http, builtin_routes, &admin->server);
    if (rc != 0) {
        mr_free(admin);
        return mr_fail(error, rc, "admin");
    }
    process_metrics_init(&admin->process, config->metrics, config->loop);
    rc = open_guard(admin, error);
    if (rc != 0) {
        admin_close(admin);
        return rc;
    }
    if (config->socket_path != NULL) {
        rc = listen_local(admin, error);
    }
    if (rc == 0 && config->address != NULL) {
        rc = listen_tcp(admin, error);
    }
    if (rc != 0) {
        mr_error_context(error, "admin");
        admin_close(admin);
        return rc;
    }
    admin->config.socket_path = NULL; /* the caller's strings end here */
    admin->config.address = NULL;
    admin->config.directory = NULL;
    *ret_admin = admin;
    return 0;
}

unsigned admin_port(const struct admin *admin)
{
    return admin->port;
}

void admin_close(struct admin *admin)
{
    struct mr_link *link;

    if (admin == NULL) {
        return;
    }
    mr_http_server_free(admin->server);
    while ((link = mr_list_pop(&admin->routes)) != NULL) {
        mr_free(mr_container(link, struct json_route, link));
    }
    process_metrics_done(&admin->process);
    guard_done(&admin->guard);
    tokens_close(admin->tokens);
    mr_free(admin);
}
