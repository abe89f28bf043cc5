/* ApiVersions: what the dispatch table serves, told in the version that the client speaks
 * (KIP-511). */
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/cluster.h"

/* Kafka's rule for names and versions of client software (KIP-511). */
static bool is_software_word(struct wire_string word)
{
    if (word.size <= 0) {
        return false;
    }
    for (int32_t i = 0; i < word.size; i++) {
        char c = word.data[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool is_edge = i == 0 || i == word.size - 1;
        if (!is_alnum && (is_edge || (c != '-' && c != '.'))) {
            return false;
        }
    }
    return true;
}

void api_versions(struct request *request)
{
    const struct api_versions_request *body = request->body;
    struct api_versions_response response;
    const struct api_entry *entry;
    size_t count = 0;

    api_versions_response_init(&response);
    while (api_entry_at(count) != NULL) {
        count += 1;
    }
    if (api_versions_response_api_key_array_make(&request->arena, &response.api_keys,
                                                 (int32_t)count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    if (request->head.api_version >= 3 && (!is_software_word(body->client_software_name) ||
                                           !is_software_word(body->client_software_version))) {
        response.error_code = KAFKA_INVALID_REQUEST;
        response.api_keys.count = 0;
        request_count_error(request, response.error_code);
        request_respond(request, &response);
        return;
    }
    for (size_t i = 0; (entry = api_entry_at(i)) != NULL; i++) {
        const struct wire_api *api = wire_api_find(entry->key);
        response.api_keys.items[i].api_key = entry->key;
        response.api_keys.items[i].min_version = wire_api_version_min_shown(api);
        response.api_keys.items[i].max_version = api->request->version_max;
    }
    request_respond(request, &response);
}
