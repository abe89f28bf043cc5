/* Routes and listeners of an HTTP server. */
#include "base/net/http_server.h"

#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/net/http_internal.h"

enum {
    CONNECTIONS_MAX = 256,
    HEADER_SIZE_MAX = 16 * 1024,
    HEADER_TIMEOUT_MS = 10 * 1000,
    IDLE_TIMEOUT_MS = 60 * 1000,
    STALL_TIMEOUT_MS = 20 * 1000,
};

static const struct mr_metric_def http_metrics[HTTP_METRIC_COUNT] = {
    [HTTP_CONNECTIONS] = {"millrace_http_connections_total", MR_COUNTER,
                          "Connections to an HTTP server.", "server"},
    [HTTP_REQUESTS] = {"millrace_http_requests_total", MR_COUNTER,
                       "Requests that reached a handler.", "server"},
    [HTTP_REFUSED] = {"millrace_http_refused_total", MR_COUNTER,
                      "Requests answered with 4xx by the server itself.", "server"},
    [HTTP_FAILURES] = {"millrace_http_failures_total", MR_COUNTER,
                       "Connections that broke during a request or response.", "server"},
    [HTTP_TIMEOUTS] = {"millrace_http_timeouts_total", MR_COUNTER,
                       "Connections closed because the client was too slow.", "server"},
};

void http_server_count(struct mr_http_server *server, enum http_metric metric)
{
    if (server->metrics != NULL) {
        server->metrics->values[metric]++;
    }
}

/* ---- routes ---- */

/* Whether the path has the pattern's shape; then *ret_params are where its variable parts begin. */
static bool has_shape(const char *pattern, const char *path, size_t params[HTTP_PARAMS_MAX],
                      size_t sizes[HTTP_PARAMS_MAX], int *ret_count)
{
    const char *at = path;
    int count = 0;

    while (*pattern != '\0') {
        bool is_rest = strcmp(pattern, "*") == 0;

        if (!is_rest && *pattern != '{') {
            if (*at++ != *pattern++) {
                return false;
            }
            continue;
        }
        params[count] = (size_t)(at - path);
        sizes[count] = is_rest ? strlen(at) : strcspn(at, "/");
        if (sizes[count] == 0 && !is_rest) {
            return false;
        }
        at += sizes[count++];
        pattern += strcspn(pattern, "}*") + 1;
    }
    *ret_count = count;
    return *at == '\0';
}

/* Copies the variable parts behind the head's text, where they may be decoded in place. */
static int take_params(struct http_request *request, const size_t params[HTTP_PARAMS_MAX],
                       const size_t sizes[HTTP_PARAMS_MAX], int count)
{
    size_t begin = request->text.size_bytes;
    size_t query = request->query != NULL ? (size_t)(request->query - request->path) : 0;
    size_t total = 0;

    for (int i = 0; i < count; i++) {
        total += sizes[i] + 1;
    }
    if (mr_bytes_reserve(&request->text, total) != 0) {
        return MR_ENOMEM;
    }
    request->path = (char *)request->text.data; /* it may have moved */
    request->query = query != 0 ? request->path + query : NULL;
    for (int i = 0; i < count; i++) {
        request->params[i] = (char *)request->text.data + begin;
        memcpy(request->params[i], request->path + params[i], sizes[i]);
        request->params[i][sizes[i]] = '\0';
        begin += sizes[i] + 1;
        if (!http_decode(request->params[i], false)) {
            return MR_EINVAL;
        }
    }
    request->text.size_bytes = begin;
    request->param_count = count;
    return 0;
}

static bool answers(const struct mr_http_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void add_allowed(struct http_match *match, const char *method)
{
    size_t used = strlen(match->allow);

    if (strstr(match->allow, method) == NULL) {
        (void)snprintf(match->allow + used, sizeof match->allow - used, "%s%s",
                       used > 0 ? ", " : "", strcmp(method, "GET") == 0 ? "GET, HEAD" : method);
    }
}

struct http_match http_server_match(const struct mr_http_server *server, const char *method,
                                    struct http_request *request)
{
    struct http_match match = {.status = 404};
    size_t params[HTTP_PARAMS_MAX];
    size_t sizes[HTTP_PARAMS_MAX];
    int count = 0;

    for (size_t i = 0; i < server->route_count; i++) {
        const struct mr_http_route *route = &server->routes[i];
        int rc;

        if (!has_shape(route->path, request->path, params, sizes, &count)) {
            continue;
        }
        if (!answers(route, method)) {
            match.status = 405;
            add_allowed(&match, route->method);
            continue;
        }
        rc = take_params(request, params, sizes, count);
        if (rc != 0) {
            match.status = rc == MR_EINVAL ? 400 : 503;
            return match;
        }
        match.route = route;
        return match;
    }
    return match;
}

int mr_http_server_add(struct mr_http_server *server, const struct mr_http_route *route)
{
    int params = 0;
    int rc;

    mr_assert(route->path[0] == '/');
    mr_assert(route->handler != NULL);
    for (const char *at = route->path; *at != '\0'; at++) {
        params += *at == '{' || *at == '*';
    }
    mr_assert(params <= HTTP_PARAMS_MAX);
    for (size_t i = 0; i < server->route_count; i++) {
        if (strcmp(server->routes[i].path, route->path) == 0 &&
            strcmp(server->routes[i].method, route->method) == 0) {
            return MR_EEXIST;
        }
    }
    rc = mr_grow(&server->routes, &server->route_capacity, server->route_count + 1,
                 sizeof *server->routes);
    if (rc != 0) {
        return rc;
    }
    server->routes[server->route_count++] = *route;
    return 0;
}

void mr_http_server_each_route(const struct mr_http_server *server,
                               void (*cb)(void *owner, const struct mr_http_route *route),
                               void *owner)
{
    for (size_t i = 0; i < server->route_count; i++) {
        cb(owner, &server->routes[i]);
    }
}

/* ---- opening and closing ---- */

static void fill_defaults(struct mr_http_config *config)
{
    config->connections_max =
        config->connections_max > 0 ? config->connections_max : CONNECTIONS_MAX;
    if (config->header_size_bytes_max <= 0) {
        config->header_size_bytes_max = HEADER_SIZE_MAX;
    }
    if (config->header_timeout_ms <= 0) {
        config->header_timeout_ms = HEADER_TIMEOUT_MS;
    }
    if (config->idle_timeout_ms <= 0) {
        config->idle_timeout_ms = IDLE_TIMEOUT_MS;
    }
    if (config->stall_timeout_ms <= 0) {
        config->stall_timeout_ms = STALL_TIMEOUT_MS;
    }
}

int mr_http_server_new(const struct mr_http_config *config, const struct mr_http_route *routes,
                       struct mr_http_server **ret_server)
{
    struct mr_http_server *server = mr_calloc(1, sizeof *server);

    if (server == NULL) {
        return MR_ENOMEM;
    }
    server->config = *config;
    fill_defaults(&server->config);
    mr_list_init(&server->connections);
    for (; routes != NULL && routes->method != NULL; routes++) {
        int rc = mr_http_server_add(server, routes);

        if (rc != 0) {
            mr_http_server_free(server);
            return rc;
        }
    }
    if (config->metrics != NULL) {
        const char *name = config->name != NULL ? config->name : "http";

        server->metrics =
            mr_metric_set_new(config->metrics, http_metrics, HTTP_METRIC_COUNT, &name, 1);
    }
    *ret_server = server;
    return 0;
}

int mr_http_server_take(struct mr_http_server *server, struct mr_stream *stream)
{
    int rc = http_connection_new(server, stream);

    if (rc != 0) {
        mr_stream_close(stream, true);
        return rc;
    }
    http_server_count(server, HTTP_CONNECTIONS);
    return 0;
}

static void on_accepted(struct mr_listener *listener, void *owner, struct mr_stream *stream)
{
    (void)listener;
    (void)mr_http_server_take(owner, stream); /* without memory: the client sees a reset */
}

int mr_http_server_listen(struct mr_http_server *server, const struct mr_address *address,
                          const struct mr_listen_options *options, uint16_t *ret_port,
                          struct mr_error *error)
{
    struct mr_listen_options filled = *options;
    struct mr_listener *listener = NULL;
    int rc;

    if (server->listener_count == HTTP_LISTENERS_MAX) {
        return mr_fail(error, MR_EFULL, "listeners of one HTTP server");
    }
    filled.connections_max = server->config.connections_max;
    rc = mr_net_listen(server->config.net, address, &filled, on_accepted, server, &listener, error);
    if (rc != 0) {
        return rc;
    }
    server->listeners[server->listener_count++] = listener;
    if (ret_port != NULL) {
        *ret_port = mr_listener_port(listener);
    }
    return 0;
}

void mr_http_server_free(struct mr_http_server *server)
{
    if (server == NULL) {
        return;
    }
    for (int i = 0; i < server->listener_count; i++) {
        mr_listener_close(server->listeners[i]);
    }
    while (!mr_list_is_empty(&server->connections)) {
        http_connection_close(mr_container(server->connections.next, struct mr_http_exchange, link),
                              false);
    }
    mr_metric_set_free(server->metrics);
    mr_free(server->routes);
    mr_free(server);
}
