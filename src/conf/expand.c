/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place that reads the environment for the configuration.
 */
#include "conf/expand.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "conf/utf8.h"

enum { VARIABLE_NAME_BYTES = 64 };

/* The parts of ${name:-word}; nothing is copied but the name. */
struct variable {
    char name[VARIABLE_NAME_BYTES];
    char kind; /* '-', '?', or 0 */
    const char *word;
    size_t word_bytes;
    const char *end; /* behind the closing brace */
};

static bool is_name_byte(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* at points behind "${". False when it is malformed. */
static bool variable_parse(const char *at, struct variable *v)
{
    size_t n = 0;
    while (is_name_byte(at[n], n == 0))
        n++;
    if (n == 0 || n >= sizeof v->name)
        return false;
    memcpy(v->name, at, n);
    v->name[n] = '\0';
    at += n;
    v->kind = '\0';
    if (at[0] == ':' && (at[1] == '-' || at[1] == '?')) {
        v->kind = at[1];
        at += 2;
    }
    const char *close = strchr(at, '}');
    if (close == NULL || (v->kind == '\0' && close != at))
        return false;
    v->word = at;
    v->word_bytes = (size_t)(close - at);
    v->end = close + 1;
    return true;
}

static int refuse(struct report *report, struct place place, const struct variable *v, bool set)
{
    const char *state = set ? "empty" : "not set";
    if (v->kind == '?' && v->word_bytes > 0)
        report_error(report, place, "variable %s is %s: %.*s", v->name, state, (int)v->word_bytes,
                     v->word);
    else
        report_error(report, place, "variable %s is %s; give a default with ${%s:-...}", v->name,
                     state, v->name);
    return PEN_ECONFIG;
}

static struct place variable_place(const struct report *report, struct place place,
                                   const struct variable *v)
{
    char needle[VARIABLE_NAME_BYTES + 3];
    (void)snprintf(needle, sizeof needle, "${%s", v->name);
    return report_find(report, place, needle);
}

static int variable_add(struct report *report, struct place place, const struct variable *v,
                        struct buf *out)
{
    const char *value = getenv(v->name);
    bool missing = value == NULL || (v->kind != '\0' && value[0] == '\0');
    if (missing && v->kind == '-')
        return buf_append(out, v->word, v->word_bytes);
    if (missing)
        return refuse(report, variable_place(report, place, v), v, value != NULL);
    size_t bytes = strlen(value);
    if (utf8_valid_bytes(value, bytes) != bytes) {
        report_error(report, variable_place(report, place, v),
                     "the value of variable %s is not UTF-8", v->name);
        return PEN_ECONFIG;
    }
    return buf_append(out, value, bytes);
}

/* One piece of text: up to a dollar, or what begins with one. */
static int piece_add(struct report *report, struct place place, const char **text, struct buf *out)
{
    const char *at = *text;
    size_t plain = strcspn(at, "$");
    if (plain == 0 && at[1] == '{') {
        struct variable v;
        if (!variable_parse(at + 2, &v)) {
            report_error(report, report_find(report, place, "${"),
                         "write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ is a dollar");
            return PEN_ECONFIG;
        }
        *text = v.end;
        return variable_add(report, place, &v, out);
    }
    size_t skipped = plain;
    if (plain == 0) {
        plain = 1;
        skipped = at[1] == '$' ? 2 : 1;
    }
    *text += skipped;
    return buf_append(out, at, plain);
}

int expand(struct report *report, struct place place, const char *text, char **ret_text)
{
    struct buf out = { .max = LIMIT_CONFIG_BYTES };
    int r = 0;
    while (r == 0 && *text != '\0')
        r = piece_add(report, place, &text, &out);
    if (r == 0)
        r = buf_append(&out, "", 1);
    if (r == PEN_ETOOBIG) {
        report_error(report, place, "longer than %d bytes with its variables", LIMIT_CONFIG_BYTES);
        r = PEN_ECONFIG;
    }
    if (r < 0) {
        buf_fini(&out);
        return r;
    }
    *ret_text = (char *)out.data; /* Nothing was consumed: it begins where the memory does. */
    return 0;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool program_found(const char *program)
{
    if (strchr(program, '/') != NULL)
        return is_program(program);
    const char *path = getenv("PATH");
    if (path == NULL)
        path = "/usr/local/bin:/bin:/usr/bin";
    bool found = false;
    struct buf candidate = { .max = LIMIT_CONFIG_BYTES };
    for (bool more = *program != '\0'; more && !found;) {
        size_t bytes = strcspn(path, ":");
        candidate.start = candidate.end = 0;
        int r = buf_printf(&candidate, "%.*s/%s", bytes > 0 ? (int)bytes : 1,
                           bytes > 0 ? path : ".", program);
        if (r == 0)
            r = buf_append(&candidate, "", 1);
        found = r == 0 && is_program((const char *)buf_at(&candidate));
        more = path[bytes] == ':';
        path += bytes + (more ? 1 : 0);
    }
    buf_fini(&candidate);
    return found;
}
