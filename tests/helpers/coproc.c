/* SPDX-License-Identifier: Apache-2.0
 *
 * A co-process that misbehaves on request: coproc lines|frames [MODE [FILE]]. It echoes every payload but those
 * that are orders:
 *   crash       dies of SIGKILL              exit      exits with status 3
 *   hang        never answers                twice     answers twice in one write
 *   long        answers 100,000 bytes        last      answers and exits with status 0
 *   closeout    closes standard output and hangs
 *   closein     answers, closes standard input and hangs
 *   noisy N     writes N lines to standard error, then echoes
 *   binary      writes a line with control characters and a very long one to standard error, then echoes
 *   pid         answers its pid
 * MODE:
 *   unread      never reads                  chatty    writes before it is asked
 *   early       answers "early" to the first byte of a request, then reads the rest of it
 *   stubborn    ignores SIGTERM and the end of its input
 *   polite      ignores the end of its input, says goodbye on standard error at SIGTERM
 *   gated FILE  first waits until somebody opens the FIFO
 *   deserter FILE  waits so too, then exits with status 3
 *   lingering   leaves a descendant that holds all of its descriptors
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool frames;

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

static void put_header(size_t bytes)
{
    for (int i = 0; i < 4; i++)
        putchar((int)(bytes >> (24 - 8 * i) & 0xff));
}

static void answer(const char *data, size_t bytes)
{
    if (frames)
        put_header(bytes);
    fwrite(data, 1, bytes, stdout);
    if (!frames)
        putchar('\n');
}

/* The next payload; NULL at the end. */
static char *get_frame(size_t *ret_bytes)
{
    uint8_t header[4];
    if (fread(header, 1, sizeof header, stdin) < sizeof header)
        return NULL;
    *ret_bytes =
        (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    char *payload = malloc(*ret_bytes + 1);
    if (payload == NULL || fread(payload, 1, *ret_bytes, stdin) < *ret_bytes)
        exit(70);
    payload[*ret_bytes] = '\0';
    return payload;
}

static char *get_line(size_t *ret_bytes)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, stdin);
    if (n <= 0) {
        free(line);
        return NULL;
    }
    line[n - 1] = '\0';
    *ret_bytes = (size_t)n - 1;
    return line;
}

static void answer_long(void)
{
    static char text[100000];
    memset(text, 'x', sizeof text);
    answer(text, sizeof text);
}

static void answer_pid(void)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d", (int)getpid());
    answer(text, (size_t)n);
}

static void write_binary(void)
{
    fputs("esc \033[2J bell \007\n", stderr);
    for (int i = 0; i < 20000; i++)
        fputc('y', stderr);
    fputs("\nafter\nunfinished", stderr);
}

static void obey_last_orders(const char *order)
{
    if (strcmp(order, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(order, "exit") == 0)
        exit(3);
    if (strcmp(order, "hang") == 0)
        hang();
    if (strcmp(order, "closeout") == 0) {
        close(STDOUT_FILENO);
        hang();
    }
}

/* After the answer was written. */
static void obey_after(const char *order)
{
    if (strcmp(order, "last") == 0)
        exit(0);
    if (strcmp(order, "closein") == 0) {
        close(STDIN_FILENO);
        hang();
    }
}

static void serve(const char *payload, size_t bytes)
{
    obey_last_orders(payload);
    if (strncmp(payload, "noisy ", 6) == 0)
        for (int i = 0, n = atoi(payload + 6); i < n; i++)
            fprintf(stderr, "noise %d\n", i);
    if (strcmp(payload, "binary") == 0)
        write_binary();
    if (strcmp(payload, "twice") == 0)
        answer(payload, bytes);
    if (strcmp(payload, "long") == 0)
        answer_long();
    else if (strcmp(payload, "pid") == 0)
        answer_pid();
    else
        answer(payload, bytes);
    fflush(stdout);
    obey_after(payload);
}

/* Wait for somebody to open the FIFO. */
static void wait_at(const char *gate)
{
    int fd;
    do
        fd = open(gate, O_RDONLY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        exit(71);
    close(fd);
}

static _Noreturn void serve_early(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) == 1) {
        answer("early", 5);
        fflush(stdout);
        while (byte != '\n' && read(STDIN_FILENO, &byte, 1) == 1) {
        }
    }
    exit(0);
}

/* The descendant holds the pipes until it is killed with the group. */
static void leave_descendant(void)
{
    if (fork() == 0)
        hang();
}

static void say_goodbye(int number)
{
    ssize_t n = write(STDERR_FILENO, "goodbye\n", 8);
    _exit(n == 8 ? 0 : 72);
}

static bool mode_is(char **argv, const char *mode)
{
    return argv[2] != NULL && strcmp(argv[2], mode) == 0;
}

static void start_in_mode(char **argv)
{
    if (mode_is(argv, "unread"))
        hang();
    if (mode_is(argv, "early"))
        serve_early();
    if (mode_is(argv, "stubborn"))
        signal(SIGTERM, SIG_IGN);
    if (mode_is(argv, "polite"))
        signal(SIGTERM, say_goodbye);
    if (mode_is(argv, "gated"))
        wait_at(argv[3]);
    if (mode_is(argv, "deserter")) {
        wait_at(argv[3]);
        exit(3);
    }
    if (mode_is(argv, "lingering"))
        leave_descendant();
    if (mode_is(argv, "chatty"))
        puts("hello");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    frames = strcmp(argv[1], "frames") == 0;
    start_in_mode(argv);
    size_t bytes;
    char *payload;
    while ((payload = frames ? get_frame(&bytes) : get_line(&bytes)) != NULL) {
        serve(payload, bytes);
        free(payload);
    }
    if (mode_is(argv, "stubborn") || mode_is(argv, "polite"))
        hang();
    return 0;
}
