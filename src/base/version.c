/* SPDX-License-Identifier: Apache-2.0
 *
 * The version at run time.
 */
#include <penstock/version.h>

const char *pen_version(void)
{
    return PEN_VERSION_STRING;
}
