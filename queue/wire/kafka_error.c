#include "queue/wire/kafka_error.h"

#include "base/core/error.h"

enum error_class { FINAL, RETRY, REFRESH };

struct error_row {
    const char *name;
    enum error_class class;
};

static const struct error_row *find(int code)
{
    /* -1 (UNKNOWN_SERVER_ERROR) is the lowest. */
    static const struct error_row rows[] = {
#define X(code, name, class) [(code) + 1] = {#name, class},
        KAFKA_ERRORS(X)
#undef X
    };

    if (code < -1 || code >= (int)(sizeof rows / sizeof rows[0]) - 1 ||
        rows[code + 1].name == NULL) {
        return NULL;
    }
    return &rows[code + 1];
}

const char *kafka_error_name(int code)
{
    const struct error_row *row = find(code);

    return row == NULL ? "UNKNOWN" : row->name;
}

bool kafka_error_is_retriable(int code)
{
    const struct error_row *row = find(code);

    return row != NULL && row->class != FINAL;
}

bool kafka_error_wants_metadata(int code)
{
    const struct error_row *row = find(code);

    return row != NULL && row->class == REFRESH;
}

int16_t kafka_error_of(int mr_code)
{
    switch ((enum mr_code)mr_code) {
    case MR_OK:
    case MR_EDUPLICATE: /* acknowledged, with the original offsets */
        return KAFKA_NONE;
    case MR_ECORRUPT:
    case MR_ETRUNCATED:
        return KAFKA_CORRUPT_MESSAGE;
    case MR_ENOENT:
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    case MR_EEXIST:
        return KAFKA_TOPIC_ALREADY_EXISTS;
    case MR_EINVAL:
    case MR_EPROTOCOL:
        return KAFKA_INVALID_REQUEST;
    case MR_ECONFIG:
        return KAFKA_INVALID_CONFIG;
    case MR_EUNSUPPORTED:
        return KAFKA_UNSUPPORTED_VERSION;
    case MR_ETOOLARGE:
        return KAFKA_MESSAGE_TOO_LARGE;
    case MR_ERANGE:
        return KAFKA_OFFSET_OUT_OF_RANGE;
    case MR_EIO:
    case MR_ENOSPC:
    case MR_EFULL: /* disk.limit: the client waits and tries again, as with a full disk */
        return KAFKA_KAFKA_STORAGE_ERROR;
    case MR_EAGAIN:
    case MR_EBUSY:
    case MR_ENOMEM:
    case MR_ETIMEDOUT:
        return KAFKA_REQUEST_TIMED_OUT; /* retriable, and makes no claim about the outcome */
    case MR_ECANCELED:                  /* the partition was closed or moved under the request */
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    case MR_EACCES:
    case MR_EAUTH:
        return KAFKA_CLUSTER_AUTHORIZATION_FAILED;
    case MR_ESEQUENCE:
        return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    case MR_EFENCED:
        return KAFKA_INVALID_PRODUCER_EPOCH;
    case MR_ENETWORK:
    case MR_EOF:
        return KAFKA_NETWORK_EXCEPTION;
    case MR_EINTERNAL:
    case MR_CODE_END:
        break;
    }
    return KAFKA_UNKNOWN_SERVER_ERROR;
}

int kafka_error_to_code(int code)
{
    switch (code) {
    case KAFKA_NONE:
        return 0;
    case KAFKA_DUPLICATE_SEQUENCE_NUMBER:
        return MR_EDUPLICATE;
    case KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case KAFKA_UNKNOWN_PRODUCER_ID:
        return MR_ESEQUENCE;
    case KAFKA_INVALID_PRODUCER_EPOCH:
    case KAFKA_PRODUCER_FENCED:
    case KAFKA_FENCED_LEADER_EPOCH:
    case KAFKA_FENCED_MEMBER_EPOCH:
    case KAFKA_FENCED_INSTANCE_ID:
        return MR_EFENCED;
    case KAFKA_CORRUPT_MESSAGE:
    case KAFKA_INVALID_RECORD:
        return MR_ECORRUPT;
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
        return MR_ETOOLARGE;
    case KAFKA_OFFSET_OUT_OF_RANGE:
        return MR_ERANGE;
    case KAFKA_UNSUPPORTED_VERSION:
    case KAFKA_UNSUPPORTED_COMPRESSION_TYPE:
    case KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT:
        return MR_EUNSUPPORTED;
    case KAFKA_TOPIC_AUTHORIZATION_FAILED:
    case KAFKA_GROUP_AUTHORIZATION_FAILED:
    case KAFKA_CLUSTER_AUTHORIZATION_FAILED:
    case KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case KAFKA_SASL_AUTHENTICATION_FAILED:
        return MR_EAUTH;
    case KAFKA_TOPIC_ALREADY_EXISTS:
        return MR_EEXIST;
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_UNKNOWN_TOPIC_ID:
    case KAFKA_GROUP_ID_NOT_FOUND:
        return MR_ENOENT;
    case KAFKA_KAFKA_STORAGE_ERROR:
        return MR_EIO;
    case KAFKA_REQUEST_TIMED_OUT:
        return MR_ETIMEDOUT;
    default:
        break;
    }
    if (kafka_error_is_retriable(code)) {
        return MR_EAGAIN;
    }
    return code == KAFKA_UNKNOWN_SERVER_ERROR ? MR_EINTERNAL : MR_EINVAL;
}
