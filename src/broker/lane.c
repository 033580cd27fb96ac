/* SPDX-License-Identifier: Apache-2.0
 *
 * Lanes: the jobs of one key, in order, of which so many are in flight as the limits allow, and fair share among keys.
 *
 * Fair share is start-time fair queueing (Goyal, Vin, Cheng 1996): a lane has a virtual time, which grows by what its jobs
 * have cost divided by its weight; the lane that is furthest back goes first; one that comes (back) starts no further back
 * than where the last one that was served stood, so that nobody saves up. What a job costs is known when it comes back.
 *
 * A lane is open when its first job may go: it has one, none of it waits for its backoff, and neither of its limits is
 * reached. Only open lanes are in the heap of their level, which is the priority of their first job.
 *
 * A lane without a job is remembered while what it has used is more than nothing, the last LANES_IDLE of them.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/parts.h"

/* ---- order ---- */

static bool vt_before(const void *a, const void *b)
{
    const struct lane *x = a, *y = b;
    return x->vt != y->vt ? x->vt < y->vt : x->age < y->age;
}

static bool age_before(const void *a, const void *b)
{
    return ((const struct lane *)a)->age < ((const struct lane *)b)->age;
}

static uint32_t *vt_place(void *element)
{
    return &((struct lane *)element)->place;
}

static uint32_t *age_place(void *element)
{
    return &((struct lane *)element)->age_place;
}

void lanes_init(struct broker *b)
{
    hash_init(&b->lanes, b->options.seed);
    list_init(&b->idle_lanes);
    b->by_age = (struct heap){ .before = age_before, .index = age_place };
    for (int p = 0; p < LEVELS; p++)
        b->levels[p].lanes = (struct heap){ .before = vt_before, .index = vt_place };
}

void lanes_fini(struct broker *b)
{
    HASH_EACH(n, &b->lanes)
    free(CONTAINER_OF(n, struct lane, node));
    hash_fini(&b->lanes);
    heap_fini(&b->by_age);
    for (int p = 0; p < LEVELS; p++)
        heap_fini(&b->levels[p].lanes);
}

/* ---- memory ---- */

static struct lane *find(const struct broker *b, const char *key, size_t bytes, uint64_t hash)
{
    for (struct hash_node *n = hash_first(&b->lanes, hash); n != NULL; n = hash_next(n)) {
        struct lane *lane = CONTAINER_OF(n, struct lane, node);
        if (lane->key_bytes == bytes && memcmp(lane->key, key, bytes) == 0)
            return lane;
    }
    return NULL;
}

/* Every heap has room for so many lanes: the level's once it has been used. */
static int reserve(struct broker *b, uint32_t lanes, uint8_t priority)
{
    int r = heap_reserve(&b->by_age, lanes);
    if (r == 0)
        r = heap_reserve(&b->waits[WAIT_LANE], lanes);
    for (int p = 0; p < LEVELS && r == 0; p++)
        if (p == priority || b->levels[p].lanes.cap > 0)
            r = heap_reserve(&b->levels[p].lanes, lanes);
    return r;
}

static int lane_new(const char *key, size_t bytes, struct lane **ret_lane)
{
    struct lane *lane = calloc(1, sizeof *lane + bytes);
    if (lane == NULL)
        return PEN_ENOMEM;
    memcpy(lane->key, key, bytes);
    lane->key_bytes = (uint32_t)bytes;
    lane->jobs = (struct index_list){ NIL, NIL };
    lane->blocked = lane->first = NIL;
    lane->place = lane->age_place = lane->wait.place = HEAP_NOWHERE;
    lane->weight = 1;
    list_init(&lane->idle);
    *ret_lane = lane;
    return 0;
}

static void lane_free(struct broker *b, struct lane *lane)
{
    hash_remove(&b->lanes, &lane->node);
    wait_disarm(b, &lane->wait);
    free(lane);
    b->ledger.keys--;
}

static void leave_idle(struct broker *b, struct lane *lane)
{
    list_remove(&lane->idle);
    b->idle_lanes_count--;
}

int lane_get(struct broker *b, const struct job_ext *ext, uint8_t priority, struct lane **ret_lane)
{
    size_t bytes = strlen(ext->key);
    uint64_t hash = hash_of(&b->lanes, ext->key, bytes);
    struct lane *lane = find(b, ext->key, bytes, hash);
    int r = reserve(b, (uint32_t)b->ledger.keys + (lane == NULL), priority);
    if (r == 0 && lane == NULL) {
        r = lane_new(ext->key, bytes, &lane);
        if (r == 0) {
            hash_insert(&b->lanes, &lane->node, hash);
            b->ledger.keys++;
        }
    } else if (r == 0 && lane->refs == 0) {
        leave_idle(b, lane);
    }
    if (r < 0)
        return r;
    if (lane->refs++ == 0 && lane->vt < b->vt)
        lane->vt = b->vt;
    if (ext->weight != 0)
        lane->weight = ext->weight;
    *ret_lane = lane;
    return 0;
}

/* It has used nothing that others have not, and its rate is whole. */
static bool is_even(const struct broker *b, const struct lane *lane)
{
    return lane->vt <= b->vt && lane->tat.ns <= b->now.ns;
}

void lane_unref(struct broker *b, struct lane *lane)
{
    if (--lane->refs > 0)
        return;
    list_push_back(&b->idle_lanes, &lane->idle);
    b->idle_lanes_count++;
    for (int k = 0; k < 2 && !list_empty(&b->idle_lanes); k++) {
        struct lane *oldest = CONTAINER_OF(b->idle_lanes.next, struct lane, idle);
        if (!is_even(b, oldest) && b->idle_lanes_count <= LANES_IDLE)
            break;
        leave_idle(b, oldest);
        lane_free(b, oldest);
    }
}

/* ---- open and closed ---- */

static void lane_close(struct broker *b, struct lane *lane)
{
    if (lane->first == NIL)
        return;
    struct record *r = record_at(b, lane->first);
    struct level *level = &b->levels[r->priority];
    heap_remove(&level->lanes, lane);
    if (level->lanes.count == 0)
        b->lane_mask &= ~(1u << r->priority);
    lane->first = NIL;
    if (r->state == JOB_READY)
        record_set_state(b, r, JOB_HELD);
}

static void lane_open(struct broker *b, struct lane *lane)
{
    struct record *r = record_at(b, lane->jobs.head);
    int e = heap_insert(&b->levels[r->priority].lanes, lane);
    check(e == 0); /* lane_get() has made room. */
    b->lane_mask |= 1u << r->priority;
    lane->first = lane->jobs.head;
    record_set_state(b, r, JOB_READY);
}

static bool may_open(struct broker *b, struct lane *lane)
{
    uint32_t max = is_ordered(b) ? 1 : b->limits.key_in_flight_max;
    if (lane->jobs.head == NIL || lane->blocked != NIL || lane->in_flight >= max)
        return false;
    mono_t next =
        b->limits.key_rate_max == 0 ? PEN_NOW : rate_next(lane->tat, b->limits.key_rate_max);
    if (next.ns <= b->now.ns)
        return true;
    wait_arm(b, &lane->wait, WAIT_LANE, next);
    return false;
}

static void set_age(struct broker *b, struct lane *lane)
{
    uint64_t id = lane->jobs.head == NIL ? 0 : record_at(b, lane->jobs.head)->id;
    if (lane->age == id)
        return;
    if (lane->age != 0)
        heap_remove(&b->by_age, lane);
    lane->age = id;
    if (id == 0)
        return;
    int e = heap_insert(&b->by_age, lane);
    check(e == 0);
}

void lane_refresh(struct broker *b, struct lane *lane)
{
    lane_close(b, lane);
    wait_disarm(b, &lane->wait);
    set_age(b, lane);
    if (may_open(b, lane))
        lane_open(b, lane);
}

/* ---- jobs ---- */

void lane_add(struct broker *b, struct lane *lane, uint32_t i, bool front)
{
    bool leads = front || lane->jobs.head == NIL;
    record_set_state(b, record_at(b, i), JOB_HELD);
    if (front)
        list_push_index_front(b, &lane->jobs, i);
    else
        list_push_index(b, &lane->jobs, i);
    b->lane_bytes += record_at(b, i)->bytes;
    if (leads)
        lane_refresh(b, lane);
}

void lane_remove(struct broker *b, struct lane *lane, uint32_t i)
{
    bool first = lane->jobs.head == i;
    if (first)
        lane_close(b, lane);
    list_remove_index(b, &lane->jobs, i);
    b->lane_bytes -= record_at(b, i)->bytes;
    if (first)
        lane_refresh(b, lane);
}

void lane_take(struct broker *b, struct lane *lane)
{
    uint32_t i = lane->first;
    record_set_state(b, record_at(b, i), JOB_LEASED);
    if (b->vt < lane->vt)
        b->vt = lane->vt;
    lane->in_flight++;
    if (b->limits.key_rate_max != 0)
        lane->tat = rate_after(lane->tat, b->now, b->limits.key_rate_max, 1);
    lane_remove(b, lane, i);
}

void lanes_refresh(struct broker *b)
{
    HASH_EACH(n, &b->lanes)
    lane_refresh(b, CONTAINER_OF(n, struct lane, node));
}

void lane_landed(struct broker *b, struct lane *lane, int64_t cost_ns)
{
    lane_close(b, lane);
    lane->in_flight--;
    lane->vt += cost_of(cost_ns, lane->weight);
    if (b->vt_top < lane->vt)
        b->vt_top = lane->vt;
}
