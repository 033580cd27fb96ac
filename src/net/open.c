/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kind an endpoint is: apart from the front, so that who needs the native transport alone, as libpenstock does, is not
 * linked with the others.
 */
#include "base/str.h"
#include "net/endpoint_kind.h"

/* An address that only libnanomsg knows. */
static bool any_foreign(char *const *addresses)
{
    for (; addresses != NULL && *addresses != NULL; addresses++)
        if (!str_starts(*addresses, "tcp://") && !str_starts(*addresses, "ipc://"))
            return true;
    return false;
}

int endpoint_open(const struct endpoint_options *options, char *text, size_t size,
                  struct endpoint **ret_endpoint)
{
    if (options->pattern == SP_LINES)
        return lines_open(options, text, size, ret_endpoint);
    bool native = options->transport == TRANSPORT_NATIVE;
    if (options->transport == TRANSPORT_AUTO)
        native = !any_foreign(options->listen) && !any_foreign(options->connect);
    return native ? endpoint_open_native(options, text, size, ret_endpoint)
                  : nn_open(options, text, size, ret_endpoint);
}
