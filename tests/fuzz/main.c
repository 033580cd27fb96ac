/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fuzz target is linked with when there is no libFuzzer: every argument is a file, and each
 * is given to the target once.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    static const size_t size_max = 1 << 24;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    uint8_t *whole = malloc(size_max);
    size_t size = whole != NULL ? fread(whole, 1, size_max, file) : 0;
    int failed = whole == NULL || ferror(file);
    fclose(file);
    if (failed) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(whole);
        return -1;
    }
    /* Exactly as large as the input, so that a read beyond its end is seen. */
    uint8_t *data = malloc(size > 0 ? size : 1);
    for (size_t i = 0; data != NULL && i < size; i++) {
        data[i] = whole[i];
    }
    free(whole);
    if (data == NULL) {
        return -1;
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i]) != 0) {
            return 1;
        }
        count++;
    }
    printf("replayed %d inputs\n", count);
    return count > 0 ? 0 : 1;
}
