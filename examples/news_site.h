/* SPDX-License-Identifier: Apache-2.0
 *
 * The site that examples/news reads: pages of invented news, and a server for them.
 */
#ifndef EXAMPLES_NEWS_SITE_H
#define EXAMPLES_NEWS_SITE_H

#include <stdint.h>

#include "common.h"

enum { STORIES_PER_PAGE = 30 };

/* What is on pages, added up. */
struct news {
    uint64_t pages, stories, points, comments;
    uint64_t titles; /* the sum of title_hash() of each */
};

void news_add(struct news *sum, const struct news *other);
bool news_equal(const struct news *a, const struct news *b);
uint64_t title_hash(const char *title);

/* What is on pages first, first + step, ... below end. */
struct news site_content(uint64_t first, uint64_t step, uint64_t end);

/* Serve pages 0 to *arg - 1, a uint64_t, as /news?p=PAGE over HTTP, from a loop. */
void site_serve(struct server_end end, void *arg);

#endif
