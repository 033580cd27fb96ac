/* SPDX-License-Identifier: Apache-2.0
 *
 * A libnanomsg client for load: numbered messages into a PUSH socket, and an account of what arrives at a PULL socket.
 *
 *   spload push ADDRESS COUNT BYTES               send 0..COUNT-1, each a number and filling; waits for nothing
 *   spload pull ADDRESS COUNT [PAUSE_AT PAUSE_MS] receive COUNT messages; stop reading for PAUSE_MS after PAUSE_AT
 *   spload sub ADDRESS CLIENTS COUNT WINDOW       CLIENTS subscribers, each to receive 0..COUNT-1 in order; prints a line
 *                                                 whenever all have received WINDOW more
 *   spload req ADDRESS CLIENTS ROUNDS             CLIENTS threads, each its own REQ socket asking for sums of squares
 *                                                 of its own numbers and checking each answer
 *
 * pull prints one JSON line: how many came, how many twice, how many are missing, seconds. Exit status 0 when each came
 * once, 1 otherwise, 2 when a call failed.
 */
#include <inttypes.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MESSAGE_MAX_BYTES = 1 << 20, PATIENCE_MS = 120000 };

static void die(const char *what)
{
    fprintf(stderr, "spload: %s: %s\n", what, nn_strerror(nn_errno()));
    exit(2);
}

static int must(int result, const char *what)
{
    if (result < 0)
        die(what);
    return result;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_socket(int protocol, const char *address)
{
    int s = must(nn_socket(AF_SP, protocol), "nn_socket");
    int patience = PATIENCE_MS;
    must(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience), "NN_RCVTIMEO");
    must(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience), "NN_SNDTIMEO");
    must(nn_connect(s, address), address);
    return s;
}

/* The kernel has everything: libnanomsg has no linger, so closing at once could lose the tail. */
static void wait_sent(int s)
{
    int fd;
    size_t size = sizeof fd;
    must(nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDFD, &fd, &size), "NN_SNDFD");
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (poll(&p, 1, PATIENCE_MS) != 1) {
        fprintf(stderr, "spload: the last message was not sent\n");
        exit(2);
    }
}

static int push(const char *address, uint64_t count, size_t bytes)
{
    static char message[MESSAGE_MAX_BYTES];
    memset(message, '.', sizeof message);
    int s = open_socket(NN_PUSH, address);
    double start = seconds();
    for (uint64_t i = 0; i < count; i++) {
        int n = snprintf(message, 24, "%" PRIu64, i);
        message[n] = ' ';
        size_t length = bytes > (size_t)n ? bytes : (size_t)n;
        if (nn_send(s, message, length, 0) != (int)length)
            die("nn_send");
    }
    wait_sent(s);
    printf("{\"sent\":%" PRIu64 ",\"seconds\":%.3f}\n", count, seconds() - start);
    fflush(stdout);
    /* Until the parent has seen everything arrive, and closes our standard input. */
    while (getchar() != EOF) {
    }
    return 0;
}

static void pause_reading(int ms)
{
    printf("{\"paused_ms\":%d}\n", ms);
    fflush(stdout);
    if (ms < 0) { /* until the parent writes a line */
        while (getchar() != '\n') {
        }
        return;
    }
    (void)poll(NULL, 0, ms); /* This client is slow on purpose: that is what is tested. */
}

static int pull(const char *address, uint64_t count, uint64_t pause_at, int pause_ms)
{
    uint8_t *seen = calloc(count, 1);
    int s = open_socket(NN_PULL, address);
    uint64_t got = 0, twice = 0, strange = 0;
    double start = seconds();
    while (got < count) {
        char *message;
        int n = must(nn_recv(s, &message, NN_MSG, 0), "nn_recv");
        uint64_t number = n > 0 && n < MESSAGE_MAX_BYTES ? strtoull(message, NULL, 10) : count;
        nn_freemsg(message);
        if (number >= count)
            strange++;
        else if (seen[number]++)
            twice++;
        if (got++ == 0)
            start = seconds();
        if (pause_ms != 0 && got == pause_at)
            pause_reading(pause_ms);
    }
    uint64_t missing = 0;
    for (uint64_t i = 0; i < count; i++)
        missing += seen[i] == 0;
    printf("{\"got\":%" PRIu64 ",\"twice\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"strange\":%" PRIu64
           ",\"seconds\":%.3f}\n",
           got, twice, missing, strange, seconds() - start);
    nn_close(s);
    free(seen);
    return twice + missing + strange == 0 ? 0 : 1;
}

struct subscriber {
    int socket;
    uint64_t next;
};

/* All that has come to one; how many it received, none of them another than the next. */
static void hear(struct subscriber *s)
{
    char *message;
    int n;
    while ((n = nn_recv(s->socket, &message, NN_MSG, NN_DONTWAIT)) >= 0) {
        uint64_t number = n > 0 ? strtoull(message, NULL, 10) : UINT64_MAX;
        nn_freemsg(message);
        if (number != s->next) {
            printf("{\"expected\":%" PRIu64 ",\"got\":%" PRIu64 "}\n", s->next, number);
            exit(1);
        }
        s->next++;
    }
}

static uint64_t least(const struct subscriber *all, size_t clients)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < clients; i++)
        least = all[i].next < least ? all[i].next : least;
    return least;
}

static int sub(const char *address, size_t clients, uint64_t count, uint64_t window)
{
    struct subscriber *all = calloc(clients, sizeof *all);
    struct pollfd *fds = calloc(clients, sizeof *fds);
    uint64_t mark = window;
    for (size_t i = 0; i < clients; i++) {
        size_t size = sizeof fds[i].fd;
        all[i].socket = open_socket(NN_SUB, address);
        must(nn_setsockopt(all[i].socket, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), "NN_SUB_SUBSCRIBE");
        must(nn_getsockopt(all[i].socket, NN_SOL_SOCKET, NN_RCVFD, &fds[i].fd, &size), "NN_RCVFD");
        fds[i].events = POLLIN;
    }
    while (mark <= count && poll(fds, clients, PATIENCE_MS) > 0) {
        for (size_t i = 0; i < clients; i++)
            if (fds[i].revents != 0)
                hear(&all[i]);
        for (; mark <= count && least(all, clients) >= mark; mark += window) {
            printf("{\"all\":%" PRIu64 "}\n", mark);
            fflush(stdout);
        }
    }
    return mark > count ? 0 : 1;
}

struct asker {
    const char *address;
    uint64_t first, rounds, wrong;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    int s = open_socket(NN_REQ, a->address);
    for (uint64_t i = 0; i < a->rounds; i++) {
        uint64_t n = a->first + i * 37;
        char question[24], answer[64];
        int length = snprintf(question, sizeof question, "%" PRIu64, n);
        if (nn_send(s, question, (size_t)length, 0) < 0)
            die("nn_send");
        int got = must(nn_recv(s, answer, sizeof answer - 1, 0), "nn_recv");
        answer[got] = '\0';
        uint64_t expect = n * (n - 1) / 2 * (2 * n - 1) / 3;
        if (strtoull(answer, NULL, 10) != expect) {
            fprintf(stderr, "spload: asked for %" PRIu64 ", got \"%s\"\n", n, answer);
            a->wrong++;
        }
    }
    nn_close(s);
    return NULL;
}

static int req(const char *address, size_t clients, uint64_t rounds)
{
    struct asker *askers = calloc(clients, sizeof *askers);
    pthread_t *threads = calloc(clients, sizeof *threads);
    uint64_t wrong = 0;
    for (size_t i = 0; i < clients; i++) {
        askers[i] = (struct asker){ .address = address, .first = 1 + i * 101, .rounds = rounds };
        if (pthread_create(&threads[i], NULL, ask, &askers[i]) != 0)
            die("pthread_create");
    }
    for (size_t i = 0; i < clients; i++) {
        pthread_join(threads[i], NULL);
        wrong += askers[i].wrong;
    }
    printf("{\"answers\":%" PRIu64 ",\"wrong\":%" PRIu64 "}\n", clients * rounds, wrong);
    free(askers);
    free(threads);
    return wrong == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "push") == 0)
        return push(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    if ((argc == 4 || argc == 6) && strcmp(argv[1], "pull") == 0)
        return pull(argv[2], strtoull(argv[3], NULL, 10),
                    argc == 6 ? strtoull(argv[4], NULL, 10) : 0, argc == 6 ? atoi(argv[5]) : 0);
    if (argc == 6 && strcmp(argv[1], "sub") == 0)
        return sub(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10),
                   strtoull(argv[5], NULL, 10));
    if (argc == 5 && strcmp(argv[1], "req") == 0)
        return req(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    fputs("usage: spload push|pull|sub|req ...; see the head of the source\n", stderr);
    return 2;
}
