/* SPDX-License-Identifier: Apache-2.0
 *
 * penstockd: the daemon. For now it tells what it is.
 */
#include <penstock/version.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    printf("penstockd %s\n", pen_version());
    if (argc > 1 && strcmp(argv[1], "-VV") == 0) {
        fputs(PEN_CONFIGURE_SUMMARY, stdout);
    }
    return 0;
}
