/* SPDX-License-Identifier: Apache-2.0
 *
 * Instants and spans of the monotonic clock, in nanoseconds. One-field structs, so that an instant
 * cannot be passed where a span is wanted.
 */
#ifndef PENSTOCK_TIME_H
#define PENSTOCK_TIME_H

#include <stdint.h>

#include <penstock/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pen_mono {
    int64_t ns;
} pen_mono_t; /* an instant, CLOCK_MONOTONIC */

typedef struct pen_span {
    int64_t ns;
} pen_span_t; /* a length of time */

/* Deadlines: PEN_NOW does not wait at all, PEN_NEVER waits without end. */
#define PEN_NOW ((pen_mono_t){ 0 })
#define PEN_NEVER ((pen_mono_t){ INT64_MAX })

/* The present instant. Any thread; does not block; cannot fail. Since 0.1. */
PEN_API pen_mono_t pen_now(void);

/* The instant `after` from now; a span that is not positive gives PEN_NOW, one too long PEN_NEVER.
 * Any thread. Since 0.1. */
PEN_API pen_mono_t pen_deadline_in(pen_span_t after);

static inline pen_span_t pen_ms(int64_t ms)
{
    return (pen_span_t){ ms * 1000000 };
}

static inline pen_span_t pen_us(int64_t us)
{
    return (pen_span_t){ us * 1000 };
}

#ifdef __cplusplus
}
#endif
#endif
