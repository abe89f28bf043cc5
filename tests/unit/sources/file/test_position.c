/* The bytes of a position: what is written can be read again. */
#include "sources/file/position.h"

#include "base/core/error.h"
#include "sources/source.h"
#include "tests/lib/test.h"

/* Parts of the first line may be out: the file stands at its start, with the head that it has by
 * then. A kill there must find it again, or these parts come twice. */
TEST(position, at_the_start_of_a_file_can_have_a_head)
{
    struct position position;
    struct position again;
    const char *path;
    size_t path_size;
    uint8_t bytes[SOURCE_POSITION_SIZE_MAX];
    size_t size;

    position_init(&position);
    position.identity.inode = 7;
    position.identity.head_size = 100;
    position.identity.head_hash = 42;
    size = position_encode(&position, "/var/log/x", bytes);
    CHECK_EQ(position_decode(bytes, size, &again, &path, &path_size), 0);
    CHECK_EQ(again.offset, 0);
    CHECK_EQ(again.identity.head_size, 100);
    CHECK_EQ(path_size, 10);

    position.offset = 50; /* further on, a head reaches no further than what was read */
    size = position_encode(&position, "/var/log/x", bytes);
    CHECK_EQ(position_decode(bytes, size, &again, &path, &path_size), MR_ECORRUPT);
}
