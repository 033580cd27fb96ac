/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints over lines of text: a file, a FIFO or standard input, one message a line, without its
 * newline. A last line without one is a message too.
 *
 * Bytes are read into a shared buffer (chunk.h) and lines are slices of it; only a line that begins
 * at the buffer's end is moved, to the front of the next. A line above message_max is dropped up to
 * its newline and counted, without being held.
 *
 *   slices   a regular file, or another device than a terminal: one read a turn, the loop's next
 *            turn for the next, so that a long file leaves the loop to the others as well
 *   stream   standard input that is no file: read when it is readable; the end of it is the end
 *   fifo     read when it is readable. When all writers have left, what they left without a newline
 *            is a message, and it is opened anew before the old descriptor is closed: a fresh one
 *            does not tell of an end until another writer has come, and there is no moment without a
 *            reader, in which a writer would fail or bytes would vanish. It never ends by itself.
 *
 * One read for each event, so that standard input, whose flags others share, need not be made
 * non-blocking.
 *
 * Thread: the endpoint's loop. Reading of a regular file blocks for the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"
#include "net/chunk.h"
#include "net/endpoint_kind.h"
#include "obs/log.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    READ_MIN_BYTES = 4 * 1024, /* less room than this is left unused */
    LINE_MAX_DEFAULT = 64 * 1024,
};

enum way { WAY_SLICES, WAY_STREAM, WAY_FIFO };

struct lines {
    struct endpoint base;

    /* fixed after init */
    enum way way;
    char *path; /* NULL: standard input */
    size_t line_max;

    /* owner: loop */
    int fd;
    struct io io;
    struct chunk *chunk; /* [start, used) is not handed out, and has no newline before scan */
    uint32_t start, scan;
    bool skipping;  /* the line is too long and is dropped */
    bool at_end;    /* read() told of the end, and the last line is still to be taken */
    bool failed;    /* a read did */
    bool exhausted; /* nothing is left to read */
    struct log_limit errors;
    uint64_t read_bytes;
};

static struct lines *lines_of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct lines, base);
}

static const char *path_text(const struct lines *l)
{
    return l->path != NULL ? l->path : "standard input";
}

static uint32_t unfinished(const struct lines *l)
{
    return l->chunk != NULL ? l->chunk->used - l->start : 0;
}

/* ---- splitting ---- */

/* Counted and told once for a line. */
static void drop_long_line(struct lines *l)
{
    uint32_t left_out;
    count_add(&l->base.too_big, 1);
    if (log_limit_pass(&l->errors, 10, &left_out))
        log_warning(l->base.name, "a line longer than %zu bytes is dropped (%u more not shown)",
                    l->line_max, left_out);
}

/* The line [start, end) is complete. True when it became a frame. */
static bool take_line(struct lines *l, uint32_t end, struct frame *ret_frame)
{
    uint32_t start = l->start;
    bool skipped = l->skipping;
    l->start = end;
    l->skipping = false;
    if (skipped) /* Counted when it became too long. */
        return false;
    if (end - start > l->line_max) {
        drop_long_line(l);
        return false;
    }
    ret_frame->body = chunk_slice(l->chunk, start, end - start);
    ret_frame->route.bytes = 0;
    return true;
}

/* What is left has no newline: it may be too long already. */
static void look_at_rest(struct lines *l)
{
    l->scan = l->chunk->used;
    if (!l->skipping && unfinished(l) > l->line_max) {
        l->skipping = true;
        drop_long_line(l);
    }
    if (l->skipping)
        l->start = l->chunk->used;
}

/* The complete lines that are in the buffer, as many as there are frames for. */
static size_t split(struct lines *l)
{
    size_t n = 0;
    if (l->chunk == NULL)
        return 0;
    const uint8_t *bytes = l->chunk->bytes;
    while (n < LIMIT_BATCH_ITEMS) {
        const uint8_t *newline = memchr(bytes + l->scan, '\n', l->chunk->used - l->scan);
        if (newline == NULL) {
            look_at_rest(l);
            break;
        }
        uint32_t end = (uint32_t)(newline - bytes);
        n += take_line(l, end, &l->base.frames[n]);
        l->start = l->scan = end + 1;
    }
    return n;
}

/* ---- reading ---- */

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) > 0;
}

/* The buffer may be gone on with: it has room, and is none of those that were made for a long line
 * that has been handed out since. */
static bool has_room(const struct lines *l)
{
    const struct chunk *c = l->chunk;
    bool outsized = c->cap > CHUNK_BYTES && unfinished(l) <= CHUNK_BYTES / 2;
    return !outsized && c->cap - c->used >= READ_MIN_BYTES;
}

/* Room to read into. An unfinished line moves along. PEN_ENOMEM. */
static int make_room(struct lines *l)
{
    struct chunk *old = l->chunk;
    if (old != NULL && old->handed == 0 && l->start == old->used)
        old->used = l->start = l->scan = 0;
    if (old != NULL && has_room(l))
        return 0;
    uint32_t left = unfinished(l);
    size_t cap = (size_t)left * 2 > CHUNK_BYTES ? (size_t)left * 2 : CHUNK_BYTES;
    struct chunk *fresh;
    int r = chunk_new(cap, &fresh);
    if (r < 0)
        return r;
    if (left > 0)
        memcpy(fresh->bytes, old->bytes + l->start, left);
    fresh->used = left;
    l->scan -= l->start;
    l->start = 0;
    chunk_retire(&l->chunk);
    l->chunk = fresh;
    return 0;
}

static void read_some(struct lines *l)
{
    if (l->way == WAY_STREAM && !is_readable(l->fd)) /* It would block. */
        return;
    int r = make_room(l);
    if (r < 0) { /* Nothing is lost: it is still in the source, and the next turn tries again. */
        log_limited(&l->errors, 1, l->base.name, "cannot read %s: %s", path_text(l), pen_strerror(r));
        return;
    }
    size_t room = l->chunk->cap - l->chunk->used;
    ssize_t got =
        read(l->fd, l->chunk->bytes + l->chunk->used, room < CHUNK_BYTES ? room : CHUNK_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got < 0) {
        log_error(l->base.name, "cannot read %s: %s", path_text(l), strerrordesc_np(errno));
        l->failed = true;
    }
    if (got <= 0) {
        l->at_end = true;
        return;
    }
    l->chunk->used += (uint32_t)got;
    l->read_bytes += (uint64_t)got;
}

/* ---- the end of a source ---- */

static void on_readable(struct io *io, unsigned ready, void *arg);

static int open_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return fd >= 0 ? fd : -errno;
}

/* All writers have left. A negative error ends the source. */
static int reopen_fifo(struct lines *l)
{
    int fd = open_path(l->path);
    if (fd < 0)
        return fd;
    io_close(&l->io);
    close(l->fd);
    l->fd = fd;
    return io_open(&l->io, l->base.loop, (struct io_watch){ fd, 0 }, on_readable, l);
}

/* After the last line was taken. */
static void end_of_source(struct lines *l)
{
    l->at_end = false;
    if (l->way == WAY_FIFO && !l->failed) {
        int r = reopen_fifo(l);
        if (r == 0)
            return;
        log_error(l->base.name, "cannot open %s again: %s", path_text(l), pen_strerror(r));
    }
    l->exhausted = true;
    endpoint_source_ended(&l->base);
}

static bool lines_has_input(struct endpoint *ep)
{
    struct lines *l = lines_of(ep);
    return l->at_end || l->way == WAY_SLICES || is_readable(l->fd);
}

/* Nothing will complete the line that is left: at the end, or when reading is to end and nothing
 * is there any more. */
static bool is_last(const struct lines *l)
{
    return l->at_end || (l->base.finishing && l->way != WAY_SLICES && !is_readable(l->fd));
}

static size_t lines_read(struct endpoint *ep)
{
    struct lines *l = lines_of(ep);
    size_t n = split(l);
    if (n == 0 && !l->at_end) {
        read_some(l);
        n = split(l);
    }
    if (n == LIMIT_BATCH_ITEMS) {
        ep->more = true;
        return n;
    }
    if (is_last(l)) {
        if (unfinished(l) > 0 || l->skipping)
            n += take_line(l, l->chunk->used, &ep->frames[n]);
        if (l->at_end)
            end_of_source(l);
    }
    return n;
}

static void lines_watch(struct endpoint *ep, bool on)
{
    struct lines *l = lines_of(ep);
    if (l->way != WAY_SLICES)
        io_want(&l->io, on ? IO_READ : 0);
    else if (on)
        endpoint_kick(ep);
}

static void on_readable(struct io *io, unsigned ready, void *arg)
{
    struct lines *l = arg;
    loop_assert_here(l->base.loop);
    endpoint_turn(&l->base);
}

/* ---- opening and closing ---- */

/* What was begun and not read to its end: a file keeps it, a stream does not. */
static void tell_rest(struct lines *l)
{
    bool is_file = l->way == WAY_SLICES;
    if (is_file && !l->exhausted)
        log_notice(l->base.name, "stopped reading %s at byte %ju", path_text(l),
                   (uintmax_t)(l->read_bytes - unfinished(l)));
    if (is_file || unfinished(l) == 0)
        return;
    count_add(&l->base.dropped_unread, 1);
    log_warning(l->base.name, "%u bytes of %s, read and not taken, are dropped", unfinished(l),
                path_text(l));
}

static bool lines_close(struct endpoint *ep, bool immediate)
{
    struct lines *l = lines_of(ep);
    tell_rest(l);
    io_close(&l->io);
    if (l->path != NULL)
        close(l->fd);
    chunk_retire(&l->chunk);
    return true;
}

static void lines_stats(const struct endpoint *ep, struct endpoint_stats *stats)
{
    /* There are no peers, and the front's counters are all there is. */
}

static void lines_free(struct endpoint *ep)
{
    struct lines *l = lines_of(ep);
    chunk_retire(&l->chunk);
    endpoint_fini(ep);
    free(l->path);
    free(l);
}

static const struct endpoint_kind lines_kind = {
    .read = lines_read,
    .has_input = lines_has_input,
    .watch = lines_watch,
    .close = lines_close,
    .stats = lines_stats,
    .free = lines_free,
};

static int find_way(int fd, bool is_stdin, enum way *ret_way)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (S_ISFIFO(st.st_mode) && !is_stdin)
        *ret_way = WAY_FIFO;
    else if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(fd))
        *ret_way = WAY_STREAM;
    else
        *ret_way = WAY_SLICES;
    return 0;
}

static int open_source(struct lines *l)
{
    l->fd = l->path != NULL ? open_path(l->path) : STDIN_FILENO;
    if (l->fd < 0)
        return l->fd;
    int r = find_way(l->fd, l->path == NULL, &l->way);
    if (r == 0 && l->way != WAY_SLICES)
        r = io_open(&l->io, l->base.loop, (struct io_watch){ l->fd, 0 }, on_readable, l);
    if (r < 0 && l->path != NULL)
        close(l->fd);
    return r;
}

static struct lines *lines_new(const struct endpoint_options *options)
{
    struct lines *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->line_max = options->message_max > 0 ? options->message_max : LINE_MAX_DEFAULT;
    bool is_stdin = str_equal(options->path, "-");
    if (!is_stdin)
        l->path = strdup(options->path);
    if ((l->path == NULL && !is_stdin) || endpoint_init(&l->base, &lines_kind, options) < 0) {
        free(l->path);
        free(l);
        return NULL;
    }
    return l;
}

int lines_open(const struct endpoint_options *options, char *text, size_t size,
               struct endpoint **ret_endpoint)
{
    if (options->path == NULL) {
        snprintf(text, size, "no path to read lines from");
        return PEN_EADDRESS;
    }
    struct lines *l = lines_new(options);
    int r = l != NULL ? open_source(l) : PEN_ENOMEM;
    if (r < 0) {
        snprintf(text, size, "cannot read %s: %s", options->path, pen_strerror(r));
        if (l != NULL)
            lines_free(&l->base);
        return r;
    }
    *ret_endpoint = &l->base;
    return 0;
}
