/* The admin API over real sockets: the built-in routes, checks, routes of others and their errors,
 * and what is answered to whom. */
#include "agent/admin/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/http_server.h"
#include "base/text/json.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"

struct admin_fixture {
    struct net_fixture *net;
    struct admin *admin;
    char socket_path[128];
    bool is_ready;
    bool is_well;
};

static bool ask_ready(void *owner)
{
    return ((struct admin_fixture *)owner)->is_ready;
}

static bool check_disk(void *owner, char *text, size_t size)
{
    struct admin_fixture *f = owner;

    if (!f->is_well) {
        (void)snprintf(text, size, "the disk is \"full\"");
    }
    return f->is_well;
}

static int handle_file(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                       struct mr_error *error)
{
    (void)owner;
    mr_json_open_object(json);
    mr_json_key(json, "id");
    mr_json_text(json, mr_http_param(exchange, 0));
    if (strcmp(mr_http_param(exchange, 0), "none") == 0) {
        return mr_fail(error, MR_ENOENT, "file 'none'"); /* in the middle of writing */
    }
    mr_json_close_object(json);
    return 0;
}

static struct admin_fixture *fixture_new(void)
{
    struct admin_fixture *f = mr_calloc(1, sizeof *f);
    struct admin_config config = {.address = "127.0.0.1:0", .is_ready = ask_ready, .owner = f};
    struct admin_route route = {
        .method = "GET", .path = "/files/{id}", .handler = handle_file, .help = "One file."};
    struct mr_error error = {0};

    f->net = net_fixture_new();
    f->is_well = true;
    (void)snprintf(f->socket_path, sizeof f->socket_path, "%s/admin", f->net->directory);
    config.loop = f->net->loop;
    config.net = f->net->net;
    config.metrics = f->net->metrics;
    config.socket_path = f->socket_path;
    CHECK_OK(admin_open(&config, &f->admin, &error), &error);
    CHECK_EQ(admin_add_check(f->admin, "disk", check_disk, f), 0);
    CHECK_EQ(admin_add_route(f->admin, &route), 0);
    CHECK_EQ(admin_add_route(f->admin, &route), MR_EEXIST);
    return f;
}

static void fixture_free(struct admin_fixture *f)
{
    admin_close(f->admin);
    net_fixture_free(f->net);
    mr_free(f);
}

/* The whole answer to one request, over a connection of its own. */
static const char *ask(struct admin_fixture *f, bool is_local, const char *method_and_path)
{
    static char answer[32768]; /* one thread */
    char request[256];
    struct mr_stream_piece piece = {0};
    int calls = f->net->connect_calls;

    if (is_local) {
        (void)snprintf(request, sizeof request, "unix:%s", f->socket_path);
    } else {
        (void)snprintf(request, sizeof request, "127.0.0.1:%u", admin_port(f->admin));
    }
    CHECK_EQ(mr_address_parse(request, 0, &f->net->address, NULL), 0);
    net_fixture_dial(f->net, NULL);
    CHECK(NET_UNTIL(f->net, f->net->connect_calls > calls));
    CHECK_EQ(f->net->connect_rc, 0);
    (void)snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                   method_and_path);
    piece.slice = (struct mr_slice){.data = (uint8_t *)request, .size_bytes = strlen(request)};
    CHECK_EQ(mr_stream_send(f->net->client.stream, &piece), 0);
    CHECK(NET_UNTIL(f->net, f->net->client.ended != 0));
    CHECK(f->net->client.got.size_bytes < sizeof answer);
    memcpy(answer, f->net->client.got.data, f->net->client.got.size_bytes);
    answer[f->net->client.got.size_bytes] = '\0';
    net_end_close(&f->net->client, false);
    return answer;
}

TEST(admin, shows_metrics_and_routes)
{
    struct admin_fixture *f = fixture_new();

    CHECK_HAS(ask(f, false, "GET /metrics"), "text/plain; version=0.0.4");
    CHECK_HAS(ask(f, false, "GET /metrics"), "\nmillrace_process_resident_bytes ");
    CHECK_HAS(ask(f, false, "GET /metrics"), "\nmillrace_net_accepted_total ");
    CHECK_HAS(ask(f, false, "GET /metrics"), "millrace_http_requests_total{server=\"admin\"} ");
    CHECK_HAS(ask(f, false, "GET /metrics"), "millrace_build_info{version=\"" MR_VERSION "\"");
    CHECK_HAS(ask(f, true, "GET /"), "GET    /files/{id}");
    CHECK_HAS(ask(f, true, "GET /nope"), "404 ");
    fixture_free(f);
}

TEST(admin, tells_health_and_readiness)
{
    struct admin_fixture *f = fixture_new();
    const char *text = ask(f, false, "GET /health");

    CHECK_HAS(text, "200 OK");
    CHECK_HAS(text, "{\"checks\":[{\"name\":\"disk\",\"ok\":true}],\"status\":\"ok\"");
    f->is_well = false;
    text = ask(f, false, "GET /health");
    CHECK_HAS(text, "503 ");
    CHECK_HAS(text, "\"ok\":false,\"text\":\"the disk is \\\"full\\\"\"");
    CHECK_HAS(text, "\"status\":\"failing\"");
    CHECK_HAS(ask(f, true, "GET /ready"), "503 ");
    f->is_ready = true;
    CHECK_HAS(ask(f, true, "GET /ready"), "200 ");
    fixture_free(f);
}

/* Without tokens nobody has one. */
TEST(admin, answers_routes_of_others_locally_only)
{
    struct admin_fixture *f = fixture_new();

    CHECK_HAS(ask(f, true, "GET /files/7"), "\r\n\r\n{\"id\":\"7\"}\n");
    CHECK_HAS(ask(f, true, "GET /files/none"), "404 ");
    CHECK_HAS(ask(f, true, "GET /files/none"), "\r\n\r\n{\"error\":\"file 'none': ");
    CHECK_HAS(ask(f, false, "GET /files/7"), "421 "); /* "x" is no name of this node */
    CHECK_HAS(ask(f, false, "GET /"), "(local socket, or a token of role admin)");
    fixture_free(f);
}

TEST(admin, refuses_to_be_open_by_accident)
{
    struct net_fixture *f = net_fixture_new();
    struct admin_config config = {
        .loop = f->loop, .net = f->net, .metrics = f->metrics, .address = "0.0.0.0:0"};
    struct mr_error error = {0};
    struct admin *admin = NULL;

    CHECK_EQ(admin_open(&config, &admin, &error), MR_ECONFIG);
    CHECK_HAS(error.text, "insecure: true");
    config.is_insecure = true;
    CHECK_OK(admin_open(&config, &admin, &error), &error);
    admin_close(admin);
    net_fixture_free(f);
}
