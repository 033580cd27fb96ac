/* SPDX-License-Identifier: Apache-2.0
 *
 * A slot is the asked thread's from the signal until its number comes through the pipe, and ours otherwise. A thread
 * that cannot answer (it is stuck in the kernel, or gets no CPU) keeps its slot when we have given up, because its
 * handler may still come; the slot is ours again when the late answer is read. The number travels with the
 * signal, so a late answer never lands in another's slot, and what is in a slot is ordered by the pipe.
 */
#include "plat/stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/count.h"
#include "plat/clock.h"
#include "plat/symbols.h"

enum { SLOTS = 8, SIGNAL_FRAMES = 2 /* the handler, and what the kernel returns to */ };

struct slot {
    bool asked;        /* the asking thread's */
    struct count asks; /* atomic: edge C1, from the asking thread, which is done with the last answer */
    struct stack stack; /* the way back goes through the pipe */
};

static struct slot slots[SLOTS];
static int answers[2] = { -1, -1 }; /* a pipe of slots' numbers, a byte each; fixed after stack_init() */

static int stack_signal(void)
{
    return SIGRTMAX - 2;
}

/* On the thread that is looked at. */
static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    int saved_errno = errno;
    int i = info->si_value.sival_int;
    if (info->si_code == SI_QUEUE && info->si_pid == getpid() && i >= 0 && i < SLOTS) {
        unsigned char number = (unsigned char)i;
        (void)count_take(&slots[i].asks);
        slots[i].stack.count = backtrace(slots[i].stack.frames, STACK_FRAMES_MAX);
        ssize_t n = write(answers[1], &number, 1);
        (void)n; /* A pipe holds more than SLOTS answers. */
    }
    errno = saved_errno;
}

int stack_init(void)
{
    struct sigaction before,
        ours = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    if (answers[0] >= 0)
        return 0;
    if (sigaction(stack_signal(), NULL, &before) != 0)
        return -errno;
    if ((before.sa_flags & SA_SIGINFO) != 0 || before.sa_handler != SIG_DFL)
        return PEN_EBUSY;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    void *frame;
    (void)backtrace(&frame, 1); /* Loads libgcc, which allocates. */
    sigemptyset(&ours.sa_mask);
    memcpy(answers, fds, sizeof answers);
    check(sigaction(stack_signal(), &ours, NULL) == 0); /* It could be asked about. */
    return 0;
}

bool stack_permit(bool permit)
{
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, stack_signal());
    check(pthread_sigmask(permit ? SIG_UNBLOCK : SIG_BLOCK, &set, &before) == 0);
    return sigismember(&before, stack_signal()) == 0;
}

/* Read answers as they come; true when it is that slot's. */
static bool next_answer(unsigned i)
{
    unsigned char number;
    if (read(answers[0], &number, 1) != 1)
        return false;
    check(number < SLOTS && slots[number].asked);
    slots[number].asked = false;
    return number == i;
}

static int slot_take(unsigned *ret_index)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!slots[i].asked) {
            slots[i].asked = true;
            *ret_index = i;
            return 0;
        }
    }
    return PEN_ELIMIT;
}

static int ask(int thread_id, unsigned i)
{
    siginfo_t info = { .si_signo = stack_signal(), .si_code = SI_QUEUE };
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = (int)i;
    count_give(&slots[i].asks, count_read(&slots[i].asks) + 1);
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_id, stack_signal(), &info) == 0)
        return 0;
    return errno == ESRCH ? PEN_ENOENT : -errno;
}

static bool wait_answer(unsigned i, mono_t deadline)
{
    struct pollfd fds = { .fd = answers[0], .events = POLLIN };
    for (;;) {
        int64_t ns = mono_since(deadline, clock_mono()).ns;
        struct timespec left = { .tv_sec = ns > 0 ? ns / NS_PER_S : 0,
                                 .tv_nsec = ns > 0 ? ns % NS_PER_S : 0 };
        int n = ppoll(&fds, 1, &left, NULL);
        if (n == 0)
            return false;
        if (n > 0 && next_answer(i))
            return true;
    }
}

/* Late answers first, so that their slots are ours again. */
static void read_late_answers(void)
{
    struct pollfd fds = { .fd = answers[0], .events = POLLIN };
    while (poll(&fds, 1, 0) > 0)
        (void)next_answer(SLOTS);
}

int stack_take(int thread_id, mono_t deadline, struct stack *ret_stack)
{
    unsigned i;
    check(answers[0] >= 0);
    read_late_answers();
    int r = slot_take(&i);
    if (r < 0)
        return r;
    r = ask(thread_id, i);
    if (r < 0) {
        slots[i].asked = false;
        return r;
    }
    if (!wait_answer(i, deadline))
        return PEN_ETIMEOUT;
    const struct stack *s = &slots[i].stack;
    int skip = s->count > SIGNAL_FRAMES ? SIGNAL_FRAMES : 0;
    memcpy(ret_stack->frames, s->frames + skip, (size_t)(s->count - skip) * sizeof s->frames[0]);
    ret_stack->count = s->count - skip;
    return 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A return address stands behind its call, which may have been the last of its function. */
static int format_frame(const struct symbols *own, struct buf *text, uintptr_t at, bool is_return)
{
    Dl_info info;
    uintptr_t inside = at - (is_return ? 1 : 0);
    if (dladdr((void *)inside, &info) == 0 || info.dli_fname == NULL)
        return buf_printf(text, "0x%" PRIxPTR "\n", at);
    const char *file = base_name(info.dli_fname), *name = info.dli_sname;
    uintptr_t start = (uintptr_t)info.dli_saddr;
    if (name == NULL)
        name = symbols_find(own, inside, &start);
    if (name == NULL)
        return buf_printf(text, "%s+0x%" PRIxPTR "\n", file, at - (uintptr_t)info.dli_fbase);
    return buf_printf(text, "%s+0x%" PRIxPTR " (%s)\n", name, at - start, file);
}

int stack_format(const struct stack *s, struct buf *text)
{
    int r = 0;
    struct symbols own;
    symbols_open(&own);
    for (int i = 0; i < s->count && r == 0; i++)
        r = format_frame(&own, text, (uintptr_t)s->frames[i], i > 0);
    symbols_close(&own);
    return r;
}
