/* SPDX-License-Identifier: Apache-2.0
 *
 * A program as somebody would write it with libnanomsg or libnng, to stand at one end of the daemon.
 *
 *   sp_client PATTERN listen|connect ADDRESS give WORD   send WORD again and again, until killed
 *   sp_client PATTERN listen|connect ADDRESS take        print one message
 *   sp_client PATTERN listen|connect ADDRESS ask WORD    send WORD until an answer comes, and print that
 *
 * Again and again, because who publishes, surveys or is on a bus drops what it says before anybody is there.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sp_client.h"

enum { MESSAGE_MAX_BYTES = 4096, PAUSE_MS = 50, PATIENCE_MS = 60000 };

void die(const char *what, const char *why)
{
    fprintf(stderr, "sp_client: %s: %s\n", what, why);
    exit(2);
}

static bool receives(const char *pattern)
{
    return strcmp(pattern, "push") != 0 && strcmp(pattern, "pub") != 0;
}

static void give(const char *pattern, const char *word)
{
    char heard[MESSAGE_MAX_BYTES];
    for (;;) {
        (void)peer_send(word, strlen(word));
        if (receives(pattern))
            (void)peer_receive(heard, sizeof heard, PAUSE_MS);
        else
            (void)poll(NULL, 0, PAUSE_MS); /* It publishes once in a while: that is what it is for. */
    }
}

static void print(const char *message, ssize_t bytes)
{
    printf("%.*s\n", (int)bytes, message);
    fflush(stdout);
}

static void take(void)
{
    char heard[MESSAGE_MAX_BYTES];
    ssize_t bytes = peer_receive(heard, sizeof heard, PATIENCE_MS);
    if (bytes < 0)
        die("take", "nothing came");
    print(heard, bytes);
}

static void ask(const char *word)
{
    char heard[MESSAGE_MAX_BYTES];
    ssize_t bytes = -1;
    for (int waited_ms = 0; bytes < 0 && waited_ms < PATIENCE_MS; waited_ms += PAUSE_MS)
        bytes = peer_send(word, strlen(word)) ? peer_receive(heard, sizeof heard, PAUSE_MS)
                                              : (ssize_t)poll(NULL, 0, PAUSE_MS) - 1;
    if (bytes < 0)
        die("ask", "no answer came");
    print(heard, bytes);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        die("usage", "sp_client PATTERN listen|connect ADDRESS give|take|ask [WORD]");
    const char *verb = argv[4], *word = argc > 5 ? argv[5] : "";
    peer_open(argv[1], strcmp(argv[2], "listen") == 0, argv[3]);
    if (strcmp(verb, "give") == 0)
        give(argv[1], word);
    else if (strcmp(verb, "take") == 0)
        take();
    else if (strcmp(verb, "ask") == 0)
        ask(word);
    else
        die(verb, "give, take or ask");
    return 0;
}
