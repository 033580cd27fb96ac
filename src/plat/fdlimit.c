/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/fdlimit.h"

#include <sys/resource.h>

#include "base/check.h"

uint64_t fdlimit_get(void)
{
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}
