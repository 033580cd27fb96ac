/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock: the command line client. For now it tells what it is.
 */
#include <penstock/version.h>
#include <stdio.h>

int main(void)
{
    printf("penstock %s\n", pen_version());
    return 0;
}
