/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration: whatever the file is, it is loaded or told off; and what is loaded dumps to a text that loads
 * again and dumps the same. The fuzzer's own file is the only one that is read; addresses and programs are
 * looked at, never used.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libfyaml 0.7.12 loses the memory it needed for a text in single quotes with five or more quotes in it. It is
 * let off by its name here only: that we give back what we have of it, the unit tests see. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so\n";
}

/* conf_load() reads a path: a file in memory has one. */
static int load(const void *text, size_t bytes, FILE *errors, struct conf **ret_conf)
{
    char path[64];
    int fd = memfd_create("conf", MFD_CLOEXEC);
    check(fd >= 0);
    check(write(fd, text, bytes) == (ssize_t)bytes);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int r = conf_load(path, errors, ret_conf);
    close(fd);
    return r;
}

static char *dump(const struct conf *conf, size_t *ret_bytes)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_bytes);
    check(out != NULL);
    check(conf_dump(conf, out) == 0);
    fclose(out);
    return text;
}

static void check_dump(const struct conf *conf, FILE *errors)
{
    struct conf *again = NULL;
    size_t first_bytes, second_bytes;
    char *first = dump(conf, &first_bytes);
    if (first_bytes <= LIMIT_CONFIG_BYTES) { /* Aliases can make it longer than a file may be. */
        check(load(first, first_bytes, errors, &again) == 0);
        char *second = dump(again, &second_bytes);
        check(first_bytes == second_bytes && memcmp(first, second, first_bytes) == 0);
        free(second);
    }
    conf_free(&again);
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *conf = NULL;
    char *said = NULL;
    size_t said_bytes = 0;
    FILE *errors = open_memstream(&said, &said_bytes);
    check(errors != NULL);
    int r = load(data, size, errors, &conf);
    fflush(errors);
    check((r == 0) == (conf != NULL));
    check(r == 0 || said_bytes > 0); /* Nobody is left without a reason. */
    if (r == 0)
        check_dump(conf, errors);
    conf_free(&conf);
    fclose(errors);
    free(said);
    return 0;
}
