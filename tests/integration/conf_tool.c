/* SPDX-License-Identifier: Apache-2.0
 *
 * What is made of the table of options:
 *
 *   conf_tool --mdoc     the lists of options in penstock.yaml(5)
 *   conf_tool --schema   contrib/penstock.schema.json
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "conf/conf.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--mdoc") == 0)
        return conf_write_mdoc(stdout) < 0 ? EX_IOERR : 0;
    if (argc == 2 && strcmp(argv[1], "--schema") == 0)
        return conf_write_schema(stdout) < 0 ? EX_IOERR : 0;
    fprintf(stderr, "usage: conf_tool --mdoc | --schema\n");
    return EX_USAGE;
}
