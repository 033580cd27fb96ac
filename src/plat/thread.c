/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"
#include "plat/clock.h"

enum { THREAD_NAME_BYTES = 16, CPU_SETS = 8 /* of 1,024 CPUs each */ };

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

void thread_block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    check(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

/* The CPUs that the calling thread may use. */
struct cpus {
    cpu_set_t sets[CPU_SETS];
};

static void cpus_read(struct cpus *ret_cpus)
{
    memset(ret_cpus, 0, sizeof *ret_cpus);
    if (sched_getaffinity(0, sizeof ret_cpus->sets, ret_cpus->sets) != 0)
        CPU_SET(0, ret_cpus->sets); /* More CPUs than any kernel has now. */
}

void thread_exact_timers(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
}

unsigned thread_cpus(void)
{
    struct cpus cpus;
    cpus_read(&cpus);
    int n = CPU_COUNT_S(sizeof cpus.sets, cpus.sets);
    return n > 0 ? (unsigned)n : 1;
}

int thread_cpu_at(unsigned i)
{
    struct cpus cpus;
    cpus_read(&cpus);
    unsigned left = i % thread_cpus();
    for (int cpu = 0; cpu < CPU_SETSIZE * CPU_SETS; cpu++)
        if (CPU_ISSET_S((size_t)cpu, sizeof cpus.sets, cpus.sets) && left-- == 0)
            return cpu;
    return 0;
}

static int create(struct thread *t, int cpu)
{
    pthread_attr_t attr;
    struct cpus cpus = { 0 };
    int error = pthread_attr_init(&attr);
    if (error != 0)
        return error;
    if (cpu >= 0) {
        CPU_SET_S((size_t)cpu, sizeof cpus.sets, cpus.sets);
        error = pthread_attr_setaffinity_np(&attr, sizeof cpus.sets, cpus.sets);
    }
    if (error == 0)
        error = pthread_create(&t->id, &attr, thread_main, t);
    check(pthread_attr_destroy(&attr) == 0);
    return error;
}

int thread_start(const char *name, void (*fn)(void *arg), void *arg, struct thread **ret_thread)
{
    return thread_start_on(-1, name, fn, arg, ret_thread);
}

int thread_start_on(int cpu, const char *name, void (*fn)(void *arg), void *arg,
                    struct thread **ret_thread)
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
    int error = create(t, cpu);
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

/* The beginning of a file of the thread's in /proc; "" when it cannot be read. */
static void read_proc(int id, const char *name, char *text, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/%s", id, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;
    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* schedstat: "ns on a CPU, ns ready for one, times it got one". */
static span_t read_waited(int id)
{
    char text[128];
    uint64_t ns;
    read_proc(id, "schedstat", text, sizeof text);
    char *second = strchr(text, ' ');
    char *end = second != NULL ? strchr(second + 1, ' ') : NULL;
    if (end == NULL)
        return (span_t){ 0 };
    *end = '\0';
    return (span_t){ number_parse(second + 1, &ns) == 0 ? (int64_t)ns : 0 };
}

/* stat: "id (name) state ...", where the name may hold anything. */
static bool read_ready(int id)
{
    char text[128];
    read_proc(id, "stat", text, sizeof text);
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' && end[2] == 'R';
}

int thread_usage(int id, struct thread_usage *ret_usage)
{
    span_t cpu = clock_cpu_of(id);
    if (cpu.ns == 0)
        return PEN_ENOENT;
    *ret_usage =
        (struct thread_usage){ .cpu = cpu, .waited = read_waited(id), .ready = read_ready(id) };
    return 0;
}
