/* SPDX-License-Identifier: Apache-2.0
 *
 * serve() and what it calls run in the child, with one thread and blocking reads and writes; nothing
 * there returns to the caller's program.
 */
#include "task/worker_fn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "plat/forkserver.h"
#include "task/crew.h"

enum { EXIT_OK = 0, EXIT_CALLER_GONE = 121, EXIT_NO_MEMORY = 122 };

/* ---- in the child ---- */

/* False: the input has ended before n bytes. */
static bool read_all(uint8_t *data, size_t n)
{
    while (n > 0) {
        ssize_t got = read(FORKSERVER_IN, data, n);
        if (got > 0) {
            data += got;
            n -= (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

static bool write_all(const uint8_t *data, size_t n)
{
    while (n > 0) {
        ssize_t put = write(FORKSERVER_OUT, data, n);
        if (put > 0) {
            data += put;
            n -= (size_t)put;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static uint32_t get_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_be32(uint8_t *at, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(n >> (24 - 8 * i));
}

static bool answer(int outcome, const void *data, size_t bytes)
{
    uint8_t head[WORKER_HEADER_BYTES + WORKER_FN_STATUS_BYTES];
    if (outcome < 0)
        bytes = 0;
    if (bytes > UINT32_MAX - WORKER_FN_STATUS_BYTES) {
        outcome = PEN_ETOOBIG;
        bytes = 0;
    }
    put_be32(head, (uint32_t)(bytes + WORKER_FN_STATUS_BYTES));
    put_be32(head + WORKER_HEADER_BYTES, (uint32_t)-outcome);
    return write_all(head, sizeof head) && (bytes == 0 || write_all(data, bytes));
}

/* One request whose header has come. An exit status, or -1 to go on. */
static int serve_one(pen_iso_fn fn, size_t bytes)
{
    void *result = NULL;
    size_t result_bytes = 0;
    uint8_t *request = malloc(bytes + 1);
    if (request == NULL)
        return EXIT_NO_MEMORY;
    if (!read_all(request, bytes)) {
        free(request);
        return EXIT_CALLER_GONE;
    }
    int r = fn(request, bytes, &result, &result_bytes);
    free(request);
    fflush(stdout); /* What it has said belongs to this request. */
    bool told = answer(r > 0 ? PEN_EHANDLER : r, result, result_bytes);
    free(result);
    return told ? -1 : EXIT_CALLER_GONE;
}

static int serve(const void *arg)
{
    pen_iso_fn fn;
    uint8_t header[WORKER_HEADER_BYTES];
    int status = -1;
    memcpy(&fn, arg, sizeof fn);
    while (status < 0) {
        if (read_all(header, sizeof header))
            status = serve_one(fn, get_be32(header));
        else
            status = EXIT_OK;
    }
    return status;
}

/* ---- in the caller ---- */

int worker_fn_spawn(const struct crew_options *options, struct proc *ret_proc)
{
    struct forkserver_order order = { .run = serve,
                                      .limits = options->limits,
                                      .keep_stderr = options->keep_stderr };
    memcpy(order.arg, &options->fn, sizeof options->fn);
    return forkserver_spawn(&order, ret_proc);
}

int worker_fn_outcome(const uint8_t *answer_bytes, size_t bytes)
{
    if (bytes < WORKER_FN_STATUS_BYTES)
        return PEN_EMALFORMED;
    uint32_t error = get_be32(answer_bytes);
    return error > INT32_MAX ? PEN_EMALFORMED : -(int)error;
}
