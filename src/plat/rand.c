/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/rand.h"

#include <errno.h>
#include <sys/random.h>

int rand_id(uint64_t *ret_id)
{
    uint64_t id = 0;
    while (id == 0)
        if (getrandom(&id, sizeof id, 0) < 0 && errno != EINTR) /* So few bytes come whole. */
            return -errno;
    *ret_id = id;
    return 0;
}
