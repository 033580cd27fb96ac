/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and answers of worker endpoints. batch.def says what may stand in one, as bytes and as members of JSON; a table
 * here says which operation takes what.
 *
 * In JSON texts stay where jansson has them, in a tree that lives as long as the request; headers, which are no text there,
 * are put into the tree as one.
 */
#include "proto/worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/json.h"
#include "proto/json_value.h"

/* ---- tables ---- */

enum attr_type { ATTR_MARK, ATTR_U8, ATTR_U32, ATTR_U64, ATTR_TEXT, ATTR_BLOB };

#define OFFSET_MARK(field) 0
#define OFFSET_U8(field) offsetof(struct batch_attrs, field)
#define OFFSET_U32(field) offsetof(struct batch_attrs, field)
#define OFFSET_U64(field) offsetof(struct batch_attrs, field)
#define OFFSET_TEXT(field) offsetof(struct batch_attrs, field)
#define OFFSET_BLOB(field) offsetof(struct batch_attrs, field)

static const struct attr {
    const char *name;
    enum attr_type type;
    uint64_t max;
    size_t offset; /* in struct batch_attrs */
} attrs_table[BATCH_ATTRS] = {
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) \
    [BATCH_ATTR_##name] = { #field, ATTR_##type, max, OFFSET_##type(field) },
#include "proto/batch.def"
#undef KIND
#undef ATTR
};

#define B(name) BATCH_BIT(name)
#define HELD (B(QUEUE) | B(ID) | B(LEASE)) /* a job that a worker holds */

static const struct operation {
    enum batch_kind kind;
    uint64_t attrs;
    bool body;   /* records may have one */
    bool listed; /* there must be records */
} operations[] = {
    { BATCH_PUT,
      B(QUEUE) | B(KEY) | B(DEDUPE) | B(JOIN) | B(PRIORITY) | B(DELAY) | B(DUE) | B(TTL) | B(WAIT) |
          B(HEADERS),
      true, true },
    { BATCH_RESERVE, B(QUEUE) | B(WEIGHT) | B(COUNT) | B(WAIT) | B(LEASE_FOR) | B(KEEP) | B(WORKER),
      false, false },
    { BATCH_ACK, HELD, true, true },
    { BATCH_NACK, HELD | B(DELAY) | B(UNCHARGED) | B(TEXT), false, true },
    { BATCH_TOUCH, HELD | B(LEASE_FOR), false, true },
    { BATCH_PROGRESS, HELD | B(LEASE_FOR) | B(TEXT), false, true },
    { BATCH_BURY, HELD | B(TEXT), false, true },
    { BATCH_KICK, B(QUEUE) | B(COUNT), false, false },
    { BATCH_PEEK, B(QUEUE) | B(ID) | B(STATE) | B(COUNT), false, false },
    { BATCH_REDRIVE, B(QUEUE) | B(COUNT), false, false },
    { BATCH_RESULT, B(QUEUE) | B(ID), false, false },
    { BATCH_STATS, B(QUEUE), false, false },
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static const struct operation *operation_find(enum batch_kind kind)
{
    for (size_t i = 0; i < OPERATIONS; i++)
        if (operations[i].kind == kind)
            return &operations[i];
    return NULL;
}

static const char *const state_words[] = {
    [BATCH_STATE_READY] = "ready", [BATCH_STATE_DELAYED] = "delayed", [BATCH_STATE_LEASED] = "leased", [BATCH_STATE_BURIED] = "buried"
};
static const char *const level_words[] = { [BATCH_LEVEL_MEMORY] = "memory",
                                           [BATCH_LEVEL_WRITTEN] = "written",
                                           [BATCH_LEVEL_SYNCED] = "synced",
                                           [BATCH_LEVEL_REPLICATED] = "replicated" };

/* The words of those that JSON names and does not number. */
static const struct {
    const char *const *words;
    size_t count;
} words_table[BATCH_ATTRS] = {
    [BATCH_ATTR_STATE] = { state_words, BATCH_STATE_LAST + 1 },
    [BATCH_ATTR_LEVEL] = { level_words, BATCH_LEVEL_LAST + 1 },
};

/* ---- JSON to attributes ---- */

static unsigned attr_find(const char *name)
{
    unsigned i = 0;
    while (i < BATCH_ATTRS && strcmp(attrs_table[i].name, name) != 0)
        i++;
    return i;
}

static int text_take(const struct attr *a, const json_t *value, struct batch_text *ret_text,
                     const struct reason *why)
{
    size_t bytes = json_string_length(value);
    if (!json_is_string(value))
        return reason_say(why, "member \"%s\" is not a string", a->name);
    if (bytes > a->max) {
        (void)reason_say(why, "member \"%s\" is longer than %llu bytes", a->name,
                         (unsigned long long)a->max);
        return PEN_ETOOBIG;
    }
    if (memchr(json_string_value(value), '\0', bytes) != NULL)
        return reason_say(why, "member \"%s\" contains a NUL", a->name);
    *ret_text = (struct batch_text){ json_string_value(value), (uint32_t)bytes };
    return 0;
}

static int word_take(unsigned index, const json_t *value, uint64_t *ret_number,
                     const struct reason *why)
{
    const char *word = json_is_string(value) ? json_string_value(value) : "";
    for (size_t i = 0; i < words_table[index].count; i++)
        if (strcmp(words_table[index].words[i], word) == 0) {
            *ret_number = i;
            return 0;
        }
    return reason_say(why, "member \"%s\" is none of its words", attrs_table[index].name);
}

static int number_take(unsigned index, const json_t *value, uint64_t *ret_number,
                       const struct reason *why)
{
    const struct attr *a = &attrs_table[index];
    if (words_table[index].words != NULL)
        return word_take(index, value, ret_number, why);
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > a->max)
        return reason_say(why, "member \"%s\" is not a whole number from 0 to %llu", a->name,
                          (unsigned long long)(a->max < INT64_MAX ? a->max : INT64_MAX));
    *ret_number = (uint64_t)n;
    return 0;
}

/* {"a":"b"} as the bytes of the attribute, which take the object's place in the tree. */
static int headers_take(json_t *object, struct batch_text *ret_text, const struct reason *why)
{
    char *to = malloc(UINT16_MAX);
    uint32_t used = 0;
    int r = to != NULL ? 0 : PEN_ENOMEM;
    json_t *headers = json_object_get(object, "headers");
    if (r == 0 && !json_is_object(headers))
        r = reason_say(why, "member \"headers\" is not an object");
    for (void *at = json_object_iter(headers); r == 0 && at != NULL;
         at = json_object_iter_next(headers, at)) {
        const char *name = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        struct batch_text n = { name, (uint32_t)strlen(name) };
        struct batch_text v = { json_string_value(value), (uint32_t)json_string_length(value) };
        if (!json_is_string(value) || batch_header_add(to, UINT16_MAX, &used, n, v) < 0)
            r = reason_say(why, "header \"%.64s\" is no text or too long", name);
    }
    json_t *bytes = r == 0 ? json_stringn_nocheck(to, used) : NULL;
    free(to);
    if (r < 0)
        return r;
    if (bytes == NULL || json_object_set_new(object, "headers", bytes) < 0)
        return PEN_ENOMEM;
    *ret_text = (struct batch_text){ json_string_value(bytes), used };
    return 0;
}

/* A mark that is false is not set. */
static int mark_take(unsigned index, const json_t *value, struct batch_attrs *attrs,
                     const struct reason *why)
{
    if (!json_is_boolean(value))
        return reason_say(why, "member \"%s\" is not true or false", attrs_table[index].name);
    if (json_is_true(value))
        attrs->set |= UINT64_C(1) << index;
    return 0;
}

static int attr_take(unsigned index, json_t *object, struct batch_attrs *attrs,
                     const struct reason *why)
{
    const struct attr *a = &attrs_table[index];
    const json_t *value = json_object_get(object, a->name);
    void *field = (char *)attrs + a->offset;
    int r;
    switch (a->type) {
    case ATTR_MARK:
        return mark_take(index, value, attrs, why);
    case ATTR_TEXT:
        r = text_take(a, value, field, why);
        break;
    case ATTR_BLOB:
        r = headers_take(object, field, why);
        break;
    default:
        r = number_take(index, value, field, why);
    }
    if (r == 0)
        attrs->set |= UINT64_C(1) << index;
    return r;
}

/* ---- JSON to requests ---- */

/* The members of an object that are attributes of the operation; `others` may be there too. */
static int attrs_take(const struct operation *op, json_t *object, const char *const *others,
                      struct batch_attrs *attrs, const struct reason *why)
{
    void *at = json_object_iter(object);
    while (at != NULL) {
        const char *name = json_object_iter_key(at);
        unsigned index = attr_find(name);
        size_t k = 0;
        at = json_object_iter_next(object, at);
        while (others[k] != NULL && strcmp(others[k], name) != 0)
            k++;
        if (others[k] != NULL)
            continue;
        if (index == BATCH_ATTRS || (op->attrs >> index & 1) == 0)
            return reason_say(why, "unknown member \"%.64s\"", name);
        int r = attr_take(index, object, attrs, why);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool has_body(json_t *object)
{
    return json_object_get(object, "body") != NULL || json_object_get(object, "body64") != NULL;
}

/* PUT must have a body, ACK may. */
static int body_take(const struct operation *op, json_t *object, struct worker_item *item,
                     const struct reason *why)
{
    if (!has_body(object) && op->kind != BATCH_PUT)
        return 0;
    int r = json_body_decode(object, &item->body, why);
    if (r < 0)
        return r;
    item->record.body = item->body.at;
    item->record.body_bytes = item->body.bytes;
    return 0;
}

static int item_take(const struct operation *op, json_t *object, struct worker_item *item,
                     const struct reason *why)
{
    static const char *const bodies[] = { "body", "body64", NULL };
    if (!json_is_object(object))
        return reason_say(why, "what is listed is not an object");
    int r = attrs_take(op, object, op->body ? bodies : bodies + 2, &item->record.attrs, why);
    if (r == 0 && op->body)
        r = body_take(op, object, item, why);
    return r;
}

/* "jobs", or "queues" of a reserve: a list of objects. */
static json_t *list_of(const struct operation *op, json_t *object, const char **ret_name)
{
    *ret_name = op->kind == BATCH_RESERVE ? "queues" : "jobs";
    return json_object_get(object, *ret_name);
}

static int list_take(const struct operation *op, json_t *list, struct worker_request *q,
                     const struct reason *why)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n == 0)
        return reason_say(why, "the list is no list, or is empty");
    if (n > LIMIT_BATCH_ITEMS) {
        (void)reason_say(why, "the list is longer than %d", LIMIT_BATCH_ITEMS);
        return PEN_ETOOBIG;
    }
    q->items = calloc(n, sizeof *q->items);
    if (q->items == NULL)
        return PEN_ENOMEM;
    q->form.is_list = true;
    q->items_count = q->count = (uint32_t)n;
    int r = 0;
    for (uint32_t i = 0; i < n && r == 0; i++) {
        q->items[i].record.attrs = q->frame;
        r = item_take(op, json_array_get(list, i), &q->items[i], why);
    }
    return r;
}

static int single_take(const struct operation *op, json_t *object, struct worker_request *q,
                       const struct reason *why)
{
    q->lone.record.attrs = q->frame;
    q->is_lone = true;
    q->count = 1;
    return op->body ? body_take(op, object, &q->lone, why) : 0;
}

static int kind_take(json_t *object, const struct operation **ret_op, const struct reason *why)
{
    const char *word;
    int r = json_member_text(object, "op", &word, why);
    if (r < 0)
        return r;
    if (word == NULL)
        return reason_say(why, "member \"op\" is missing");
    for (size_t i = 0; i < OPERATIONS; i++)
        if (strcmp(batch_kind_word(operations[i].kind), word) == 0) {
            *ret_op = &operations[i];
            return 0;
        }
    return reason_say(why, "unknown operation \"%.64s\"", word);
}

static int json_take(json_t *object, struct worker_request *q, const struct reason *why)
{
    const struct operation *op = NULL;
    const char *name;
    int r = kind_take(object, &op, why);
    if (r < 0)
        return r;
    q->kind = op->kind;
    json_t *list = list_of(op, object, &name);
    const char *with_body[] = { "op", name, "body", "body64", NULL };
    if (!op->body || list != NULL)
        with_body[2] = NULL;
    r = attrs_take(op, object, with_body, &q->frame, why);
    if (r < 0)
        return r;
    return list != NULL ? list_take(op, list, q, why) : single_take(op, object, q, why);
}

static int json_decode(struct slice message, struct worker_request *q, const struct reason *why)
{
    json_t *object;
    int r = json_object_load(message.at, message.bytes, &object, why);
    if (r < 0)
        return r;
    q->backing = object;
    return json_take(object, q, why);
}

/* ---- batch frames to requests ---- */

static int refuse_attrs(const struct operation *op, const struct reason *why)
{
    return reason_say(why, "\"%s\" does not take all of these attributes", batch_kind_word(op->kind));
}

/* The reader has checked the frame itself; here is what depends on the operation. */
static int records_check(const struct operation *op, struct worker_request *q,
                         const struct reason *why)
{
    while (batch_reader_next(&q->reader)) {
        const struct batch_record *r = &q->reader.record;
        if ((r->attrs.set & ~op->attrs) != 0 || r->status != 0)
            return refuse_attrs(op, why);
        if (r->body_bytes > 0 && !op->body)
            return reason_say(why, "\"%s\" takes no body", batch_kind_word(op->kind));
    }
    return 0;
}

static int batch_decode(struct slice message, struct worker_request *q, const struct reason *why)
{
    int r = batch_reader_init(&q->reader, message.at, message.bytes);
    q->form.tag = q->reader.tag;
    q->kind = q->reader.kind;
    if (r < 0) {
        (void)reason_say(why, "%s", q->reader.why);
        return r;
    }
    const struct operation *op = operation_find(q->kind);
    if (op == NULL)
        return reason_say(why, "\"%s\" is no request to a worker endpoint", batch_kind_word(q->kind));
    if (q->reader.left > LIMIT_BATCH_ITEMS) {
        (void)reason_say(why, "more than %d records", LIMIT_BATCH_ITEMS);
        return PEN_ETOOBIG;
    }
    if (q->reader.left == 0 && op->listed)
        return reason_say(why, "there is no record");
    q->is_lone = q->reader.left == 0;
    q->count = q->is_lone ? 1 : q->reader.left;
    q->frame = q->lone.record.attrs = q->reader.frame;
    if ((q->frame.set & ~op->attrs) != 0)
        return refuse_attrs(op, why);
    return records_check(op, q, why);
}

/* ---- requests ---- */

int worker_request_decode(enum worker_framing framing, struct slice message,
                          struct worker_request *ret_request, char *text, size_t size)
{
    const struct reason why = { .text = text, .size = size };
    struct worker_request *q = ret_request;
    *q = (struct worker_request){ .form.framing = framing, .message = message };
    int r = framing == WORKER_JSON ? json_decode(message, q, &why) : batch_decode(message, q, &why);
    if (r < 0)
        worker_request_fini(q);
    else
        worker_request_rewind(q);
    return r;
}

void worker_request_rewind(struct worker_request *q)
{
    q->at = 0;
    q->record = NULL;
    if (q->form.framing == WORKER_BATCH)
        check(batch_reader_init(&q->reader, q->message.at, q->message.bytes) == 0);
}

bool worker_request_next(struct worker_request *q)
{
    if (q->at == q->count)
        return false;
    if (q->is_lone)
        q->record = &q->lone.record;
    else if (q->form.framing == WORKER_JSON)
        q->record = &q->items[q->at].record;
    else if (batch_reader_next(&q->reader))
        q->record = &q->reader.record;
    q->at++;
    return true;
}

struct slice worker_request_body(const struct worker_request *q)
{
    if (q->form.framing == WORKER_JSON)
        return slice_ref(q->is_lone ? q->lone.body : q->items[q->at - 1].body);
    struct slice body = { q->message.blob, q->record->body, q->record->body_bytes };
    return slice_ref(body);
}

void worker_request_fini(struct worker_request *q)
{
    for (uint32_t i = 0; i < q->items_count; i++)
        slice_release(&q->items[i].body);
    slice_release(&q->lone.body);
    free(q->items);
    json_decref(q->backing);
    q->items = NULL;
    q->backing = NULL;
}

/* ---- answers in JSON ---- */

static json_t *headers_json(struct batch_text headers)
{
    json_t *object = json_object();
    struct batch_text name, value;
    uint32_t at = 0;
    while (object != NULL && batch_header_next(headers, &at, &name, &value)) {
        char text[256];
        memcpy(text, name.at, name.bytes);
        text[name.bytes] = '\0';
        if (json_object_set_new_nocheck(object, text, json_stringn(value.at, value.bytes)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *attr_json(unsigned index, const struct batch_attrs *attrs)
{
    const struct attr *a = &attrs_table[index];
    const void *field = (const char *)attrs + a->offset;
    const struct batch_text *text = field;
    const char *const *words = words_table[index].words;
    switch (a->type) {
    case ATTR_MARK:
        return json_true();
    case ATTR_TEXT:
        return json_lenient_stringn(text->at, text->bytes);
    case ATTR_BLOB:
        return headers_json(*text);
    default:
        return words != NULL ? json_string(words[*(const uint64_t *)field])
                             : json_integer((json_int_t)(*(const uint64_t *)field));
    }
}

static int attrs_set(json_t *object, const struct batch_attrs *attrs)
{
    for (unsigned i = 0; i < BATCH_ATTRS; i++)
        if ((attrs->set >> i & 1) != 0 &&
            json_object_set_new(object, attrs_table[i].name, attr_json(i, attrs)) < 0)
            return PEN_ENOMEM;
    return 0;
}

static int record_set(json_t *object, enum batch_kind kind, const struct batch_record *r)
{
    struct slice body = { NULL, r->body, r->body_bytes };
    if (r->status < 0 &&
        (json_object_set_new(object, "ok", json_false()) < 0 ||
         json_object_set_new(object, "error", json_string(pen_errname(r->status))) < 0))
        return PEN_ENOMEM;
    int e = attrs_set(object, &r->attrs);
    bool shown = kind == BATCH_JOBS || kind == BATCH_RESULTS;
    return e == 0 && shown ? json_body_set(object, body) : e;
}

/* ---- answers ---- */

void worker_answer_begin(struct worker_answer *a, const struct worker_form *form,
                         enum batch_kind kind, const struct batch_attrs *attrs)
{
    *a = (struct worker_answer){ .form = *form, .kind = kind };
    if (form->framing == WORKER_JSON) {
        a->object = json_pack("{s:b}", "ok", 1);
        a->list = form->is_list || kind == BATCH_JOBS ? json_array() : NULL;
        a->error =
            a->object == NULL || (attrs != NULL && attrs_set(a->object, attrs) < 0) ? PEN_ENOMEM : 0;
        return;
    }
    struct batch_head head = { .kind = kind, .tag = form->tag, .attrs = attrs };
    a->error = buf_reserve(&a->buf, WORKER_ANSWER_STEP_BYTES);
    if (a->error == 0)
        a->error = batch_writer_init(&a->writer, buf_tail(&a->buf), buf_room(&a->buf), &head);
}

static void add_json(struct worker_answer *a, const struct batch_record *record)
{
    json_t *object = a->list != NULL ? json_pack("{s:b}", "ok", 1) : a->object;
    if (object == NULL || record_set(object, a->kind, record) < 0)
        a->error = PEN_ENOMEM;
    if (a->list != NULL && json_array_append_new(a->list, object) < 0)
        a->error = PEN_ENOMEM;
}

/* Room for one more record. What is written moves along. */
static int grow(struct worker_answer *a, const struct batch_record *record)
{
    int head = batch_record_head_bytes(record);
    if (head < 0)
        return head;
    buf_grew(&a->buf, a->writer.used);
    int r = buf_reserve(&a->buf, (size_t)head + record->body_bytes + WORKER_ANSWER_STEP_BYTES);
    a->buf.end -= a->writer.used;
    a->writer.to = buf_tail(&a->buf);
    a->writer.size = buf_room(&a->buf);
    return r;
}

static void add_bytes(struct worker_answer *a, const struct batch_record *record)
{
    a->error = batch_writer_add(&a->writer, record);
    if (a->error != PEN_EFULL)
        return;
    a->error = grow(a, record);
    if (a->error == 0)
        a->error = batch_writer_add(&a->writer, record);
}

void worker_answer_add(struct worker_answer *a, const struct batch_record *record)
{
    if (a->error < 0)
        return;
    if (a->form.framing == WORKER_JSON)
        add_json(a, record);
    else
        add_bytes(a, record);
}

static int end_json(struct worker_answer *a, struct slice *ret_slice)
{
    json_t *object = a->object, *list = a->list;
    a->object = a->list = NULL;
    if (a->error == 0 && list != NULL && json_object_set(object, "jobs", list) < 0)
        a->error = PEN_ENOMEM;
    json_decref(list);
    if (a->error == 0)
        return json_to_slice(object, ret_slice);
    json_decref(object);
    return a->error;
}

int worker_answer_end(struct worker_answer *a, struct slice *ret_slice)
{
    if (a->form.framing == WORKER_JSON)
        return end_json(a, ret_slice);
    int r = a->error;
    if (r == 0)
        r = slice_copy(a->writer.to, a->writer.used, ret_slice);
    buf_fini(&a->buf);
    return r;
}

int worker_refusal_encode(const struct worker_form *form, int error, const char *text,
                          struct slice *ret_slice)
{
    if (text == NULL || text[0] == '\0')
        text = pen_strerror(error);
    if (form->framing == WORKER_JSON)
        return json_failure_encode(error, text, ret_slice);
    struct batch_record record = { .status = error };
    batch_set(&record.attrs, TEXT, text, ((struct batch_text){ text, (uint32_t)strlen(text) }));
    struct worker_answer a;
    worker_answer_begin(&a, form, BATCH_ERROR, NULL);
    worker_answer_add(&a, &record);
    return worker_answer_end(&a, ret_slice);
}
