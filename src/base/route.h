/* SPDX-License-Identifier: Apache-2.0
 *
 * The way back to a requester: the SP header of a request as it came (libnanomsg's pipe id or our own
 * connection id, then the request's own stack of 32-bit ids), opaque to everybody but the endpoint
 * that made it.
 */
#ifndef BASE_ROUTE_H
#define BASE_ROUTE_H

#include <stdint.h>

#include "base/limits.h"

struct route {
    uint8_t bytes; /* 0: nobody waits for an answer */
    uint8_t at[LIMIT_ROUTE_BYTES];
};

#endif
