/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether there are descriptors enough to start with. libevent exits and libnanomsg aborts, crashes or waits for ever
 * when they find none while they set something up, so it is looked at before. Connections that come later are another
 * matter: for them libnanomsg waits until there is one.
 *
 * Thread: MAIN, at boot.
 */
#include "daemon/daemon.h"
#include "obs/log.h"
#include "plat/fdlimit.h"

enum {
    FIXED = 32,      /* standard ones, libnanomsg's own, MAIN's, and some for starting a program */
    PER_LOOP = 6,    /* epoll, timer, wake-up, and libevent's pair for signals */
    PER_SOCKET = 3,  /* libnanomsg's two that tell, and the probe for another listener */
    PER_PROCESS = 4, /* three pipes, and its end */
    PER_STORE = 6    /* its folder and lock, and what is being made, copied and read */
};

static uint64_t of_socket(const struct conf_strings *listen, const struct conf_strings *connect)
{
    return PER_SOCKET + listen->count + connect->count;
}

static uint64_t needed(const struct conf *c)
{
    uint64_t n = FIXED;
    for (size_t i = 0; i < c->queues_count; i++)
        if (c->queues[i].store == STORE_DURABLE)
            n += PER_STORE + store_files(c->queues[i].disk_max);
    for (size_t i = 0; i < c->producers_count; i++)
        n += c->producers[i].threads * PER_LOOP +
             of_socket(&c->producers[i].listen, &c->producers[i].connect);
    for (size_t i = 0; i < c->publishers_count; i++)
        n += PER_LOOP + of_socket(&c->publishers[i].listen, &c->publishers[i].connect);
    for (size_t i = 0; i < c->workers_count; i++)
        n += PER_LOOP + of_socket(&c->workers[i].listen, &(struct conf_strings){ 0 });
    for (size_t i = 0; i < c->consumers_count; i++) {
        const struct conf_handler *h = &c->consumers[i].handler;
        uint64_t processes = h->builtin == BUILTIN_NONE ? h->processes : 0;
        uint64_t threads = c->consumers[i].threads;
        n += threads * PER_LOOP + (threads > 0 ? threads : 1) * processes * PER_PROCESS;
    }
    return n;
}

int needs_check(const struct conf *conf)
{
    uint64_t need = needed(conf), limit = fdlimit_get();
    if (need <= limit)
        return 0;
    log_error("penstockd",
              "this configuration needs %llu descriptors and more for its peers, and may have %llu: raise "
              "ulimit -n, or LimitNOFILE of the service",
              (unsigned long long)need, (unsigned long long)limit);
    return PEN_ELIMIT;
}
