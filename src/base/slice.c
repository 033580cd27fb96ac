/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <stdlib.h>
#include <string.h>

/* Layout: the blob, then the bytes, in one allocation. */
static void heap_blob_destroy(struct blob *b)
{
    free(b);
}

int slice_new(size_t bytes, struct slice *ret_slice, uint8_t **ret_data)
{
    if (bytes > UINT32_MAX)
        return PEN_ETOOBIG;
    struct blob *b = malloc(sizeof *b + bytes);
    if (b == NULL)
        return PEN_ENOMEM;
    blob_init(b, 1, heap_blob_destroy);
    *ret_data = (uint8_t *)(b + 1);
    *ret_slice = (struct slice){ .blob = b, .at = *ret_data, .bytes = (uint32_t)bytes };
    return 0;
}

int slice_copy(const void *data, size_t bytes, struct slice *ret_slice)
{
    uint8_t *to;
    int r = slice_new(bytes, ret_slice, &to);
    if (r == 0 && bytes > 0)
        memcpy(to, data, bytes);
    return r;
}
