/* SPDX-License-Identifier: Apache-2.0
 *
 * The option table and what reads it: getopt_long(3) parses, --help and help --options print.
 */
#include "cli/options.h"

#include <getopt.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

enum option_group {
    IN_ADDRESSES,
    IN_SENDING,
    IN_RECEIVING,
    IN_DAEMON,
    IN_JOBS,
    IN_WORK,
    IN_BENCH,
    IN_GENERAL,
    GROUPS
};

static const char *const group_titles[GROUPS] = {
    [IN_ADDRESSES] = "Addresses", [IN_SENDING] = "Sending", [IN_RECEIVING] = "Receiving",
    [IN_DAEMON] = "The daemon",   [IN_JOBS] = "Jobs",       [IN_WORK] = "The program",
    [IN_BENCH] = "The load",      [IN_GENERAL] = "General",
};

/* How an option's argument is read, and into what. */
enum option_kind {
    AS_FLAG,   /* bool */
    AS_LOUDER, /* int, one up */
    AS_QUIETER,
    AS_TEXT,   /* const char * */
    AS_LIST,   /* struct option_list, with a prefix */
    AS_TIME,   /* span_t */
    AS_COUNT,  /* uint64_t, not 0 */
    AS_NUMBER, /* uint64_t */
    AS_SIZE,   /* uint64_t, bytes */
    AS_FORMAT, /* enum format, by name or fixed */
};

struct option_row {
    const char *name;
    char letter;          /* 0: none */
    const char *argument; /* NULL: none */
    uint64_t commands;    /* FOR(...); 0: only before a command */
    enum option_group group;
    enum option_kind kind;
    size_t field;      /* offset in struct options */
    const char *fixed; /* a list's prefix, a fixed format's name */
    const char *help;
};

#define INTO(field) offsetof(struct options, field)

static const struct option_row rows[] = {
    { "connect", 0, "URL", FOR_MESSAGES | FOR(BENCH), IN_ADDRESSES, AS_LIST, INTO(connect), NULL,
      "connect to URL: tcp://HOST:PORT, ipc:///PATH or ws://HOST:PORT; may be given more than once" },
    { "connect", 0, "URL", FOR_JOBS, IN_ADDRESSES, AS_LIST, INTO(connect), NULL,
      "connect to the worker endpoint at URL: tcp://HOST:PORT or ipc:///PATH" },
    { "bind", 0, "URL", FOR_MESSAGES, IN_ADDRESSES, AS_LIST, INTO(bind), NULL,
      "listen on URL; may be given more than once, also together with --connect" },
    { "connect-local", 'l', "PORT", FOR_MESSAGES | FOR_JOBS | FOR(BENCH), IN_ADDRESSES, AS_LIST,
      INTO(connect), "tcp://127.0.0.1:", "connect to tcp://127.0.0.1:PORT" },
    { "bind-local", 'L', "PORT", FOR_MESSAGES, IN_ADDRESSES, AS_LIST, INTO(bind),
      "tcp://127.0.0.1:", "listen on tcp://127.0.0.1:PORT" },
    { "connect-ipc", 'x', "PATH", FOR_MESSAGES | FOR_JOBS | FOR(BENCH), IN_ADDRESSES, AS_LIST,
      INTO(connect), "ipc://", "connect to ipc://PATH" },
    { "bind-ipc", 'X', "PATH", FOR_MESSAGES, IN_ADDRESSES, AS_LIST, INTO(bind), "ipc://",
      "listen on ipc://PATH" },
    { "transport", 0, "TRANSPORT", FOR_MESSAGES, IN_ADDRESSES, AS_TEXT, INTO(transport), NULL,
      "native: penstock's own, for tcp and ipc; nanomsg: libnanomsg; auto, unless given: native where all addresses are "
      "of tcp or ipc" },
    { "socket-name", 0, "NAME", FOR_MESSAGES, IN_ADDRESSES, AS_TEXT, INTO(socket_name), NULL,
      "name the socket in libnanomsg's statistics; native has none" },

    { "data", 'D', "DATA", FOR_SENDERS, IN_SENDING, AS_TEXT, INTO(data), NULL,
      "send DATA; rep and respondent answer with it" },
    { "data", 'D', "DATA", FOR(PUT) | FOR(ACK), IN_JOBS, AS_TEXT, INTO(data), NULL,
      "the job, or with ack its result" },
    { "file", 'F', "FILE", FOR_SENDERS, IN_SENDING, AS_TEXT, INTO(file), NULL,
      "send what FILE contains, or standard input for -" },
    { "file", 'F', "FILE", FOR(PUT) | FOR(ACK), IN_JOBS, AS_TEXT, INTO(file), NULL,
      "the same from FILE, or from standard input for -" },
    { "interval", 'i', "TIME", FOR_SENDERS & ~(FOR(REP) | FOR(RESPONDENT)), IN_SENDING, AS_TIME,
      INTO(interval), NULL, "send again every TIME, without end; with --lines, a line every TIME" },
    { "delay", 'd', "TIME", FOR_MESSAGES | FOR(BENCH), IN_SENDING, AS_TIME, INTO(delay), NULL,
      "wait TIME before the first message, so that peers can connect; 200ms unless given when "
      "pub, bus, surveyor or bench send, otherwise none" },
    { "send-timeout", 0, "TIME", FOR_SENDERS, IN_SENDING, AS_TIME, INTO(send_timeout), NULL,
      "give up when a message finds no room for TIME, or at the end native has not written what it took; without, wait, "
      "there for pub, bus and surveyor 10s" },
    { "linger", 0, "TIME", FOR_SENDERS, IN_SENDING, AS_TIME, INTO(linger), NULL,
      "after the last message was written leave peers at most TIME to read it; without, 500ms with native, which sees them "
      "end, and with nanomsg 100ms where that may be needed" },

    { "subscribe", 0, "PREFIX", FOR(SUB), IN_RECEIVING, AS_LIST, INTO(subscribe), NULL,
      "receive messages that begin with PREFIX; may be given more than once; without, all" },
    { "separator", 0, "TEXT", FOR(SUB), IN_RECEIVING, AS_TEXT, INTO(separator), NULL,
      "with --json, split each message into topic and body at the first TEXT" },
    { "reliable", 0, NULL, FOR(SUB), IN_RECEIVING, AS_FLAG, INTO(reliable), NULL,
      "get every result of a publisher that numbers them, once and in order, or say which are gone; "
      "--subscribe is about topics then" },
    { "replay", 0, "URL", FOR(SUB), IN_RECEIVING, AS_LIST, INTO(replay), NULL,
      "with --reliable, where the publisher answers requests for results that were missed" },
    { "from", 0, "NUMBER", FOR(SUB), IN_RECEIVING, AS_TEXT, INTO(from), NULL,
      "with --reliable, begin with this result, or STREAM:NUMBER; without, with what is published "
      "next" },
    { "gap-fatal", 0, NULL, FOR(SUB), IN_RECEIVING, AS_FLAG, INTO(gap_fatal), NULL,
      "with --reliable, end when results are gone" },
    { "format", 0, "FORMAT", FOR_READERS, IN_RECEIVING, AS_FORMAT, INTO(format), NULL,
      "print messages as FORMAT: raw, ascii, quoted, hex, msgpack, or no to print none; without, "
      "ascii on a terminal and raw lines elsewhere" },
    { "raw", 0, NULL, FOR_READERS, IN_RECEIVING, AS_FORMAT, INTO(format), "raw",
      "print messages as they are, with nothing between them" },
    { "ascii", 'A', NULL, FOR_READERS, IN_RECEIVING, AS_FORMAT, INTO(format), "ascii",
      "print messages as lines, with a dot for every byte that is not printable ASCII" },
    { "quoted", 'Q', NULL, FOR_READERS, IN_RECEIVING, AS_FORMAT, INTO(format), "quoted",
      "print messages as lines in double quotes, escaped as in C" },
    { "hex", 0, NULL, FOR_READERS, IN_RECEIVING, AS_FORMAT, INTO(format), "hex",
      "print messages as lines in double quotes, every byte as \\xHH" },
    { "msgpack", 0, NULL, FOR_READERS, IN_RECEIVING, AS_FORMAT, INTO(format), "msgpack",
      "print messages as MessagePack bin values" },
    { "recv-timeout", 0, "TIME", FOR_READERS | FOR(BENCH), IN_RECEIVING, AS_TIME,
      INTO(recv_timeout), NULL,
      "give up when no message comes for TIME; for surveyor, how long answers may take; for bench, "
      "when nothing moves, 5s unless given" },
    { "recv-maxsz", 'Z', "SIZE", FOR_READERS, IN_RECEIVING, AS_SIZE, INTO(recv_max_bytes), NULL,
      "refuse messages larger than SIZE, 64MiB unless given, by closing the connection" },

    { "control", 0, "URL", FOR_CONTROL, IN_DAEMON, AS_TEXT, INTO(control), NULL,
      "where the daemon listens for commands; without, what the environment says in "
      "PENSTOCK_CONTROL, or ipc:///run/penstock/control" },
    { "timeout", 0, "TIME", FOR_CONTROL | (FOR_JOBS & ~FOR(WORK)), IN_DAEMON, AS_TIME,
      INTO(timeout), NULL, "give up when the daemon does not answer within TIME, 5s unless given" },

    { "queue", 0, "QUEUE", FOR_QUEUED, IN_JOBS, AS_LIST, INTO(queues), NULL,
      "the queue; with reserve and work it may be given up to 16 times, and as QUEUE=WEIGHT, of 1 to 1000: how often it "
      "comes first" },
    { "count", 'C', "N", FOR(RESERVE) | FOR(KICK) | FOR(PEEK) | FOR(DEAD) | FOR(REDRIVE), IN_JOBS,
      AS_COUNT, INTO(count), NULL,
      "so many jobs; 1 unless given, 256 for dead, all for redrive; at most 256 for reserve, peek and dead" },
    { "count", 'C', "N", FOR(WORK), IN_JOBS, AS_COUNT, INTO(count), NULL, "end after N jobs" },
    { "lines", 0, NULL, FOR(PUT), IN_JOBS, AS_FLAG, INTO(lines), NULL,
      "a job is a line of --file, or of standard input" },
    { "batch", 0, "N", FOR(PUT), IN_JOBS, AS_COUNT, INTO(batch), NULL,
      "with --lines, put up to N jobs at once, all of them or none; 256 unless given, which is the most" },
    { "priority", 0, "N", FOR(PUT), IN_JOBS, AS_NUMBER, INTO(priority), NULL,
      "0 to 9; 9 goes first, 4 unless given" },
    { "delay", 'd', "TIME", FOR(PUT) | FOR(NACK) | FOR(WORK), IN_JOBS, AS_TIME, INTO(delay), NULL,
      "nobody gets the job for TIME; without, put: at once, nack and work: what the queue's backoff says" },
    { "ttl", 0, "TIME", FOR(PUT), IN_JOBS, AS_TIME, INTO(ttl), NULL,
      "drop the job when nobody has begun it after TIME" },
    { "key", 0, "KEY", FOR(PUT), IN_JOBS, AS_TEXT, INTO(key), NULL,
      "jobs of one KEY are worked on one after the other, in their order" },
    { "dedupe", 0, "ID", FOR(PUT), IN_JOBS, AS_TEXT, INTO(dedupe), NULL,
      "jobs of one ID are one job, as long as the queue remembers it" },
    { "header", 0, "NAME=TEXT", FOR(PUT), IN_JOBS, AS_LIST, INTO(header), NULL,
      "comes with the job; may be given more than once" },
    { "lease", 0, "TIME", FOR(RESERVE) | FOR(TOUCH) | FOR(WORK), IN_JOBS, AS_TIME, INTO(lease),
      NULL, "how long the job is ours; without, what the queue says, and at most its max_lease" },
    { "wait", 0, "TIME", FOR(PUT) | FOR(RESERVE), IN_JOBS, AS_TIME, INTO(wait), NULL,
      "wait up to TIME for a job, or with put for room in a full queue; without, not at all" },
    { "wait", 0, "TIME", FOR(WORK), IN_JOBS, AS_TIME, INTO(wait), NULL,
      "end when no job has come for TIME; without, go on for ever" },
    { "ticket", 0, "FILE", FOR(RESERVE), IN_JOBS, AS_TEXT, INTO(ticket), NULL,
      "write the tickets to FILE, one in a line, and the jobs themselves to standard output, with nothing between them" },
    { "no-charge", 0, NULL, FOR(NACK), IN_JOBS, AS_FLAG, INTO(no_charge), NULL,
      "the attempt does not count" },
    { "error", 0, "TEXT", FOR(NACK) | FOR(BURY), IN_JOBS, AS_TEXT, INTO(error), NULL,
      "why, for those who look with peek or dead" },
    { "state", 0, "STATE", FOR(PEEK), IN_JOBS, AS_TEXT, INTO(state), NULL,
      "ready, unless given, delayed, leased or buried" },

    { "exec", 0, "PROGRAM", FOR(WORK), IN_WORK, AS_TEXT, INTO(exec), NULL,
      "the program; its arguments follow after --" },
    { "protocol", 0, "PROTOCOL", FOR(WORK), IN_WORK, AS_TEXT, INTO(protocol), NULL,
      "once, unless given: a process for each job; lines or frames: processes that stay, with a job and its result as a line, "
      "or after its length in 4 bytes" },
    { "jobs", 0, "N", FOR(WORK), IN_WORK, AS_COUNT, INTO(jobs), NULL,
      "work on N jobs at a time, at most 256; 1 unless given" },
    { "time-limit", 0, "TIME", FOR(WORK), IN_WORK, AS_TIME, INTO(time_limit), NULL,
      "kill a program that takes longer for a job, which has failed then; without, it may take for ever" },
    { "grace", 0, "TIME", FOR(WORK), IN_WORK, AS_TIME, INTO(grace), NULL,
      "after SIGTERM or SIGINT, how long jobs in hand may take before they are given back; 30s unless given" },

    { "pull", 0, "URL", FOR(BENCH), IN_BENCH, AS_LIST, INTO(pull), NULL,
      "receive the results there, as pull does; may be given more than once" },
    { "sub", 0, "URL", FOR(BENCH), IN_BENCH, AS_LIST, INTO(sub), NULL,
      "receive the results there, as sub does; may be given more than once" },
    { "queue", 0, "NAME", FOR(BENCH), IN_BENCH, AS_TEXT, INTO(queue), NULL,
      "of put and work: the queue" },
    { "clients", 0, "N", FOR(BENCH), IN_BENCH, AS_COUNT, INTO(clients), NULL,
      "send from N connections, at most 10000, over all CPUs; 1 unless given" },
    { "msgs", 0, "N", FOR(BENCH), IN_BENCH, AS_COUNT, INTO(messages), NULL,
      "send N messages, of all clients together; 100000 unless given; for work, take N, all there are unless given" },
    { "duration", 0, "TIME", FOR(BENCH), IN_BENCH, AS_TIME, INTO(duration), NULL,
      "send for TIME, however many messages that are" },
    { "size", 0, "SIZE", FOR(BENCH), IN_BENCH, AS_SIZE, INTO(size), NULL,
      "of each message, 16B to 1MiB; 128B unless given" },
    { "batch", 0, "N", FOR(BENCH), IN_BENCH, AS_COUNT, INTO(batch), NULL,
      "send N messages in one, at most 4096, to an endpoint with framing: batch; for put and work, "
      "at most 256 jobs, 1 unless given" },
    { "rate", 0, "N", FOR(BENCH), IN_BENCH, AS_COUNT, INTO(rate), NULL,
      "send N messages/s, of all clients together, each at its time, whether the one before is through or not" },
    { "baseline", 0, "WHAT", FOR(BENCH), IN_BENCH, AS_TEXT, INTO(baseline), NULL,
      "for push with --pull: measure the same first through WHAT and print the ratio; device: a forwarder over libnanomsg, "
      "in this process" },

    { "framing", 0, "FRAMING", FOR(PUSH) | FOR(PULL) | FOR(PUB) | FOR(SUB) | FOR(REQ), IN_GENERAL,
      AS_TEXT, INTO(framing), NULL,
      "raw: a message is an SP message, unless given; batch: many are in one, for endpoints with framing: batch; "
      "req then prints the receipts, and sub compares PREFIX with the topics" },
    { "batch", 0, "N", FOR(PUSH) | FOR(PUB) | FOR(REQ), IN_GENERAL, AS_COUNT, INTO(batch), NULL,
      "with --framing batch, send up to N messages in one, as many as are there; 256 unless given, at most 4096" },
    { "lines", 0, NULL, FOR_MESSAGES, IN_GENERAL, AS_FLAG, INTO(lines), NULL,
      "a message is a line: send each line of --file, or of standard input when push, pub, req or "
      "surveyor are given nothing to send; print a newline after each message" },
    { "count", 'C', "N", FOR_MESSAGES, IN_GENERAL, AS_COUNT, INTO(count), NULL,
      "stop after N messages: received, or for push and pub, sent" },
    { "json", 0, NULL, FOR_MESSAGES, IN_GENERAL, AS_FLAG, INTO(json), NULL,
      "print one JSON object in a line for each message received, with \"body\" or, for bytes that are "
      "not UTF-8, \"body64\" in base 64, and one with \"summary\" at the end" },
    { "json", 0, NULL, FOR_CONTROL, IN_GENERAL, AS_FLAG, INTO(json), NULL,
      "print the daemon's own answer, JSON in one line" },
    { "json", 0, NULL, FOR_JOBS & ~FOR(WORK), IN_GENERAL, AS_FLAG, INTO(json), NULL,
      "print what the daemon says of each job, one JSON object in a line" },
    { "json", 0, NULL, FOR(BENCH), IN_GENERAL, AS_FLAG, INTO(json), NULL,
      "print one JSON object in a line" },
    { "csv", 0, NULL, FOR(BENCH), IN_GENERAL, AS_FLAG, INTO(csv), NULL,
      "print comma-separated values, with a line of names first" },
    { "repair", 0, NULL, FOR(FSCK), IN_GENERAL, AS_FLAG, INTO(repair), NULL,
      "cut off what was not finished, and move what can be read into new files" },
    { "json", 0, NULL, FOR(FSCK), IN_GENERAL, AS_FLAG, INTO(json), NULL, "print one JSON object" },
    { "json", 0, NULL, FOR(DUMP), IN_GENERAL, AS_FLAG, INTO(json), NULL,
      "print one JSON object in a line for each message" },
    { "json", 0, NULL, FOR(ERRORS), IN_GENERAL, AS_FLAG, INTO(json), NULL, "print JSON" },
    { "options", 0, NULL, FOR(HELP), IN_GENERAL, AS_FLAG, INTO(list_options), NULL,
      "list all options, for programs" },
    { "verbose", 'v', NULL, FOR_MESSAGES | FOR(WORK) | FOR(BENCH), IN_GENERAL, AS_LOUDER,
      INTO(verbosity), NULL, "say more on stderr: addresses, and a summary at the end" },
    { "silent", 'q', NULL, FOR_MESSAGES | FOR(WORK) | FOR(BENCH), IN_GENERAL, AS_QUIETER,
      INTO(verbosity), NULL, "say less on stderr: no progress, no summary" },
    { "help", 'h', NULL, FOR_ALL, IN_GENERAL, AS_FLAG, INTO(help), NULL, "show this help" },
    { "version", 'V', NULL, FOR_ALL, IN_GENERAL, AS_FLAG, INTO(version), NULL, "show the version" },
};

enum { ROWS = sizeof rows / sizeof rows[0], FIRST_LONG = 256 };

static bool row_belongs(const struct option_row *row, const struct command *command)
{
    return command == NULL ? row->commands == FOR_ALL : (row->commands >> command->id & 1) != 0;
}

const char *option_list_text(const struct option_list *list, size_t i, char text[OPTIONS_URL_BYTES])
{
    const char *prefix = list->at[i].prefix != NULL ? list->at[i].prefix : "";
    (void)snprintf(text, OPTIONS_URL_BYTES, "%s%s", prefix, list->at[i].text);
    return text;
}

/* nanocat's seconds ("1", "0.5", ".5"), or a number with a unit ("500ms"). */
static int parse_time(const char *text, span_t *ret_span)
{
    char seconds[64];
    if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0')
        return span_parse(text, ret_span);
    int n = snprintf(seconds, sizeof seconds, "%s%ss", text[0] == '.' ? "0" : "", text);
    return (size_t)n < sizeof seconds ? span_parse(seconds, ret_span) : PEN_EINVAL;
}

static int parse_count(const char *text, uint64_t *ret_count)
{
    uint64_t n;
    int r = number_parse(text, &n);
    if (r < 0)
        return r;
    if (n == 0)
        return PEN_EINVAL;
    *ret_count = n;
    return 0;
}

static int append_to_list(struct option_list *list, const char *prefix, const char *text)
{
    if (list->n == OPTIONS_LIST_MAX)
        return PEN_ELIMIT;
    list->at[list->n].prefix = prefix;
    list->at[list->n].text = text;
    list->n++;
    return 0;
}

/* Reads the argument into the row's field. */
static int apply(const struct option_row *row, const char *argument, struct options *o)
{
    void *field = (char *)o + row->field;
    switch (row->kind) {
    case AS_FLAG:
        *(bool *)field = true;
        return 0;
    case AS_LOUDER:
        ++*(int *)field;
        return 0;
    case AS_QUIETER:
        --*(int *)field;
        return 0;
    case AS_TEXT:
        *(const char **)field = argument;
        return 0;
    case AS_LIST:
        return append_to_list(field, row->fixed, argument);
    case AS_TIME:
        return parse_time(argument, field);
    case AS_COUNT:
        return parse_count(argument, field);
    case AS_NUMBER:
        return number_parse(argument, field);
    case AS_SIZE:
        return size_parse(argument, field);
    case AS_FORMAT:
        return format_parse(row->fixed != NULL ? row->fixed : argument, field);
    }
    return PEN_EINVAL;
}

static const char *wanted(enum option_kind kind)
{
    switch (kind) {
    case AS_TIME:
        return "a time: seconds, or with a unit such as 500ms or 2m";
    case AS_COUNT:
        return "a whole number from 1";
    case AS_NUMBER:
        return "a whole number";
    case AS_SIZE:
        return "a size such as 64MiB";
    case AS_FORMAT:
        return "raw, ascii, quoted, hex, msgpack or no";
    case AS_LIST:
        return "fewer of them";
    default:
        return "something else";
    }
}

static const struct option_row *find_row(const char *name, size_t bytes)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(rows[i].name) == bytes && memcmp(rows[i].name, name, bytes) == 0)
            return &rows[i];
    return NULL;
}

/* The i-th name among those that belong to the command. */
static const char *next_name(const void *command, size_t i)
{
    for (size_t row = 0; row < ROWS; row++)
        if (row_belongs(&rows[row], command) && i-- == 0)
            return rows[row].name;
    return NULL;
}

static void say_unknown_long(const struct command *command, const char *word)
{
    char name[64];
    size_t bytes = strcspn(word, "=");
    const struct option_row *row = find_row(word + 2, bytes - 2);
    (void)snprintf(name, sizeof name, "%.*s", (int)(bytes - 2), word + 2);
    const char *near = str_suggest(name, next_name, command);
    if (row != NULL && command != NULL)
        say("option --%s does not belong to %s", row->name, command->name);
    else if (near != NULL)
        say("unknown option --%s; did you mean --%s?", name, near);
    else if (command == NULL && command_find(name) != NULL)
        say("unknown option --%s; did you mean the command %s?", name, name);
    else
        say("unknown or ambiguous option --%s", name);
}

static void say_unknown_letter(const struct command *command, int letter)
{
    for (size_t i = 0; i < ROWS && command != NULL; i++) {
        if (rows[i].letter == letter) {
            say("option -%c, --%s, does not belong to %s", letter, rows[i].name, command->name);
            return;
        }
    }
    say("unknown option -%c", letter);
}

/* What getopt_long could not make sense of; `result` is '?' or ':'. */
static void say_wrong(const struct command *command, int result, char **argv)
{
    const char *word = argv[optind - 1];
    if (result == ':' && optopt >= FIRST_LONG)
        say("option --%s needs an argument, %s", rows[optopt - FIRST_LONG].name,
            rows[optopt - FIRST_LONG].argument);
    else if (result == ':')
        say("option -%c needs an argument", optopt);
    else if (optopt >= FIRST_LONG)
        say("option --%s takes no argument", rows[optopt - FIRST_LONG].name);
    else if (optopt == 0 && str_starts(word, "--"))
        say_unknown_long(command, word);
    else
        say_unknown_letter(command, optopt);
}

static int complain(const struct command *command)
{
    if (command != NULL)
        (void)fprintf(stderr, "Try 'penstock help %s'.\n", command->name);
    else
        (void)fputs("Try 'penstock --help'.\n", stderr);
    return EXIT_USAGE;
}

/* getopt's two lists of what a command accepts. The letters begin with + before a command and a program, which
 * end options at the first word that is none, and with : for us to say what is wrong. */
static void fill_getopt(const struct command *command, struct option longs[ROWS + 1],
                        char letters[2 * ROWS + 3])
{
    size_t n = 0;
    char *letter = letters;
    if (command == NULL || command->id == COMMAND_WORK)
        *letter++ = '+';
    *letter++ = ':';
    for (size_t i = 0; i < ROWS; i++) {
        if (!row_belongs(&rows[i], command))
            continue;
        int has = rows[i].argument != NULL ? required_argument : no_argument;
        longs[n++] = (struct option){ rows[i].name, has, NULL, FIRST_LONG + (int)i };
        if (rows[i].letter == 0)
            continue;
        *letter++ = rows[i].letter;
        if (has == required_argument)
            *letter++ = ':';
    }
    longs[n] = (struct option){ 0 };
    *letter = '\0';
}

static const struct option_row *row_of_result(const struct command *command, int result)
{
    if (result >= FIRST_LONG)
        return &rows[result - FIRST_LONG];
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].letter == result && row_belongs(&rows[i], command))
            return &rows[i];
    return NULL;
}

static int check_operands(const struct command *command, const struct options *o)
{
    if (command == NULL || o->help || o->version)
        return 0;
    if (o->operands_count > command->operands_max)
        say("unexpected argument '%s'", o->operands[command->operands_max]);
    else if (o->operands_count < command->operands_min)
        say("say which: penstock %s %s", command->name, command->operands);
    else
        return 0;
    return complain(command);
}

int options_parse(const struct command *command, int argc, char **argv, struct options *ret_options)
{
    struct options o = {
        .command = command,
        .recv_timeout = { -1 },
        .send_timeout = { -1 },
        .delay = { -1 },
        .interval = { -1 },
        .ttl = { -1 },
        .lease = { -1 },
        .wait = { -1 },
        .time_limit = { -1 },
        .grace = span_s(30),
        .priority = UINT64_MAX,
        .linger = { -1 },
        .timeout = span_s(5),
        .recv_max_bytes = 64 << 20,
    };
    struct option longs[ROWS + 1];
    char letters[2 * ROWS + 3];
    fill_getopt(command, longs, letters);
    opterr = 0;
    optind = 0; /* glibc: start afresh */
    int result;
    while ((result = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const struct option_row *row =
            result == '?' || result == ':' ? NULL : row_of_result(command, result);
        if (row == NULL) {
            say_wrong(command, result, argv);
            return complain(command);
        }
        if (apply(row, optarg, &o) < 0) {
            say("--%s: '%s' will not do; it takes %s", row->name, optarg, wanted(row->kind));
            return complain(command);
        }
    }
    o.operands = argv + optind;
    o.operands_count = (size_t)(argc - optind);
    int r = check_operands(command, &o);
    if (r == 0)
        *ret_options = o;
    return r;
}

void print_wrapped(const char *text, int indent, int column, FILE *to)
{
    enum { WIDTH = 79 };
    bool first = true;
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (!first && column + 1 + word > WIDTH) {
            (void)fprintf(to, "\n%*s", indent, "");
            column = indent;
            first = true;
        }
        column += fprintf(to, "%s%.*s", first ? "" : " ", word, text);
        first = false;
        text += word;
        text += strspn(text, " ");
    }
    (void)fputc('\n', to);
}

static void print_row_help(const struct option_row *row, FILE *to)
{
    enum { HELP_COLUMN = 26 };
    char name[64];
    (void)snprintf(name, sizeof name, "%c%c%c --%s%s%s", row->letter != 0 ? '-' : ' ',
                   row->letter != 0 ? row->letter : ' ', row->letter != 0 ? ',' : ' ', row->name,
                   row->argument != NULL ? " " : "", row->argument != NULL ? row->argument : "");
    int column = fprintf(to, "  %-*s", HELP_COLUMN - 3, name);
    if (column >= HELP_COLUMN)
        (void)fputc('\n', to), column = 0;
    (void)fprintf(to, "%*s", HELP_COLUMN - column, "");
    print_wrapped(row->help, HELP_COLUMN, HELP_COLUMN, to);
}

void options_print_help(const struct command *command, FILE *to)
{
    for (enum option_group group = 0; group < GROUPS; group++) {
        bool titled = false;
        for (size_t i = 0; i < ROWS; i++) {
            if (rows[i].group != group || !row_belongs(&rows[i], command))
                continue;
            if (!titled)
                (void)fprintf(to, "\n%s:\n", group_titles[group]);
            titled = true;
            print_row_help(&rows[i], to);
        }
    }
}

void options_print_list(const struct command *command, FILE *to)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!row_belongs(&rows[i], command))
            continue;
        char letter[3] = { '-', rows[i].letter, '\0' };
        (void)fprintf(to, "%s\t--%s\t%s\t%s\n", command != NULL ? command->name : "-", rows[i].name,
                      letter, rows[i].argument != NULL ? rows[i].argument : "-");
    }
}
