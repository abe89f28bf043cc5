/* Which run of the operating system this is: what was written in another one, and not synced, may
 * have been lost with it. */
#ifndef BASE_CORE_BOOT_H
#define BASE_CORE_BOOT_H

struct mr_disk;
struct mr_uuid;

/* The kernel's random boot id. 0; an error where it cannot be read, and *ret_boot_id is untouched.
 */
int mr_boot_id(struct mr_disk *disk, struct mr_uuid *ret_boot_id);

#endif
