/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts of errors, all from err.def.
 */
#include "base/err.h"

#include <string.h>

const struct err_row err_rows[] = {
#define ERR(name, code, text, cause, remedy) { -(code), "PEN_" #name, text, cause, remedy },
#include <penstock/err.def>
#undef ERR
};
const size_t err_rows_count = sizeof err_rows / sizeof err_rows[0];

const struct err_row *err_find(int error)
{
    for (size_t i = 0; i < err_rows_count; i++)
        if (err_rows[i].code == error)
            return &err_rows[i];
    return NULL;
}

const char *pen_strerror(int error)
{
    if (error == 0)
        return "success";
    const struct err_row *row = err_find(error);
    if (row != NULL)
        return row->text;
    const char *text = error < 0 && error > -1000 ? strerrordesc_np(-error) : NULL;
    return text != NULL ? text : "unknown error";
}

const char *pen_errname(int error)
{
    if (error == 0)
        return "PEN_OK";
    const struct err_row *row = err_find(error);
    if (row != NULL)
        return row->name;
    const char *name = error < 0 && error > -1000 ? strerrorname_np(-error) : NULL;
    return name != NULL ? name : "PEN_E?";
}
