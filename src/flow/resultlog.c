/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/resultlog.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void resultlog_init(struct resultlog *log, uint64_t items_max, uint64_t bytes_max, span_t age_max)
{
    check(items_max > 0);
    *log = (struct resultlog){
        .items_max = items_max, .bytes_max = bytes_max, .age_max = age_max, .next = 1
    };
}

static struct resultlog_entry *entry_at(const struct resultlog *log, uint32_t i)
{
    return &log->ring[(log->first + i) & (log->cap - 1)];
}

static uint64_t entry_bytes(const struct resultlog_entry *e)
{
    return RESULTLOG_ENTRY_BYTES + (uint64_t)e->data.bytes;
}

static void forget_first(struct resultlog *log)
{
    struct resultlog_entry *e = entry_at(log, 0);
    log->bytes -= entry_bytes(e);
    slice_release(&e->data);
    log->first++;
    log->count--;
}

static void forget_all(struct resultlog *log)
{
    while (log->count > 0)
        forget_first(log);
}

void resultlog_fini(struct resultlog *log)
{
    forget_all(log);
    free(log->ring);
    *log = (struct resultlog){ 0 };
}

/* Room for one more entry. */
static int reserve(struct resultlog *log)
{
    if (log->count < log->cap)
        return 0;
    uint32_t cap = log->cap == 0 ? 64 : log->cap * 2;
    struct resultlog_entry *ring = cap == 0 ? NULL : reallocarray(NULL, cap, sizeof *ring);
    if (ring == NULL)
        return PEN_ENOMEM;
    for (uint32_t i = 0; i < log->count; i++)
        ring[i] = *entry_at(log, i);
    free(log->ring);
    log->ring = ring;
    log->cap = cap;
    log->first = 0;
    return 0;
}

/* The message in one piece, which pins less than twice its bytes. */
static int keep(struct slice head, struct slice body, struct slice *ret_data)
{
    size_t bytes = head.bytes + body.bytes;
    if (body.bytes == 0 && head.bytes >= RESULTLOG_KEEP_BYTES) {
        *ret_data = slice_ref(head);
        return 0;
    }
    if (head.bytes == 0 && body.bytes >= RESULTLOG_KEEP_BYTES) {
        *ret_data = slice_ref(body);
        return 0;
    }
    uint8_t *to;
    int r = slice_new(bytes, ret_data, &to);
    if (r < 0)
        return r;
    if (head.bytes > 0)
        memcpy(to, head.at, head.bytes);
    if (body.bytes > 0)
        memcpy(to + head.bytes, body.at, body.bytes);
    return 0;
}

/* The first of all that may still be asked for, by the bound in results. */
static uint64_t least(const struct resultlog *log)
{
    return log->next > log->items_max ? log->next - log->items_max : 1;
}

static bool first_is_too_much(const struct resultlog *log)
{
    const struct resultlog_entry *e = entry_at(log, 0);
    return log->bytes > log->bytes_max || e->first + e->count <= least(log);
}

void resultlog_add(struct resultlog *log, struct slice head, struct slice body, uint32_t count,
                   mono_t now)
{
    struct resultlog_entry e = { .first = log->next, .count = count, .at = now };
    check(count > 0);
    log->next += count;
    int r = reserve(log);
    if (r == 0)
        r = keep(head, body, &e.data);
    if (r < 0) {
        forget_all(log);
        return;
    }
    *entry_at(log, log->count++) = e;
    log->bytes += entry_bytes(&e);
    while (log->count > 0 && first_is_too_much(log))
        forget_first(log);
    resultlog_expire(log, now);
}

mono_t resultlog_due(const struct resultlog *log)
{
    return log->count > 0 ? mono_after(entry_at(log, 0)->at, log->age_max) : PEN_NEVER;
}

void resultlog_expire(struct resultlog *log, mono_t now)
{
    while (mono_before(resultlog_due(log), now))
        forget_first(log);
}

uint64_t resultlog_oldest(const struct resultlog *log)
{
    if (log->count == 0)
        return log->next;
    uint64_t first = entry_at(log, 0)->first;
    return first > least(log) ? first : least(log);
}

const struct resultlog_entry *resultlog_find(const struct resultlog *log, uint64_t sequence)
{
    if (sequence < resultlog_oldest(log) || sequence >= log->next)
        return NULL;
    uint32_t low = 0, high = log->count; /* It is in one of [low, high). */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (entry_at(log, middle)->first <= sequence)
            low = middle;
        else
            high = middle;
    }
    return entry_at(log, low);
}
