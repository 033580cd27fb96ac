/* SPDX-License-Identifier: Apache-2.0
 *
 * The error table as data, for `penstock errors` and the manual; the codes are in <penstock/error.h>.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#include <penstock/error.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct err_row {
    int code; /* negative */
    const char *name, *text, *cause, *remedy;
};

extern const struct err_row err_rows[];
extern const size_t err_rows_count;

/* The row of a code, or NULL. */
const struct err_row *err_find(int error);

#endif
