/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

enum { THREAD_NAME_BYTES = 16 };

struct thread {
    /* fixed after init */
    pthread_t id;
    char name[THREAD_NAME_BYTES];
    void (*fn)(void *arg);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    thread_set_name(t->name);
    t->fn(t->arg);
    return NULL;
}

int thread_start(const char *name, void (*fn)(void *arg), void *arg, struct thread **ret_thread)
{
    struct thread *t = calloc(1, sizeof *t);
    if (t == NULL)
        return PEN_ENOMEM;
    t->fn = fn;
    t->arg = arg;
    (void)str_copy(t->name, sizeof t->name, name); /* The kernel takes no longer names. */
    sigset_t all, before;
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int error = pthread_create(&t->id, NULL, thread_main, t);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (error != 0) {
        free(t);
        return -error;
    }
    *ret_thread = t;
    return 0;
}

void thread_join(struct thread **thread)
{
    struct thread *t = *thread;
    if (t == NULL)
        return;
    check(pthread_join(t->id, NULL) == 0);
    free(t);
    *thread = NULL;
}

void thread_set_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name); /* A name is a comfort only. */
}

int thread_id(void)
{
    static _Thread_local int id;
    if (id == 0)
        id = gettid();
    return id;
}

unsigned thread_cpus(void)
{
    cpu_set_t set;
    /* EINVAL: more CPUs than the set has room for; then those that are there must do. */
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        return n > 0 ? (unsigned)n : 1;
    }
    return (unsigned)CPU_COUNT(&set);
}
