/* SPDX-License-Identifier: Apache-2.0
 *
 * Which jobs live, where each one's put record is, and what has changed since it was written: 24 bytes for each, for ids
 * that are close together. Not locked: its owner is.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "store/format.h"

struct index_entry {
    int64_t due_ns;
    uint32_t segment; /* the low half of its number; 0: the id does not live */
    uint32_t at;      /* in units of FORMAT_ALIGN */
    uint32_t size;    /* of the record, in bytes */
    uint16_t attempts;
    uint8_t crashes;
    uint8_t priority : 4, place : 4;
};

struct index;

/* PEN_ENOMEM. */
int index_new(struct index **ret_index) MUST_CHECK;
void index_free(struct index **index);

/* Room for n more ids above the highest so far, so that adding them cannot fail. PEN_ENOMEM. */
int index_reserve(struct index *x, uint64_t n) MUST_CHECK;

/* The entry of an id, zeroed when it did not live. NULL: no memory, which cannot be for an id that was reserved. */
struct index_entry *index_add(struct index *x, uint64_t id);

/* The entry of an id that lives, or NULL. Valid until that id is removed. */
struct index_entry *index_find(struct index *x, uint64_t id);
void index_remove(struct index *x, uint64_t id);

uint64_t index_count(const struct index *x);

struct store_state index_state(const struct index_entry *e);
void index_set_state(struct index_entry *e, const struct store_state *state);

/* Every id that lives, rising, until fn returns something else than 0, which is returned. fn does not add or remove.
 * PEN_ENOMEM. */
typedef int index_fn(void *arg, uint64_t id, struct index_entry *e);
int index_each(struct index *x, index_fn *fn, void *arg) MUST_CHECK;

#endif
