/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis through hiredis: "pubsub", "list" and "stream". Commands are pipelined, and lists and streams are read and
 * acknowledged up to 128 entries at a time, as a good user does.
 */
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

enum { WORDS_MAX = 4096 + 8, ENTRIES_MAX = 128 };

struct link {
    redisContext *redis;
    struct link *answers;  /* of who asks: another one, which waits for answers */
    const char *to, *from; /* lists */
    bool reads;            /* streams: a read is under way */
    size_t words;          /* of the command that is being made */
    const char *word[WORDS_MAX];
    size_t length[WORDS_MAX];
};

static struct link *dial(void)
{
    char host[64];
    int on = 1;
    uint16_t port = split_address(load.in, host);
    struct link *l = must_allocate(sizeof *l);
    l->redis = redisConnect(host, port);
    if (l->redis == NULL || l->redis->err != 0)
        die(load.in, l->redis != NULL ? l->redis->errstr : "no memory");
    setsockopt(l->redis->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return l;
}

static void *open_link(enum role role)
{
    struct link *l = dial();
    l->answers = role == ASKS ? dial() : l;
    l->to = role == ANSWERS ? "answers" : "load";
    l->answers->from = role == ASKS ? "answers" : "load";
    return l;
}

/* ---- commands ---- */

static void word_bytes(struct link *l, const void *at, size_t bytes)
{
    l->word[l->words] = at;
    l->length[l->words++] = bytes;
}

static void word(struct link *l, const char *text)
{
    word_bytes(l, text, strlen(text));
}

static void words(struct link *l, const char *const texts[])
{
    for (; *texts != NULL; texts++)
        word(l, *texts);
}

/* The command that was made is given to the connection, which keeps it until it is asked for a reply. */
static void append(struct link *l)
{
    if (redisAppendCommandArgv(l->redis, (int)l->words, l->word, l->length) != REDIS_OK)
        die("redis", l->redis->errstr);
    l->words = 0;
}

static redisReply *reply_of(struct link *l)
{
    void *reply;
    if (redisGetReply(l->redis, &reply) != REDIS_OK)
        die("redis", l->redis->errstr);
    redisReply *r = reply;
    if (r->type == REDIS_REPLY_ERROR)
        die("redis", r->str);
    return r;
}

static void expect_replies(struct link *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        freeReplyObject(reply_of(l));
}

static const char *number(size_t n, char text[24])
{
    snprintf(text, 24, "%zu", n);
    return text;
}

/* ---- pub/sub ---- */

static void *open_pubsub(enum role role)
{
    struct link *l = open_link(role);
    if (role == RECEIVES || role == SUBSCRIBES) {
        words(l, (const char *const[]){ "SUBSCRIBE", "load", NULL });
        append(l);
        expect_replies(l, 1);
    }
    return l;
}

static void publish(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    for (size_t i = 0; i < n; i++) {
        words(l, (const char *const[]){ "PUBLISH", "load", NULL });
        word_bytes(l, messages + i * load.bytes, load.bytes);
        append(l);
    }
    expect_replies(l, n);
}

static void receive_published(void *arg)
{
    struct link *l = arg;
    redisReply *r = reply_of(l);
    load_came(r->element[2]->str, r->element[2]->len);
    freeReplyObject(r);
}

/* ---- list ---- */

static void list_push(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    words(l, (const char *const[]){ "LPUSH", l->to, NULL });
    for (size_t i = 0; i < n; i++)
        word_bytes(l, messages + i * load.bytes, load.bytes);
    append(l);
    expect_replies(l, 1);
}

static redisReply *list_pop(struct link *l)
{
    words(l, (const char *const[]){ "BRPOP", l->from, "0", NULL });
    append(l);
    return reply_of(l);
}

static void receive_list(void *arg)
{
    struct link *l = arg;
    char count[24];
    if (load.at_once) {
        redisReply *r = list_pop(l->answers);
        load_came(r->element[1]->str, r->element[1]->len);
        freeReplyObject(r);
        return;
    }
    words(l, (const char *const[]){ "BLMPOP", "0", "1", l->from, "RIGHT", "COUNT",
                                    number(ENTRIES_MAX, count), NULL });
    append(l);
    redisReply *r = reply_of(l);
    for (size_t i = 0; i < r->element[1]->elements; i++)
        load_came(r->element[1]->element[i]->str, r->element[1]->element[i]->len);
    freeReplyObject(r);
}

static void list_answer(void *arg)
{
    struct link *l = arg;
    redisReply *r = list_pop(l);
    words(l, (const char *const[]){ "LPUSH", l->to, NULL });
    word_bytes(l, r->element[1]->str, r->element[1]->len);
    append(l);
    expect_replies(l, 1);
    freeReplyObject(r);
}

/* ---- stream ---- */

static void *open_stream(enum role role)
{
    struct link *l = open_link(role);
    if (role == RECEIVES || role == WORKS) {
        words(l,
              (const char *const[]){ "XGROUP", "CREATE", "load", "workers", "0", "MKSTREAM", NULL });
        append(l);
        expect_replies(l, 1);
    }
    return l;
}

static void stream_put(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    int done = 0;
    for (size_t i = 0; i < n; i++) {
        words(l, (const char *const[]){ "XADD", "load", "*", "m", NULL });
        word_bytes(l, messages + i * load.bytes, load.bytes);
        append(l);
    }
    while (!done)
        if (redisBufferWrite(l->redis, &done) != REDIS_OK)
            die("redis", l->redis->errstr);
}

static size_t stream_receipts(void *arg)
{
    struct link *l = arg;
    size_t n = 0;
    void *more;
    expect_replies(l, 1);
    for (n = 1; redisGetReplyFromReader(l->redis, &more) == REDIS_OK && more != NULL; n++)
        freeReplyObject(more);
    return n;
}

static void stream_send(void *arg, const uint8_t *messages, size_t n)
{
    stream_put(arg, messages, n);
    for (size_t receipts = 0; receipts < n;)
        receipts += stream_receipts(arg);
}

static void stream_read(struct link *l, size_t most)
{
    char count[24];
    words(l, (const char *const[]){ "XREADGROUP", "GROUP", "workers", "me", "COUNT",
                                    number(most < ENTRIES_MAX ? most : ENTRIES_MAX, count), "BLOCK",
                                    "0", "STREAMS", "load", ">", NULL });
    append(l);
    l->reads = true;
}

/* Entries are acknowledged and deleted together with reading the next ones. A reply is
 * [[stream, [[id, [field, value]], ...]]]. */
static void stream_work(void *arg, size_t most)
{
    struct link *l = arg;
    static const char *const settle[][4] = { { "XACK", "load", "workers", NULL },
                                             { "XDEL", "load", NULL } };
    if (!l->reads)
        stream_read(l, most);
    redisReply *r = reply_of(l), *entries = r->element[0]->element[1];
    for (int k = 0; k < 2; k++) {
        words(l, settle[k]);
        for (size_t i = 0; i < entries->elements; i++)
            word_bytes(l, entries->element[i]->element[0]->str, entries->element[i]->element[0]->len);
        append(l);
    }
    for (size_t i = 0; i < entries->elements; i++) {
        redisReply *value = entries->element[i]->element[1]->element[1];
        load_came(value->str, value->len);
    }
    stream_read(l, most);
    expect_replies(l, 2);
    freeReplyObject(r);
}

static void receive_stream(void *arg)
{
    stream_work(arg, ENTRIES_MAX);
}

const struct peer peers[] = {
    { .name = "pubsub", .open = open_pubsub, .send = publish, .receive = receive_published },
    { .name = "list",
      .open = open_link,
      .send = list_push,
      .receive = receive_list,
      .answer = list_answer },
    { .name = "stream",
      .open = open_stream,
      .send = stream_send,
      .receive = receive_stream,
      .put = stream_put,
      .receipts = stream_receipts,
      .work = stream_work },
    { .name = NULL },
};
