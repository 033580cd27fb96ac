/* SPDX-License-Identifier: Apache-2.0
 *
 * A publisher: an outlet and the endpoint behind it, on one loop of their own; with `replay`, also the log of its results.
 */
#ifndef FLOW_PUBLISHER_H
#define FLOW_PUBLISHER_H

#include "flow/outlet.h"
#include "flow/part.h"
#include "flow/replay.h"

struct publisher;

struct publisher_options {
    const struct conf_publisher *conf; /* must outlive it */
    struct part_options part;          /* on_order is the publisher's own */
};

/* Bind and connect. A failure's text goes to text. MAIN, at boot. */
int publisher_new(const struct publisher_options *options, char *text, size_t size,
                  struct publisher **ret_publisher) MUST_CHECK;
int publisher_start(struct publisher *publisher) MUST_CHECK;

struct part *publisher_part(struct publisher *publisher);
struct outlet *publisher_outlet(struct publisher *publisher);
const struct conf_publisher *publisher_conf(const struct publisher *publisher);

/* The log of its results, or NULL. */
const struct replay *publisher_replay(const struct publisher *publisher) ANY_THREAD;

struct publisher_stats {
    struct outlet_stats outlet;
    struct endpoint_stats endpoint;
};
/* As endpoint_slow_peers(). */
size_t publisher_slow_peers(const struct publisher *publisher,
                            struct endpoint_slow_peer ret_peers[ENDPOINT_SLOW_PEERS]) ANY_THREAD;
void publisher_stats(const struct publisher *publisher, struct publisher_stats *ret_stats) ANY_THREAD;

/* After its loop was joined; sets to NULL, accepts NULL. */
void publisher_free(struct publisher **publisher);

#endif
