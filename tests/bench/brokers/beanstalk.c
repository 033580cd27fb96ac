/* SPDX-License-Identifier: Apache-2.0
 *
 * beanstalkd, whose protocol is text. Puts, reserves and deletes are pipelined: of a batch of reserves the first waits for
 * a job, the others take what is there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

enum { COMMAND_BYTES = 48, RESERVES_MAX = 64, LINE_MAX_BYTES = 256 };

struct link {
    struct wire *wire, *answers; /* two connections for who asks: one waits for answers */
    uint8_t *out;
    size_t reserves; /* whose answers have not come */
};

static size_t line_bytes(struct wire *w)
{
    for (;;) {
        uint8_t *end = memchr(wire_at(w), '\n', wire_there(w));
        if (end != NULL)
            return (size_t)(end + 1 - wire_at(w));
        wire_more(w);
    }
}

/* The next line begins with the word; where it stood is in `line`. */
static void expect(struct wire *w, const char *word, char line[LINE_MAX_BYTES])
{
    size_t n = line_bytes(w), most = n < LINE_MAX_BYTES ? n : LINE_MAX_BYTES - 1;
    memcpy(line, wire_at(w), most);
    line[most] = '\0';
    w->begin += n;
    if (strncmp(line, word, strlen(word)) != 0)
        die("beanstalkd", line);
}

static void command(struct wire *w, const char *text, const char *answer)
{
    char line[LINE_MAX_BYTES];
    wire_write(w, text, strlen(text));
    expect(w, answer, line);
}

static void *open_link(enum role role)
{
    struct link *l = must_allocate(sizeof *l);
    l->wire = wire_connect(load.in);
    l->answers = role == ASKS ? wire_connect(load.in) : l->wire;
    l->out = must_allocate((load.batch + 1) * (load.bytes + 2 * COMMAND_BYTES));
    if (role == ANSWERS)
        command(l->wire, "use answers\r\n", "USING");
    if (role == ASKS) {
        command(l->answers, "watch answers\r\n", "WATCHING");
        command(l->answers, "ignore default\r\n", "WATCHING");
    }
    return l;
}

static void put(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    uint8_t *at = l->out;
    for (size_t i = 0; i < n; i++) {
        at += snprintf((char *)at, COMMAND_BYTES, "put 0 0 60 %zu\r\n", load.bytes);
        memcpy(at, messages + i * load.bytes, load.bytes);
        memcpy(at + load.bytes, "\r\n", 2);
        at += load.bytes + 2;
    }
    wire_write(l->wire, l->out, (size_t)(at - l->out));
}

static size_t receipts(void *arg)
{
    struct link *l = arg;
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    do {
        expect(l->wire, "INSERTED", line);
        n++;
    } while (memchr(wire_at(l->wire), '\n', wire_there(l->wire)) != NULL);
    return n;
}

static void send_messages(void *arg, const uint8_t *messages, size_t n)
{
    put(arg, messages, n);
    for (size_t got = 0; got < n;)
        got += receipts(arg);
}

/* Wait for the answer to a reserve: where the body is until the next read, and the job's id. NULL when none was left. */
static const uint8_t *take(struct wire *w, unsigned long *ret_id)
{
    char line[LINE_MAX_BYTES];
    unsigned long bytes;
    expect(w, "", line);
    if (strcmp(line, "TIMED_OUT\r\n") == 0)
        return NULL;
    if (sscanf(line, "RESERVED %lu %lu", ret_id, &bytes) != 2 || bytes != load.bytes)
        die("beanstalkd", line);
    wire_need(w, bytes + 2);
    w->begin += bytes + 2;
    return wire_at(w) - bytes - 2;
}

/* Jobs are deleted together with reserving the next ones. */
static void delete_and_reserve(struct link *l, const unsigned long *ids, size_t n, size_t most)
{
    static const char more[] = "reserve-with-timeout 0\r\n";
    char commands[2 * RESERVES_MAX * COMMAND_BYTES];
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += (size_t)snprintf(commands + bytes, COMMAND_BYTES, "delete %lu\r\n", ids[i]);
    bytes += (size_t)snprintf(commands + bytes, COMMAND_BYTES, "reserve\r\n");
    for (size_t i = 1; i < most; i++, bytes += sizeof more - 1)
        memcpy(commands + bytes, more, sizeof more - 1);
    wire_write(l->answers, commands, bytes);
    l->reserves = most;
}

static void work(void *arg, size_t most)
{
    struct link *l = arg;
    unsigned long ids[RESERVES_MAX];
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    most = most < RESERVES_MAX ? most : RESERVES_MAX;
    if (l->reserves == 0)
        delete_and_reserve(l, NULL, 0, most);
    for (; l->reserves > 0; l->reserves--) {
        const uint8_t *body = take(l->answers, &ids[n]);
        if (body == NULL)
            continue;
        load_came(body, load.bytes);
        n++;
    }
    delete_and_reserve(l, ids, n, most);
    for (size_t i = 0; i < n; i++)
        expect(l->answers, "DELETED", line);
}

static void receive(void *arg)
{
    work(arg, load.at_once ? 1 : load.batch);
}

/* The answer is put before the question is deleted, on one connection and in one write. */
static void answer(void *arg)
{
    struct link *l = arg;
    unsigned long id;
    char line[LINE_MAX_BYTES];
    wire_write(l->wire, "reserve\r\n", 9);
    const uint8_t *body = take(l->wire, &id);
    size_t bytes = (size_t)snprintf((char *)l->out, COMMAND_BYTES, "put 0 0 60 %zu\r\n", load.bytes);
    memcpy(l->out + bytes, body, load.bytes);
    bytes += load.bytes;
    bytes += (size_t)snprintf((char *)l->out + bytes, COMMAND_BYTES, "\r\ndelete %lu\r\n", id);
    wire_write(l->wire, l->out, bytes);
    expect(l->wire, "INSERTED", line);
    expect(l->wire, "DELETED", line);
}

const struct peer peers[] = {
    { .name = "beanstalkd",
      .open = open_link,
      .send = send_messages,
      .receive = receive,
      .answer = answer,
      .put = put,
      .receipts = receipts,
      .work = work },
    { .name = NULL },
};
