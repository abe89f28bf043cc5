/* The file local-topics: "name id partitions" per line, replaced as a whole (mr_disk_write_file). A
 * missing or damaged file costs nothing but a warning: the directories of the partitions know their
 * ids. */
#ifndef QUEUE_META_LOCAL_TOPICS_H
#define QUEUE_META_LOCAL_TOPICS_H

struct image;
struct mr_disk;
struct mr_error;

int local_topics_load(struct mr_disk *disk, const char *data_directory, struct image *image,
                      struct mr_error *error);
int local_topics_save(struct mr_disk *disk, const char *data_directory, const struct image *image,
                      struct mr_error *error);

#endif
