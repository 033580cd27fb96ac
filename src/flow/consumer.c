/* SPDX-License-Identifier: Apache-2.0
 *
 * A job's way through one consumer thread:
 *
 *   on_jobs -> handler_submit -> on_done -> results to sinks or to the next queue -> flush -> settle
 *
 * A job is settled only when its results are in their outlets, or in the next queue, so a job that is done has handed its
 * result on; or its outlet had to close at once, and has counted the result as lost. Put first and settled then: a crash in
 * between makes a durable queue hand the job out again, where the other order would lose its result. What is finished
 * waits in `ended` until then; while the flush is blocked nothing new is taken, so at most LIMIT_BATCH_ITEMS jobs are in a
 * thread's hands.
 *
 * What becomes of a job that failed, the queue decides; if that is its end, whoever waits for an answer is told.
 *
 * Thread: the consumer's loop.
 */
#include "flow/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/answer.h"
#include "flow/topic.h"
#include "obs/log.h"
#include "plat/clock.h"
#include "proto/json.h"

enum { LOG_BURST = 10 }; /* lines a second */

/* One job in hand. */
struct task {
    struct work work;
    struct job job;
    mono_t taken;
    struct job_failure failure; /* used when the attempt failed */
    char *reason;               /* its text, NULL when there is none */
};

struct consumer {
    /* fixed after init */
    struct part part;
    struct consumer_options options;
    char name[LIMIT_NAME_BYTES + 8]; /* "work/0" */
    char subject[LIMIT_NAME_BYTES + 24];
    struct topic topic;
    struct slice static_head; /* topic and separator, when the topic does not vary */
    char static_head_text[LIMIT_TOPIC_BYTES + 32];
    struct batch_record record; /* batch framing: scratch */
    struct batch_attrs static_attrs; /* batch framing: of the frame, the topic when it does not vary, and its numbers */

    /* owner: loop */
    struct jobq_getter *getter;
    struct jobq_putter *next; /* NULL: results go to no queue */
    struct handler *handler;
    struct sink *publish;
    struct sink **answers;
    struct task *tasks;
    struct task *free_tasks[LIMIT_BATCH_ITEMS]; /* last in, first out */
    size_t free_count;
    unsigned in_hand; /* in the handler */
    struct job_settle ended[LIMIT_BATCH_ITEMS];
    struct task *ended_tasks[LIMIT_BATCH_ITEMS];
    size_t ended_count;
    struct job_put next_puts[LIMIT_BATCH_ITEMS];
    size_t next_ended[LIMIT_BATCH_ITEMS]; /* which of `ended` a put is about */
    size_t next_count, next_done;
    span_t cpu; /* of the thread, when jobs were settled last */
    bool submitting, blocked, over, stopping;
    bool closing, handler_closed, told; /* the steps of the end */
    struct post flush_post;
    struct log_limit limit;

    /* atomic: counters of the loop */
    struct count done, failed, held, cpu_ns;
};

static void flush(struct consumer *c) ON_LOOP;

/* ---- results ---- */

/* Topic and separator, as the head of a raw message. */
static int make_head(struct consumer *c, const struct job *job, struct slice *ret_head)
{
    if (!c->topic.varies) {
        *ret_head = c->static_head;
        return 0;
    }
    char text[LIMIT_TOPIC_BYTES + 1];
    size_t n = topic_fill(&c->topic, job->id, job->ext != NULL ? job->ext->key : NULL, text);
    const char *separator = outlet_separator(c->options.publish);
    size_t more = strlen(separator);
    uint8_t *at;
    int r = slice_new(n + more, ret_head, &at);
    if (r < 0)
        return r;
    memcpy(at, text, n);
    memcpy(at + n, separator, more);
    return 0;
}

/* The result as an object of JSON, in its place. */
static int make_json(struct consumer *c, const struct job *job, struct slice *result)
{
    char text[LIMIT_TOPIC_BYTES + 1];
    struct slice body = { 0 };
    struct json_message message = {
        .topic = text, .id = job->id, .body = *result, .stream = outlet_stream(c->options.publish)
    };
    (void)topic_fill(&c->topic, job->id, job->ext != NULL ? job->ext->key : NULL, text);
    int r = json_message_encode(&message, &body);
    if (r < 0)
        return r;
    slice_release(result);
    *result = body;
    return 0;
}

/* Add the result to a frame, in batch framing. */
static int pack(struct consumer *c, const struct job *job, struct slice *result) ON_LOOP
{
    char text[LIMIT_TOPIC_BYTES + 1];
    struct batch_head head = { .kind = BATCH_RESULTS, .attrs = &c->static_attrs };
    struct batch_record *record = &c->record;
    record->body = result->at;
    record->body_bytes = result->bytes;
    batch_set(&record->attrs, ID, id, job->id);
    if (c->topic.varies) {
        size_t n = topic_fill(&c->topic, job->id, job->ext != NULL ? job->ext->key : NULL, text);
        struct batch_text topic = { text, (uint32_t)n };
        batch_set(&record->attrs, TOPIC, topic, topic);
    }
    return sink_add_record(c->publish, &head, record, result);
}

/* The result is the sink's on 0. */
static int publish(struct consumer *c, const struct job *job, struct slice *result) ON_LOOP
{
    if (c->publish == NULL)
        return 0;
    if (outlet_framing(c->options.publish) == FRAMING_BATCH)
        return pack(c, job, result);
    struct outlet_item item = { 0 };
    bool json = outlet_framing(c->options.publish) == FRAMING_JSON;
    int r = json ? make_json(c, job, result) : make_head(c, job, &item.head);
    if (r < 0)
        return r;
    item.body = *result;
    r = sink_add(c->publish, &item);
    if (r == 0)
        *result = (struct slice){ 0 };
    else
        slice_release(&item.head);
    return r;
}

/* The sink towards the endpoint that a job came from, or NULL when nobody waits for an answer. */
static struct sink *answer_sink(const struct consumer *c, const struct job_ext *ext)
{
    if (ext == NULL || ext->origin == NULL)
        return NULL;
    for (size_t k = 0; k < c->options.answers_count; k++)
        if (sink_outlet(c->answers[k]) == ext->origin)
            return c->answers[k];
    (void)BUG(true); /* Every outlet that feeds the queue was named at boot. */
    return NULL;
}

static struct answer_form form_of(const struct sink *s, const struct job_ext *ext)
{
    return (struct answer_form){ outlet_framing(sink_outlet(s)), ext->tag };
}

/* item: head and body, which are taken. */
static int add_answer(struct sink *s, const struct job_ext *ext, struct outlet_item *item) ON_LOOP
{
    item->route = malloc(sizeof *item->route);
    int r = item->route != NULL ? 0 : PEN_ENOMEM;
    if (r == 0) {
        *item->route = ext->route;
        r = sink_add(s, item);
    }
    if (r < 0) {
        free(item->route);
        slice_release(&item->head);
        slice_release(&item->body);
    }
    return r;
}

static int answer_with_result(struct sink *s, const struct job *job, struct slice result) ON_LOOP
{
    struct outlet_item item = { 0 };
    int r = answer_result(form_of(s, job->ext), job->id, result, &item.head, &item.body);
    return r < 0 ? r : add_answer(s, job->ext, &item);
}

/* The job has failed for good. True: somebody was answered. */
static bool answer_with_failure(struct consumer *c, uint64_t id, const struct job_ext *ext) ON_LOOP
{
    struct sink *s = answer_sink(c, ext);
    if (s == NULL)
        return false;
    struct outlet_item item = { 0 };
    int r = answer_failure(form_of(s, ext), ext->error, ext->error_text, &item.body);
    if (r == 0)
        r = add_answer(s, ext, &item);
    if (r < 0)
        log_error(c->subject, "job %llu: its failure could not be answered: %s",
                  (unsigned long long)id, pen_strerror(r));
    return r == 0;
}

/* ---- the next queue ---- */

/* What goes on with a result: the key, the headers, and who waits for the answer. */
static int next_ext(const struct job_ext *from, struct job_ext **ret_ext)
{
    struct job_ext *ext = NULL;
    if (from == NULL || (from->key == NULL && from->origin == NULL && from->headers.bytes == 0)) {
        *ret_ext = NULL;
        return 0;
    }
    int r = job_ext_new(&ext);
    if (r < 0)
        return r;
    ext->key = from->key != NULL ? strdup(from->key) : NULL;
    ext->headers = slice_ref(from->headers);
    ext->origin = from->origin;
    ext->route = from->route;
    ext->tag = from->tag;
    if (from->key != NULL && ext->key == NULL) {
        job_ext_free(ext);
        return PEN_ENOMEM;
    }
    *ret_ext = ext;
    return 0;
}

/* Plan the put of a result, which belongs to the job that ends next. */
static int plan_next(struct consumer *c, const struct job *job, struct slice result)
{
    struct job_put put = { .body = result, .priority = job->priority };
    int r = next_ext(job->ext, &put.ext);
    if (r < 0)
        return r;
    put.body = slice_ref(result);
    c->next_puts[c->next_count] = put;
    c->next_ended[c->next_count++] = c->ended_count;
    return 0;
}

/* ---- the end of a job ---- */

/* Send a result to where it is wanted; what is left of it is the caller's. */
static int deliver(struct consumer *c, const struct job *job, struct slice *result) ON_LOOP
{
    struct sink *asker = answer_sink(c, job->ext);
    if (asker == NULL)
        return publish(c, job, result);
    struct slice published = slice_ref(*result);
    int r = publish(c, job, &published);
    slice_release(&published);
    return r < 0 ? r : answer_with_result(asker, job, *result);
}

/* The same, or plan it for the next queue; and keep it, where results are kept. */
static int hand_on(struct consumer *c, const struct job *job, struct slice *result) ON_LOOP
{
    struct result kept = { 0 };
    if (jobq_keeps_results(c->options.queue))
        kept.body = slice_ref(*result);
    int r = c->next != NULL ? plan_next(c, job, *result) : deliver(c, job, result);
    if (r == 0)
        jobq_keep_result(c->options.queue, job->id, &kept);
    slice_release(&kept.body);
    return r;
}

static void fail(struct consumer *c, struct task *t, int error, const char *reason) ON_LOOP
{
    count_add(&c->failed, 1);
    if (!c->stopping)
        log_limited(&c->limit, LOG_BURST, c->subject, "job %llu of queue %s failed: %s: %s",
                    (unsigned long long)t->job.id, jobq_name(c->options.queue), pen_errname(error),
                    reason);
    free(t->reason);
    t->reason = strdup(reason);
    t->failure =
        (struct job_failure){ .error = error, .text = t->reason, .by = c->options.conf->name };
}

/* How the attempt ended, for the queue to decide what follows. */
static enum job_outcome outcome_of(const struct consumer *c, int error)
{
    if (error == 0)
        return OUTCOME_DONE;
    if (error == PEN_ECANCELED && c->stopping)
        return OUTCOME_CANCELED;
    return error == PEN_ECRASHED || error == PEN_EEXITED ? OUTCOME_CRASHED : OUTCOME_RETRY;
}

static void end_task(struct consumer *c, struct task *t, enum job_outcome outcome)
{
    size_t k = c->ended_count++;
    c->ended[k] = (struct job_settle){
        .id = t->job.id,
        .index = t->job.index,
        .outcome = outcome,
        .why = outcome != OUTCOME_DONE ? &t->failure : NULL,
        .service_ns = mono_since(pen_loop_now(c->part.loop), t->taken).ns,
    };
    c->ended_tasks[k] = t;
}

static void on_done(struct work *work, int error, struct slice result, const char *reason, void *arg)
{
    struct consumer *c = arg;
    loop_assert_here(c->part.loop);
    struct task *t = CONTAINER_OF(work, struct task, work);
    c->in_hand--;
    if (error == 0) {
        error = hand_on(c, &t->job, &result);
        slice_release(&result);
        reason = "the result could not be sent on";
    }
    if (error == 0)
        count_add(&c->done, 1);
    else
        fail(c, t, error, reason);
    end_task(c, t, outcome_of(c, error));
    if (!c->submitting) /* More may end in this turn: one flush for all of them. */
        (void)loop_post(c->part.loop, &c->flush_post);
}

/* ---- flushing and settling ---- */

/* False while a sink waits for room. */
static bool flush_sinks(struct consumer *c) ON_LOOP
{
    bool all = c->publish == NULL || sink_flush(c->publish);
    for (size_t k = 0; k < c->options.answers_count; k++)
        all = sink_flush(c->answers[k]) && all;
    return all;
}

/* The next queue did not take it, and the attempt has failed; unless it took it and dropped it by its policy. */
static void next_refused(struct consumer *c, size_t k, int status) ON_LOOP
{
    struct job_settle *s = &c->ended[c->next_ended[k]];
    struct task *t = c->ended_tasks[c->next_ended[k]];
    char reason[LIMIT_NAME_BYTES + 64];
    (void)snprintf(reason, sizeof reason, "queue %s did not take the result",
                   jobq_name(c->options.next));
    slice_release(&c->next_puts[k].body);
    job_ext_free(c->next_puts[k].ext);
    if (status == PEN_EDROPPED)
        return;
    fail(c, t, status, reason);
    s->why = &t->failure;
    s->outcome = c->stopping ? OUTCOME_CANCELED : OUTCOME_RETRY;
}

/* False while the next queue is full. */
static bool flush_next(struct consumer *c) ON_LOOP
{
    if (c->next_done == c->next_count)
        return true;
    size_t n = c->next_count - c->next_done;
    struct job_put *puts = c->next_puts + c->next_done;
    int r = jobq_putter_put(c->next, puts, n);
    size_t decided = r < 0 ? n : (size_t)r;
    for (size_t k = 0; k < decided; k++) {
        int status = r < 0 ? r : puts[k].ret_status;
        if (status < 0)
            next_refused(c, c->next_done + k, status);
    }
    c->next_done += decided;
    return c->next_done == c->next_count;
}

/* A handler that computes here has used the thread's time since the last settling, in equal parts; programs have used their
 * own, for as long as they had the job. */
static void charge(struct consumer *c) ON_LOOP
{
    span_t now = clock_thread_cpu();
    int64_t each = (now.ns - c->cpu.ns) / (int64_t)c->ended_count;
    bool computes = c->options.conf->handler.builtin != BUILTIN_NONE;
    for (size_t k = 0; k < c->ended_count; k++)
        c->ended[k].cpu_ns = computes && each > 0 ? each : c->ended[k].service_ns;
    if (c->options.conf->handler.builtin == BUILTIN_PASS ||
        c->options.conf->handler.builtin == BUILTIN_SUM_SQUARES)
        for (size_t k = 0; k < c->ended_count; k++)
            c->ended[k].service_ns = c->ended[k].cpu_ns;
    c->cpu = now;
    count_set(&c->cpu_ns, (uint64_t)now.ns);
}

static void task_free(struct consumer *c, struct task *t)
{
    free(t->reason);
    t->reason = NULL;
    c->free_tasks[c->free_count++] = t;
}

/* True: there are new answers, to those whose jobs have failed for good. */
static bool settle(struct consumer *c) ON_LOOP
{
    bool answered = false;
    if (c->ended_count == 0)
        return false;
    charge(c);
    int r = jobq_settle(c->options.queue, c->ended, c->ended_count, NULL);
    (void)BUG(r < 0); /* Every job in `ended` was in our hand. */
    struct slice_releaser bodies = { 0 };
    for (size_t k = 0; k < c->ended_count; k++) {
        struct job_settle *s = &c->ended[k];
        if (s->outcome != OUTCOME_DONE)
            answered = answer_with_failure(c, s->id, s->ret_ext) || answered;
        slice_releaser_add(&bodies, &s->ret_body);
        job_ext_free(s->ret_ext);
        task_free(c, c->ended_tasks[k]);
    }
    slice_releaser_end(&bodies);
    count_add(&c->held, (uint64_t)0 - c->ended_count);
    c->ended_count = c->next_count = c->next_done = 0;
    return answered;
}

static void want_more(struct consumer *c) ON_LOOP
{
    unsigned room = handler_room(c->handler);
    unsigned spare = LIMIT_BATCH_ITEMS - c->in_hand - (unsigned)c->ended_count;
    unsigned want = room < spare ? room : spare;
    if (want > c->options.conf->budget)
        want = (unsigned)c->options.conf->budget;
    jobq_getter_want(c->getter, c->blocked || c->stopping ? 0 : want);
}

/* The end: the queue is empty or we must stop, nothing is in hand, the handler is closed, everything is settled. */
static void end_if_over(struct consumer *c) ON_LOOP
{
    if (c->in_hand > 0 || c->ended_count > 0 || c->blocked)
        return;
    if ((c->over || c->stopping) && !c->closing) {
        c->closing = true;
        handler_close(c->handler, c->stopping);
    }
    if (c->handler_closed && !c->told) {
        c->told = true;
        jobq_getter_close(&c->getter);
        part_tell(&c->part, PART_ENDED);
    }
}

static void flush(struct consumer *c) ON_LOOP
{
    bool sinks = flush_sinks(c);
    bool next = flush_next(c);
    c->blocked = !sinks || !next;
    if (!c->blocked && settle(c))
        c->blocked = !flush_sinks(c);
    if (c->getter != NULL && !c->over)
        want_more(c);
    end_if_over(c);
}

static void run_flush(struct pen_loop *loop, void *arg, int status) ON_LOOP
{
    (void)loop;
    if (status == 0)
        flush(arg);
}

static void on_sink_room(void *arg)
{
    struct consumer *c = arg;
    loop_assert_here(c->part.loop);
    flush(c);
}

static void on_next_room(struct jobq_putter *putter, void *arg)
{
    (void)putter;
    struct consumer *c = arg;
    loop_assert_here(c->part.loop);
    flush(c);
}

/* ---- taking ---- */

static void on_jobs(struct jobq_getter *getter, const struct job *jobs, size_t n, void *arg)
{
    (void)getter;
    struct consumer *c = arg;
    loop_assert_here(c->part.loop);
    struct work *works[LIMIT_BATCH_ITEMS];
    check(n <= c->free_count);
    for (size_t k = 0; k < n; k++) {
        struct task *t = c->free_tasks[--c->free_count];
        t->job = jobs[k];
        t->taken = pen_loop_now(c->part.loop);
        t->work.body = jobs[k].body; /* The rest is the handler's. */
        t->work.id = jobs[k].id;
        works[k] = &t->work;
    }
    c->in_hand += (unsigned)n;
    count_add(&c->held, n);
    c->submitting = true;
    handler_submit(c->handler, works, n);
    c->submitting = false;
    flush(c);
}

static void on_queue_end(struct jobq_getter *getter, void *arg)
{
    (void)getter;
    struct consumer *c = arg;
    loop_assert_here(c->part.loop);
    c->over = true;
    flush(c);
}

static void on_handler_room(void *arg)
{
    struct consumer *c = arg;
    loop_assert_here(c->part.loop);
    if (!c->over && c->getter != NULL)
        want_more(c);
}

static void on_handler_closed(void *arg)
{
    struct consumer *c = arg;
    c->handler_closed = true;
    (void)loop_post(c->part.loop, &c->flush_post);
}

static void on_order(struct part *part, enum part_order order)
{
    struct consumer *c = CONTAINER_OF(part, struct consumer, part);
    loop_assert_here(part->loop);
    if (order != PART_STOP || c->stopping)
        return;
    c->stopping = true;
    c->closing = true;
    handler_close(c->handler, true);
    flush(c);
}

static void start_taking(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    if (status == 0)
        want_more(arg);
}

/* ---- making and freeing ---- */

static int init_topic(struct consumer *c)
{
    const struct conf_consumer *conf = c->options.conf;
    int r = topic_init(&c->topic, conf->topic, conf->queue, conf->name);
    if (c->options.publish != NULL && outlet_stream(c->options.publish) != 0) {
        batch_set(&c->static_attrs, STREAM, stream, outlet_stream(c->options.publish));
        batch_set(&c->static_attrs, SEQUENCE, sequence, 0);
    }
    if (r < 0 || c->topic.varies || c->topic.text[0] == '\0' || c->options.publish == NULL)
        return r;
    struct batch_text topic = { c->topic.text, (uint32_t)strlen(c->topic.text) };
    batch_set(&c->static_attrs, TOPIC, topic, topic);
    int n = snprintf(c->static_head_text, sizeof c->static_head_text, "%s%s", c->topic.text,
                     outlet_separator(c->options.publish));
    c->static_head =
        (struct slice){ .at = (const uint8_t *)c->static_head_text, .bytes = (uint32_t)n };
    return 0;
}

static int init_tasks(struct consumer *c)
{
    c->tasks = calloc(LIMIT_BATCH_ITEMS, sizeof *c->tasks);
    if (c->tasks == NULL)
        return PEN_ENOMEM;
    for (size_t k = 0; k < LIMIT_BATCH_ITEMS; k++)
        c->free_tasks[c->free_count++] = &c->tasks[k];
    return 0;
}

static int attach_queues(struct consumer *c)
{
    struct jobq_getter_options getter = { .on_jobs = on_jobs, .on_shutdown = on_queue_end, .arg = c };
    struct jobq_putter_options next = { .patient = true, .on_room = on_next_room, .arg = c };
    int r = jobq_attach(c->options.queue, c->part.loop, &getter, &c->getter);
    if (r == 0 && c->options.next != NULL)
        r = jobq_attach_putter(c->options.next, c->part.loop, &next, &c->next);
    return r;
}

static int attach_outlets(struct consumer *c)
{
    int r = 0;
    size_t n = c->options.answers_count;
    if (c->options.publish != NULL)
        r = sink_new(c->options.publish, c->part.loop, on_sink_room, c, &c->publish);
    c->answers = calloc(n + 1, sizeof *c->answers);
    if (c->answers == NULL)
        return PEN_ENOMEM;
    for (size_t k = 0; k < n && r == 0; k++)
        r = sink_new(c->options.answers[k], c->part.loop, on_sink_room, c, &c->answers[k]);
    return r;
}

static int open_handler(struct consumer *c)
{
    static const struct handler_events events = { .on_done = on_done,
                                                  .on_room = on_handler_room,
                                                  .on_closed = on_handler_closed };
    struct handler_options options = { .conf = &c->options.conf->handler,
                                       .loop = c->part.loop,
                                       .name = c->subject,
                                       .events = &events,
                                       .arg = c };
    return handler_open(&options, &c->handler);
}

int consumer_new(const struct consumer_options *options, struct consumer **ret_consumer)
{
    struct consumer *c = calloc(1, sizeof *c);
    if (c == NULL)
        return PEN_ENOMEM;
    c->options = *options;
    post_init(&c->flush_post, run_flush, c);
    (void)snprintf(c->name, sizeof c->name, "%s/%u", options->conf->name, options->index);
    (void)snprintf(c->subject, sizeof c->subject, "consumer %s", c->name);
    struct part_options part = options->part;
    part.name = c->name;
    part.on_order = on_order;
    int r = part_init(&c->part, &part);
    if (r == 0)
        r = init_topic(c);
    if (r == 0)
        r = init_tasks(c);
    if (r == 0)
        r = attach_queues(c);
    if (r == 0)
        r = attach_outlets(c);
    if (r == 0)
        r = open_handler(c);
    if (r < 0) {
        consumer_free(&c);
        return r;
    }
    c->options.answers = NULL; /* It was borrowed; the sinks know their outlets. */
    *ret_consumer = c;
    return 0;
}

int consumer_start(struct consumer *c)
{
    int r = pen_loop_call_soon_threadsafe(c->part.loop, start_taking, c);
    return r < 0 ? r : part_start(&c->part);
}

void consumer_free(struct consumer **consumer)
{
    struct consumer *c = *consumer;
    if (c == NULL)
        return;
    loop_assert_here(c->part.loop); /* Nobody runs it any more. */
    handler_free(&c->handler);
    jobq_getter_close(&c->getter);
    jobq_putter_close(&c->next);
    sink_close(&c->publish);
    for (size_t k = 0; c->answers != NULL && k < c->options.answers_count; k++)
        sink_close(&c->answers[k]);
    part_fini(&c->part);
    free(c->answers);
    free(c->tasks);
    free(c);
    *consumer = NULL;
}

/* ---- questions ---- */

struct part *consumer_part(struct consumer *c)
{
    return &c->part;
}

const struct conf_consumer *consumer_conf(const struct consumer *c)
{
    return c->options.conf;
}

void consumer_stats(const struct consumer *c, struct consumer_stats *ret_stats)
{
    *ret_stats = (struct consumer_stats){
        .done = count_read(&c->done),
        .failed = count_read(&c->failed),
        .in_hand = count_read(&c->held),
        .busy = { (int64_t)count_read(&c->cpu_ns) },
    };
    handler_stats(c->handler, &ret_stats->handler);
}
