/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS: "core" relays and answers requests; "jetstream" is the work queue, in memory or in files as the address says after a
 * slash: HOST:PORT/memory.
 *
 * Requests are what natsConnection_Request() does, taken apart so that many can be under way: a subscription to an inbox
 * that is there from the beginning, and messages that name it.
 */
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

enum { PATIENCE_MS = 60000, PENDING_MAX = 4096 };
static const char subject[] = "load", inbox[] = "_INBOX.load";

struct link {
    natsConnection *connection;
    natsSubscription *subscription;
    jsCtx *jetstream;
    enum role role;
    /* of receipts, which the library's thread brings */
    pthread_mutex_t lock;
    pthread_cond_t came;
    size_t receipts;
};

static void must(natsStatus status, const char *what)
{
    if (status != NATS_OK)
        die(what, natsStatus_GetText(status));
}

static const char *subscribes_to(enum role role)
{
    static const char *const subjects[] = {
        [RECEIVES] = subject, [SUBSCRIBES] = subject, [ANSWERS] = subject, [ASKS] = inbox, [WORKS] = NULL
    };
    return subjects[role];
}

static void *open_link(enum role role)
{
    char url[96];
    natsOptions *options;
    struct link *l = must_allocate(sizeof *l);
    l->role = role;
    snprintf(url, sizeof url, "nats://%.*s", (int)strcspn(load.in, "/"), load.in);
    must(natsOptions_Create(&options), "natsOptions_Create");
    must(natsOptions_SetURL(options, url), url);
    must(natsOptions_SetSendAsap(options, load.at_once), "SendAsap");
    must(natsConnection_Connect(&l->connection, options), url);
    if (subscribes_to(role) != NULL) {
        must(natsConnection_SubscribeSync(&l->subscription, l->connection, subscribes_to(role)),
             "subscribe");
        must(natsSubscription_SetPendingLimits(l->subscription, -1, -1), "pending limits");
        must(natsConnection_Flush(l->connection), "flush");
    }
    return l;
}

static void send_messages(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    for (size_t i = 0; i < n; i++) {
        const void *at = messages + i * load.bytes;
        must(l->role == ASKS
                 ? natsConnection_PublishRequest(l->connection, subject, inbox, at, (int)load.bytes)
                 : natsConnection_Publish(l->connection, subject, at, (int)load.bytes),
             "publish");
    }
}

static natsMsg *next(struct link *l)
{
    natsMsg *message;
    must(natsSubscription_NextMsg(&message, l->subscription, PATIENCE_MS), "NextMsg");
    return message;
}

static void receive_message(void *arg)
{
    natsMsg *message = next(arg);
    load_came(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    natsMsg_Destroy(message);
}

static void answer(void *arg)
{
    struct link *l = arg;
    natsMsg *message = next(l);
    must(natsConnection_Publish(l->connection, natsMsg_GetReply(message), natsMsg_GetData(message),
                                natsMsg_GetDataLength(message)),
         "publish");
    natsMsg_Destroy(message);
}

/* ---- JetStream ---- */

/* The stream is there before the consumer is; both ends ask for it, and find the other's. */
static void make_stream(struct link *l)
{
    jsStreamConfig config;
    const char *subjects[] = { subject };
    jsErrCode code = 0;
    jsStreamConfig_Init(&config);
    config.Name = "LOAD";
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_WorkQueuePolicy;
    config.Storage = strstr(load.in, "/memory") != NULL ? js_MemoryStorage : js_FileStorage;
    natsStatus status = js_AddStream(NULL, l->jetstream, &config, NULL, &code);
    if (status != NATS_OK && code != JSStreamNameExistErr)
        must(status, "js_AddStream");
}

static void on_receipt(jsCtx *jetstream, natsMsg *message, jsPubAck *receipt, jsPubAckErr *error,
                       void *arg)
{
    (void)jetstream, (void)receipt;
    struct link *l = arg;
    if (error != NULL)
        die("JetStream", error->ErrText);
    natsMsg_Destroy(message);
    pthread_mutex_lock(&l->lock);
    l->receipts++;
    pthread_cond_signal(&l->came);
    pthread_mutex_unlock(&l->lock);
}

static void *open_jetstream(enum role role)
{
    struct link *l = open_link(role);
    jsOptions options;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = PENDING_MAX;
    options.PublishAsync.AckHandler = on_receipt;
    options.PublishAsync.AckHandlerClosure = l;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->came, NULL);
    must(natsConnection_JetStream(&l->jetstream, l->connection, &options), "JetStream");
    make_stream(l);
    if (role == WORKS) {
        jsSubOptions how;
        jsSubOptions_Init(&how);
        how.Config.MaxAckPending = 65536;
        must(js_PullSubscribe(&l->subscription, l->jetstream, subject, "worker", NULL, &how, NULL),
             "js_PullSubscribe");
    }
    return l;
}

static void put(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    for (size_t i = 0; i < n; i++) {
        const void *at = messages + i * load.bytes;
        must(js_PublishAsync(l->jetstream, subject, at, (int)load.bytes, NULL), "js_PublishAsync");
    }
}

static size_t receipts(void *arg)
{
    struct link *l = arg;
    pthread_mutex_lock(&l->lock);
    while (l->receipts == 0)
        pthread_cond_wait(&l->came, &l->lock);
    size_t n = l->receipts;
    l->receipts = 0;
    pthread_mutex_unlock(&l->lock);
    return n;
}

/* The flush waits until the server has read the acknowledgements. */
static void work(void *arg, size_t most)
{
    struct link *l = arg;
    natsMsgList list;
    natsStatus status = natsSubscription_Fetch(&list, l->subscription, (int)most, PATIENCE_MS, NULL);
    must(status, "natsSubscription_Fetch");
    for (int i = 0; i < list.Count; i++) {
        load_came(natsMsg_GetData(list.Msgs[i]), (size_t)natsMsg_GetDataLength(list.Msgs[i]));
        must(natsMsg_Ack(list.Msgs[i], NULL), "ack");
    }
    must(natsConnection_Flush(l->connection), "flush");
    natsMsgList_Destroy(&list);
}

const struct peer peers[] = {
    { .name = "core",
      .open = open_link,
      .send = send_messages,
      .receive = receive_message,
      .answer = answer },
    { .name = "jetstream", .open = open_jetstream, .put = put, .receipts = receipts, .work = work },
    { .name = NULL },
};
