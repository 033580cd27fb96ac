/* SPDX-License-Identifier: Apache-2.0
 *
 * What is made of a configuration and of the table of options, without a daemon:
 *
 *   conf_tool -t -c FILE       as penstockd -t: errors to standard error, "FILE: ok" or status 78
 *   conf_tool --dump -c FILE   the whole configuration
 *   conf_tool --mdoc           the lists of options in penstock.yaml(5)
 *   conf_tool --schema         contrib/penstock.schema.json
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "conf/conf.h"

static int load_and(const char *path, int (*then)(const struct conf *conf, FILE *out))
{
    struct conf *conf = NULL;
    int r = conf_load(path, stderr, &conf);
    if (r < 0)
        return EX_CONFIG;
    r = then != NULL ? then(conf, stdout) : 0;
    if (then == NULL)
        printf("%s: ok\n", path);
    conf_free(&conf);
    return r < 0 ? EX_IOERR : 0;
}

int main(int argc, char **argv)
{
    bool on_file = argc == 4 && strcmp(argv[2], "-c") == 0;
    if (on_file && strcmp(argv[1], "-t") == 0)
        return load_and(argv[3], NULL);
    if (on_file && strcmp(argv[1], "--dump") == 0)
        return load_and(argv[3], conf_dump);
    if (argc == 2 && strcmp(argv[1], "--mdoc") == 0)
        return conf_write_mdoc(stdout) < 0 ? EX_IOERR : 0;
    if (argc == 2 && strcmp(argv[1], "--schema") == 0)
        return conf_write_schema(stdout) < 0 ? EX_IOERR : 0;
    fprintf(stderr, "usage: conf_tool -t -c FILE | --dump -c FILE | --mdoc | --schema\n");
    return EX_USAGE;
}
