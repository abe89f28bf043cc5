/* Doubly linked list, embedded; the head is a link itself. */
#ifndef BASE_CORE_LIST_H
#define BASE_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mr_link {
    struct mr_link *next;
    struct mr_link *previous;
};

#define mr_container(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void mr_list_init(struct mr_link *head)
{
    head->next = head;
    head->previous = head;
}

static inline bool mr_list_is_empty(const struct mr_link *head)
{
    return head->next == head;
}

/* A link that was init'ed or removed is not linked; a zeroed one is not either. */
static inline bool mr_link_is_linked(const struct mr_link *link)
{
    return link->next != NULL && link->next != link;
}

static inline void mr_list_insert_before(struct mr_link *position, struct mr_link *link)
{
    link->next = position;
    link->previous = position->previous;
    position->previous->next = link;
    position->previous = link;
}

static inline void mr_list_append(struct mr_link *head, struct mr_link *link)
{
    mr_list_insert_before(head, link);
}

static inline void mr_list_prepend(struct mr_link *head, struct mr_link *link)
{
    mr_list_insert_before(head->next, link);
}

/* Removing a link that is not linked does nothing. */
static inline void mr_list_remove(struct mr_link *link)
{
    if (mr_link_is_linked(link)) {
        link->previous->next = link->next;
        link->next->previous = link->previous;
    }
    link->next = link;
    link->previous = link;
}

static inline struct mr_link *mr_list_pop(struct mr_link *head)
{
    struct mr_link *first = head->next;
    if (first == head) {
        return NULL;
    }
    mr_list_remove(first);
    return first;
}

/* Safe against removal of `link` in the body; `next_link` is scratch. */
#define mr_list_each(head, link, next_link)                                                        \
    for (struct mr_link *link = (head)->next, *next_link = link->next; link != (head);             \
         link = next_link, next_link = link->next)

#endif
