/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/allocator.h"

#include <malloc.h>

enum { KEPT_BYTES = 1024 * 1024 };

void allocator_keep_memory(void)
{
    /* With either of them set malloc does not move the other one by itself any more, so both are. */
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
}
