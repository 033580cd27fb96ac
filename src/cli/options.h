/* SPDX-License-Identifier: Apache-2.0
 *
 * The options: one table for what is accepted, what --help says and what help --options lists. Names
 * and meanings are nanocat's where it has the same option.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/units.h"
#include "cli/command.h"
#include "cli/format.h"

enum {
    OPTIONS_LIST_MAX = 64, /* addresses or prefixes on one command line */
    OPTIONS_URL_BYTES = 256,
};

/* A repeatable option's values: "tcp://127.0.0.1:" and "4510", or NULL and a whole one. */
struct option_list {
    size_t n;
    struct {
        const char *prefix, *text;
    } at[OPTIONS_LIST_MAX];
};

/* What a command line said. The texts are argv's. */
struct options {
    const struct command *command;
    struct option_list bind, connect, subscribe, replay, pull, sub, queues, header;
    const char *data, *file; /* NULL: not given */
    const char *socket_name, *separator, *control, *from, *baseline, *framing, *queue;
    const char *key, *dedupe, *transport, *error, *state, *ticket, *exec, *protocol;
    span_t recv_timeout, send_timeout, delay, interval; /* negative: not given */
    span_t ttl, lease, wait, time_limit;                /* the same */
    span_t grace;
    span_t linger, timeout, duration; /* duration 0: not given */
    uint64_t count;                   /* 0: not given, as all below */
    uint64_t clients, messages, size, batch, rate, jobs;
    uint64_t priority; /* UINT64_MAX: not given */
    uint64_t recv_max_bytes;
    enum format format;
    bool reliable, gap_fatal;
    bool lines, json, csv;
    bool repair, no_charge;
    bool list_options; /* help --options */
    bool help, version;
    int verbosity; /* -v less -q */
    char *const *operands;
    size_t operands_count;
};

/* Parses argv[1..] for a command; NULL: only what stands before a command, and the operands are the
 * command and all after it. 0, or EXIT_USAGE after having said why. */
int options_parse(const struct command *command, int argc, char **argv, struct options *ret_options);

/* The options of a command for people, under headings; NULL: those that stand before a command. */
void options_print_help(const struct command *command, FILE *to);

/* The same for programs: "COMMAND<tab>--long<tab>-s<tab>ARG" lines, with "-" for what there is not. */
void options_print_list(const struct command *command, FILE *to);

/* The value as one text, cut off if longer than the buffer. Returns text. */
const char *option_list_text(const struct option_list *list, size_t i, char text[OPTIONS_URL_BYTES]);

/* Prints text in lines of at most 79 columns, each after `indent` blanks, the first one where the
 * cursor, at `column`, is. */
void print_wrapped(const char *text, int indent, int column, FILE *to);

#endif
