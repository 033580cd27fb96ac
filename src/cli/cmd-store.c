/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock fsck and penstock dump: a durable queue's folder, while no daemon has it.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/human.h"
#include "cli/options.h"
#include "plat/rand.h"
#include "proto/json_value.h"
#include "store/store.h"

enum { TEXT_BYTES = 256 };

static int exit_of(int error)
{
    return error == PEN_ELOCKED || error == PEN_EFORMAT ? EXIT_REFUSED
           : error == PEN_ENOMEM                        ? EXIT_INTERNAL
                                                        : EXIT_INPUT;
}

static int complain(const char *path, int error)
{
    char text[TEXT_BYTES];
    say("%s: %s", printable(path, text, sizeof text), pen_strerror(error));
    return exit_of(error);
}

/* ---- fsck ---- */

struct fsck {
    bool json;
    json_t *damages;
};

static int see_damage(void *arg, const struct store_damage *d)
{
    struct fsck *f = arg;
    if (f->json) {
        json_array_append_new(f->damages, json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "segment",
                                                    (json_int_t)d->segment, "at", (json_int_t)d->at,
                                                    "bytes", (json_int_t)d->bytes, "first_commit",
                                                    (json_int_t)d->seq_first, "last_commit",
                                                    (json_int_t)d->seq_last, "record", d->record));
        return 0;
    }
    (void)printf("damaged: segment %016" PRIx64 ", %" PRIu64 " bytes from %" PRIu64 " on",
                 d->segment, d->bytes, d->at);
    if (d->seq_first != 0)
        (void)printf(", %s commits %" PRIu64 " to %" PRIu64, d->record ? "in" : "with",
                     d->seq_first, d->seq_last);
    (void)putchar('\n');
    return 0;
}

static int see_job(void *arg, const struct store_job *j)
{
    (void)arg;
    (void)j;
    return 0;
}

static int print_report(struct fsck *f, const struct store_recovery *r)
{
    char bytes[HUMAN_BYTES];
    if (f->json) {
        json_t *report =
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "segments",
                      (json_int_t)r->segments, "commits", (json_int_t)r->frames, "records",
                      (json_int_t)r->records, "jobs", (json_int_t)r->jobs, "bytes",
                      (json_int_t)r->bytes, "torn_bytes", (json_int_t)r->torn_bytes, "damaged",
                      (json_int_t)r->damaged, "orderly", r->orderly, "damages", f->damages);
        int e = json_dumpf(report, stdout, JSON_COMPACT);
        json_decref(report);
        (void)putchar('\n');
        return e < 0 ? EXIT_INTERNAL : EXIT_OK;
    }
    (void)printf("%" PRIu64 " jobs of %s, in %" PRIu64 " segments, %" PRIu64 " commits and %" PRIu64
                 " records\n",
                 r->jobs, human_bytes(r->bytes, bytes), r->segments, r->frames, r->records);
    if (r->torn_bytes > 0)
        (void)printf("torn: %s of a commit that was not finished, and promised to nobody\n",
                     human_bytes(r->torn_bytes, bytes));
    (void)printf("%s, %" PRIu64 " damaged\n",
                 r->orderly ? "closed in order" : "not closed in order", r->damaged);
    return EXIT_OK;
}

/* As a daemon would, and then move everything that lives into new segments. */
static int repair(struct vfs_dir *dir, const struct store_keeper *keeper, struct store_recovery *r)
{
    struct store_options options = {
        .name = "fsck", .disk_max = UINT64_MAX, .rewrite = true, .by_hand = true
    };
    struct store *s;
    int e = rand_id(&options.seed);
    if (e < 0) {
        vfs_close_dir(&dir);
        return e;
    }
    e = store_open(dir, &options, keeper, &s, r);
    if (e < 0)
        return e;
    bool more;
    do {
        more = store_work(s, STORE_COMMIT);
        more |= store_work(s, STORE_CHORE);
    } while (more);
    return store_close(&s);
}

int cmd_fsck(const struct options *o)
{
    const char *path = o->operands[0];
    struct fsck f = { .json = o->json, .damages = o->json ? json_array() : NULL };
    const struct store_keeper keeper = { .job = see_job, .damage = see_damage, .arg = &f };
    struct store_recovery r;
    struct vfs_dir *dir;
    int e = vfs_open_dir(path, false, &dir);
    if (e == 0)
        e = o->repair ? repair(dir, &keeper, &r) : store_inspect(dir, &keeper, &r);
    if (e < 0) {
        json_decref(f.damages);
        return complain(path, e);
    }
    int code = print_report(&f, &r);
    return code == EXIT_OK && r.damaged > 0 && !o->repair ? EXIT_DAMAGED : code;
}

/* ---- dump ---- */

static int print_json(const struct store_job *j)
{
    struct slice body = { .at = j->payload, .bytes = j->payload_bytes };
    json_t *object = json_pack("{s:I, s:i, s:i, s:i, s:i}", "id", (json_int_t)j->id, "priority",
                               j->state.priority, "attempts", j->state.attempts, "crashes",
                               j->state.crashes, "place", j->state.place);
    int r = object == NULL ? PEN_ENOMEM : json_body_set(object, body);
    if (r == 0 && j->key_bytes > 0)
        r = json_object_set_new(object, "key", json_lenient_stringn(j->key, j->key_bytes));
    if (r == 0 && j->state.due_ns != 0)
        r = json_object_set_new(object, "due_ms", json_integer(j->state.due_ns / 1000000));
    if (r == 0 && j->expires_ns != 0)
        r = json_object_set_new(object, "expires_ms", json_integer(j->expires_ns / 1000000));
    if (r == 0)
        r = json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    (void)putchar('\n');
    return r < 0 ? PEN_ENOMEM : 0;
}

static int print_line(const struct store_job *j)
{
    char text[TEXT_BYTES];
    size_t n = j->payload_bytes < TEXT_BYTES - 1 ? j->payload_bytes : TEXT_BYTES - 1;
    memcpy(text, j->payload, n);
    text[n] = '\0';
    (void)printf("%" PRIu64 "\t%d\t%d\t%" PRIu32 "\t%s\n", j->id, j->state.priority,
                 j->state.attempts, j->payload_bytes, printable(text, text, sizeof text));
    return 0;
}

static int dump_job(void *arg, const struct store_job *j)
{
    const struct options *o = arg;
    return o->json ? print_json(j) : print_line(j);
}

int cmd_dump(const struct options *o)
{
    const char *path = o->operands[0];
    const struct store_keeper keeper = { .job = dump_job, .arg = (void *)o };
    struct store_recovery r;
    struct vfs_dir *dir;
    int e = vfs_open_dir(path, false, &dir);
    if (e == 0 && !o->json)
        (void)printf("ID\tPRIORITY\tATTEMPTS\tBYTES\tBODY\n");
    if (e == 0)
        e = store_inspect(dir, &keeper, &r);
    if (e < 0)
        return complain(path, e);
    if (r.damaged > 0)
        say("%" PRIu64 " ranges are damaged, see penstock fsck", r.damaged);
    return r.damaged > 0 ? EXIT_DAMAGED : EXIT_OK;
}
