/* SPDX-License-Identifier: Apache-2.0
 *
 * Doubly linked lists with the links inside the elements. A list is a ring with its head as one node;
 * a node that is in no list points to itself, so that removing twice does no harm.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(l) \
    { \
        &(l), &(l) \
    }

/* The object of type `type` whose field `field` is the node. */
#define CONTAINER_OF(node, type, field) ((type *)((char *)(node)-offsetof(type, field)))

#define LIST_EACH(node, head) \
    for (struct list *node = (head)->next; node != (head); node = node->next)

/* The loop's body may remove the node. */
#define LIST_EACH_SAFE(node, head) \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_after(struct list *at, struct list *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_after(head, node);
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_after(head->prev, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken out, or NULL. */
static inline struct list *list_take_front(struct list *head)
{
    if (list_empty(head))
        return NULL;
    struct list *node = head->next;
    list_remove(node);
    return node;
}

/* All nodes of `from`, in order, to the end of `to`; `from` is empty afterwards. */
static inline void list_append(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
