/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/signals.h"
#include "proto/base64.h"
#include "proto/json.h"

enum { FLUSH_BYTES = 64 * 1024 };

void output_init(struct output *out, const struct options *o)
{
    *out = (struct output){
        .fd = STDOUT_FILENO,
        .format = o->format,
        .newline = o->lines,
        .json = o->json,
        .separator = o->separator != NULL && o->separator[0] != '\0' ? o->separator : NULL,
    };
    if (o->format != FORMAT_DEFAULT)
        return;
    if (!o->lines && isatty(out->fd)) {
        out->format = FORMAT_ASCII;
    } else {
        out->format = FORMAT_RAW;
        out->newline = true;
    }
}

void output_fini(struct output *out)
{
    buf_fini(&out->buf);
}

bool output_prints(const struct output *out)
{
    return out->json || out->format != FORMAT_NO;
}

/* ascii, quoted and hex end with a newline already. */
static bool wants_newline(const struct output *out)
{
    return out->newline && (out->format == FORMAT_RAW || out->format == FORMAT_MSGPACK);
}

static int flush_when_full(struct output *out)
{
    return buf_bytes(&out->buf) < FLUSH_BYTES ? 0 : output_flush(out);
}

/* A new string of the base 64 of the bytes, or NULL. */
static json_t *base64_string(const char *data, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t n = base64_encoded_bytes(bytes);
    char *text = malloc(n + 1);
    if (text == NULL)
        return NULL;
    base64_encode((const uint8_t *)data, bytes, text);
    json_t *string = json_stringn(text, n);
    free(text);
    return string;
}

int output_set_bytes(json_t *object, const char *name, const void *data, size_t bytes)
{
    char name64[32];
    json_t *text = json_stringn(bytes > 0 ? data : "", bytes);
    if (text == NULL) {
        (void)snprintf(name64, sizeof name64, "%s64", name);
        name = name64;
        text = base64_string(data, bytes);
    }
    return json_object_set_new(object, name, text) < 0 ? PEN_ENOMEM : 0;
}

static int message_as_json(struct output *out, const char *data, size_t bytes)
{
    json_t *object = json_object();
    const char *split = NULL;
    int r = object == NULL ? PEN_ENOMEM : 0;
    if (out->separator != NULL)
        split = memmem(data, bytes, out->separator, strlen(out->separator));
    if (r == 0 && split != NULL) {
        r = output_set_bytes(object, "topic", data, (size_t)(split - data));
        split += strlen(out->separator);
        bytes -= (size_t)(split - data);
        data = split;
    }
    if (r == 0)
        r = output_set_bytes(object, "body", data, bytes);
    if (r == 0)
        return output_json(out, object);
    json_decref(object);
    return r;
}

int output_message(struct output *out, const void *data, size_t bytes)
{
    if (out->json)
        return message_as_json(out, data, bytes);
    int r = format_append(out->format, data, bytes, &out->buf);
    if (r == 0 && wants_newline(out))
        r = buf_append(&out->buf, "\n", 1);
    return r < 0 ? r : flush_when_full(out);
}

int output_result(struct output *out, uint64_t stream, const struct published_result *result)
{
    char name[JSON_STREAM_BYTES];
    json_stream_format(stream, name);
    json_t *object = json_pack("{s:s, s:I, s:I}", "stream", name, "seq",
                               (json_int_t)result->sequence, "id", (json_int_t)result->id);
    int r = object == NULL ? PEN_ENOMEM : 0;
    if (r == 0)
        r = output_set_bytes(object, "topic", result->topic.at, result->topic.bytes);
    if (r == 0)
        r = output_set_bytes(object, "body", result->body, result->body_bytes);
    if (r == 0)
        return output_json(out, object);
    json_decref(object);
    return r;
}

static int append_dump(const char *text, size_t bytes, void *buf)
{
    return buf_append(buf, text, bytes) < 0 ? -1 : 0;
}

int output_json(struct output *out, json_t *value)
{
    int r = value == NULL ? -1
                          : json_dump_callback(value, append_dump, &out->buf,
                                               JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(value);
    if (r < 0 || buf_append(&out->buf, "\n", 1) < 0)
        return PEN_ENOMEM;
    return flush_when_full(out);
}

int output_flush(struct output *out)
{
    while (buf_bytes(&out->buf) > 0) {
        ssize_t n = write(out->fd, buf_at(&out->buf), buf_bytes(&out->buf));
        if (n >= 0)
            buf_consume(&out->buf, (size_t)n);
        else if (errno != EINTR || signals_got() != 0)
            return -errno;
    }
    return 0;
}
