/* SPDX-License-Identifier: Apache-2.0
 *
 * One load for every broker: numbered messages through it, an account of what arrives, and how long it took.
 *
 *   load-CLIENT PEER relay IN OUT [OPTIONS]     a sender, a receiver; as fast as it goes
 *   load-CLIENT PEER fan-out IN OUT [OPTIONS]   a sender, --receivers subscribers
 *   load-CLIENT PEER rate IN OUT [OPTIONS]      as relay, at --rate messages/s
 *   load-CLIENT PEER ask IN OUT [OPTIONS]       questions and answers, one at a time
 *   load-CLIENT PEER ask-rate IN OUT [OPTIONS]  the same at --rate questions/s, whether the last was answered or not
 *   load-CLIENT PEER work IN OUT [OPTIONS]      jobs put, receipted, taken and acknowledged, --in-flight puts at a time
 *   load-CLIENT PEER serve relay|fan-out IN OUT be the broker
 *
 * Options, each with a number: --bytes, --ms (how long), --count (instead: how many), --rate, --in-flight, --batch,
 * --window (messages that are sent and not yet received), --receivers, --patience (seconds until whoever waits gives up).
 *
 * Every message has its number and a filling that follows from it, so that one that is lost, comes twice or is
 * damaged is seen; the last one says that it is the last. At a fixed rate a message is due at its time even when the
 * one before it is late, and the latency counts from there. Until every receiver has got one, the sender of
 * fan-out sends probes: a subscription takes its time, and nobody tells when it is there.
 *
 * Prints a line of JSON. Exit status 0 when every message came once and whole.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    RECEIVERS_MAX = 16,
    SAMPLES_MAX = 1 << 20,
    MESSAGE_MIN_BYTES = 32,
    BATCH_MAX = 4096,
    TAKEN_MAX = 256, /* jobs at a time, when more than one is under way; a client may want fewer */
    PROBE_WAIT_MS = 10 /* then the probe is sent again */
};

enum kind { DATA, LAST, PROBE };

struct head {
    uint64_t number;
    uint64_t due_ns; /* when latency is measured */
    uint32_t kind;
    uint32_t unused;
};

/* What a receiver has got, for all processes to see. */
struct account {
    uint64_t got;
    uint64_t done; /* of these, jobs acknowledged and messages whose batch is over: what the sender may count on */
    uint64_t total; /* known when the last message has come */
    uint64_t twice, damaged, end_ns;
    uint32_t ready;
};

static struct {
    uint64_t start_ns, sent;
    uint32_t progress,
        waiting; /* a futex for whoever waits for a receiver, and whether somebody does */
    uint64_t samples;
    uint32_t sample_ns[SAMPLES_MAX];
    struct account accounts[RECEIVERS_MAX];
} * shared;

struct load load = { .bytes = 100, .batch = 128 };
static struct {
    uint64_t ms, count, rate, in_flight, window, receivers;
    uint64_t patience_s; /* far more than a run takes: whoever still waits then has lost something */
} plan = {
    .ms = 1200, .rate = 10000, .in_flight = 256, .window = 16384, .receivers = 1, .patience_s = 20
};

static const struct peer *peer;
static struct account *mine; /* of a receiver */
static uint64_t *seen;       /* a bit for each number that came */
static uint64_t seen_numbers;

_Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    _exit(2);
}

void *must_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL)
        die("calloc", "no memory");
    return memory;
}

uint16_t split_address(const char *address, char host[64])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon - address >= 64)
        die(address, "is not HOST:PORT");
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- what the processes tell each other ---- */

static void progress_tell(void)
{
    __atomic_add_fetch(&shared->progress, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&shared->waiting, __ATOMIC_SEQ_CST) != 0)
        syscall(SYS_futex, &shared->progress, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Until somebody has told progress since it was `seen_at`, or the time is over. */
static void progress_wait(uint32_t seen_at, long timeout_ms)
{
    struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000 };
    __atomic_add_fetch(&shared->waiting, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &shared->progress, FUTEX_WAIT, seen_at, timeout_ms ? &timeout : NULL, NULL, 0);
    __atomic_sub_fetch(&shared->waiting, 1, __ATOMIC_SEQ_CST);
}

static uint32_t progress_seen(void)
{
    return __atomic_load_n(&shared->progress, __ATOMIC_SEQ_CST);
}

static uint64_t done_by_all(void)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < plan.receivers; i++) {
        uint64_t done = __atomic_load_n(&shared->accounts[i].done, __ATOMIC_ACQUIRE);
        least = done < least ? done : least;
    }
    return least;
}

static void wait_done(uint64_t number)
{
    for (;;) {
        uint32_t at = progress_seen();
        if (done_by_all() >= number)
            return;
        progress_wait(at, 0);
    }
}

static bool all_ready(void)
{
    for (size_t i = 0; i < plan.receivers; i++)
        if (__atomic_load_n(&shared->accounts[i].ready, __ATOMIC_ACQUIRE) == 0)
            return false;
    return true;
}

static void ready_tell(void)
{
    __atomic_store_n(&mine->ready, 1, __ATOMIC_RELEASE);
    progress_tell();
}

void load_serving(void)
{
    puts("ready");
    fflush(stdout);
}

static void sample(uint64_t ns)
{
    uint64_t at = __atomic_fetch_add(&shared->samples, 1, __ATOMIC_RELAXED);
    if (at < SAMPLES_MAX)
        shared->sample_ns[at] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* ---- messages ---- */

static void message_write(uint8_t *at, struct head head)
{
    memcpy(at, &head, sizeof head);
    uint64_t word = head.number * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = sizeof head;
    for (; i + 8 <= load.bytes; i += 8, word += i)
        memcpy(at + i, &word, 8);
    memset(at + i, (int)(word & 0x7f), load.bytes - i);
}

static bool message_whole(const uint8_t *at, const struct head *head)
{
    uint64_t word = head->number * UINT64_C(0x9e3779b97f4a7c15), wrong = 0, there;
    size_t i = sizeof *head;
    for (; i + 8 <= load.bytes; i += 8, word += i) {
        memcpy(&there, at + i, 8);
        wrong |= there ^ word;
    }
    for (; i < load.bytes; i++)
        wrong |= at[i] ^ (word & 0x7f);
    return wrong == 0;
}

static bool seen_before(uint64_t number)
{
    if (number >= seen_numbers) {
        uint64_t numbers = (number + 1) * 2 < 1 << 20 ? 1 << 20 : ((number + 1) * 2 + 63) / 64 * 64;
        uint64_t *more = must_allocate(numbers / 8);
        if (seen != NULL)
            memcpy(more, seen, seen_numbers / 8);
        free(seen);
        seen = more;
        seen_numbers = numbers;
    }
    uint64_t bit = UINT64_C(1) << number % 64, *word = &seen[number / 64];
    bool before = (*word & bit) != 0;
    *word |= bit;
    return before;
}

void load_came(const void *message, size_t bytes)
{
    struct head head;
    if (bytes != load.bytes || (memcpy(&head, message, sizeof head), !message_whole(message, &head)) ||
        head.number > UINT32_MAX) {
        mine->damaged++;
        return;
    }
    if (head.kind == PROBE) {
        ready_tell();
        return;
    }
    if (seen_before(head.number)) {
        mine->twice++;
        return;
    }
    if (head.due_ns != 0)
        sample(now_ns() - head.due_ns);
    if (head.kind == LAST)
        mine->total = head.number + 1;
    mine->got++;
}

static bool complete(void)
{
    return mine->total != 0 && mine->got >= mine->total;
}

/* ---- receivers ---- */

static void receive_all(enum role role)
{
    void *link = peer->open(role);
    if (role != SUBSCRIBES)
        ready_tell();
    while (!complete()) {
        if (role == WORKS)
            peer->work(link, plan.in_flight > 1 ? TAKEN_MAX : 1);
        else
            peer->receive(link);
        if (complete())
            mine->end_ns = now_ns();
        __atomic_store_n(&mine->done, mine->got, __ATOMIC_RELEASE);
        progress_tell();
    }
}

static void answer_all(void)
{
    void *link = peer->open(ANSWERS);
    ready_tell();
    for (;;)
        peer->answer(link);
}

/* ---- senders ---- */

struct sender {
    void *link;
    uint8_t *messages;
    uint64_t number; /* of the next message */
    uint64_t end_ns;
    bool over;
};

static void wait_ready(struct sender *s, bool probe)
{
    for (;;) {
        uint32_t at = progress_seen();
        if (all_ready())
            break;
        if (probe) {
            message_write(s->messages, (struct head){ .kind = PROBE });
            peer->send(s->link, s->messages, 1);
        }
        progress_wait(at, probe ? PROBE_WAIT_MS : 0);
    }
}

static struct sender sender_begin(enum role role)
{
    struct sender s = { .messages = must_allocate(load.batch * load.bytes),
                        .link = peer->open(role) };
    wait_ready(&s, role == PUBLISHES);
    shared->start_ns = now_ns();
    s.end_ns = shared->start_ns + plan.ms * 1000000;
    return s;
}

/* The next n messages, or as many as are left; how many. The last of all says so. */
static size_t sender_fill(struct sender *s, size_t n, uint64_t due_ns)
{
    uint64_t step_ns = due_ns != 0 ? 1000000000 / plan.rate : 0;
    if (plan.count != 0 && s->number + n >= plan.count) {
        n = plan.count - s->number;
        s->over = true;
    } else if (plan.count == 0 && now_ns() >= s->end_ns) {
        s->over = true;
    }
    for (size_t i = 0; i < n; i++, s->number++)
        message_write(s->messages + i * load.bytes,
                      (struct head){ .number = s->number,
                                     .due_ns = due_ns + i * step_ns,
                                     .kind = s->over && i == n - 1 ? LAST : DATA });
    return n;
}

static void send_all(enum role role)
{
    struct sender s = sender_begin(role);
    while (!s.over) {
        if (s.number + load.batch > plan.window)
            wait_done(s.number + load.batch - plan.window);
        size_t n = sender_fill(&s, load.batch, 0);
        peer->send(s.link, s.messages, n);
    }
    shared->sent = s.number;
    /* Some libraries drop what is not yet written when their process ends. */
    wait_done(s.number);
}

/* Messages at their times; the clock is a timer that is read, which waits until then. */
static void send_at_rate(struct sender *s)
{
    uint64_t period_ns = 1000000000 / plan.rate, start_ns = now_ns() + 1000000;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    s->end_ns = start_ns + plan.ms * 1000000;
    while (!s->over) {
        uint64_t due_ns = start_ns + s->number * period_ns, ticks, now = now_ns();
        if (due_ns > now) {
            struct itimerspec at = { .it_value = { (time_t)(due_ns / 1000000000),
                                                   (long)(due_ns % 1000000000) } };
            if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL) != 0 ||
                read(timer, &ticks, sizeof ticks) < 0)
                die("timerfd", strerror(errno));
            now = now_ns();
        }
        size_t due = (now - due_ns) / period_ns + 1;
        size_t n = sender_fill(s, due < load.batch ? due : load.batch, due_ns);
        peer->send(s->link, s->messages, n);
    }
    shared->sent = s->number;
}

static void rate_all(void)
{
    struct sender s = sender_begin(SENDS);
    send_at_rate(&s);
    wait_done(s.number);
}

static void *rate_thread(void *arg)
{
    send_at_rate(arg);
    return NULL;
}

/* The asking process is its own receiver. */
static void ask_all(void)
{
    struct sender s = sender_begin(ASKS);
    mine = &shared->accounts[RECEIVERS_MAX - 1];
    while (!s.over) {
        uint64_t before = mine->got, start = now_ns();
        size_t n = sender_fill(&s, 1, 0);
        peer->send(s.link, s.messages, n);
        while (mine->got == before && mine->damaged + mine->twice == 0)
            peer->receive(s.link);
        sample(now_ns() - start);
    }
    shared->sent = s.number;
    mine->end_ns = now_ns();
}

static void ask_at_rate(void)
{
    struct sender s = sender_begin(ASKS);
    pthread_t thread;
    mine = &shared->accounts[RECEIVERS_MAX - 1];
    if (pthread_create(&thread, NULL, rate_thread, &s) != 0)
        die("pthread_create", "failed");
    while (!complete())
        peer->receive(s.link);
    pthread_join(thread, NULL);
    mine->end_ns = now_ns();
}

/* One job at a time: the next is put when the last was acknowledged, and the way of each is timed. */
static void put_all(void)
{
    struct sender s = sender_begin(PUTS);
    size_t batch = plan.in_flight > 1 ? load.batch : 1, pending = 0;
    while (!s.over) {
        while (pending + batch > plan.in_flight)
            pending -= peer->receipts(s.link);
        if (s.number + batch > plan.window)
            wait_done(s.number + batch - plan.window);
        uint64_t start = now_ns();
        size_t n = sender_fill(&s, batch, 0);
        peer->put(s.link, s.messages, n);
        pending += n;
        if (plan.in_flight == 1) {
            pending -= peer->receipts(s.link);
            wait_done(s.number);
            sample(now_ns() - start);
        }
    }
    while (pending > 0)
        pending -= peer->receipts(s.link);
    shared->sent = s.number;
    wait_done(s.number);
}

/* ---- scenarios ---- */

static void relay(void)
{
    send_all(SENDS);
}
static void fan_out(void)
{
    send_all(PUBLISHES);
}
static void receive(void)
{
    receive_all(RECEIVES);
}
static void subscribe(void)
{
    receive_all(SUBSCRIBES);
}
static void work(void)
{
    receive_all(WORKS);
}

static const struct scenario {
    const char *name;
    void (*send)(void);
    void (*receive)(void);
    bool asks, at_once;
} scenarios[] = {
    { .name = "relay", .send = relay, .receive = receive },
    { .name = "fan-out", .send = fan_out, .receive = subscribe },
    { .name = "rate", .send = rate_all, .receive = receive, .at_once = true },
    { .name = "ask", .send = ask_all, .receive = answer_all, .asks = true, .at_once = true },
    { .name = "ask-rate", .send = ask_at_rate, .receive = answer_all, .asks = true, .at_once = true },
    { .name = "work", .send = put_all, .receive = work },
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static pid_t start(void (*body)(void), struct account *account)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork", strerror(errno));
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1);
    alarm((unsigned)plan.patience_s);
    mine = account;
    body();
    _exit(0);
}

static bool ended_well(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_percentiles(void)
{
    static const struct {
        const char *name;
        double part;
    } wanted[] = { { "p50_us", 0.5 }, { "p99_us", 0.99 }, { "p999_us", 0.999 } };
    size_t n = shared->samples < SAMPLES_MAX ? shared->samples : SAMPLES_MAX;
    if (n == 0)
        return;
    qsort(shared->sample_ns, n, sizeof shared->sample_ns[0], compare_samples);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        printf(",\"%s\":%.1f", wanted[i].name,
               shared->sample_ns[(size_t)((double)(n - 1) * wanted[i].part)] / 1e3);
    printf(",\"max_us\":%.1f", shared->sample_ns[n - 1] / 1e3);
}

/* Sums over the receivers, each of which should have got everything. */
static bool report(const struct scenario *scenario, bool well)
{
    struct account *first = shared->accounts, sum = { 0 };
    size_t n = plan.receivers;
    if (scenario->asks) {
        first = &shared->accounts[RECEIVERS_MAX - 1];
        n = 1;
    }
    for (size_t i = 0; i < n; i++) {
        sum.got += first[i].got;
        sum.twice += first[i].twice;
        sum.damaged += first[i].damaged;
        sum.end_ns = first[i].end_ns > sum.end_ns ? first[i].end_ns : sum.end_ns;
    }
    double seconds =
        sum.end_ns > shared->start_ns ? (double)(sum.end_ns - shared->start_ns) / 1e9 : 1;
    uint64_t lost = shared->sent * n - sum.got;
    printf("{\"peer\":\"%s\",\"scenario\":\"%s\",\"bytes\":%zu,\"sent\":%lu,\"got\":%lu,\"lost\":%lu,\"twice\":%lu,"
           "\"damaged\":%lu,\"seconds\":%.4f,\"per_second\":%.0f",
           peer->name, scenario->name, load.bytes, shared->sent, sum.got, lost, sum.twice,
           sum.damaged, seconds, (double)sum.got / seconds);
    print_percentiles();
    puts("}");
    return well && shared->sent > 0 && lost + sum.twice + sum.damaged == 0;
}

static int run(const struct scenario *scenario)
{
    pid_t receivers[RECEIVERS_MAX];
    bool receives = !scenario->asks || peer->answer != NULL, well = true;
    if (!receives)
        plan.receivers = 0;
    load.at_once = scenario->at_once || plan.window == 1;
    for (size_t i = 0; i < plan.receivers; i++)
        receivers[i] = start(scenario->receive, &shared->accounts[i]);
    pid_t sender = start(scenario->send, NULL);
    well = ended_well(sender);
    for (size_t i = 0; i < plan.receivers; i++) {
        /* One that answers has no end of its own, and when the sender has failed none has. */
        bool endless = scenario->asks || !well;
        if (endless)
            kill(receivers[i], SIGKILL);
        well = (ended_well(receivers[i]) || scenario->asks) && well;
    }
    return report(scenario, well) ? 0 : 1;
}

static int usage(void)
{
    fputs("usage: load-CLIENT PEER SCENARIO IN OUT [OPTIONS]; see the head of load.c. Peers:",
          stderr);
    for (const struct peer *p = peers; p->name != NULL; p++)
        fprintf(stderr, " %s", p->name);
    fputs("\n", stderr);
    return 2;
}

static bool options(int argc, char **argv)
{
    uint64_t bytes = load.bytes, batch = load.batch;
    static const struct option names[] = {
        { "bytes", 1, NULL, 'b' },  { "ms", 1, NULL, 'm' },        { "count", 1, NULL, 'c' },
        { "rate", 1, NULL, 'r' },   { "in-flight", 1, NULL, 'f' }, { "batch", 1, NULL, 'n' },
        { "window", 1, NULL, 'w' }, { "receivers", 1, NULL, 'k' }, { "patience", 1, NULL, 'p' },
        { NULL, 0, NULL, 0 }
    };
    uint64_t *const values[] = { &bytes,       &plan.ms,        &plan.count,
                                 &plan.rate,   &plan.in_flight, &batch,
                                 &plan.window, &plan.receivers, &plan.patience_s };
    for (int c, at; (c = getopt_long(argc, argv, "", names, &at)) != -1;) {
        if (c == '?')
            return false;
        *values[at] = strtoull(optarg, NULL, 10);
    }
    load.bytes = bytes;
    load.batch = batch;
    return bytes >= MESSAGE_MIN_BYTES && batch > 0 && batch <= BATCH_MAX && plan.window >= batch &&
           plan.rate > 0 && plan.in_flight > 0 && plan.receivers > 0 &&
           plan.receivers < RECEIVERS_MAX;
}

int main(int argc, char **argv)
{
    if (!options(argc, argv) || argc - optind < 4)
        return usage();
    char **words = argv + optind;
    for (peer = peers; peer->name != NULL && strcmp(peer->name, words[0]) != 0; peer++) {
    }
    if (peer->name == NULL)
        return usage();
    if (strcmp(words[1], "serve") == 0 && argc - optind == 5 && peer->serve != NULL) {
        load.in = words[3];
        load.out = words[4];
        peer->serve(strcmp(words[2], "fan-out") == 0);
        return 0;
    }
    load.in = words[2];
    load.out = words[3];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap", strerror(errno));
    for (size_t i = 0; i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, words[1]) == 0)
            return run(&scenarios[i]);
    return usage();
}
