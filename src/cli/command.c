/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands with their help. The manual says the same in more words.
 */
#include "cli/command.h"

#include "base/str.h"
#include "cli/jobs.h"

const struct command commands[] = {
    { COMMAND_PUSH, "push", "", 0, 0, "send messages to pullers, each to one of them",
      "Sends the message given with --data or --file, or each line of the input with --lines, and "
      "waits for a peer while there is none. Messages are spread over all peers that have room.",
      "penstock push --connect tcp://127.0.0.1:4510 -D hello\n"
      "seq 1000 | penstock push --connect tcp://127.0.0.1:4510 --lines\n"
      "penstock push --bind ipc:///tmp/work -F picture.png\n",
      cmd_messages },
    { COMMAND_PULL, "pull", "", 0, 0, "receive what pushers send",
      "Prints every message until it is interrupted, --count messages have come or --recv-timeout "
      "passes without one.",
      "penstock pull --bind tcp://127.0.0.1:4510\n"
      "penstock pull --connect ipc:///tmp/work --count 1 --raw > picture.png\n"
      "penstock pull --bind tcp://127.0.0.1:4510 --json | jq .body\n",
      cmd_messages },
    { COMMAND_PUB, "pub", "", 0, 0, "publish messages to all subscribers",
      "Sends each message to every subscriber that is connected at that moment; nobody waits and "
      "nothing is kept for the others. --delay gives them time to connect first.",
      "penstock pub --bind tcp://127.0.0.1:4511 -D 'news|hello' -i 1\n"
      "tail -f log | penstock pub --bind tcp://127.0.0.1:4511 --lines\n",
      cmd_messages },
    { COMMAND_SUB, "sub", "", 0, 0, "receive what publishers send",
      "Prints every message that begins with one of the prefixes given with --subscribe; without "
      "any, all messages. With --reliable, results that were missed are asked for.",
      "penstock sub --connect tcp://127.0.0.1:4511\n"
      "penstock sub --connect tcp://127.0.0.1:4511 --subscribe squares\n"
      "penstock sub --connect tcp://127.0.0.1:4511 --json --separator '|'\n"
      "penstock sub --reliable --connect tcp://127.0.0.1:4511 --replay tcp://127.0.0.1:4519\n",
      cmd_messages },
    { COMMAND_REQ, "req", "", 0, 0, "send requests and print the answers",
      "Sends a request, waits for its answer and prints it before the next one. Answers come in "
      "the order of the requests.",
      "penstock req --connect tcp://127.0.0.1:4512 -D ping\n"
      "penstock req --connect tcp://127.0.0.1:4512 --lines -F requests.txt --recv-timeout 5\n",
      cmd_messages },
    { COMMAND_REP, "rep", "", 0, 0, "answer requests",
      "Prints every request and answers it with --data or --file. Without either it only prints, "
      "and requesters wait.",
      "penstock rep --bind tcp://127.0.0.1:4512 -D pong\n"
      "penstock rep --connect ipc:///tmp/requests -F answer.json --format no\n",
      cmd_messages },
    { COMMAND_BUS, "bus", "", 0, 0, "send to and receive from all direct neighbours",
      "Sends the messages given, if any, to every neighbour that is connected at that moment, and "
      "prints what they send.",
      "penstock bus --bind tcp://127.0.0.1:4513\n"
      "penstock bus --connect tcp://127.0.0.1:4513 -D hello --recv-timeout 1\n",
      cmd_messages },
    { COMMAND_PAIR, "pair", "", 0, 0, "talk to one peer in both directions",
      "Sends the messages given, if any, to the one peer and prints what it sends.",
      "penstock pair --bind ipc:///tmp/chat --lines -F -\n"
      "penstock pair --connect ipc:///tmp/chat --lines -F -\n",
      cmd_messages },
    { COMMAND_SURVEYOR, "surveyor", "", 0, 0, "ask all respondents and print the answers",
      "Sends each survey to every respondent that is connected at that moment and prints the "
      "answers that come within --recv-timeout, 1 second unless it is given.",
      "penstock surveyor --bind tcp://127.0.0.1:4514 -D 'who is there?' --delay 1\n"
      "penstock surveyor --connect ipc:///tmp/survey -D load -i 10 --json\n",
      cmd_messages },
    { COMMAND_RESPONDENT, "respondent", "", 0, 0, "answer surveys",
      "Prints every survey and answers it with --data or --file. Without either it only prints.",
      "penstock respondent --connect tcp://127.0.0.1:4514 -D 'me'\n"
      "penstock respondent --bind ipc:///tmp/survey -F /proc/loadavg --format no\n",
      cmd_messages },
    { COMMAND_STATUS, "status", "", 0, 0, "show what the daemon is doing",
      "Shows the daemon's state, its rates, and each producer, queue, consumer and publisher.",
      "penstock status\n"
      "penstock status --json | jq .rates\n"
      "penstock status --control ipc:///run/penstock/other\n",
      cmd_control },
    { COMMAND_QUEUES, "queues", "[QUEUE]", 0, 1, "show the queues and their counters",
      "Shows how many messages each queue holds, how much room it has and what became of those it "
      "accepted; with a name, of that queue only.",
      "penstock queues\n"
      "penstock queues jobs\n"
      "penstock queues --json | jq '.queues[] | select(.ready > 1000) | .name'\n",
      cmd_control },
    { COMMAND_DRAIN, "drain", "", 0, 0, "make the daemon finish what it has and exit",
      "Tells the daemon to end as SIGTERM does: it accepts nothing more, finishes what it holds, "
      "sends the results and exits.",
      "penstock drain\n", cmd_control },
    { COMMAND_PAUSE, "pause", "QUEUE", 1, 1, "stop handing a queue's messages to consumers",
      "Pauses the queue: messages are still taken in, as far as there is room, and none is handed "
      "out until penstock resume.",
      "penstock pause jobs\n", cmd_control },
    { COMMAND_RESUME, "resume", "QUEUE", 1, 1, "hand a queue's messages to consumers again",
      "Ends the pause of the queue.", "penstock resume jobs\n", cmd_control },
    { COMMAND_PURGE, "purge", "QUEUE", 1, 1, "throw away what a queue holds",
      "Drops every message that waits in the queue and says how many there were. They are counted "
      "as dropped; those already in a handler's hand are not touched.",
      "penstock purge jobs\n", cmd_control },
    { COMMAND_SHUTDOWN, "shutdown", "", 0, 0, "make the daemon exit at once",
      "Tells the daemon to exit without finishing: what waits in its queues is dropped, and counted "
      "as dropped. Mostly, drain is what you want.",
      "penstock shutdown\n", cmd_control },
    { COMMAND_TASKS, "tasks", "", 0, 0, "show what each of the daemon's threads is doing",
      "Shows every event loop with what it is running and for how long, also when it is stuck there; "
      "then pools, and jobs and groups that are not done, with what each waits for. A cycle is a "
      "deadlock.",
      "penstock tasks\n"
      "penstock tasks --json | jq '.loops[] | select(.busy_ms > 1000)'\n",
      cmd_control },
    { COMMAND_PUT, "put", "", 0, 0, "put jobs into a queue",
      "Puts the job given with --data or --file, or one for each line of the input with --lines, into a queue of a worker "
      "endpoint, and prints the id of each. A job whose --dedupe is known already gets the id of the first.",
      "penstock put -l 4540 --queue jobs -D hello\n"
      "penstock put -l 4540 --queue jobs -F picture.png --priority 9 --key bob --header kind=png\n"
      "seq 1000 | penstock put -l 4540 --queue jobs --lines --wait 1m\n",
      cmd_put },
    { COMMAND_RESERVE, "reserve", "", 0, 0, "take jobs out of queues to work on them",
      "Takes jobs under a lease and prints the ticket of each, QUEUE:ID:LEASE, which ack, nack, touch and bury take. Nobody "
      "else gets the job until the lease ends; then it is given to another, and the attempt is charged. With --ticket the "
      "tickets go to a file and the jobs themselves to standard output, for a pipe.",
      "penstock reserve -l 4540 --queue jobs --lease 5m\n"
      "penstock reserve -l 4540 --queue urgent=3 --queue jobs --count 10 --wait 1m --json\n"
      "penstock reserve -l 4540 --queue jobs --ticket t | gzip > x.gz && penstock ack -l 4540 $(cat t)\n",
      cmd_reserve },
    { COMMAND_ACK, "ack", "TICKET...", 1, JOBS_TICKETS_MAX, "say that jobs are done",
      "Ends the jobs of these tickets, which come from penstock reserve. --data or --file is the job's result, for whoever "
      "waits for it.",
      "penstock ack -l 4540 jobs:17:4294967297\n"
      "penstock ack -l 4540 -F result.json jobs:17:4294967297\n",
      cmd_held },
    { COMMAND_NACK, "nack", "TICKET...", 1, JOBS_TICKETS_MAX, "say that jobs have failed",
      "Gives the jobs of these tickets back, to be tried again after the queue's pause or --delay, unless that was the last "
      "of their attempts. With --no-charge it is as if they had not been tried.",
      "penstock nack -l 4540 --error 'no such host' --delay 1m jobs:17:4294967297\n"
      "penstock nack -l 4540 --no-charge jobs:17:4294967297\n",
      cmd_held },
    { COMMAND_TOUCH, "touch", "TICKET...", 1, JOBS_TICKETS_MAX, "make leases last longer",
      "Lets the leases of these tickets end --lease from now, or the queue's own time from now.",
      "penstock touch -l 4540 --lease 10m jobs:17:4294967297\n", cmd_held },
    { COMMAND_BURY, "bury", "TICKET...", 1, JOBS_TICKETS_MAX, "set jobs aside until they are kicked",
      "Sets the jobs of these tickets aside: nobody gets them until penstock kick.",
      "penstock bury -l 4540 --error 'somebody must look at this' jobs:17:4294967297\n", cmd_held },
    { COMMAND_KICK, "kick", "", 0, 0, "make buried or delayed jobs ready",
      "Makes --count jobs ready, one unless it is given: those that were buried, the longest buried first, or if there are "
      "none such that are delayed.",
      "penstock kick -l 4540 --queue jobs --count 100\n", cmd_kick },
    { COMMAND_PEEK, "peek", "[ID]", 0, 1, "look at jobs without taking them",
      "Shows the job of that id, or --count jobs that are --state, ready unless it is given. One is the next to leave its "
      "state; more come in no order.",
      "penstock peek -l 4540 --queue jobs 17\n"
      "penstock peek -l 4540 --queue jobs --state buried --count 10\n"
      "penstock peek -l 4540 --queue jobs --json | jq -r .body\n",
      cmd_peek },
    { COMMAND_DEAD, "dead", "", 0, 0, "show dead letters and why they died",
      "Shows what is in a dead-letter queue: in which queue each job died, after how many attempts, the reason and the last "
      "error, and how long ago that was.",
      "penstock dead -l 4540 --queue failed\n"
      "penstock dead -l 4540 --queue failed --json | jq -r .text\n",
      cmd_peek },
    { COMMAND_REDRIVE, "redrive", "", 0, 0, "put dead letters back where they died",
      "Takes dead letters, all or --count of them, out of a dead-letter queue and puts each back into the queue that it died "
      "in, with no attempt charged. One whose queue is full or gone stays.",
      "penstock redrive -l 4540 --queue failed\n"
      "penstock redrive -l 4540 --queue failed --count 1\n",
      cmd_redrive },
    { COMMAND_WORK, "work", "[--] [PROGRAM] [ARGUMENT]...", 0, JOBS_ARGUMENTS_MAX,
      "work on jobs with a program",
      "Takes jobs from queues and runs the program for each, --jobs at a time, with the job on its standard input. Status 0 "
      "acks the job, with what the program has written as the result; 100 buries it; anything else gives it back to be tried "
      "again. Leases are kept alive while it runs. SIGTERM lets what is in hand finish, for --grace at most; a second one "
      "gives it back at once. With --protocol the program is started --jobs times and kept, and gets one job after the other.",
      "penstock work -l 4540 --queue jobs -- ./resize --width 640\n"
      "penstock work -l 4540 --queue urgent=3 --queue jobs --jobs 4 --exec ./resize\n"
      "penstock work -l 4540 --queue jobs --protocol lines -- python3 -u answer.py\n",
      cmd_work },
    { COMMAND_BENCH, "bench", "push|pub|req|put|work", 1, 1, "measure how fast messages pass",
      "Sends messages as push or pub, asks as req, puts jobs, or takes and acknowledges them as work, at "
      "a running daemon or anything else that speaks SP, as fast as it goes or at --rate; with --pull or --sub "
      "it receives the results and sees whether each came once. Tells how long they took. At a rate a message "
      "that is late counts from when it was due.",
      "penstock bench push --connect tcp://127.0.0.1:4510 --pull tcp://127.0.0.1:4511 --msgs 1000000\n"
      "penstock bench push -l 4510 --pull tcp://127.0.0.1:4511 --size 1KiB --baseline device\n"
      "penstock bench req -l 4512 --clients 4 --rate 10000 --duration 10s --json\n"
      "penstock bench put -l 4520 --queue jobs --batch 64 &\n"
      "penstock bench work -l 4520 --queue jobs --batch 64\n",
      cmd_bench },
    { COMMAND_FSCK, "fsck", "DIR", 1, 1, "check what a durable queue has kept on the disk",
      "Reads all that is in the queue's folder and says how much there is, what was not finished and what is damaged. "
      "Nothing is changed without --repair, which cuts off what was not finished, as the daemon does when it starts, and "
      "moves what can be read into new files.",
      "penstock fsck /var/lib/penstock/jobs\n"
      "penstock fsck --repair /var/lib/penstock/jobs\n"
      "penstock fsck --json /var/lib/penstock/jobs | jq .damages\n",
      cmd_fsck },
    { COMMAND_DUMP, "dump", "DIR", 1, 1, "print what a durable queue has kept on the disk",
      "Prints each message in the queue's folder, in the order in which they were put, and changes nothing.",
      "penstock dump /var/lib/penstock/jobs\n"
      "penstock dump --json /var/lib/penstock/jobs | jq -r .body\n",
      cmd_dump },
    { COMMAND_ERRORS, "errors", "[NAME|CODE]", 0, 1, "explain the error codes",
      "Lists every error that penstock and its library report, or explains one of them: its cause "
      "and what to do.",
      "penstock errors\n"
      "penstock errors PEN_EFULL\n"
      "penstock errors --json\n",
      cmd_errors },
    { COMMAND_HELP, "help", "[COMMAND]", 0, 1, "explain a command",
      "Explains a command, or lists them all. With --options it lists every option of every "
      "command instead, for programs: the command, the long and the short name and the argument, "
      "between tabs, with - for what there is none of.",
      "penstock help push\n"
      "penstock help --options\n",
      cmd_help },
};
const size_t commands_count = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < commands_count; i++)
        if (str_equal(name, commands[i].name))
            return &commands[i];
    return NULL;
}

static const char *next_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < commands_count ? commands[i].name : NULL;
}

const char *command_suggest(const char *name)
{
    return str_suggest(name, next_name, NULL);
}
