/* What stands before every body. A request header is version 2 where the request is flexible, else
 * 1; a response header is 1 where the response is flexible, else 0, and always 0 for ApiVersions
 * (KIP-511), so that a client can read an answer to a version that the broker did not know. */
#if !defined(QUEUE_WIRE_HEADER_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_HEADER_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* RequestHeader */
STRUCT(request_header)
    INT16(request_api_key, 0, LAST)
    INT16(request_api_version, 0, LAST)
    INT32(correlation_id, 0, LAST)
    CLASSIC_STRING(client_id, 1, LAST, NULLABLE(1))
END_STRUCT(request_header)

MESSAGE(request_header, 1, 2, 2)

/* ResponseHeader */
STRUCT(response_header)
    INT32(correlation_id, 0, LAST)
END_STRUCT(response_header)

MESSAGE(response_header, 0, 1, 1)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
