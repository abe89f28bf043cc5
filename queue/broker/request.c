/* One request from its frame to the last byte of its answer. Requests are kept for reuse with their
 * memory, so that a steady client costs no allocation. */
#include <inttypes.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/broker/broker_internal.h"

enum { WRITER_KEPT_SIZE = 64 * 1024 };

struct request *request_new(struct connection *connection, struct mr_buf *frame)
{
    struct broker *broker = connection->broker;
    struct mr_link *link = mr_list_pop(&broker->free_requests);
    struct request *request;

    if (link != NULL) {
        request = mr_container(link, struct request, link);
        broker->free_request_count -= 1;
    } else {
        request = mr_calloc(1, sizeof *request);
        if (request == NULL) {
            return NULL;
        }
        wire_arena_init(&request->arena, REQUEST_ARENA_SIZE_MAX);
        wire_writer_init(&request->writer);
    }
    request->broker = broker;
    request->connection = connection;
    request->frame = frame;
    request->state = REQUEST_HANDLING;
    request->has_response = true;
    request->started_us = mr_loop_now_us(broker->loop);
    request->api = NULL;
    request->body = NULL;
    request->audited = NULL;
    request->handler = NULL;
    request->cancel = NULL;
    request->release = NULL;
    request->charged_bytes = 0;
    broker->request_count += 1;
    return request;
}

static void count_time(const struct request *request)
{
    struct broker *broker = request->broker;
    struct mr_metric_set *set =
        request->api != NULL ? broker->api_metrics[request->api->key] : NULL;

    if (set != NULL) {
        set->values[API_TIME] += mr_loop_now_us(broker->loop) - request->started_us;
    }
}

void request_free(struct request *request)
{
    struct broker *broker = request->broker;

    quota_time_forget(request);
    if (request->release != NULL) {
        request->release(request);
        request->release = NULL;
    }
    frame_unref(broker, request->frame);
    request->frame = NULL;
    broker->memory_used_bytes -= (int64_t)request->charged_bytes;
    broker->request_count -= 1;
    if (broker->free_request_count < BROKER_REQUESTS_KEPT &&
        request->writer.bytes.capacity_bytes <= WRITER_KEPT_SIZE) {
        wire_arena_reset(&request->arena);
        wire_writer_clear(&request->writer);
        mr_list_append(&broker->free_requests, &request->link);
        broker->free_request_count += 1;
    } else {
        wire_arena_done(&request->arena);
        wire_writer_done(&request->writer);
        mr_free(request);
    }
    connection_wake_memory_waiters(broker);
    if (broker->is_closing) {
        mr_task_post(&broker->bury);
    }
}

void *request_alloc(struct request *request, size_t size_bytes)
{
    void *memory = wire_arena_alloc(&request->arena, size_bytes);

    if (memory != NULL) {
        memset(memory, 0, size_bytes);
    }
    return memory;
}

static void request_ready(struct request *request)
{
    mr_assert(request->state == REQUEST_HANDLING);
    request->cancel = NULL;
    request->state = REQUEST_READY;
    count_time(request);
    if (request->connection == NULL) {
        request_free(request);
    } else {
        connection_step(request->connection);
    }
}

/* KIP-219: what is answered now says how long nothing more is taken. The response itself, or a copy
 * that says so. */
static const void *tell_throttle(struct request *request, const void *response)
{
    const struct wire_struct *body = request->head.api->response->body;
    int32_t throttle_ms = quota_throttle_ms(request->connection);
    const struct wire_field *row = body->rows();
    char *copy;

    while (row->kind != WIRE_END && strcmp(row->name, "throttle_time_ms") != 0) {
        row++;
    }
    copy = throttle_ms > 0 && row->kind == WIRE_INT32 ? request_alloc(request, body->size_bytes)
                                                      : NULL;
    if (copy == NULL) {
        return response;
    }
    memcpy(copy, response, body->size_bytes);
    memcpy(copy + row->offset, &throttle_ms, sizeof throttle_ms);
    return copy;
}

void request_respond_at(struct request *request, int version, const void *response)
{
    int rc = 0;

    quota_time_end(request->broker, request);
    audit_end(request, response);
    if (request->connection != NULL) {
        if (request->connection->is_muted) {
            response = tell_throttle(request, response);
        }
        rc = wire_response_write(&request->writer, request->head.api, version,
                                 request->head.correlation_id, response);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_ready(request);
}

void request_respond(struct request *request, const void *response)
{
    request_respond_at(request, request->head.api_version, response);
}

void request_respond_token(struct request *request, const void *token, size_t size)
{
    wire_write_int32(&request->writer, (int32_t)size);
    wire_write(&request->writer, token, size);
    if (request->writer.failed != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    request_ready(request);
}

void request_end(struct request *request)
{
    quota_time_end(request->broker, request);
    request->has_response = false;
    request_ready(request);
}

void request_fail(struct request *request, int rc)
{
    struct connection *connection = request->connection;

    quota_time_forget(request);
    audit_end(request, NULL);
    mr_warn("request could not be answered: connection closed",
            KV_STR("api", request->head.api != NULL ? request->head.api->name : "?"),
            KV_STR("peer", connection != NULL ? mr_stream_peer(connection->stream) : "gone"),
            KV_ERR(rc));
    request->has_response = false;
    request->state = REQUEST_READY;
    request->cancel = NULL;
    if (connection != NULL) {
        connection_close(connection, NULL);
    } else {
        request_free(request);
    }
}

void request_count_error(struct request *request, int16_t code)
{
    struct broker *broker = request->broker;
    int place = code + 1;

    if (code == KAFKA_NONE || place < 0 || place >= BROKER_ERROR_CODES || broker->metrics == NULL) {
        return;
    }
    if (broker->error_metrics[place] == NULL) {
        static const struct mr_metric_def defs[] = {
            {"millrace_broker_errors_total", MR_COUNTER, "Errors answered to clients.", "error"}};
        const char *name = kafka_error_name(code);
        broker->error_metrics[place] = mr_metric_set_new(broker->metrics, defs, 1, &name, 1);
    }
    if (broker->error_metrics[place] != NULL) {
        broker->error_metrics[place]->values[0] += 1;
    }
}
