/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands, each once: name, operands, help and the function that does it. A command's bit says
 * in the option table (options.c) which commands an option belongs to.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stddef.h>
#include <stdint.h>

enum command_id {
    /* The patterns, in the order of enum pattern. */
    COMMAND_PUSH,
    COMMAND_PULL,
    COMMAND_PUB,
    COMMAND_SUB,
    COMMAND_REQ,
    COMMAND_REP,
    COMMAND_BUS,
    COMMAND_PAIR,
    COMMAND_SURVEYOR,
    COMMAND_RESPONDENT,
    /* What asks a daemon. */
    COMMAND_STATUS,
    COMMAND_QUEUES,
    COMMAND_DRAIN,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_PURGE,
    COMMAND_SHUTDOWN,
    COMMAND_TASKS,
    /* What works with jobs, over a worker endpoint. */
    COMMAND_PUT,
    COMMAND_RESERVE,
    COMMAND_ACK,
    COMMAND_NACK,
    COMMAND_TOUCH,
    COMMAND_BURY,
    COMMAND_KICK,
    COMMAND_PEEK,
    COMMAND_DEAD,
    COMMAND_REDRIVE,
    COMMAND_WORK,
    /* What measures. */
    COMMAND_BENCH,
    /* What looks at a store. */
    COMMAND_FSCK,
    COMMAND_DUMP,
    /* What explains. */
    COMMAND_ERRORS,
    COMMAND_HELP,
};

#define FOR(name) (UINT64_C(1) << COMMAND_##name)
#define FOR_SENDERS \
    (FOR(PUSH) | FOR(PUB) | FOR(REQ) | FOR(REP) | FOR(BUS) | FOR(PAIR) | FOR(SURVEYOR) | \
     FOR(RESPONDENT))
#define FOR_READERS \
    (FOR(PULL) | FOR(SUB) | FOR(REQ) | FOR(REP) | FOR(BUS) | FOR(PAIR) | FOR(SURVEYOR) | \
     FOR(RESPONDENT))
#define FOR_MESSAGES (FOR_SENDERS | FOR_READERS)
#define FOR_CONTROL \
    (FOR(STATUS) | FOR(QUEUES) | FOR(DRAIN) | FOR(PAUSE) | FOR(RESUME) | FOR(PURGE) | \
     FOR(SHUTDOWN) | FOR(TASKS))
#define FOR_HELD (FOR(ACK) | FOR(NACK) | FOR(TOUCH) | FOR(BURY))
#define FOR_QUEUED \
    (FOR(PUT) | FOR(RESERVE) | FOR(KICK) | FOR(PEEK) | FOR(DEAD) | FOR(REDRIVE) | FOR(WORK))
#define FOR_JOBS (FOR_HELD | FOR_QUEUED)
#define FOR_ALL UINT64_MAX

struct options;

struct command {
    enum command_id id;
    const char *name;
    const char *operands; /* as the usage line shows them; "" for none */
    size_t operands_min, operands_max;
    const char *summary;                 /* one line, no full stop */
    const char *description;             /* whole sentences */
    const char *examples;                /* lines, each ending with a newline */
    int (*run)(const struct options *o); /* returns an exit code */
};

extern const struct command commands[];
extern const size_t commands_count;

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* The command that was probably meant, or NULL. */
const char *command_suggest(const char *name);

int cmd_messages(const struct options *o);
int cmd_control(const struct options *o);
int cmd_put(const struct options *o);
int cmd_reserve(const struct options *o);
int cmd_held(const struct options *o);
int cmd_kick(const struct options *o);
int cmd_peek(const struct options *o);
int cmd_redrive(const struct options *o);
int cmd_work(const struct options *o);
int cmd_bench(const struct options *o);
int cmd_fsck(const struct options *o);
int cmd_dump(const struct options *o);
int cmd_errors(const struct options *o);
int cmd_help(const struct options *o);

#endif
